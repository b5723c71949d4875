// Largest and least features straight into a dense grid, in one cooperative launch. The first point of a cell to arrive
// claims it by a bit and stores its features. After all have come, cells without a point get the fill, and the points
// that came later improve on what is stored, by atomics: their order does not matter. So every element is written once,
// and once more for each improvement. Elements are bits: nothing is computed with them.

#include "common.cuh"
#include "cells.cuh"
#include "grid.cuh"
#include "extremes.cuh"

#define BATCH (sizeof(ACC_T) == 8 ? 1 : 4)  // points of a thread under way at once,
#define LOADS 4  // and accesses to rows of features

// Rows of 32 points, side by side from `point` on, to the cells that these points claimed, or NONE.
template <int COUNT> __device__ __forceinline__ void store_rows(const Work& w, bool lowest, CODE_T* out, u32 point,
                                                                const u32* cells, Walk at) {
    for (u32 start = 0; start < (u32)w.units; start += LOADS) {
        Vector<COUNT> row[LOADS];
        u32 to[LOADS], channel[LOADS];
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            to[k] = start + k < (u32)w.units ? cells[at.row] : NONE;
            channel[k] = at.unit * COUNT;
            if (to[k] != NONE) row[k] = *(const Vector<COUNT>*)(features_of(w, point + at.row) + channel[k]);
            at.step(w);
        }
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            if (to[k] == NONE) continue;
#pragma unroll
            for (int c = 0; c < COUNT; ++c) row[k].x[c] = plain(w, lowest, row[k].x[c]);
            *(Vector<COUNT>*)(out + element(w, to[k], channel[k])) = row[k];
        }
    }
}

// The cell of every point; whoever claims one stores its features there. Most bits are set already, so look first: what
// is read may be old, but bits are only ever set here.
__device__ __forceinline__ void claim_cells(const Work& w, u32 (*room)[32]) {
    const Rows& rows = w.cloud.rows;
    const Grid& grid = w.cloud.grid;
    const u32 total = (u32)rows.total, lane = threadIdx.x & 31;
    u32* claimed = (u32*)w.claimed;
    const Walk at(w);
    Lost lost = {0, 0};
    for (u32 i = first_item(); i - lane < total; i += BATCH * all_threads()) {
        ACC_T p[BATCH][3];
        u32 cell[BATCH], word[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) load_point(w.points, rows, i + k * all_threads(), p[k]);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            const i64 cloud = j < total ? cloud_of(rows, j) : -1;
            i32 c[3];
            cell[k] = NONE;
            if (cloud < 0) continue;
            if (cell_of(p[k], grid, c))
                cell[k] =
                    (((u32)cloud * (u32)grid.shape[0] + c[0]) * (u32)grid.shape[1] + c[1]) * (u32)grid.shape[2] + c[2];
            else if (w.dropped) lost.add(w.dropped, cloud);
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k) word[k] = cell[k] == NONE ? FULL : *(volatile u32*)(claimed + (cell[k] >> 5));
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 bit = 1u << (cell[k] & 31);
            if (!(word[k] & bit)) word[k] = atomicOr(claimed + (cell[k] >> 5), bit);
            word[k] &= bit;
        }
        u32 some = 0;
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            if (j < total) w.places[j] = cell[k] | (word[k] ? 0 : FIRST);
            room[k][lane] = word[k] ? NONE : cell[k];
            some |= __any_sync(FULL, !word[k]) ? 1u << k : 0;
        }
        __syncwarp();
        for (; some; some &= some - 1) {
            const u32 k = __ffs((i32)some) - 1, point = i - lane + k * all_threads();
            for (int lowest = 0; lowest < 2; ++lowest) {
                CODE_T* out = lowest ? w.low : w.high;
                if (!out) continue;
                if (w.whole) store_rows<WIDE>(w, lowest, out, point, room[k], at);
                else store_rows<1>(w, lowest, out, point, room[k], at);
            }
        }
        __syncwarp();
    }
    if (w.dropped) lost.flush(w.dropped);
}

template <int COUNT> __device__ __forceinline__ void fill_rows(const Work& w, CODE_T* out, i64 start, u64 taken,
                                                               Walk at) {
    Vector<COUNT> value;
#pragma unroll
    for (int c = 0; c < COUNT; ++c) value.x[c] = (CODE_T)w.fill;
    Vector<COUNT>* to = (Vector<COUNT>*)(out + start * w.channels) + (threadIdx.x & 31);
    for (u32 k = 0; k < 2 * (u32)w.units; ++k, to += 32, at.step(w))
        if (!(taken >> at.row & 1)) *to = value;
}

// What cells without a point hold; clears the bits.
__device__ __forceinline__ void fill_empty(const Work& w) {
    const Walk at(w);
    for (i64 word = first_item() >> 5; 64 * word < w.all; word += all_threads() >> 5) {
        const i64 start = 64 * word;
        u64 taken = w.claimed[word];
        __syncwarp();
        if (taken && (threadIdx.x & 31) == 0) w.claimed[word] = 0;
        if (w.all - start < 64) taken |= ~(u64)0 << (w.all - start);
        if (taken == ~(u64)0) continue;
        for (int lowest = 0; lowest < 2; ++lowest) {
            CODE_T* out = lowest ? w.low : w.high;
            if (!out) continue;
            if (w.whole) fill_rows<WIDE>(w, out, start, taken, at);
            else fill_rows<1>(w, out, start, taken, at);
        }
    }
}

// Improves on what is stored, unless a look shows that it is as good; what it shows may be old, and only improves.
__device__ __forceinline__ void offer(const Work& w, bool lowest, CODE_T* out, u32 cell, u32 channel, CODE_T best) {
    if (cell == NONE) return;
    CODE_T* at = out + element(w, cell, channel);
    if (best > code_of(w, lowest, *(volatile CODE_T*)at)) improve(w, lowest, at, from_code(w, lowest, best));
}

// `count` later points of a warp: some lanes take the channels of a share of them, and points in a row of one cell make
// one offer.
__device__ __forceinline__ void offer_rows(const Work& w, bool lowest, CODE_T* out, const u32* points, const u32* cells,
                                           u32 count, u32 lanes) {
    const u32 lane = threadIdx.x & 31, shares = 32 / lanes, share = (count + shares - 1) / shares;
    const u32 from = lane / lanes * share, to = min(from + share, count);
    for (u32 channel = lane % lanes; channel < w.channels; channel += lanes) {
        u32 current = NONE;
        CODE_T best = 0;
        for (u32 at = from; at < to; at += LOADS) {
            CODE_T x[LOADS];
#pragma unroll
            for (int k = 0; k < LOADS; ++k)
                if (at + k < to) x[k] = features_of(w, points[at + k])[channel];
#pragma unroll
            for (int k = 0; k < LOADS; ++k) {
                if (at + k >= to) continue;
                if (cells[at + k] != current) {
                    offer(w, lowest, out, current, channel, best);
                    current = cells[at + k], best = 0;
                }
                best = max(best, code_of(w, lowest, plain(w, lowest, x[k])));
            }
        }
        offer(w, lowest, out, current, channel, best);
    }
}

__device__ __forceinline__ void offer_later(const Work& w, u32* points, u32* cells) {
    u32 lanes = 1;
    while (lanes < 32 && lanes < w.channels) lanes *= 2;
    const u32 total = (u32)w.cloud.rows.total, lane = threadIdx.x & 31;
    for (u32 i = first_item(); i - lane < total; i += all_threads()) {
        const u32 place = i < total ? w.places[i] : NONE, later = __ballot_sync(FULL, place < FIRST);
        if (!later) continue;
        const u32 rank = __popc(later & ((1u << lane) - 1));
        if (place < FIRST) points[rank] = i, cells[rank] = place;
        __syncwarp();
        if (w.high) offer_rows(w, false, w.high, points, cells, __popc(later), lanes);
        if (w.low) offer_rows(w, true, w.low, points, cells, __popc(later), lanes);
        __syncwarp();
    }
}

// NaN is the result of a cell that holds one, but as the least one it has no place among the bits: it comes last.
__device__ void rewrite_nan(const Work& w) {
    for (u32 i = first_item(); i < w.cloud.rows.total; i += all_threads()) {
        const u32 place = w.places[i];
        if (place == NONE) continue;
        for (u32 channel = 0; channel < w.channels; ++channel)
            if (is_nan_bits(w, features_of(w, i)[channel])) w.low[element(w, place & ~FIRST, channel)] = QUIET_NAN;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) extremes(const Work w) {
    __shared__ u32 room[WARPS][BATCH > 2 ? BATCH : 2][32];
    check_extent(w.cloud.rows, w.status);
    claim_cells(w, room[threadIdx.x >> 5]);
    wait_for_all(&w.state->arrived);
    for (u32 part = 0; part < 2; ++part) {  // at any time some warps wait for loads, and some store
        if ((part + (threadIdx.x >> 5)) & 1) fill_empty(w);
        else offer_later(w, room[threadIdx.x >> 5][0], room[threadIdx.x >> 5][1]);
    }
    if (w.low && w.kind == FLOATING) {
        const u32 turn = *(volatile u32*)&w.state->turn;
        wait_for_all(&w.state->arrived);
        if (first_item() == 0) w.state->turn = turn + 1;
        if (*(volatile u32*)&w.state->nan == turn + 1) rewrite_nan(w);
    }
}
