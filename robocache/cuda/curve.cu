// Curves through samples at targets whose place among the stamps is known: see trajectory.cu for the search.
//
// A block serves one (row, tile of targets): what all features of a target share goes to shared memory, then all
// threads stream the features. Macros: VALUE_T, and ACC_T in which it is computed.

#include "common.cuh"
#include "curve.cuh"
#include "stencil.cuh"
#include "turn.cuh"
#include "bend.cuh"

template <int N> __device__ __forceinline__ void fill(const Call& c, VALUE_T* out) {
#pragma unroll
    for (int e = 0; e < N; ++e) memcpy(out + e, &c.fill, sizeof(VALUE_T));
}

// A target and N / 4 quaternions, or one that no wide access may touch; whether there is NaN.
template <int N> __device__ __forceinline__ bool serve_turn(const Call& c, const Knot& k, i64 feature, VALUE_T* out) {
    constexpr int size = N == 1 ? 4 : N;
    const VALUE_T* from = c.values + k.at + feature;
    ACC_T a[size], b[size], r[size];
    bool nan = false;
    if (k.state == FILLED) {
        fill<size>(c, out);
        return false;
    }
#pragma unroll
    for (int e = 0; e < size; e += N) load<N>(from + e, a + e);
    if (k.state == BLEND) {
#pragma unroll
        for (int e = 0; e < size; e += N) load<N>(from + c.value_sample + e, b + e);
#pragma unroll
        for (int e = 0; e < size; e += 4) slerp(a + e, b + e, k.u, r + e);
#pragma unroll
        for (int e = 0; e < size; e += N) nan |= store<N>(out + e, r + e);
        return nan;
    }
#pragma unroll
    for (int e = 0; e < size; ++e) {  // bits are kept
        out[e] = from[e];
        nan |= a[e] != a[e];
    }
    return nan;
}

// A target and a pose; whether it holds NaN. A screw is told of quaternions as x, y, z, w.
template <int KIND> __device__ __forceinline__ bool serve_pose(const Call& c, const Knot& k, i64 feature,
                                                               VALUE_T* out) {
    const VALUE_T *from = c.values + k.at + feature, *to = from + (k.state == BLEND ? c.value_sample : 0);
    const bool turned = KIND == SE3 && c.scalar_first;
    ACC_T a[7], b[7], r[7];
    bool nan = false;
#pragma unroll
    for (int e = 0; e < 7; ++e) {
        const int at = e < 3 || !turned ? e : e == 6 ? 3 : e + 1;
        if (k.state == FILLED) {
            fill<1>(c, out + e);
            continue;
        }
        load<1>(from + at, a + e);
        if (k.state == BLEND) load<1>(to + at, b + e);
        if (k.state == SAMPLE) out[at] = from[at];
        nan |= k.state == SAMPLE && a[e] != a[e];
    }
    if (k.state != BLEND) return nan;
    if (KIND == SE3) screw(a, b, k.u, r);
#pragma unroll
    for (int e = 0; e < 3 && KIND == SPLIT; ++e) r[e] = line(a[e], b[e], k.u);
    if (KIND == SPLIT) slerp(a + 3, b + 3, k.u, r + 3);
#pragma unroll
    for (int e = 0; e < 7; ++e) nan |= store<1>(out + (e < 3 || !turned ? e : e == 6 ? 3 : e + 1), r + e);
    return nan;
}

// A target and N of its features; whether one of them is NaN.
template <int KIND, int N>
__device__ __forceinline__ bool serve(const Call& c, const Knot& k, i64 b, i64 feature, VALUE_T* out) {
    if constexpr (KIND == SLERP) {
        return serve_turn<N>(c, k, feature, out);
    } else if constexpr (KIND == SE3 || KIND == SPLIT) {
        return serve_pose<KIND>(c, k, feature, out);
    } else {
        ACC_T r[N];
        const VALUE_T* from = c.values + k.at + feature;
        if (k.state == FILLED) {
            fill<N>(c, out);
            return false;  // it has no sample, and is invalid for that
        }
        if (KIND == ANGLE) {
            ACC_T a[N], next[N];
            const ACC_T low = (ACC_T)c.low, period = (ACC_T)c.period;
            bool plain = k.state == BLEND, same = k.state == SAMPLE;
            load<N>(from, a);
            load<N>(from + (k.state == SAMPLE ? 0 : c.value_sample), next);
#pragma unroll
            for (int e = 0; e < N; ++e) plain &= angle(low, period, a[e], next[e], k.u, r + e);
#pragma unroll
            for (int e = 0; e < N && !plain; ++e)
                r[e] =
                    k.state == SAMPLE ? in_range(low, period, a[e]) : angle_from_afar(low, period, a[e], next[e], k.u);
#pragma unroll
            for (int e = 0; e < N; ++e) {
                if (sizeof(VALUE_T) < sizeof(ACC_T) && widen<ACC_T>(Narrow<VALUE_T>::from(r[e])) >= low + period)
                    r[e] = low;
            }
            if (k.state == BLEND) return store<N>(out, r);
#pragma unroll
            for (int e = 0; e < N; ++e) same &= r[e] == a[e];
            if (!same) return store<N>(out, r);
        }
        if (k.state == SAMPLE) {  // bits are kept
            *(Pack<N>*)out = *(const Pack<N>*)from;
            return any_nan<N>(from);
        }
        if constexpr (KIND != ANGLE) through<KIND, N>(c, k, b, feature, r);
        return store<N>(out, r);
    }
}

// Every thread stays with `size` features, as long as a row of targets is not wider than a block.
template <class F> __device__ __forceinline__ void walk(const Call& c, VALUE_T* out, u32 size, int targets, F serve) {
    const u32 width = (u32)c.features / size, lanes = (u32)c.lanes, first = threadIdx.x / lanes,
              down = blockDim.x / lanes;
    if (first >= down) return;
    const i64 far = down * c.out_target;
    for (u32 d = threadIdx.x - first * lanes; d < width; d += lanes) {
        VALUE_T* to = out + first * c.out_target + d * size;
        for (int k = first; k < targets; k += down, to += far) serve(k, d * size, to);
    }
}

template <int KIND, int N, int SIZE = N>
__device__ __forceinline__ void stream(const Call& c, i64 b, i64 first, int targets, Knot* knots) {
    walk(c, c.out + b * c.out_row + first * c.out_target, SIZE, targets, [&](int k, u32 feature, VALUE_T* to) {
        if (serve<KIND, N>(c, knots[k], b, feature, to) && c.valid) knots[k].real = 0;
    });
}

__device__ __forceinline__ i64 part_of(const Call& c, i64* b) {
    *b = blockIdx.x / c.tiles;
    return (blockIdx.x - *b * c.tiles) * c.tile;
}
__device__ __forceinline__ void mark(const Call& c, i64 b, i64 first, int targets, const Knot* knots) {
    __syncthreads();
    for (int i = threadIdx.x; i < targets && c.valid; i += blockDim.x)
        c.valid[b * c.steps + first + i] = knots[i].real != 0;
}

template <int KIND> __device__ __forceinline__ void curve(const Call& c, Knot* knots) {
    i64 b;
    const i64 first = part_of(c, &b);
    const int targets = (int)min(c.tile, c.steps - first);
    for (int i = threadIdx.x; i < targets; i += blockDim.x) note<KIND>(c, b, first + i, knots + i);
    __syncthreads();
    constexpr int wide = WIDE, widest = KIND == SLERP && wide < 4 ? 4 : wide;
    if constexpr (KIND == SE3 || KIND == SPLIT) stream<KIND, 7>(c, b, first, targets, knots);
    else if (KIND == SLERP && c.vector == 4) stream<KIND, 4>(c, b, first, targets, knots);
    else if (c.vector > 1) stream<KIND, widest>(c, b, first, targets, knots);
    else stream<KIND, 1, KIND == SLERP ? 4 : 1>(c, b, first, targets, knots);
    mark(c, b, first, targets, knots);
}

#define CURVE(name, KIND, BLOCKS)                                                                             \
    extern "C" __global__ void __launch_bounds__(TILE, BLOCKS) curve_##name(const __grid_constant__ Call c) { \
        extern __shared__ uint4 room[];                                                                       \
        curve<KIND>(c, (Knot*)room);                                                                          \
    }
// Blocks there are registers for, of double, float and 16 bits.
#define OF(wide, single, half) (sizeof(VALUE_T) == 8 ? wide : sizeof(VALUE_T) == 4 ? single : half)
enum { LEAN = OF(2, 5, 5), MANY = OF(2, 5, 4), FEW = OF(2, 4, 3) };
CURVE(cubic, CUBIC, MANY)
CURVE(pchip, PCHIP, FEW)
CURVE(akima, AKIMA, 2)
CURVE(catmull_rom, CATMULL_ROM, LEAN)
CURVE(slerp, SLERP, FEW)
CURVE(angle, ANGLE, FEW)
CURVE(se3, SE3, 2)
CURVE(split, SPLIT, 2)

template <int N> __device__ __forceinline__ void stream_means(const Call& c, i64 b, i64 first, int targets, Knot* knots,
                                                              const Cell* cells) {
    const i64 stamp = c.offsets ? 0 : b * c.time_row;
    const VALUE_T* row = c.values + b * c.value_row;
    walk(c, c.out + b * c.out_row + first * c.out_target, N, targets, [&](int k, u32 feature, VALUE_T* to) {
        ACC_T r[N];
        if (knots[k].state == FILLED) return fill<N>(c, to);
        mean<N>(c, cells[k], row, stamp, feature, r);
        if (store<N>(to, r) && c.valid) knots[k].real = 0;
    });
}

extern "C" __global__ void __launch_bounds__(TILE, 2) curve_mean(const __grid_constant__ Call c) {
    extern __shared__ uint4 room[];
    Knot* knots = (Knot*)room;
    Cell* cells = (Cell*)(knots + c.tile);
    i64 b;
    const i64 first = part_of(c, &b);
    const int targets = (int)min(c.tile, c.steps - first);
    for (int i = threadIdx.x; i < targets; i += blockDim.x) {
        const i64 at = b * c.found_row + first + i, low = b * c.edge_row + first + i, high = low + c.steps;
        const i64 start = index_at(c, c.edge_index, low), stop = index_at(c, c.edge_index, high);
        const bool none = index_at(c, c.index, at) < 0 || start < 0 || stop < 0;
        const i64 stamp = c.offsets ? 0 : b * c.time_row;
        if (!none) cells[i] = Cell(c, stamp, start, stop, c.edge_weight[low], c.edge_weight[high]);
        knots[i].state = none ? FILLED : BLEND;
        knots[i].real = c.real[at] && !none;
    }
    __syncthreads();
    if (c.vector > 1) stream_means<WIDE>(c, b, first, targets, knots, cells);
    else stream_means<1>(c, b, first, targets, knots, cells);
    mark(c, b, first, targets, knots);
}
