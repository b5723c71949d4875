// The points of each voxel in order: of their numbers, or of a label and then of their numbers. Grouping leaves them in
// a row for each voxel, in no order. Stretches of 32 are ranked, then stretches merged in pairs, every point finding its
// place by search; a voxel takes part as long as it has more points than a stretch.

#include "common.cuh"
#include "grid.cuh"
#include "table.cuh"
#include "exact.cuh"

#define STRETCH 32u
#define NOBODY 0xffffffffu  // above every point

struct Members {  // mirrored in members.py; 8-byte fields only
    const i64* voxels;  // of each point
    const u32 *starts, *order;
    u32 *here, *there;  // room for as many points
    u32* most;  // points of the largest voxel
    u64* best;  // of each voxel: the longest run of one label, and where it begins
    Plan* plan;
    const FEATURE_T* labels;
    FEATURE_T* out;  // the label that most points have
    i64 *listed, *splits;
    i64 inner, stride_outer, stride_inner, total, channels;
    i64 channel, limit;
};

struct Key {
    CODE_T code;
    u32 point;
    __device__ __forceinline__ bool below(const Key& other) const {
        return code < other.code || (code == other.code && point < other.point);
    }
};

template <bool LABELS> __device__ __forceinline__ Key key_of(const Members& w, u32 point) {
    if (!LABELS) return {0, point};
    const u32 outer = point / (u32)w.inner;
    const i64 at = outer * w.stride_outer + (point - outer * (u32)w.inner) * w.stride_inner + w.channel;
    return {code_of(w.labels[at], false), point};
}

struct Voxel { u32 number, first, last; };
__device__ __forceinline__ Voxel voxel_of(const Members& w, u32 point) {
    const u32 v = (u32)w.voxels[point];
    return {v, w.starts[v], w.starts[v + 1]};
}

// Where the points of a voxel of this size end up.
__device__ __forceinline__ const u32* sorted(const Members& w, u32 count) {
    bool other = false;
    for (u64 run = STRETCH; run < count; run *= 2) other = !other;
    return other ? w.there : w.here;
}

template <bool LABELS> __device__ __forceinline__ void rank_stretches(const Members& w, u32 placed) {
    for (u32 i = first_item(); i < placed; i += all_threads()) {
        const u32 point = w.order[i];
        const Voxel v = voxel_of(w, point);
        const u32 first = i - (i - v.first) % STRETCH, last = min(first + STRETCH, v.last);
        const Key mine = key_of<LABELS>(w, point);
        u32 rank = 0;
        for (u32 j = first; j < last; ++j) rank += key_of<LABELS>(w, w.order[j]).below(mine);
        w.here[first + rank] = point;
    }
}

// Points of from[low] up to from[high], which are in order, that are below one that is not among them.
template <bool LABELS>
__device__ __forceinline__ u32 points_below(const Members& w, const u32* from, u32 low, u32 high, const Key& mine) {
    const u32 first = low;
    while (low < high) {
        const u32 middle = low + ((high - low) >> 1);
        if (key_of<LABELS>(w, from[middle]).below(mine)) low = middle + 1;
        else high = middle;
    }
    return low - first;
}

template <bool LABELS>
__device__ __forceinline__ void merge_pairs(const Members& w, u32 placed, u32 run, const u32* from, u32* to) {
    for (u32 i = first_item(); i < placed; i += all_threads()) {
        const Voxel v = voxel_of(w, w.order[i]);  // any point of the voxel says which it is
        if (v.last - v.first <= run) continue;
        const u32 inside = (i - v.first) / run, first = v.first + inside * run;
        const u32 pair = v.first + (inside & ~1u) * run;
        const u32 other = inside & 1 ? pair : min(first + run, v.last), end = min(other + run, v.last);
        const u32 point = from[i];
        to[pair + i - first + points_below<LABELS>(w, from, other, end, key_of<LABELS>(w, point))] = point;
    }
}

template <bool LABELS> __device__ __forceinline__ u32 sort_members(const Members& w, u32* arrived) {
    const u32 kept = (u32)min((i64)w.plan->found, w.limit), placed = w.starts[kept];
    u32 most = 0;
    if (first_item() == 0) *w.most = 0;
    wait_for_all(arrived);
    for (u32 v = first_item(); v < kept; v += all_threads()) {
        most = max(most, w.starts[v + 1] - w.starts[v]);
        if (LABELS) w.best[v] = 0;
    }
    if (most) atomicMax(w.most, most);
    rank_stretches<LABELS>(w, placed);
    wait_for_all(arrived);
    most = *w.most;
    const u32* from = w.here;
    u32* to = w.there;
    for (u64 run = STRETCH; run < most; run *= 2) {
        merge_pairs<LABELS>(w, placed, (u32)run, from, to);
        wait_for_all(arrived);
        u32* next = (u32*)from;
        from = to;
        to = next;
    }
    return placed;
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) members_list(const Members w) {
    const u32 placed = sort_members<false>(w, &w.plan->arrived);
    const i64 kept = min((i64)w.plan->found, w.limit);
    for (u32 i = first_item(); i < w.total; i += all_threads()) {
        if (i < placed) {
            const Voxel v = voxel_of(w, w.order[i]);
            w.listed[i] = sorted(w, v.last - v.first)[i];
        } else {
            w.listed[i] = -1;
        }
    }
    for (i64 v = first_item(); v <= w.limit; v += all_threads()) w.splits[v] = w.starts[min(v, kept)];
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) members_mode(const Members w) {
    u32* arrived = &w.plan->arrived;
    const u32 placed = sort_members<true>(w, arrived);
    for (u32 i = first_item(); i < placed; i += all_threads()) {
        const Voxel v = voxel_of(w, w.order[i]);
        const u32* from = sorted(w, v.last - v.first);
        const CODE_T mine = key_of<true>(w, from[i]).code;
        if (i > v.first && key_of<true>(w, from[i - 1]).code == mine) continue;
        const u32 length = points_below<true>(w, from, i, v.last, {mine, NOBODY});
        atomicMax(w.best + v.number, (u64)length << 32 | (FULL - (i - v.first)));  // of equal ones, the first
    }
    wait_for_all(arrived);
    const i64 kept = min((i64)w.plan->found, w.limit);
    for (i64 v = first_item(); v < w.limit; v += all_threads()) {
        FEATURE_T value = 0;
        if (v < kept) {
            const u32 first = w.starts[v], point = sorted(w, w.starts[v + 1] - first)[first + FULL - (u32)w.best[v]];
            const u32 outer = point / (u32)w.inner;
            value = w.labels[outer * w.stride_outer + (point - outer * (u32)w.inner) * w.stride_inner + w.channel];
        }
        w.out[v * w.channels + w.channel] = value;
    }
}
