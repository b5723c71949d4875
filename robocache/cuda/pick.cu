// The best point of each voxel.

#include "common.cuh"
#include "cells.cuh"
#include "pick.cuh"

struct Pick {              // mirrored in pick.py; 8-byte fields only
    const POINT_T* points;
    const i64* voxels;     // of each point, -1: none
    u64* best;             // of each voxel, EMPTY
    Choice choice;
    Cloud cloud;
};

extern "C" __global__ void pick_best(const Pick w) {
    const i64 step = (i64)gridDim.x * blockDim.x, total = w.cloud.rows.total;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < total; i += step) {
        const i64 voxel = w.voxels[i];
        if (voxel < 0) continue;
        const u64 rank = rank_of(w.points, w.cloud, w.choice, (u32)i);
        // It only ever gets smaller, so a look without an atomic says where there is nothing to do.
        if (rank < *(volatile u64*)(w.best + voxel)) atomicMin(w.best + voxel, rank);
    }
}
