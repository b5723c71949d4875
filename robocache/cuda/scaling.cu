// One affine map a feature, forward or back, element by element.
//
// A thread moves 16 bytes of results at a time. Where in the features its elements lie is found by one division at the
// start; from one pack to the next it moves on by a constant.
//
// Macros: VALUE_T, OUT_T; ACC_T (float, double): type of the arithmetic.

#include "common.cuh"

struct __align__(4 * sizeof(ACC_T)) Row {  // center + rest is what becomes 0 before gain and bias
    ACC_T center, rest;
    ACC_T scale;  // below 0: the feature is only moved, by shift
    ACC_T shift;
};

struct Map {  // mirrored in scaling.py
    const VALUE_T* values;
    OUT_T* out;
    const Row* rows;
    i64 total, period, inner;  // element i is of feature i % period / inner
    double gain, bias, low, high;
    i64 back, clipped;
};

__device__ __forceinline__ float times(float a, float b) { return fma_ieee(a, b, -0.0f); }
__device__ __forceinline__ double times(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ float least(float a, float b) {
    float r;
    asm("min.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float most(float a, float b) {
    float r;
    asm("max.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ double least(double a, double b) { return fmin(a, b); }
__device__ __forceinline__ double most(double a, double b) { return fmax(a, b); }

struct Constants {
    ACC_T gain, bias, low, high;
    bool back, clipped;

    __device__ __forceinline__ OUT_T operator()(VALUE_T value, const Row& row) const {
        const ACC_T x = widen<ACC_T>(value);
        ACC_T y;
        if (back) {
            y = row.scale < 0 ? sub_ieee(x, row.shift) : times(div_ieee(sub_ieee(x, bias), gain), row.scale);
            y = add_ieee(add_ieee(y, row.rest), row.center);
        } else {
            y = sub_ieee(sub_ieee(x, row.center), row.rest);
            if (row.scale < 0) {
                y = add_ieee(y, row.shift);
            } else {
                y = add_ieee(times(div_ieee(y, row.scale), gain), bias);
                if (clipped && y == y) y = least(most(y, low), high);
            }
        }
        return Narrow<OUT_T>::from(y);
    }
};

template <class T, int N> struct __align__(N * sizeof(T)) Pack { T item[N]; };

template <int N> __device__ __forceinline__ void apply(const Map& map) {
    typedef Narrow<ACC_T> To;  // a plain cast would make zeros of subnormals
    const Constants one = {To::from(map.gain), To::from(map.bias), To::from(map.low),
                           To::from(map.high), map.back != 0,      map.clipped != 0};
    const i64 packs = map.total / N, threads = (i64)gridDim.x * blockDim.x;
    const i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    const i64 step = threads * N % map.period;
    i64 place = thread * N % map.period;
    for (i64 i = thread; i < packs; i += threads) {
        const Pack<VALUE_T, N> in = ((const Pack<VALUE_T, N>*)map.values)[i];
        Pack<OUT_T, N> out;
        i64 feature = map.inner == 1 ? place : divide(place, map.inner), left = (feature + 1) * map.inner - place;
        const i64 features = map.inner == 1 ? map.period : divide(map.period, map.inner);
#pragma unroll
        for (int k = 0; k < N; ++k) {
            out.item[k] = one(in.item[k], map.rows[feature]);
            if (--left == 0) {
                left = map.inner;
                if (++feature == features) feature = 0;
            }
        }
        ((Pack<OUT_T, N>*)map.out)[i] = out;
        place += step;
        if (place >= map.period) place -= map.period;
    }
    const i64 i = packs * N + thread;
    if (i < map.total) map.out[i] = one(map.values[i], map.rows[i % map.period / map.inner]);
}

extern "C" __global__ void __launch_bounds__(256, 2) scaling_apply(const __grid_constant__ Map map) {
    apply<16 / sizeof(OUT_T)>(map);
}
extern "C" __global__ void __launch_bounds__(256, 2) scaling_apply_unaligned(const __grid_constant__ Map map) {
    apply<1>(map);
}
