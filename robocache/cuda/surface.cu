// Where a field of signed distances changes its sign between neighbours: counted, numbered, written.
//
// A warp takes 32 voxels of a column (neighbours along z), a block 64 such parts that follow each other. What a block
// finds is counted first; one block turns counts into places; then those blocks that have found something look again and
// write. The distance of a voxel decides whether anything else of it is read.

#include "common.cuh"

#define PARTS 64  // of a block; mirrored in surface.py
#define WARPS 8
#define ROUNDS (PARTS / WARPS)
#define SCANNERS 1024  // threads that number the blocks; mirrored in surface.py

struct Surface {  // mirrored in surface.py; 8-byte fields only
    u32* status;
    const float *grid, *weight, *tint;
    i64* counts;  // [blocks + 1]: crossings of each block, then those before it
    void* points;  // wide: of doubles
    float *normals, *colors;  // none: not wanted
    i64 *kept, *found;
    i64 shape[3], blocks, wide, limit;  // limit -1: none
    double origin[3], size[3], least;  // least and, as they are used, sizes hold floats
};

__device__ __forceinline__ float times(float a, float b) {
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float root(float a) {
    float r;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
// -ftz=true would take a subnormal distance for zero.
__device__ __forceinline__ bool above_zero(float a) { return (i32)__float_as_uint(a) > 0; }
__device__ __forceinline__ float size_of(float a) { return __uint_as_float(__float_as_uint(a) & 0x7fffffffu); }

struct Place {
    i64 at;
    int k[3];
    bool real;
};

// Voxel of a lane in a part.
__device__ __forceinline__ Place place_of(const Surface& s, i64 part) {
    const i64 parts = (s.shape[2] + 31) / 32, column = divide(part, parts), x = divide(column, s.shape[1]);
    Place p;
    p.k[0] = (int)x;
    p.k[1] = (int)(column - x * s.shape[1]);
    p.k[2] = (int)(part - column * parts) * 32 + (int)(threadIdx.x & 31);
    p.at = column * s.shape[2] + p.k[2];
    p.real = x < s.shape[0] && p.k[2] < s.shape[2];
    return p;
}
__device__ __forceinline__ i64 step_of(const Surface& s, int axis) {
    return axis == 0 ? s.shape[1] * s.shape[2] : axis == 1 ? s.shape[2] : 1;
}
__device__ __forceinline__ bool weighed(const Surface& s, i64 at) { return s.weight[at] >= (float)s.least; }

// One bit an axis: the sign changes between this voxel and the next along it, both seen and neither cut off.
__device__ __forceinline__ u32 crossings(const Surface& s, const Place& p) {
    if (!p.real) return 0;
    const float mine = s.grid[p.at];
    if (!(size_of(mine) < 1.0f) || !weighed(s, p.at)) return 0;
    u32 found = 0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        if (p.k[axis] + 1 >= s.shape[axis]) continue;
        const i64 next = p.at + step_of(s, axis);
        const float other = s.grid[next];
        if (size_of(other) < 1.0f && above_zero(mine) != above_zero(other) && weighed(s, next)) found |= 1u << axis;
    }
    return found;
}

// Slope along an axis: over both neighbours that are seen, or over one.
__device__ __forceinline__ float slope(const Surface& s, const Place& p, int axis) {
    const i64 step = step_of(s, axis);
    const float mine = s.grid[p.at];
    float side[2] = {mine, mine};
    bool both = true;
#pragma unroll
    for (int way = 0; way < 2; ++way) {
        const int k = p.k[axis] + (way ? 1 : -1);
        const i64 at = p.at + (way ? step : -step);
        const bool seen = k >= 0 && k < s.shape[axis] && size_of(s.grid[at]) <= 1.0f && weighed(s, at);
        if (seen) side[way] = s.grid[at];
        both &= seen;
    }
    const float rise = sub_ieee(side[1], side[0]);
    return div_ieee(both ? times(rise, 0.5f) : rise, to_float(s.size[axis]));
}

__device__ __forceinline__ float blend(float a, float b, float share) {
    return add_ieee(a, times(share, sub_ieee(b, a)));
}

__device__ void write(const Surface& s, const Place& p, int axis, i64 to) {
    Place next = p;
    next.at += step_of(s, axis);
    ++next.k[axis];
    const float mine = s.grid[p.at], share = div_ieee(mine, sub_ieee(mine, s.grid[next.at]));
#pragma unroll
    for (int b = 0; b < 3; ++b) {
        const double steps = ((double)p.k[b] + 0.5) + (b == axis ? to_double(share) : 0.0);
        const double coordinate = steps * s.size[b] + s.origin[b];
        if (s.wide) ((double*)s.points)[3 * to + b] = coordinate;
        else ((float*)s.points)[3 * to + b] = to_float(coordinate);
        if (s.colors) s.colors[3 * to + b] = blend(s.tint[3 * p.at + b], s.tint[3 * next.at + b], share);
    }
    if (!s.normals) return;
    float n[3], squares = 0.0f;
#pragma unroll
    for (int b = 0; b < 3; ++b) {
        n[b] = blend(slope(s, p, b), slope(s, next, b), share);
        squares = add_ieee(squares, times(n[b], n[b]));
    }
    const float length = root(squares);
#pragma unroll
    for (int b = 0; b < 3; ++b)
        s.normals[3 * to + b] = (__float_as_uint(length) << 1) == 0 ? 0.0f : div_ieee(n[b], length);
}

extern "C" __global__ void __launch_bounds__(256) surface_count(const __grid_constant__ Surface s) {
    __shared__ u32 sums[WARPS];
    const i64 first = (i64)blockIdx.x * WARPS * ROUNDS + threadIdx.x / 32;
    u32 count = 0;
    for (int round = 0; round < ROUNDS; ++round) count += __popc(crossings(s, place_of(s, first + round * WARPS)));
    for (int lane = 16; lane; lane >>= 1) count += __shfl_xor_sync(FULL, count, lane);
    if ((threadIdx.x & 31) == 0) sums[threadIdx.x / 32] = count;
    __syncthreads();
    if (threadIdx.x) return;
    u32 total = 0;
    for (int warp = 0; warp < WARPS; ++warp) total += sums[warp];
    s.counts[blockIdx.x] = total;
}

// One block: counts become the crossings before each block, and the totals are told.
extern "C" __global__ void __launch_bounds__(SCANNERS) surface_scan(const __grid_constant__ Surface s) {
    __shared__ i64 sums[SCANNERS];
    const i64 share = (s.blocks + SCANNERS - 1) / SCANNERS;
    const i64 first = threadIdx.x * share, last = min(first + share, s.blocks);
    i64 sum = 0;
    for (i64 i = first; i < last; ++i) sum += s.counts[i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int step = 1; step < SCANNERS; step <<= 1) {
        const i64 before = threadIdx.x >= step ? sums[threadIdx.x - step] : 0;
        __syncthreads();
        sums[threadIdx.x] += before;
        __syncthreads();
    }
    i64 before = sums[threadIdx.x] - sum;
    for (i64 i = first; i < last; ++i) {
        const i64 count = s.counts[i];
        s.counts[i] = before;
        before += count;
    }
    if (threadIdx.x) return;
    const i64 total = sums[SCANNERS - 1];
    s.counts[s.blocks] = *s.found = total;
    *s.kept = s.limit < 0 ? total : min(total, s.limit);
    if (s.limit >= 0 && total > s.limit) report(s.status, TOO_MANY);
}

// Rows that a limit leaves empty.
__device__ void blank(const Surface& s) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = 3 * *s.kept + (i64)blockIdx.x * blockDim.x + threadIdx.x; i < 3 * s.limit; i += step) {
        if (s.wide) ((double*)s.points)[i] = __longlong_as_double(0x7ff8000000000000ll);
        else ((float*)s.points)[i] = __uint_as_float(0x7fc00000u);
        if (s.normals) s.normals[i] = 0.0f;
        if (s.colors) s.colors[i] = 0.0f;
    }
}

extern "C" __global__ void __launch_bounds__(256) surface_write(const __grid_constant__ Surface s) {
    __shared__ u32 sums[2][WARPS];
    if (s.limit >= 0) blank(s);
    i64 to = s.counts[blockIdx.x];
    if (s.counts[blockIdx.x + 1] == to) return;
    const int warp = threadIdx.x / 32;
    const u32 below = (1u << (threadIdx.x & 31)) - 1;
    for (int round = 0; round < ROUNDS; ++round) {
        const Place p = place_of(s, ((i64)blockIdx.x * ROUNDS + round) * WARPS + warp);
        const u32 found = crossings(s, p);
        u32 count = 0, before = 0;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const u32 some = __ballot_sync(FULL, found >> axis & 1);
            count += __popc(some);
            before += __popc(some & below);
        }
        u32* const sum = sums[round & 1];
        if ((threadIdx.x & 31) == 0) sum[warp] = count;
        __syncthreads();
        i64 here = to + before;
        for (int other = 0; other < WARPS; ++other) {
            here += other < warp ? sum[other] : 0;
            to += sum[other];
        }
        for (int axis = 0; axis < 3; ++axis) {
            if (!(found >> axis & 1)) continue;
            if (s.limit < 0 || here < s.limit) write(s, p, axis, here);
            ++here;
        }
    }
}
