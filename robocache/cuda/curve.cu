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

// A target and a quaternion, which may not be aligned; whether it is NaN.
__device__ __forceinline__ bool serve_turn(const Call& c, const Knot& k, i64 feature, VALUE_T* out) {
    const VALUE_T *from = c.values + k.at + feature, *to = from + c.value_sample;
    ACC_T a[4], b[4], r[4];
    bool nan = false;
    if (k.state == FILLED) {
        fill<4>(c, out);
        return false;
    }
#pragma unroll
    for (int e = 0; e < 4 && c.vector < 4; ++e) {
        load<1>(from + e, a + e);
        load<1>((k.state == SAMPLE ? from : to) + e, b + e);
    }
    if (c.vector == 4) {
        load<4>(from, a);
        load<4>(k.state == SAMPLE ? from : to, b);
    }
    if (k.state != SAMPLE) slerp(a, b, k.u, r);
    if (k.state != SAMPLE && c.vector == 4) return store<4>(out, r);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
        if (k.state == SAMPLE) out[e] = from[e];
        else store<1>(out + e, r + e);
        nan |= k.state == SAMPLE ? a[e] != a[e] : r[e] != r[e];
    }
    return nan;
}

// A target and a pose; whether it holds NaN.
__device__ __forceinline__ bool serve_pose(const Call& c, const Knot& k, i64 feature, VALUE_T* out) {
    const VALUE_T *from = c.values + k.at + feature, *to = from + c.value_sample;
    ACC_T a[7], b[7], r[7];
    bool nan = false;
#pragma unroll
    for (int e = 0; e < 7; ++e) {  // quaternions as x, y, z, w
        const int at = e < 3 || !c.scalar_first ? e : e == 6 ? 3 : e + 1;
        if (k.state == FILLED) {
            fill<1>(c, out + e);
            continue;
        }
        load<1>(from + at, a + e);
        load<1>((k.state == SAMPLE ? from : to) + at, b + e);
        if (k.state == SAMPLE) out[at] = from[at];
        nan |= k.state == SAMPLE && a[e] != a[e];
    }
    if (k.state != BLEND) return nan;
    screw(a, b, k.u, r);
#pragma unroll
    for (int e = 0; e < 7; ++e) nan |= store<1>(out + (e < 3 || !c.scalar_first ? e : e == 6 ? 3 : e + 1), r + e);
    return nan;
}

// A target and N of its features; whether one of them is NaN.
template <int KIND, int N>
__device__ __forceinline__ bool serve(const Call& c, const Knot& k, i64 b, i64 feature, VALUE_T* out) {
    if constexpr (KIND == SLERP) {
        return serve_turn(c, k, feature, out);
    } else if constexpr (KIND == SE3) {
        return serve_pose(c, k, feature, out);
    } else {
        ACC_T r[N];
        const VALUE_T* from = c.values + k.at + feature;
        if (k.state == FILLED) {
            fill<N>(c, out);
            return false;  // it has no sample, and is invalid for that
        }
        if (KIND == ANGLE) {
            ACC_T a[N], next[N];
            bool same = true;
            load<N>(from, a);
            load<N>(from + (k.state == SAMPLE ? 0 : c.value_sample), next);
#pragma unroll
            for (int e = 0; e < N; ++e) {
                r[e] = k.state == SAMPLE ? in_range(c, a[e]) : angle(c, a[e], next[e], k.u);
                if (widen<ACC_T>(Narrow<VALUE_T>::from(r[e])) >= (ACC_T)c.low + (ACC_T)c.period) r[e] = (ACC_T)c.low;
                same &= r[e] == a[e];
            }
            if (k.state == BLEND || !same) return store<N>(out, r);
        }
        if (k.state == SAMPLE) {  // bits are kept
            *(Pack<N>*)out = *(const Pack<N>*)from;
            return any_nan<N>(from);
        }
        if constexpr (KIND != ANGLE) through<KIND, N>(c, k, b, feature, r);
        return store<N>(out, r);
    }
}

// Targets and places in their rows, without a division for each.
struct Walk {
    u32 k, d, down, ahead, width;
    __device__ __forceinline__ explicit Walk(u32 width) : width(width) {
        k = threadIdx.x / width, d = threadIdx.x - k * width;
        down = blockDim.x / width, ahead = blockDim.x - down * width;
    }
    __device__ __forceinline__ void step() {
        k += down, d += ahead;
        if (d >= width) d -= width, ++k;
    }
};

template <int KIND, int N>
__device__ __forceinline__ void stream(const Call& c, i64 b, i64 first, int targets, Knot* knots) {
    VALUE_T* out = c.out + b * c.out_row + first * c.out_target;
    for (Walk at((u32)(c.features / N)); at.k < targets; at.step()) {
        VALUE_T* to = out + at.k * c.out_target + at.d * N;
        if (serve<KIND, N>(c, knots[at.k], b, at.d * N, to) && c.valid) knots[at.k].real = 0;
    }
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
    if constexpr (KIND == SLERP || KIND == SE3) stream<KIND, KIND == SE3 ? 7 : 4>(c, b, first, targets, knots);
    else if (c.vector > 1) stream<KIND, WIDE>(c, b, first, targets, knots);
    else stream<KIND, 1>(c, b, first, targets, knots);
    mark(c, b, first, targets, knots);
}

#define CURVE(name, KIND, BLOCKS)                                                                             \
    extern "C" __global__ void __launch_bounds__(TILE, BLOCKS) curve_##name(const __grid_constant__ Call c) { \
        extern __shared__ uint4 room[];                                                                       \
        curve<KIND>(c, (Knot*)room);                                                                          \
    }
enum { MANY = sizeof(ACC_T) == 4 ? 4 : 2, FEW = sizeof(ACC_T) == 4 ? 3 : 2 };  // blocks there are registers for
CURVE(cubic, CUBIC, MANY)
CURVE(pchip, PCHIP, FEW)
CURVE(akima, AKIMA, 2)
CURVE(catmull_rom, CATMULL_ROM, MANY)
CURVE(slerp, SLERP, FEW)
CURVE(angle, ANGLE, MANY)
CURVE(se3, SE3, 2)

template <int N> __device__ __forceinline__ void stream_means(const Call& c, i64 b, i64 first, int targets, Knot* knots,
                                                              const Cell* cells) {
    const i64 stamp = c.offsets ? 0 : b * c.time_row;
    const VALUE_T* row = c.values + b * c.value_row;
    VALUE_T* out = c.out + b * c.out_row + first * c.out_target;
    for (Walk at((u32)(c.features / N)); at.k < targets; at.step()) {
        const u32 k = at.k, feature = at.d * N;
        VALUE_T* to = out + k * c.out_target + feature;
        ACC_T r[N];
        if (knots[k].state == FILLED) {
            fill<N>(c, to);
            continue;
        }
        mean<N>(c, cells[k], row, stamp, feature, r);
        if (store<N>(to, r) && c.valid) knots[k].real = 0;
    }
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
