// Voxels of a fixed number of points: which voxels of each cloud stay, and what is told of them. Their points are
// chosen by pick.cu.

#include "common.cuh"
#include "cells.cuh"
#include "grid.cuh"

struct Hard {              // mirrored in hard.py; 8-byte fields only
    const i64* edges;      // of clouds in all voxels, and what is known of those
    const i64* keys;
    const u32* starts;
    const i64* dropped;
    i64* voxels;           // of each point: among all voxels, then among those that stay
    i64 *offsets, *kept, *cut_points, *cut_voxels;
    i32 *coords, *num;
    i64 limit, places, rows, backwards, batched;
    Cloud cloud;
};

// One block: where the voxels of each cloud begin, and what was cut; of the points, those that stay are taken off later.
extern "C" __global__ void __launch_bounds__(THREADS) hard_clouds(const Hard w) {
    __shared__ u64 room[WARPS];
    const Rows& rows = w.cloud.rows;
    u64 before = 0, all;
    for (i64 first = 0; first < rows.clouds; first += THREADS) {
        const i64 cloud = first + threadIdx.x;
        const i64 found = cloud < rows.clouds ? max(w.edges[cloud + 1] - w.edges[cloud], 0ll) : 0;
        const i64 stay = min(found, w.limit);
        const u64 sum = before + block_scan<u64>((u64)stay, room, &all);
        before += all;
        if (cloud >= rows.clouds) continue;
        w.offsets[cloud + 1] = (i64)sum;
        w.cut_voxels[cloud] = found - stay;
        w.cut_points[cloud] = given_points(rows, cloud) - w.dropped[cloud];
    }
    if (threadIdx.x == 0) {
        w.offsets[0] = 0;
        *w.kept = (i64)before;
    }
}

extern "C" __global__ void hard_points(const Hard w) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < w.cloud.rows.total; i += step) {
        const i64 voxel = w.voxels[i];
        if (voxel < 0) continue;
        const i64 cloud = cloud_of(w.cloud.rows, i), place = voxel - w.edges[cloud];
        const i64 first = w.offsets[cloud];  // wrong extents leave no order that could be relied on
        w.voxels[i] = place >= 0 && place < w.offsets[cloud + 1] - first ? first + place : -1;
    }
}

// The cloud of a row: the last one that begins at or before it.
__device__ __forceinline__ i64 cloud_of_row(const i64* offsets, i64 clouds, i64 row) {
    i64 low = 0, high = clouds;
    while (high - low > 1) {
        const i64 middle = (low + high) >> 1;
        if (offsets[middle] <= row) low = middle;
        else high = middle;
    }
    return low;
}

extern "C" __global__ void hard_rows(const Hard w) {
    const i64 step = (i64)gridDim.x * blockDim.x, kept = *w.kept, width = w.batched ? 4 : 3;
    const i64* shape = w.cloud.grid.shape;
    i64 cloud = 0;
    u64 taken = 0;  // of this cloud, by this thread
    for (i64 row = (i64)blockIdx.x * blockDim.x + threadIdx.x; row < w.rows; row += step) {
        if (row >= kept) {
            w.num[row] = 0;
            for (i64 k = 0; k < width; ++k) w.coords[row * width + k] = -1;
            continue;
        }
        const i64 mine = cloud_of_row(w.offsets, w.cloud.rows.clouds, row);
        if (mine != cloud && taken) {
            atomicAdd((u64*)w.cut_points + cloud, 0 - taken);
            taken = 0;
        }
        cloud = mine;
        const i64 voxel = w.edges[cloud] + row - w.offsets[cloud];
        const i64 num = min((i64)(w.starts[voxel + 1] - w.starts[voxel]), w.places);
        taken += (u64)num;
        w.num[row] = (i32)num;
        i64 rest = w.keys[voxel];
        i32* at = w.coords + row * width + width - 3;
#pragma unroll
        for (int axis = 2; axis >= 0; --axis) {
            const i64 above = divide(rest, shape[axis]);
            at[w.backwards ? 2 - axis : axis] = (i32)(rest - above * shape[axis]);
            rest = above;
        }
        if (w.batched) at[-1] = (i32)cloud;
    }
    __syncwarp();
    const u32 some = __ballot_sync(FULL, taken > 0);
    if (!some) return;
    const i64 common = __shfl_sync(FULL, cloud, __ffs((i32)some) - 1);
    if (__all_sync(FULL, taken == 0 || cloud == common)) {
        for (int lane = 16; lane; lane >>= 1) taken += __shfl_xor_sync(FULL, taken, lane);
        if ((threadIdx.x & 31) == 0) atomicAdd((u64*)w.cut_points + common, 0 - taken);
    } else if (taken) {
        atomicAdd((u64*)w.cut_points + cloud, 0 - taken);
    }
}
