// What a point says to the eight cells whose middles are around it: cells as points of a grid of whole numbers, clouds
// one after the other along x, and features times weights, with the weight behind them.

#include "common.cuh"
#include "cells.cuh"
#include "kinds.cuh"

#define STEPS 1048576      // parts of a cell that a coordinate is rounded to

struct Splat {
    const POINT_T* points;
    const void* features;
    float* cells;          // [points, 8, 3], NaN for none
    double* values;        // [points, 8, channels + 1]
    i64* dropped;
    u32* status;
    i64 inner, stride_outer, stride_inner, channels, kind;  // of the features
    Cloud cloud;
};  // packed by _SPLAT in canvas.py

// The lower of two cells around a coordinate, and the weight of the other in STEPS; false outside of the grid.
__device__ __forceinline__ bool around(ACC_T p, double origin, double size, i64 shape, i32* cell, i64* part) {
    const ACC_T q = div_ieee(sub_ieee(p, Narrow<ACC_T>::from(origin)), Narrow<ACC_T>::from(size));
    const ACC_T c = sub_ieee(q, (ACC_T)0.5);
    *cell = floor_cell(c);
    *part = __double2ll_rn(__dmul_rn(widen<double>(sub_ieee(c, (ACC_T)*cell)), (double)STEPS));
    const i32 home = floor_cell(q);
    return q >= (ACC_T)-1 && q < (ACC_T)2147483648.0 && home >= 0 && home < shape;
}

extern "C" __global__ void __launch_bounds__(256, 1) splat_scatter(const Splat w) {
    const Rows& rows = w.cloud.rows;
    const Grid& grid = w.cloud.grid;
    check_extent(rows, w.status);
    const i64 step = (i64)gridDim.x * blockDim.x;
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 cloud = cloud_of(rows, i);
        ACC_T p[3];
        i32 low[3];
        i64 part[3];
        bool inside = cloud >= 0;
        load_point(w.points, rows, (u32)i, p);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis)
            inside &= around(p[axis], grid.origin[axis], grid.size[axis], grid.shape[axis], low + axis, part + axis);
        if (!inside && cloud >= 0 && w.dropped) lost.add(w.dropped, cloud);
        const u32 outer = (u32)i / (u32)w.inner;
        const i64 at = outer * w.stride_outer + ((u32)i - outer * (u32)w.inner) * w.stride_inner;
        for (int corner = 0; corner < 8; ++corner) {
            i64 weight = inside;
            float* cell = w.cells + 3 * (8 * i + corner);
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) {
                const i32 up = corner >> (2 - axis) & 1, number = low[axis] + up;
                weight = number >= 0 && number < grid.shape[axis] ? weight * (up ? part[axis] : STEPS - part[axis]) : 0;
                cell[axis] = (float)(axis ? (i64)number : number + cloud * grid.shape[0]);
            }
            weight = (weight + (1 << 29)) >> 30;
            if (weight == 0) cell[0] = __uint_as_float(0x7fc00000u);
            const double share = __dmul_rn((double)weight, 1.0 / (1 << 30));
            double* to = w.values + (8 * i + corner) * (w.channels + 1);
            for (i64 c = 0; c < w.channels; ++c) to[c] = __dmul_rn(share, read(w.features, at + c, w.kind));
            to[w.channels] = share;
        }
    }
    if (w.dropped) lost.flush(w.dropped);
}
