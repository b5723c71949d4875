// What is made of sums of voxels, and their centres. FEATURE_T is the type of the results.

#include "common.cuh"
#include "exact.cuh"

struct Made {              // mirrored in attributes.py; 8-byte fields only
    const SUM_T* sums;
    const i32 *counts, *coords;
    FEATURE_T* out;
    i64 rows, channels;
    double origin[3], size[3];
};

#if FLOATING
// Sums divided by their length; 0 stays 0.
extern "C" __global__ void attributes_unit(const Made w) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 v = (i64)blockIdx.x * blockDim.x + threadIdx.x; v < w.rows; v += step) {
        double square = 0;
        for (i64 c = 0; c < w.channels; ++c) {
            const double x = widen<double>(w.sums[v * w.channels + c]);
            square = __dadd_rn(square, __dmul_rn(x, x));
        }
        const double norm = __dsqrt_rn(square);
        const bool finite = ((u64)__double_as_longlong(norm) >> 52 & 0x7ff) != 0x7ff;
        for (i64 c = 0; c < w.channels; ++c) {
            const double x = widen<double>(w.sums[v * w.channels + c]);
            w.out[v * w.channels + c] =
                finite ? rounded<FEATURE_T>(norm == 0 ? 0.0 : __ddiv_rn(x, norm)) : quiet_nan<FEATURE_T>();
        }
    }
}

extern "C" __global__ void attributes_center(const Made w) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 v = (i64)blockIdx.x * blockDim.x + threadIdx.x; v < w.rows; v += step) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double cell = __dadd_rn((double)w.coords[3 * v + axis], 0.5);
            const double middle = __dadd_rn(__dmul_rn(cell, w.size[axis]), w.origin[axis]);
            w.out[3 * v + axis] = rounded<FEATURE_T>(w.counts[v] ? middle : 0.0);
        }
    }
}
#else
// Means rounded to the nearest integer, half goes up.
extern "C" __global__ void attributes_round(const Made w) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 at = (i64)blockIdx.x * blockDim.x + threadIdx.x; at < w.rows * w.channels; at += step) {
        const i64 count = w.counts[divide(at, w.channels)];
        const i64 whole = 2 * w.sums[at] + count, twice = 2 * max(count, 1ll), quotient = whole / twice;
        w.out[at] = (FEATURE_T)(quotient - (quotient * twice > whole));
    }
}
#endif
