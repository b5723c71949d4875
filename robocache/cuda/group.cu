// Points to voxels in one cooperative launch: which cells there are, numbered in order (find.cuh), the points of each
// in a row, their features reduced (reduce.cuh). Nothing is sorted and nothing is known to the host.
// FEATURE_T is POINT_T here; extremes, and features of another type, have a launch of their own (reduce.cu).

#include "common.cuh"
#include "cells.cuh"
#include "grid.cuh"
#include "table.cuh"
#include "box.cuh"
#include "group.cuh"
#include "find.cuh"
#include "exact.cuh"
#if defined(__CUDA_ARCH__) && (__CUDA_ARCH__ < 800 || __CUDA_ARCH__ >= 1200)
#define LOADS (sizeof(FEATURE_T) == 8 ? 1 : 2)  // with more it would spill
#else
#define LOADS 3
#endif
#include "reduce.cuh"
#include "pieces.cuh"

// Voxels in order of their first points: rows[point] becomes the voxel in order of keys, firsts_table the new order.
__device__ void order_by_firsts(const GroupWork& w, const Numbers& n, u64* room) {
    const i64 total = w.cloud.rows.total;
    for (u32 i = first_item(); i < total; i += all_threads()) {
        const i64 key = w.inverse[i];
        if (key < 0) continue;
        const i64 place = place_of(n, n.levels, key, n.levels ? w.rows[i] : 0);
        const u32 voxel = row_of(table_of(w, n.levels)[place >> 5], place);
        w.rows[i] = voxel;
        if (i < *(volatile u32*)(w.firsts + voxel)) atomicMin(w.firsts + voxel, i);
    }
    wait_for_all(&w.plan->arrived);
    for (i64 v = first_item(); v < n.found; v += all_threads()) mark(w.firsts_table, w.firsts[v]);
    wait_for_all(&w.plan->arrived);
    number_items<u32>(Entries{w.firsts_table}, (total + 31) >> 5, w.partials, room, &w.plan->arrived);
    wait_for_all(&w.plan->arrived);
}

// After a trie: the voxel of every point and its place there, counted in starts; the first of a voxel leaves its key.
__device__ void label(const GroupWork& w, const Numbers& n, u32 kept) {
    const i64 total = w.cloud.rows.total;
    const u64* table = w.firsts ? w.firsts_table : table_of(w, n.levels);
    for (u32 i = first_item(); i - (threadIdx.x & 31) < total; i += BATCH * all_threads()) {
        i64 place[BATCH];
        u32 voxel[BATCH], at[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            const i64 key = j < total ? w.inverse[j] : -1;
            const u32 row = key >= 0 && (n.levels || w.firsts) ? w.rows[j] : 0;
            place[k] = key < 0 ? -1 : w.firsts ? (i64)w.firsts[row] : place_of(n, n.levels, key, row);
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k) voxel[k] = place[k] < 0 ? NONE : row_of(table[place[k] >> 5], place[k]);
#pragma unroll
        for (int k = 0; k < BATCH; ++k)
            if (voxel[k] >= kept) voxel[k] = NONE;
        take_places<BATCH>(w.starts, voxel, at);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            if (j >= total) continue;
            if (voxel[k] != NONE && at[k] == 0) w.keys[voxel[k]] = w.inverse[j];
            w.inverse[j] = placed(voxel[k], at[k]);
        }
    }
}

struct Starts {            // items of number_items: points of a voxel
    u32* starts;
    __device__ __forceinline__ u32 get(i64 v) const { return starts[v]; }
    __device__ __forceinline__ void get_all(i64 v, u32* value) const {
        const Quad x = *(const Quad*)(starts + v);
        value[0] = x.a, value[1] = x.b, value[2] = x.c, value[3] = x.d;
    }
    __device__ __forceinline__ void note(i64, i64, const u32*, u32) const {}
    __device__ __forceinline__ void put(i64 v, u32 before, u32) const { starts[v] = before; }
};

// The points of each voxel in a row; the voxel of every point. What is read and written in no order had better be cached:
// if it is not, several passes each take as many cells or voxels as are.
__device__ void place_points(const GroupWork& w, const Numbers& n, i64 kept) {
    const i64 total = w.cloud.rows.total, numbers = n.direct ? n.root : kept;
    const u64* entries = entries_of(w, n);
    const u32* starts = n.direct ? (const u32*)w.table : w.starts;
    const i64 bytes = 4 * (numbers + total);
    const u32 passes = bytes <= w.cached ? 1 : (u32)(bytes / (w.cached / 2 + 1)) + 1,
              share = (u32)(numbers / passes) + 1;
    for (u32 pass = 0; pass < passes; ++pass) {
        for (u32 i = first_item(); i < total; i += BATCH * all_threads()) {
            i64 point[BATCH];
            u32 start[BATCH], voxel[BATCH];
#pragma unroll
            for (int k = 0; k < BATCH; ++k)
                point[k] = i + k * all_threads() < total ? w.inverse[i + k * all_threads()] : -1;
#pragma unroll
            for (int k = 0; k < BATCH; ++k) {
                const u32 number = (u32)point[k];
                if (point[k] >= 0 || number == NONE || number - pass * share >= share) point[k] = 0;  // not now
                if (point[k] == 0) continue;
                start[k] = starts[number];
                voxel[k] = n.direct ? row_of(entries[number >> 5], number) : number;
            }
#pragma unroll
            for (int k = 0; k < BATCH; ++k) {
                if (point[k] == 0) continue;
                const u32 j = i + k * all_threads();
                w.inverse[j] = voxel[k] < kept ? (i64)voxel[k] : -1;
                if (voxel[k] < kept) w.order[start[k] + ((u32)(point[k] >> 32) & 0x7fffffffu)] = j;
            }
        }
    }
}

// Adds `value` of the lanes that have one to a list of `size` that grows by `step`; all lanes of the warp call it.
__device__ __forceinline__ void append(bool has, u32 value, u32* list, i32 step, u32* size) {
    const u32 lanes = __ballot_sync(FULL, has), lane = threadIdx.x & 31;
    if (!lanes) return;
    const u32 start = lane == 0 ? atomicAdd(size, (u32)__popc(lanes)) : 0;
    const u32 at = __shfl_sync(FULL, start, 0) + __popc(lanes & ((1u << lane) - 1));
    if (has) list[(i64)at * step] = value;
}

// What belongs to a voxel: cell, count, where its cloud's voxels start, and which threads will reduce it.
__device__ void describe_voxels(const GroupWork& w, const Numbers& n, i64 kept) {
    const i64 clouds = w.cloud.rows.clouds, cells = n.extent[0] * n.extent[1] * n.extent[2];
    const i64 last = w.cloud.rows.total / (ALONE + 1) - 1;
    for (i64 v = first_item(); v - (threadIdx.x & 31) < kept; v += all_threads()) {
        const u32 count = v < kept ? w.starts[v + 1] - w.starts[v] : 0;
        append(count > ALONE && count <= FEW, (u32)v, w.shared, 1, &w.plan->shared);
        append(count > FEW && count <= CHUNK, (u32)v, w.shared + last, -1, &w.plan->crowded);
        if (v >= kept) continue;
        const i64 key = w.keys[v];
        if (w.counts) w.counts[v] = (i32)count;
        i64 rest = key;
#pragma unroll
        for (int axis = 2; axis >= 0 && w.coords; --axis) {
            const i64 above = divide(rest, n.extent[axis]);
            w.coords[3 * v + axis] = (i32)(rest - above * n.extent[axis] + n.base[axis]);
            rest = above;
        }
        if (w.offsets) {
            const i64 cloud = clouds == 1 ? 0 : divide(key, cells);
            for (i64 k = v == 0 ? 0 : clouds == 1 ? 1 : divide(w.keys[v - 1], cells) + 1; k <= cloud; ++k)
                w.offsets[k] = v;
        }
        if (count <= CHUNK) continue;
        const u32 pieces = (count + PIECE - 1) / PIECE, first = atomicAdd(&w.plan->chunks, pieces);
        if (pieces > 1) w.plan->split = 1;
        for (u32 k = first; k < first + pieces; ++k) {
            w.chunks[2 * k] = (u32)v;
            w.chunks[2 * k + 1] = first;
        }
    }
    for (i64 v = kept + first_item(); v < w.limit; v += all_threads()) {
        if (w.counts) w.counts[v] = 0;
        for (int axis = 0; axis < 3 && w.coords; ++axis) w.coords[3 * v + axis] = -1;
    }
    if (w.offsets) {
        const i64 last = kept == 0 ? -1 : clouds == 1 ? 0 : divide(w.keys[kept - 1], cells);
        for (i64 k = last + 1 + first_item(); k <= clouds; k += all_threads()) w.offsets[k] = kept;
    }
    if (first_item() == 0) {
        if (w.kept) *w.kept = kept;
        if (w.found) *w.found = n.found;
        if (n.found > w.limit) report(w.status, TOO_MANY);
    }
}

__device__ void fill_rows(const GroupWork& w, const Numbers& n, u64* room) {
    const i64 total = w.cloud.rows.total, kept = min(n.found, w.limit);
    u32* arrived = &w.plan->arrived;
    if (!n.direct) {
        fill<u32>(w.starts, kept, 0);
        if (w.firsts) {
            fill<u32>(w.firsts, n.found, NONE);
            fill<u64>(w.firsts_table, (total + 31) >> 5, 0);
        }
        wait_for_all(arrived);
        if (w.firsts) order_by_firsts(w, n, room);
        label(w, n, (u32)kept);
        wait_for_all(arrived);
        const u32 placed = number_items<u32>(Starts{w.starts}, kept, w.partials, room, arrived);
        if (first_item() == 0) w.starts[kept] = placed;
    }
    wait_for_all(arrived);
    place_points(w, n, kept);
    describe_voxels(w, n, kept);
}

struct Work {
    GroupWork group;
    ReduceWork reduce;
    i64 bytes[4];          // of dense grids: of mean, sum, largest and least,
    u64 empty[4];          // and what empty cells of them hold
};

extern "C" __global__ void __launch_bounds__(THREADS, 2) group(const Work work) {
    const GroupWork& w = work.group;
    __shared__ Numbers numbers;
    __shared__ u64 room[WARPS];
    char* grids[] = {(char*)work.reduce.mean, (char*)work.reduce.sum, (char*)work.reduce.high, (char*)work.reduce.low};
#pragma unroll
    for (int k = 0; k < 4; ++k)
        if (work.bytes[k]) wipe(grids[k], work.bytes[k], work.empty[k]);
    if (w.stages & 1) {
        find(w, &numbers, room);
    } else if (threadIdx.x == 0) {
        number_cells(w, w.plan->turn + 1, &numbers);  // find has gone on to the next turn
        numbers.found = w.plan->found;
    }
    __syncthreads();
    if (w.stages & 2) fill_rows(w, numbers, room);
    if (w.stages & 4) {
        wait_for_all(&w.plan->arrived);
        reduce_all<false>(work.reduce, &w.plan->arrived);
    }
}
