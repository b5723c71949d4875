// Dense grids of occupancy, counts and density.

#include "common.cuh"
#include "cells.cuh"
#include "grid.cuh"
#include "dense.cuh"

// Everything a dense grid needs of the points in one pass; outputs that are null are not wanted.
extern "C" __global__ void voxel_dense(const POINT_T* points, const Cloud given, u8* occupied, i32* counts,
                                       i64* dropped, u32* status) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    check_extent(rows, status);
    const i64 step = (i64)gridDim.x * blockDim.x;
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 cloud = cloud_of(rows, i);
        i32 cell[3];
        i64 id = -1;
        if (cloud >= 0) {
            ACC_T p[3];
            load_point(points, rows, i, p);
            if (cell_of(p, grid, cell))
                id = ((cloud * grid.shape[0] + cell[0]) * grid.shape[1] + cell[1]) * grid.shape[2] + cell[2];
            else if (dropped) lost.add(dropped, cloud);
        }
        if (id >= 0 && occupied) occupied[id] = 1;
        if (id >= 0 && counts) atomicAdd(counts + id, 1);
    }
    if (dropped) lost.flush(dropped);
}

// Occupancy with a bit a cell, in the same way: a kernel of its own, so that the other stays as it is.
extern "C" __global__ void voxel_dense_bits(const POINT_T* points, const Cloud given, u8* occupied, i32* counts,
                                            i64* dropped, u32* status) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    check_extent(rows, status);
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += (i64)gridDim.x * blockDim.x) {
        const i64 cloud = cloud_of(rows, i);
        if (cloud < 0) continue;
        ACC_T p[3];
        i32 cell[3];
        load_point(points, rows, i, p);
        if (cell_of(p, grid, cell)) {
            const i64 line = (cloud * grid.shape[0] + cell[0]) * grid.shape[1] + cell[1];
            atomicOr((u32*)occupied + line * ((grid.shape[2] + 31) >> 5) + (cell[2] >> 5), 1u << (cell[2] & 31));
        } else if (dropped) {
            lost.add(dropped, cloud);
        }
    }
    if (dropped) lost.flush(dropped);
}

// The same for contiguous points and grids of the usual size; a block takes neighbouring points. A launch that CLEARS
// the grids itself is a cooperative one; what that takes of registers and calls is not for the others.
template <bool CLEARS, class Out>
__device__ __forceinline__ void scan(const POINT_T* points, u8* occupied, i32* counts, i64* dropped, u32* arrived,
                                     const Cloud& given, const Frame& frame, uint4* memory) {
    const Gathered room = {(u32*)memory, (u32*)memory + SLOTS};
    const u32 cells = frame.shape[0] * frame.shape[1] * frame.shape[2];
    const Out out = {{occupied, counts, (((u64)occupied | frame.clouds * cells) & 3) == 0}, frame.shape[2]};
    const u32 groups = (frame.total - frame.head) / TOGETHER, first = blockIdx.x * frame.share;
    const u32 last = min(groups, first + frame.share);
    const uint4* from = (const uint4*)(points + 3 * frame.head);
    Lost lost = {0, 0};
    Words words;
    u32 group = first + threadIdx.x, id[TOGETHER];
    if (group < last) words.load(from + 3 * group);
    if (CLEARS) {
        const i64 every = (i64)frame.clouds * cells;
        if (occupied) wipe((char*)occupied, every, 0);
        if (counts) wipe((char*)counts, every * (i64)sizeof(i32), 0);
    }
    room.clear(counts);
    if (CLEARS) wait_for_all(arrived);
    for (u32 step = first; step < last; step += DENSE_THREADS) {
#pragma unroll
        for (int k = 0; k < TOGETHER; ++k) id[k] = FULL;
        if (group < last) cells_of(points, given, frame, words, frame.head + group * TOGETHER, dropped, &lost, id);
        group += DENSE_THREADS;
        if (group < last) words.load(from + 3 * group);  // on its way while cells go to the grids
        if (counts) count_all(id, room, out);
        else if (occupied) mark_all(id, room, out);
    }
    if (counts) room.settle(counts);
    const u32 tail = frame.head + groups * TOGETHER;  // points before and after all groups
    u32 i = threadIdx.x < frame.head ? threadIdx.x : tail + threadIdx.x - frame.head;
    if (blockIdx.x == 0 && i < frame.total && threadIdx.x < 2 * TOGETHER) {
        const u32 cloud = (u32)cloud_of(given.rows, i), cell = exact_cell(points, given, frame, i);
        if (cell == FULL && dropped) lost.add(dropped, cloud);
        if (cell != FULL && occupied) out.mark(cloud * cells + cell);
        if (cell != FULL && counts) atomicAdd(counts + cloud * cells + cell, 1);
    }
    if (dropped) lost.flush(dropped);
}

extern "C" __global__ void __launch_bounds__(DENSE_THREADS, DENSE_BLOCKS)
    voxel_scan(const POINT_T* points, u8* occupied, i32* counts, i64* dropped, u32* arrived, const Cloud given,
               const Frame frame) {
    extern __shared__ uint4 memory[];
    scan<false, Bytes>(points, occupied, counts, dropped, arrived, given, frame, memory);
}
extern "C" __global__ void __launch_bounds__(DENSE_THREADS, DENSE_BLOCKS)
    voxel_scan_clear(const POINT_T* points, u8* occupied, i32* counts, i64* dropped, u32* arrived, const Cloud given,
                     const Frame frame) {
    extern __shared__ uint4 memory[];
    scan<true, Bytes>(points, occupied, counts, dropped, arrived, given, frame, memory);
}
extern "C" __global__ void __launch_bounds__(DENSE_THREADS, DENSE_BLOCKS)
    voxel_scan_bits(const POINT_T* points, u8* occupied, i32* counts, i64* dropped, u32* arrived, const Cloud given,
                    const Frame frame) {
    extern __shared__ uint4 memory[];
    scan<false, Bits>(points, occupied, 0, dropped, arrived, given, frame, memory);
}

// Counts to the share of the cloud's points; in place is fine.
extern "C" __global__ void voxel_density(const i32* counts, const Cloud given, i64 cells, float* out) {
    const Rows& rows = given.rows;
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.clouds * cells; i += step) {
        const i64 given = given_points(rows, divide(i, cells));
        const i32 count = counts[i];
        out[i] = count == 0 ? 0.0f : to_float(__ddiv_rn((double)count, (double)given));
    }
}
