// Rows of chosen points, bit for bit, and zeros where there is none.

#include "common.cuh"

#define EMPTY 0xffffffffffffffffull

struct Take {              // mirrored in pick.py; 8-byte fields only
    const void* features;
    const u64* places;     // EMPTY, or a point in the lower half
    void* out;
    i64 inner, stride_outer, stride_inner, channels;  // in elements
    i64 items;             // elements of the result
};

template <class T> __device__ __forceinline__ void take(const Take& w) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < w.items; at += step) {
        const i64 slot = divide(at, w.channels);
        const u64 place = w.places[slot];
        T value = 0;
        if (place != EMPTY) {
            const u32 i = (u32)place, outer = i / (u32)w.inner;
            value = ((const T*)w.features)[outer * w.stride_outer + (i - outer * (u32)w.inner) * w.stride_inner + at -
                                           slot * w.channels];
        }
        ((T*)w.out)[at] = value;
    }
}

extern "C" __global__ void take_1(const Take w) { take<u8>(w); }
extern "C" __global__ void take_2(const Take w) { take<u16>(w); }
extern "C" __global__ void take_4(const Take w) { take<u32>(w); }
extern "C" __global__ void take_8(const Take w) { take<u64>(w); }

// The points themselves; -1 for none.
extern "C" __global__ void take_index(const u64* places, i64 count, i64* out) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 v = (i64)blockIdx.x * blockDim.x + threadIdx.x; v < count; v += step)
        out[v] = places[v] == EMPTY ? -1 : (i64)(u32)places[v];
}
