// The best points of each voxel, and rows of theirs.

#include "common.cuh"
#include "cells.cuh"
#include "pick.cuh"

struct Pick {              // mirrored in pick.py; 8-byte fields only
    const POINT_T* points;
    const i64* voxels;     // of each point, -1: none
    u64* places;           // of each voxel `count`, EMPTY
    i64 count, select;
    u64 key;
    double scale;
    Cloud cloud;
};

extern "C" __global__ void pick_sink(const Pick w) {
    const Rows& rows = w.cloud.rows;
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 voxel = w.voxels[i];
        if (voxel < 0) continue;
        u64 rank = 0;
        if (w.select == RANDOM) {
            const i64 place = i - first_of(rows, cloud_of(rows, i));
            rank = mixed(w.key + (u64)(place + 1) * 0x9e3779b97f4a7c15ull) >> 32;
        } else if (w.select == NEAREST) {
            ACC_T p[3];
            load_point(w.points, rows, (u32)i, p);
            rank = distance_code(p, w.cloud.grid, w.scale);
        }
        sink(w.places + voxel * w.count, w.count, rank << 32 | (u64)i);
    }
}
