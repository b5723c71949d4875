// Steps of windows: which samples each window shows, clamped to its episode, and which of them are real.
//
// A block serves WINDOWS windows. One thread a window finds its episode, then all threads write the steps of all of
// them, four to an access.

#include "common.cuh"
#include "search.cuh"

#define WINDOWS 64  // of a block; mirrored in windows.py

struct Take {  // mirrored in windows.py; 8-byte fields only
    u32* status;
    const i64* positions;  // none: first, first + step, ...
    const i64* offsets;
    const i64* starts;  // windows of all episodes before each
    i64 *obs_index, *action_index, *episode, *anchor;
    u8 *obs_valid, *action_valid;
    i64 episodes, count, first, step;
    i64 observations, actions, stride, low, action;
};

struct Span { i64 low, high, anchor; };

__device__ __forceinline__ Span span_of(const Take& t, i64 i) {
    const i64 p = t.positions ? t.positions[i] : t.first + i * t.step;
    if (p < 0 || t.episodes == 0 || p >= t.starts[t.episodes]) {
        report(t.status, OUT_OF_RANGE);
        t.episode[i] = t.anchor[i] = -1;
        return {0, -1, 0};  // holds no step; all of them are clamped to -1
    }
    const i64 e = episode_of(t.starts, t.episodes, p), low = t.offsets[e];
    const i64 anchor = low + t.low + (p - t.starts[e]) * t.stride;
    t.episode[i] = e;
    t.anchor[i] = anchor;
    return {low, t.offsets[e + 1] - 1, anchor};
}

// n steps of each window, the first of them `from` after the anchor. The tile begins at a multiple of 4 steps.
__device__ __forceinline__ void write_steps(const Span* span, i64 windows, i64 n, i64 from, i64* index, u8* valid) {
    const i64 total = windows * n;
    for (i64 q = threadIdx.x * 4; q < total; q += blockDim.x * 4) {
        i64 w = divide(q, n), k = q - w * n, at[4];
        u32 real = 0;
#pragma unroll
        for (int u = 0; u < 4; ++u) {
            const Span s = span[min(w, windows - 1)];
            const i64 step = s.anchor + from + k;
            at[u] = min(max(step, s.low), s.high);
            real |= (u32)(at[u] == step) << 8 * u;
            if (++k == n) {
                k = 0;
                ++w;
            }
        }
        if (q + 4 <= total) {
            ((longlong2*)(index + q))[0] = {at[0], at[1]};
            ((longlong2*)(index + q))[1] = {at[2], at[3]};
            *(u32*)(valid + q) = real;
            continue;
        }
#pragma unroll
        for (int u = 0; u < 4; ++u) {
            if (q + u >= total) break;
            index[q + u] = at[u];
            valid[q + u] = (u8)(real >> 8 * u);
        }
    }
}

extern "C" __global__ void __launch_bounds__(256) windows_take(const __grid_constant__ Take t) {
    __shared__ Span span[WINDOWS];
    const i64 first = blockIdx.x * (i64)WINDOWS, windows = min((i64)WINDOWS, t.count - first);
    for (int i = threadIdx.x; i < windows; i += blockDim.x) span[i] = span_of(t, first + i);
    __syncthreads();
    const i64 observed = first * t.observations, acted = first * t.actions;
    write_steps(span, windows, t.observations, 1 - t.observations, t.obs_index + observed, t.obs_valid + observed);
    write_steps(span, windows, t.actions, t.action, t.action_index + acted, t.action_valid + acted);
}
