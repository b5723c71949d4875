// Rows of features to one row a voxel, to the same bits whatever the order of the points, which lie in a row for each
// voxel. Sums are integers: a first look finds the largest absolute value of a voxel's channel, a second adds 64-bit
// multiples of a power of two that follows from it and the count, and which cannot overflow.
// A few channels of a voxel take one thread, LANES threads past ALONE points, several warps past CHUNK.

#define LANES 8
#define LOADS 4            // points a thread loads at once,
#define WIDTH (sizeof(FEATURE_T) == 8 ? 1 : 2)  // and channels of each

struct Heavy {             // of a heavy voxel's channel, at [first chunk][channel]: fields of Sums and of Extremes
    u64 units, largest, high, low;
};
struct ReduceCall {        // addresses of one call, packed by Reduce.pack in reduce.py
    const FEATURE_T* features;
    MEAN_T* mean;          // results; null if not wanted
    SUM_T* sum;
    FEATURE_T *high, *low;
};
struct ReduceWork : ReduceCall {
    i64 inner, stride_outer, stride_inner, total, channels;
    i64 cells;             // channels first: cells of a cloud. Else 0
    i64 limit;             // rows of the results; those past the voxels become zero
    const u32 *starts, *order, *shared, *chunks;
    Heavy* heavy;
    Plan* plan;
    const i64* where;      // cell of a voxel, for dense grids. Else null
};

struct Span {              // points order[start], order[start + step] ... below stop, and channels
    const u32* order;
    u32 start, stop, step;
    i64 channel;
    int width;
};

__device__ __forceinline__ void load(const ReduceWork& w, const Span& s, u32 at, FEATURE_T x[LOADS][WIDTH]) {
    u32 point[LOADS];
#pragma unroll
    for (int k = 0; k < LOADS; ++k) point[k] = at + k * s.step < s.stop ? s.order[at + k * s.step] : 0;
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

// Look at the values of a span, or add them; `loaded`: they are one batch, and x holds it.
template <bool ADD, class P> __device__ __forceinline__ void visit(const ReduceWork& w, const Span& s, bool loaded,
                                                                   P* parts, FEATURE_T x[LOADS][WIDTH]) {
    for (u32 at = s.start; at < s.stop; at += LOADS * s.step) {
        if (!loaded) load(w, s, at, x);
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

// All of a voxel's points, by `lanes` lanes: 1, or LANES that all get the result.
template <class P> __device__ __forceinline__ void reduce_span(const ReduceWork& w, const Span& s, u32 count, int lanes,
                                                               P* parts) {
    FEATURE_T x[LOADS][WIDTH];
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].clear();
    visit<false>(w, s, false, parts, x);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) {
        parts[c].merge_look(lanes);
        parts[c].settle(count);
    }
    if (P::TWICE) visit<true>(w, s, s.start + LOADS * s.step >= s.stop, parts, x);
#pragma unroll
    for (int c = 0; c < WIDTH; ++c) parts[c].merge_add(lanes);
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

__device__ __forceinline__ Span span_of(const ReduceWork& w, u32 start, u32 count, i64 group) {
    return {w.order + start, 0, count, 1, group * WIDTH, (int)min((i64)WIDTH, w.channels - group * WIDTH)};
}

template <class P> __device__ void reduce_alone(const ReduceWork& w, i64 kept) {
    const i64 groups = (w.channels + WIDTH - 1) / WIDTH;
    for (i64 item = first_item(); item < kept * groups; item += all_threads()) {
        const i64 voxel = groups == 1 ? item : divide(item, groups);
        const u32 start = w.starts[voxel], count = w.starts[voxel + 1] - start;
        if (count > ALONE) continue;
        P parts[WIDTH];
        const Span s = span_of(w, start, count, item - voxel * groups);
        reduce_span(w, s, count, 1, parts);
        write(w, voxel, s, count, parts);
    }
}

template <class P> __device__ void reduce_shared(const ReduceWork& w) {
    const i64 groups = (w.channels + WIDTH - 1) / WIDTH, items = w.plan->shared * groups;
    for (i64 item = first_item() / LANES; item - (threadIdx.x & 31) / LANES < items; item += all_threads() / LANES) {
        const bool real = item < items;  // all lanes of a warp go on together
        const i64 entry = real ? divide(item, groups) : 0, voxel = w.shared[entry];
        const u32 start = w.starts[voxel], count = w.starts[voxel + 1] - start, lane = threadIdx.x % LANES;
        P parts[WIDTH];
        Span s = span_of(w, start, count, real ? item - entry * groups : 0);
        s.start = real ? lane : count;
        s.step = LANES;
        reduce_span(w, s, count, LANES, parts);
        if (real && lane == 0) write(w, voxel, s, count, parts);
    }
}

// ---- voxels of more than CHUNK points, a warp for some channels of a chunk ----
#if FLOATING
__device__ __forceinline__ void gather(bool added, Heavy* to, const Sums& part) {
    if (!added) atomicMax(&to->largest, (u64)part.largest);
    else if (part.largest < INFINITE) atomicAdd(&to->units, part.units);
    else atomicOr(&to->units, part.units);
}
__device__ __forceinline__ void fetch(const Heavy& from, Sums* part) {
    part->largest = (CODE_T)from.largest, part->units = from.units;
}
#else
__device__ __forceinline__ void gather(bool, Heavy* to, const Sums& part) { atomicAdd(&to->units, part.units); }
__device__ __forceinline__ void fetch(const Heavy& from, Sums* part) { part->units = from.units; }
#endif
__device__ __forceinline__ void gather(bool, Heavy* to, const Extremes& part) {
    atomicMax(&to->high, (u64)part.high);
    atomicMax(&to->low, (u64)part.low);
}
__device__ __forceinline__ void fetch(const Heavy& from, Extremes* part) {
    part->high = (CODE_T)from.high, part->low = (CODE_T)from.low;
}

// Where a chunk's item (a few of its channels) lies, and what its voxel's slots are.
__device__ __forceinline__ Span chunk_span(const ReduceWork& w, i64 item, i64 groups, u32* voxel, u32* count,
                                           Heavy** slots, bool* first) {
    const i64 chunk = divide(item, groups);
    *voxel = w.chunks[2 * chunk];
    const u32 head = w.chunks[2 * chunk + 1], start = (u32)(chunk - head) * CHUNK;
    *count = w.starts[*voxel + 1] - w.starts[*voxel];
    Span s = span_of(w, w.starts[*voxel] + start, min(CHUNK, *count - start), item - chunk * groups);
    s.start = threadIdx.x & 31;
    s.step = 32;
    *slots = w.heavy + head * w.channels + s.channel;
    *first = start == 0;
    return s;
}

template <bool ADD, class P> __device__ void visit_chunks(const ReduceWork& w, i64 groups) {
    const i64 items = w.plan->chunks * groups;
    for (i64 item = first_item() >> 5; item < items; item += all_threads() >> 5) {
        u32 voxel, count;
        Heavy* slots;
        bool first;
        P parts[WIDTH];
        FEATURE_T x[LOADS][WIDTH];
        const Span s = chunk_span(w, item, groups, &voxel, &count, &slots, &first);
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) {
            parts[c].clear();
            if (!ADD || c >= s.width) continue;
            fetch(slots[c], parts + c);
            parts[c].settle(count);
        }
        visit<ADD>(w, s, false, parts, x);
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) {
            if (!ADD) parts[c].merge_look(32);
            parts[c].merge_add(32);
            if ((threadIdx.x & 31) == 0 && c < s.width) gather(ADD, slots + c, parts[c]);
        }
    }
}

template <class P> __device__ void reduce_heavy(const ReduceWork& w, u32* arrived) {
    const i64 groups = (w.channels + WIDTH - 1) / WIDTH, items = w.plan->chunks * groups;
    fill<u64>((u64*)w.heavy, w.plan->chunks * w.channels * (sizeof(Heavy) / 8), 0);
    wait_for_all(arrived);
    visit_chunks<false, P>(w, groups);
    wait_for_all(arrived);
    if (P::TWICE) {
        visit_chunks<true, P>(w, groups);
        wait_for_all(arrived);
    }
    for (i64 item = first_item(); item < items; item += all_threads()) {
        u32 voxel, count;
        Heavy* slots;
        bool first;
        P parts[WIDTH];
        const Span s = chunk_span(w, item, groups, &voxel, &count, &slots, &first);
#pragma unroll
        for (int c = 0; c < WIDTH; ++c)
            if (c < s.width) fetch(slots[c], parts + c);
        if (first) write(w, voxel, s, count, parts);
    }
    wait_for_all(arrived);  // the slots serve once more
}

template <class P> __device__ __forceinline__ void reduce_as(const ReduceWork& w, i64 kept, u32* arrived) {
    reduce_alone<P>(w, kept);
    if (w.plan->shared) reduce_shared<P>(w);
    if (w.plan->chunks) reduce_heavy<P>(w, arrived);
}

// Everything, by all blocks of a cooperative launch; extremes only if EXTREMES.
template <bool EXTREMES> __device__ __forceinline__ void reduce_all(const ReduceWork& w, u32* arrived) {
    const i64 found = w.plan->found, kept = min(found, w.limit);
    if (w.sum || w.mean) reduce_as<Sums>(w, kept, arrived);
    if (EXTREMES && (w.high || w.low)) reduce_as<Extremes>(w, kept, arrived);
    if (w.where) return;
    for (i64 o = kept * w.channels + first_item(); o < w.limit * w.channels; o += all_threads()) {
        if (w.mean) w.mean[o] = MEAN_T();
        if (w.sum) w.sum[o] = SUM_T();
        if (w.high) w.high[o] = FEATURE_T();
        if (w.low) w.low[o] = FEATURE_T();
    }
}
