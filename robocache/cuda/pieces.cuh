// The second half of reduce.cu: voxels of more than PIECE points, a block for some channels of a piece.

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

// Where a piece's item (a few of its channels) lies, and what its voxel's slots are.
__device__ __forceinline__ Span piece_span(const ReduceWork& w, i64 item, u32 groups, u32* voxel, u32* count,
                                           Heavy** slots, bool* first) {
    const i64 piece = divide(item, groups);
    *voxel = w.chunks[2 * piece];
    const u32 head = w.chunks[2 * piece + 1], start = (u32)(piece - head) * PIECE;
    *count = w.starts[*voxel + 1] - w.starts[*voxel];
    Span s = span_of(w, w.starts[*voxel] + start, min(PIECE, *count - start), (u32)(item - piece * groups));
    s.start = threadIdx.x;
    s.step = THREADS;
    *slots = w.heavy + head * w.channels + s.channel;
    *first = start == 0;
    return s;
}

template <bool ADD, class P> __device__ void visit_pieces(const ReduceWork& w, u32 groups) {
    for (i64 item = blockIdx.x; item < w.plan->chunks * groups; item += gridDim.x) {
        u32 voxel, count;
        Heavy* slots;
        bool first;
        P parts[WIDTH];
        const Span s = piece_span(w, item, groups, &voxel, &count, &slots, &first);
        if (count <= PIECE) continue;
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) {
            parts[c].clear();
            if (!ADD || c >= s.width) continue;
            fetch(slots[c], parts + c);
            parts[c].settle(count, false);
        }
        visit<ADD>(w, s, parts);
#pragma unroll
        for (int c = 0; c < WIDTH; ++c) {
            if (ADD) parts[c].merge_add(32, false);
            else parts[c].merge_look(32);
            if ((threadIdx.x & 31) == 0 && c < s.width) gather(ADD, slots + c, parts[c]);
        }
    }
}

// Voxels of several pieces meet in slots.
template <class P> __device__ void reduce_split(const ReduceWork& w, u32* arrived) {
    const u32 groups = channel_groups(w);
    const i64 items = w.plan->chunks * groups;
    fill<u64>((u64*)w.heavy, w.plan->chunks * w.channels * (sizeof(Heavy) / 8), 0);
    wait_for_all(arrived);
    visit_pieces<false, P>(w, groups);
    wait_for_all(arrived);
    if (P::TWICE) {
        visit_pieces<true, P>(w, groups);
        wait_for_all(arrived);
    }
    for (i64 item = first_item(); item < items; item += all_threads()) {
        u32 voxel, count;
        Heavy* slots;
        bool first;
        P parts[WIDTH];
        const Span s = piece_span(w, item, groups, &voxel, &count, &slots, &first);
        if (!first || count <= PIECE) continue;
#pragma unroll
        for (int c = 0; c < WIDTH; ++c)
            if (c < s.width) fetch(slots[c], parts + c);
        write(w, voxel, s, count, parts);
    }
    wait_for_all(arrived);  // the slots serve once more
}

template <class P> __device__ __forceinline__ void reduce_as(const ReduceWork& w, i64 kept, u32* arrived) {
    reduce_whole<P>(w, kept);
    if (w.plan->split) reduce_split<P>(w, arrived);
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
