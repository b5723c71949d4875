// Rows of features to one row a voxel, to the same bits whatever the order of the points, which lie in a row for each
// voxel. Sums are integers: 64-bit multiples of a power of two that follows from the largest absolute value of a voxel's
// channel and the count, and which cannot overflow. A first look finds that value, and adds doubles: where they are
// exact, as nearly always, they say it all. Else a second look adds the integers.
// A few channels of a voxel take one thread, LANES threads past ALONE points, a warp past FEW, blocks past CHUNK.

#define LANES 8u
#define WIDTH (sizeof(FEATURE_T) == 8 ? 1 : 3)  // channels a thread takes, of LOADS points at once

struct Heavy {  // of a heavy voxel's channel, at [first piece][channel]: fields of Sums and of Extremes
    u64 units, largest, high, low;
};
struct ReduceCall {  // addresses of one call, packed by Reduce.pack in reduce.py
    const FEATURE_T* features;
    MEAN_T* mean;  // results; null if not wanted
    SUM_T* sum;
    FEATURE_T *high, *low;
};
struct ReduceWork : ReduceCall {
    i64 inner, stride_outer, stride_inner, total, channels;
    i64 cells;  // channels first: cells of a cloud. Else 0
    i64 limit;  // rows of the results; those past the voxels become zero
    const u32 *starts, *order, *shared, *chunks;
    Heavy* heavy;
    Plan* plan;
    const i64* where;  // cell of a voxel, for dense grids. Else null
};

struct Span {  // points order[start], order[start + step] ... below stop, and channels
    const u32* order;
    u32 start, stop, step, channel;
    int width;
};

__device__ __forceinline__ u32 channel_groups(const ReduceWork& w) { return (u32)((w.channels + WIDTH - 1) / WIDTH); }

__device__ __forceinline__ void load_points(const Span& s, u32 at, u32* point) {
#pragma unroll
    for (int k = 0; k < LOADS; ++k) point[k] = at + k * s.step < s.stop ? s.order[at + k * s.step] : 0;
}
__device__ __forceinline__ void load(const ReduceWork& w, const Span& s, u32 at, const u32* point,
                                     FEATURE_T x[LOADS][WIDTH]) {
#pragma unroll
    for (int k = 0; k < LOADS; ++k) {
        const u32 outer = w.inner == w.total ? 0 : point[k] / (u32)w.inner;
        const FEATURE_T* row =
            w.features + outer * w.stride_outer + (point[k] - outer * (u32)w.inner) * w.stride_inner + s.channel;
#pragma unroll
        for (int c = 0; c < WIDTH; ++c)
            if (c < s.width && at + k * s.step < s.stop) x[k][c] = row[c];
    }
}

// Look at the values of a span, or add them.
template <bool ADD, class P> __device__ __forceinline__ void visit(const ReduceWork& w, const Span& s, P* parts) {
    u32 point[LOADS];
    load_points(s, s.start, point);
    for (u32 at = s.start; at < s.stop; at += LOADS * s.step) {
        FEATURE_T x[LOADS][WIDTH];
        load(w, s, at, point, x);
        load_points(s, at + LOADS * s.step, point);  // on their way while these are looked at
#pragma unroll
        for (int k = 0; k < LOADS; ++k) {
            if (at + k * s.step >= s.stop) continue;
#pragma unroll
            for (int c = 0; c < WIDTH; ++c) {
                if (c >= s.width) continue;
                if (ADD) parts[c].add(x[k][c]);
                else parts[c].look(x[k][c]);
            }
        }
    }
}

// Settle parts that say all of a first look; whether that is enough.
template <class P> __device__ __forceinline__ bool settle(const Span& s, u32 count, P* parts) {
    bool exact = true;
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) exact &= c >= s.width || parts[c].exact(count);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].settle(count, exact);
    return exact;
}

// Parts of all warps, to every thread.
template <bool ADD, class P> __device__ __forceinline__ void join_block(P* parts, P (*room)[WIDTH]) {
    __syncthreads();  // the room may still be read by the previous call
    if ((threadIdx.x & 31) == 0)
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) room[threadIdx.x >> 5][c] = parts[c];
    __syncthreads();
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c] = room[0][c];
#pragma unroll 1
    for (int warp = 1; warp < WARPS; ++warp)
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) {
            if (ADD) parts[c].join_add(room[warp][c]);
            else parts[c].join_look(room[warp][c]);
        }
}

// All of a voxel's points, by `threads` threads that all get the result: a power of two of a warp, or all of the block.
template <class P> __device__ __forceinline__ void reduce_span(const ReduceWork& w, const Span& s, u32 count,
                                                               u32 threads, P* parts, P (*room)[WIDTH]) {
    const int lanes = min(threads, 32u);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].clear();
    visit<false>(w, s, parts);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].merge_look(lanes);
    if (threads == THREADS) join_block<false>(parts, room);
    const bool exact = settle(s, count, parts);
    if (!P::TWICE || !__any_sync(FULL, !exact)) return;
    if (!exact) visit<true>(w, s, parts);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].merge_add(lanes, exact);
    if (threads == THREADS) join_block<true>(parts, room);
}

__device__ __forceinline__ void put(const ReduceWork& w, i64 at, u32 count, const Sums& part) {
#if FLOATING
    double sum, mean;
    part.totals(count, &sum, &mean);
    if (w.sum) w.sum[at] = rounded<SUM_T>(sum);
    if (w.mean) w.mean[at] = rounded<MEAN_T>(mean);
#else
    if (w.sum) w.sum[at] = (i64)part.units;
    if (w.mean) w.mean[at] = __ddiv_rn(__ll2double_rn((i64)part.units), (double)count);
#endif
}
__device__ __forceinline__ void put(const ReduceWork& w, i64 at, u32, const Extremes& part) {
    if (w.high) w.high[at] = from_code(part.high, false);
    if (w.low) w.low[at] = from_code(part.low, true);
}
template <class P> __device__ __forceinline__ void write(const ReduceWork& w, i64 voxel, const Span& s, u32 count,
                                                         const P* parts) {
    i64 at = w.where ? w.where[voxel] : voxel, step = 1;
    if (w.cells) {
        const i64 cloud = divide(at, w.cells);
        at = (cloud * w.channels + s.channel) * w.cells + at - cloud * w.cells;
        step = w.cells;
    } else {
        at = at * w.channels + s.channel;
    }
#pragma unroll
    for (int c = 0; c < WIDTH; ++c)
        if (c < s.width) put(w, at + c * step, count, parts[c]);
}

__device__ __forceinline__ Span span_of(const ReduceWork& w, u32 start, u32 count, u32 group) {
    return {w.order + start, 0, count, 1, group * WIDTH, (int)min((i64)WIDTH, w.channels - group * WIDTH)};
}

struct Tasks {  // what there is to reduce, a voxel and some channels at a time:
    u32 large, crowded, shared;  // by a block, by a warp, by LANES threads,
    i64 alone;  // by one, which has the others too and skips them
    u32 some, all;  // warps for crowded and shared, and with those for alone
};

// Voxels of at most PIECE points: a block takes one of more than CHUNK, then a warp one of the crowded, some of the
// shared, or one a thread of the others.
template <class P> __device__ void reduce_whole(const ReduceWork& w, i64 kept) {
    __shared__ P room[WARPS][WIDTH];
    __shared__ Tasks tasks;
    __syncthreads();  // other parts may have been reduced before
    if (threadIdx.x == 0) {
        const u32 groups = channel_groups(w);
        tasks.large = w.plan->chunks * groups;
        tasks.crowded = w.plan->crowded * groups;
        tasks.shared = w.plan->shared * groups;
        tasks.alone = kept * groups;
        tasks.some = tasks.crowded + (tasks.shared + 32 / LANES - 1) / (32 / LANES);
        tasks.all = tasks.some + (u32)((tasks.alone + 31) / 32);
    }
    __syncthreads();
    const volatile Tasks& t = tasks;  // in no registers
    u32 task = first_item() >> 5;
    for (u32 large = blockIdx.x;; large += gridDim.x) {
        const bool block = large < t.large;
        if (!block && task >= t.all) break;
        u32 threads = THREADS;
        i64 item = large, items = t.large;
        if (!block) {
            u32 shift = 0, before = 0;  // a warp takes 1 << shift items
            threads = 32, items = t.crowded;
            if (task >= t.some) threads = 1, shift = 5, before = t.some, items = t.alone;
            else if (task >= t.crowded) threads = LANES, shift = 2, before = t.crowded, items = t.shared;
            item = ((i64)(task - before) << shift) + ((threadIdx.x & 31) >> (5 - shift));
            task += all_threads() >> 5;
        }
        bool real = item < items;
        const u32 groups = channel_groups(w), entry = !real ? 0 : groups == 1 ? (u32)item : (u32)divide(item, groups);
        u32 voxel = entry;
        if (block) voxel = w.chunks[2 * entry];
        else if (threads > 1) voxel = w.shared[threads == 32 ? w.total / (ALONE + 1) - 1 - entry : entry];
        const u32 start = w.starts[voxel], count = w.starts[voxel + 1] - start;
        const u32 thread = block ? threadIdx.x : threadIdx.x & (threads - 1);
        real &= block ? count <= PIECE : threads > 1 || count <= ALONE;
        P parts[WIDTH];
        Span s = span_of(w, start, count, real ? (u32)(item - (i64)entry * groups) : 0);
        s.start = real ? thread : count;
        s.step = threads;
        reduce_span(w, s, count, threads, parts, room);
        if (real && thread == 0) write(w, voxel, s, count, parts);
    }
}
