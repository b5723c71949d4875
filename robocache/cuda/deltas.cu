// The samples nearest to an anchor's time plus deltas, within its episode.
//
// Macros: TIME_T (i64, double, float).

#include "common.cuh"
#include "clock.cuh"
#include "search.cuh"

#define ANCHORS 16  // of a block; mirrored in deltas.py

struct Column {  // one delta; mirrored in deltas.py
    Wide delta;
    i64 first, width;  // of the key it belongs to: columns before, and its own
};

struct Deltas {  // mirrored in deltas.py; 8-byte fields only
    u32* status;
    const u8* faulty;  // of each episode; none: all are sound
    const TIME_T* times;
    const i64* offsets;
    const i64* anchors;  // none: first, first + step, ...
    const Column* columns;
    i64* index;
    u8* valid;
    i64 episodes, count, first, step, deltas;
    Wide tolerance;  // below 0: none
    i64 refuse;
};

struct Check {  // mirrored in deltas.py
    u32* status;
    u8* faulty;
    const TIME_T* times;
    const i64* offsets;
    i64 episodes, samples;
};

struct Near {
    i64 index;
    bool real;
};

// t + delta; `lost` where no integer holds it.
__device__ __forceinline__ i64 shifted(i64 t, i64 delta, bool& lost) {
    const i64 sum = (i64)((u64)t + (u64)delta);
    lost = delta >= 0 ? sum < t : sum > t;
    if (!lost) return sum;
    return delta >= 0 ? 0x7fffffffffffffffll : (i64)0x8000000000000000ll;
}
__device__ __forceinline__ double shifted(double t, double delta, bool& lost) {
    lost = false;
    return add_ieee(t, delta);
}

__device__ __forceinline__ i64 after(const TIME_T* t, i64 n, Wide q) {
    return first_not(n, [&](i64 i) { return wide(t[i]) <= q; });
}

// t holds the n > 0 stamps of the episode, `own` is the anchor among them.
__device__ __forceinline__ Near nearest(const Deltas& d, const TIME_T* t, i64 n, i64 own, Wide delta) {
    const Wide mine = wide(t[own]);
    bool lost;
    const Wide q = shifted(mine, delta, lost);
    const i64 up = after(t, n, q);
    i64 i = max(up - 1, (i64)0);
    Gap apart = up == 0 ? Clock::gap(wide(t[0]), q) : Clock::gap(q, wide(t[i]));
    bool real;
    if (up == 0 || (up == n && apart != 0)) {
        real = !lost && d.tolerance >= 0 && within(apart, d.tolerance);
    } else {
        const Wide later = wide(t[min(up, n - 1)]);
        if (apart != 0 && Clock::gap(later, q) < apart) {
            apart = Clock::gap(later, q);
            i = after(t, n, later) - 1;
        }
        real = !lost && within(apart, d.tolerance);
        if (!real && !lost && d.refuse) report(d.status, MISSED);
    }
    return {wide(t[i]) == mine ? own : i, real};
}

extern "C" __global__ void __launch_bounds__(128) deltas_take(const __grid_constant__ Deltas d) {
    __shared__ i64 begins[ANCHORS], sizes[ANCHORS], anchors[ANCHORS];
    const i64 first = blockIdx.x * (i64)ANCHORS, here = min((i64)ANCHORS, d.count - first);
    for (int i = threadIdx.x; i < here; i += blockDim.x) {
        const i64 a = d.anchors ? d.anchors[first + i] : d.first + (first + i) * d.step;
        begins[i] = sizes[i] = 0;
        anchors[i] = -1;
        if (a < 0 || d.episodes == 0 || a >= d.offsets[d.episodes]) {
            report(d.status, OUT_OF_RANGE);
            continue;
        }
        const i64 e = episode_of(d.offsets, d.episodes, a);
        anchors[i] = a;
        begins[i] = d.offsets[e];
        sizes[i] = d.faulty && d.faulty[e] ? 0 : d.offsets[e + 1] - begins[i];
    }
    __syncthreads();
    for (i64 q = threadIdx.x; q < here * d.deltas; q += blockDim.x) {
        const i64 w = divide(q, d.deltas), column = q - w * d.deltas, begin = begins[w];
        const Column c = d.columns[column];
        Near near = {anchors[w], false};
        if (sizes[w] > 0) {
            near = nearest(d, d.times + begin, sizes[w], anchors[w] - begin, c.delta);
            near.index += begin;
        }
        const i64 to = d.count * c.first + (first + w) * c.width + column - c.first;
        d.index[to] = near.index;
        d.valid[to] = near.real;
    }
}

// Episodes whose stamps are out of order or not finite. Only where a stamp is not above the one before it, as at the
// start of most episodes, is an episode looked for.
extern "C" __global__ void __launch_bounds__(256) deltas_check(const __grid_constant__ Check c) {
    const i64 step = gridDim.x * (i64)blockDim.x;
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < c.samples; i += step) {
        const TIME_T left = c.times[i], right = c.times[min(i + 1, c.samples - 1)];
        const bool proper = Clock::proper(left), rises = wide(left) <= wide(right), coarse = Clock::coarse(left, right);
        if (proper && rises && !coarse) continue;
        const i64 e = episode_of(c.offsets, c.episodes, i);
        const bool apart = c.offsets[e + 1] == i + 1;  // the next stamp is of another episode
        if (!proper || (!rises && !apart)) {
            c.faulty[e] = 1;
            report(c.status, UNSORTED);
        } else if (coarse && !apart) {
            report(c.status, COARSE);
        }
    }
}
