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
    // A thread for each of a point's cells: neighbours write side by side.
    for (i64 item = (i64)blockIdx.x * blockDim.x + threadIdx.x; item < 8 * rows.total; item += step) {
        const i64 i = item >> 3, cloud = cloud_of(rows, i);
        const u32 corner = (u32)item & 7;
        ACC_T p[3];
        bool inside = cloud >= 0;
        load_point(w.points, rows, (u32)i, p);
        i64 weight = 1;
        float cell[3];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            i32 number;
            i64 part;
            inside &= around(p[axis], grid.origin[axis], grid.size[axis], grid.shape[axis], &number, &part);
            const u32 up = corner >> (2 - axis) & 1;
            number += up;
            weight = number >= 0 && number < grid.shape[axis] ? weight * (up ? part : STEPS - part) : 0;
            cell[axis] = (float)(axis ? (i64)number : number + cloud * grid.shape[0]);
        }
        if (!inside && corner == 0 && cloud >= 0 && w.dropped) lost.add(w.dropped, cloud);
        weight = inside ? (weight + (1 << 29)) >> 30 : 0;
        if (weight == 0) cell[0] = __uint_as_float(0x7fc00000u);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) w.cells[3 * item + axis] = cell[axis];
        const double share = __dmul_rn((double)weight, 1.0 / (1 << 30));
        const u32 outer = (u32)i / (u32)w.inner;
        const i64 at = outer * w.stride_outer + ((u32)i - outer * (u32)w.inner) * w.stride_inner;
        double* to = w.values + item * (w.channels + 1);
        for (i64 c = 0; c < w.channels; ++c) to[c] = __dmul_rn(share, read(w.features, at + c, w.kind));
        to[w.channels] = share;
    }
    if (w.dropped) lost.flush(w.dropped);
}
