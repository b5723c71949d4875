// Voxels of a fixed number of points, in five launches, none of which waits. A table of cells gets the first point and
// the number of points of each cell; first points are numbered in their order, and those are the voxels; the points of
// each voxel are listed as they come, and how many of a list rank below a point is the place of that point.

#include "common.cuh"
#include "cells.cuh"
#include "pick.cuh"
#include "compact.cuh"
#include "hard.cuh"

// A free table, and nothing counted.
extern "C" __global__ void hard_clear(const __grid_constant__ Hard w) {
    check_extent(w.cloud.rows, w.status);
    const i64 thread = this_item(), step = (i64)gridDim.x * KEEPERS;
    const Slot free = {NONE, NONE, 0, 0};
    for (i64 k = thread; k < w.slots; k += step) w.table[k] = free;
    for (i64 k = thread; k < w.count; k += step) w.tiles[k] = 0;
    for (i64 k = thread; k < w.cloud.rows.clouds; k += step) w.dropped[k] = 0;
    if (thread == 0) *w.state = State{0, 0, 0, 0};
}

extern "C" __global__ void __launch_bounds__(KEEPERS, FINDERS) hard_find(const __grid_constant__ Hard w) {
    const Rows& rows = w.cloud.rows;
    const u32 i = this_item();
    ACC_T p[3];
    load_point(w.points, rows, i, p);
    const i64 cloud = i < rows.total ? cloud_of(rows, i) : -1, key = cloud < 0 ? -1 : key_of(w.cloud, cloud, p);
    const u32 peers = __match_any_sync(FULL, (u64)key);
    const int head = __ffs((i32)peers) - 1;
    u64 where = 0;
    if (key >= 0 && (int)(threadIdx.x & 31) == head) {
        const u32 slot = slot_of(w, key, i);
        where = (u64)slot << 32 | atomicAdd(&w.table[slot].count, (u32)__popc(peers));
    }
    where = __shfl_sync(FULL, where, head) + __popc(peers & lanes_below());
    if (i < rows.total) w.where[i] = key < 0 ? NOWHERE : where;
    add_up(w.dropped, cloud, cloud >= 0 && key < 0, false);
}

// First points in order: numbers of voxels, and room in the list for their points. Both sums fit into one word.
extern "C" __global__ void __launch_bounds__(KEEPERS, 4) hard_number(const __grid_constant__ Hard w) {
    __shared__ u32 firsts[ITEMS * WARPS], voxels[ITEMS * WARPS], points[ITEMS * WARPS], ticket, last;
    __shared__ u64 earlier;
    const Rows& rows = w.cloud.rows;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    if (threadIdx.x == 0) ticket = atomicAdd(&w.state->ticket, 1u);
    __syncthreads();
    const i64 tile = ticket;
    const u32 first = (u32)tile * TILE;
    u32 slot[ITEMS], count[ITEMS], sum[ITEMS];
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const u32 i = first + k * KEEPERS + threadIdx.x;
        const u64 where = i < rows.total ? w.where[i] : NOWHERE;
        slot[k] = (u32)(where >> 32);
        count[k] = where != NOWHERE;
    }
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        if (!count[k]) continue;
        const Slot s = w.table[slot[k]];
        count[k] = s.first == first + k * KEEPERS + threadIdx.x ? s.count : 0;
    }
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const u32 lanes = __ballot_sync(FULL, count[k] > 0);
        sum[k] = count[k];
#pragma unroll
        for (int up = 1; up < 32; up <<= 1) {
            const u32 lower = __shfl_up_sync(FULL, sum[k], up);
            if (lane >= up) sum[k] += lower;
        }
        if (lane == 31) {
            firsts[k * WARPS + warp] = lanes;
            voxels[k * WARPS + warp] = __popc(lanes);
            points[k * WARPS + warp] = sum[k];
        }
    }
    __syncthreads();
    if (warp == 0) {
        const u32 mine = sum_warps(voxels);
        const u64 all = (u64)mine << 31 | sum_warps(points), before = look_back(w.tiles, tile, all);
        if (lane == 0) earlier = before;
    }
    __syncthreads();
    const u32 voxel = (u32)(earlier >> 31), start = (u32)earlier & 0x7fffffffu;
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        if (!count[k]) continue;
        const int word = k * WARPS + warp;
        w.table[slot[k]].voxel = voxel + voxels[word] + __popc(firsts[word] & lanes_below());
        w.table[slot[k]].start = start + points[word] + sum[k] - count[k];
        if (count[k] > max(w.places, (i64)CROWD)) w.crowds[atomicAdd(&w.state->crowds, 1u)] = slot[k];
    }
    for (i64 cloud = threadIdx.x; cloud <= rows.clouds; cloud += KEEPERS) {
        const i64 begin = min(max(first_of(rows, cloud), 0ll), rows.total), at = min(begin, rows.total - 1) - first;
        if (at < 0 || at >= TILE) continue;
        const u32 below = begin == rows.total ? 2u << (at & 31) : 1u << (at & 31);  // of the last point and all before
        w.edges[cloud] = voxel + voxels[at >> 5] + __popc(firsts[at >> 5] & (below - 1));
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(&w.state->done, 1u) == (u32)w.count - 1;
    __syncthreads();
    if (!last || warp) return;
    __threadfence();
    cut_clouds(w);
}

// Lists, numbers of points, cells, and zeros for the points to be written to.
extern "C" __global__ void __launch_bounds__(KEEPERS, LISTERS) hard_list(const __grid_constant__ Hard w) {
    const Rows& rows = w.cloud.rows;
    const i64 thread = blockIdx.x * (i64)KEEPERS + threadIdx.x, step = (i64)gridDim.x * KEEPERS;
    const i64 bytes = w.bytes, width = w.batched ? 4 : 3, kept = *w.kept;
    const u64 where = thread < rows.total ? w.where[thread] : NOWHERE;  // on its way while others are written
    const i64 cloud = thread < rows.total ? cloud_of(rows, thread) : -1;
    for (i64 k = thread; k < bytes >> 4; k += step) ((uint4*)w.voxels)[k] = uint4{0, 0, 0, 0};
    for (i64 k = (bytes & -16) + thread; k < bytes; k += step) w.voxels[k] = 0;
    for (i64 row = kept + thread; row < w.rows; row += step) {
        w.num[row] = 0;
        for (i64 k = 0; k < width; ++k) w.coords[row * width + k] = -1;
    }
    const u32 i = (u32)thread;
    i64 row = -1;
    u32 taken = 0;
    if (where != NOWHERE) {
        const Slot s = w.table[where >> 32];
        row = row_of(w, cloud, s.voxel);
        if (row >= 0 && s.count > 1) w.list[s.start + (u32)where] = rank_of(w.points, w.cloud, w.choice, i);
        if (row >= 0 && s.first == i) {
            ACC_T p[3];
            i32 cell[3];
            load_point(w.points, rows, i, p);
            cell_of(p, w.cloud.grid, cell);
            i32* at = w.coords + row * width + width - 3;
#pragma unroll
            for (int axis = 0; axis < 3; ++axis) at[w.backwards ? 2 - axis : axis] = cell[axis];
            if (w.batched) at[-1] = (i32)cloud;
            w.num[row] = (i32)(taken = (u32)min((i64)s.count, w.places));
        }
    }
    if (w.inverse && thread < rows.total) w.inverse[thread] = row;
    add_up(w.cut_points, cloud, taken, true);
}

// Every point counts those of its list below it. Lists of many are thinned first, each by a block.
template <class Unit> __device__ __forceinline__ void place_points(const Hard& w) {
    __shared__ Room room;
    const Rows& rows = w.cloud.rows;
    const u32 own = this_item(), crowds = w.state->crowds;
    const u64 where = own < rows.total ? w.where[own] : NOWHERE;
    u32 next = blockIdx.x, count = 0, start = 0;
    u64* list = w.list;
    i64 row = -1;
    for (bool ends = false; !ends;) {
        u64 mine = EMPTY;
        if (start < count) {  // of a list that was thinned
            if (start + threadIdx.x < count) mine = list[start + threadIdx.x];
            start += KEEPERS;
        } else if (next < crowds) {
            const Slot slot = w.table[w.crowds[next]];
            next += gridDim.x;
            row = row_of(w, cloud_of(rows, slot.first), slot.voxel);
            list = w.list + slot.start;
            start = 0;
            count = row < 0 ? 0 : thin(w, list, slot.count, &room);
            continue;
        } else {
            ends = true;
            const Slot slot = where == NOWHERE ? Slot{NONE, NONE, 0, 0} : w.table[where >> 32];
            row = -1;
            list = w.list + slot.start;
            count = slot.count;
            if (count > 0 && count <= max(w.places, (i64)CROWD)) row = row_of(w, cloud_of(rows, own), slot.voxel);
            if (row >= 0) mine = count == 1 || w.choice.select == FIRST ? own : list[(u32)where];
            if (count == 1) count = 0;  // and has no list
        }
        const u32 place = mine == EMPTY ? 0 : below(list, count, mine, w.places);
        put<Unit>(w, (u32)mine, mine != EMPTY && place < w.places ? row * w.places + place : -1);
    }
}

extern "C" __global__ void __launch_bounds__(KEEPERS, PLACERS) hard_place_1(const __grid_constant__ Hard w) {
    place_points<u8>(w);
}
extern "C" __global__ void __launch_bounds__(KEEPERS, PLACERS) hard_place_2(const __grid_constant__ Hard w) {
    place_points<u16>(w);
}
extern "C" __global__ void __launch_bounds__(KEEPERS, PLACERS) hard_place_4(const __grid_constant__ Hard w) {
    place_points<u32>(w);
}
extern "C" __global__ void __launch_bounds__(KEEPERS, PLACERS) hard_place_8(const __grid_constant__ Hard w) {
    place_points<u64>(w);
}
extern "C" __global__ void __launch_bounds__(KEEPERS, PLACERS) hard_place_16(const __grid_constant__ Hard w) {
    place_points<uint4>(w);
}
