// Farthest points. A group of blocks belongs to one cloud at a time, and each block to a share of its points: their
// coordinates in shared memory and their distances in registers, as far as there is room, the rest in global memory.
// A group of several blocks is a part of a cooperative launch.

#include "common.cuh"
#include "cells.cuh"

#define ALONE_THREADS 1024
#define TOGETHER_THREADS 512  // which leaves them more registers
enum { HELD = sizeof(ACC_T) == 4 ? 16 : 8 };  // distances a thread keeps

// Bits of squared distances, which grow with them; those of picks and of points that are not finite are -1.
template <class A> struct Coded;
template <> struct Coded<float> {
    typedef i32 Code;
    static __device__ __forceinline__ Code of(float a) { return (i32)__float_as_uint(a); }
    static __device__ __forceinline__ Code infinite() { return 0x7f800000; }
};
template <> struct Coded<double> {
    typedef i64 Code;
    static __device__ __forceinline__ Code of(double a) { return __double_as_longlong(a); }
    static __device__ __forceinline__ Code infinite() { return 0x7ff0000000000000ll; }
};
typedef Coded<ACC_T>::Code Code;

__device__ __forceinline__ float mul_ieee(float a, float b) {
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ double mul_ieee(double a, double b) { return __dmul_rn(a, b); }

struct Call {
    const POINT_T* points;
    u32* status;
    i64* picks;
    const void* starts;    // null: `start` for all
    u64* slots;            // of groups of several blocks: [group][2][block][WORDS], zeros at first
    Code* far;             // of points that no block holds
    i64 k, start, wide, repeat, group, held;  // wide: starts are i64; group: blocks of one; held: points a block holds
    Cloud cloud;
};  // packed by _CALL in sampling.py

struct Pick {
    Code code;
    u32 index, unused;  // a point's number in all clouds
    ACC_T at[3];
};
#define WORDS (sizeof(Pick) / 4)

__device__ __forceinline__ Code square(ACC_T x, ACC_T y, ACC_T z, const ACC_T* at) {
    const ACC_T dx = sub_ieee(x, at[0]), dy = sub_ieee(y, at[1]), dz = sub_ieee(z, at[2]);
    return Coded<ACC_T>::of(add_ieee(add_ieee(mul_ieee(dx, dx), mul_ieee(dy, dy)), mul_ieee(dz, dz)));
}

// Largest and least number of a warp.
__device__ __forceinline__ i32 warp_most(i32 a) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __reduce_max_sync(FULL, a);
#else
    for (int lane = 16; lane; lane >>= 1) a = max(a, __shfl_xor_sync(FULL, a, lane));
    return a;
#endif
}
__device__ __forceinline__ u32 warp_least(u32 a) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    return __reduce_min_sync(FULL, a);
#else
    for (int lane = 16; lane; lane >>= 1) a = min(a, __shfl_xor_sync(FULL, a, lane));
    return a;
#endif
}
__device__ __forceinline__ i64 warp_most(i64 a) {
    const i32 high = warp_most((i32)(a >> 32));
    const u32 low = ~warp_least((i32)(a >> 32) == high ? ~(u32)a : FULL);
    return (i64)((u64)(u32)high << 32 | low);
}
// The farthest of the lanes' points, of equal ones that with the lowest index.
__device__ __forceinline__ void warp_pick(Code* code, u32* index) {
    const Code most = warp_most(*code);
    *index = warp_least(*code == most ? *index : FULL);
    *code = most;
}

// A block tells the others of its group which point of its share is farthest, and learns which is of all. Each word
// carries the number of the round, so that whoever has read it knows that it is there; a block writes where it wrote
// two rounds ago, when all have read that. Called by one warp; `room` is for what all have said,
// and this one.
__device__ __forceinline__ void exchange(const Call& w, u32 round, const Pick& mine, u32* room, Pick* chosen) {
    const u32 group = (u32)w.group, lane = threadIdx.x & 31;
    volatile u64* slots = w.slots + (blockIdx.x / group * 2 + (round & 1)) * group * WORDS;
    if (lane == 0) *(Pick*)(room + group * WORDS) = mine;
    __syncwarp();
    if (lane < WORDS) slots[blockIdx.x % group * WORDS + lane] = (u64)round << 32 | room[group * WORDS + lane];
    __syncwarp();  // no lane may wait before this block has spoken
    for (u32 k = lane; k < group * WORDS; k += 32) {
        u64 word;
        do word = slots[k];
        while ((u32)(word >> 32) != round);
        room[k] = (u32)word;
    }
    __syncwarp();
    const Pick* said = (const Pick*)room;
    Code code = -1;
    u32 index = FULL, who = 0;
    for (u32 k = lane; k < group; k += 32)
        if (said[k].code > code || (said[k].code == code && said[k].index < index))
            code = said[k].code, index = said[k].index, who = k;
    const u32 own = index;
    warp_pick(&code, &index);
    if (own == index) *chosen = said[who];  // all who do write the same
}

__device__ __forceinline__ i64 start_of(const Call& w, i64 cloud) {
    if (!w.starts) return w.start;
    return w.wide ? ((const i64*)w.starts)[cloud] : (i64)((const i32*)w.starts)[cloud];
}

// Points of a block's share, [first, first + size) of all points.
struct Share {
    const Call& w;
    ACC_T *x, *y, *z;
    u32 first, size;
    Code codes[HELD];

    __device__ __forceinline__ Code read(u32 i, ACC_T* p) const {
        load_point(w.points, w.cloud.rows, first + i, p);
        return is_finite(p[0]) && is_finite(p[1]) && is_finite(p[2]) ? Coded<ACC_T>::infinite() : -1;
    }
    __device__ __forceinline__ void take(Code code, u32 i, Code* best, u32* which) const {
        if (code > *best) *best = code, *which = first + i;
    }
    // The point from which all starts has the largest code.
    __device__ __forceinline__ void load(u32 start, Code* best, u32* which) {
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            const u32 i = k * blockDim.x + threadIdx.x;
            ACC_T p[3];
            codes[k] = -1;
            if (i < min(size, (u32)w.held)) {
                codes[k] = read(i, p);
                x[i] = p[0], y[i] = p[1], z[i] = p[2];
                take(codes[k] + (codes[k] >= 0 && first + i == start), i, best, which);
            }
        }
        for (u32 i = (u32)w.held + threadIdx.x; i < size; i += blockDim.x) {
            ACC_T p[3];
            const Code code = w.far[first + i] = read(i, p);
            take(code + (code >= 0 && first + i == start), i, best, which);
        }
    }
    __device__ __forceinline__ void approach(const Pick& pick, Code* best, u32* which) {
        const u32 picked = pick.index - first;
#pragma unroll
        for (int k = 0; k < HELD; ++k) {
            if (k * blockDim.x >= min(size, (u32)w.held)) break;
            const u32 i = k * blockDim.x + threadIdx.x;
            const Code code = min(codes[k], square(x[i], y[i], z[i], pick.at));
            codes[k] = codes[k] < 0 || i == picked ? -1 : code;
            take(codes[k], i, best, which);
        }
        for (u32 i = (u32)w.held + threadIdx.x; i < size; i += blockDim.x) {
            Code code = w.far[first + i];
            if (code < 0) continue;
            ACC_T p[3];
            read(i, p);
            code = i == picked ? -1 : min(code, square(p[0], p[1], p[2], pick.at));
            w.far[first + i] = code;
            take(code, i, best, which);
        }
    }
    __device__ __forceinline__ void coordinates(u32 index, ACC_T* at) const {
        const u32 i = index - first;
        if (i < w.held) at[0] = x[i], at[1] = y[i], at[2] = z[i];
        else load_point(w.points, w.cloud.rows, index, at);
    }
};

// Picks of a cloud until there are k or no point is left; how many there are.
template <bool TOGETHER>
__device__ __forceinline__ u32 pick_all(const Call& w, Share& share, u32 start, u32 base, i64* picks, u32* round) {
    __shared__ Code codes[2][32];
    __shared__ u32 indices[2][32];
    __shared__ Pick chosen;
    const u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    Code code = -1;
    u32 index = FULL;
    share.load(start, &code, &index);
    for (u32 j = 0; j < w.k; ++j) {
        warp_pick(&code, &index);
        Code* of = codes[++*round & 1];
        u32* number = indices[*round & 1];
        if (lane == 0) of[warp] = code, number[warp] = index;
        __syncthreads();
        Pick pick;
        pick.code = lane < warps ? of[lane] : -1;
        pick.index = lane < warps ? number[lane] : FULL;
        pick.unused = 0;
        warp_pick(&pick.code, &pick.index);
        if (pick.code >= 0) share.coordinates(pick.index, pick.at);
        else pick.at[0] = pick.at[1] = pick.at[2] = 0;
        if (TOGETHER) {
            if (warp == 0) exchange(w, *round, pick, (u32*)(share.z + w.held), &chosen);
            __syncthreads();
            pick = chosen;
        }
        if (pick.code < 0) return j;
        if (picks && threadIdx.x == 0) picks[j] = (i64)(pick.index - base);
        code = -1, index = FULL;
        share.approach(pick, &code, &index);
    }
    return (u32)w.k;
}

template <bool TOGETHER> __device__ __forceinline__ void pick_clouds(const Call& w, uint4* memory) {
    const Rows& rows = w.cloud.rows;
    check_extent(rows, w.status);
    const u32 group = blockIdx.x / (u32)w.group, groups = gridDim.x / (u32)w.group;
    const u32 member = blockIdx.x % (u32)w.group;
    u32 round = 0;
    for (i64 cloud = group; cloud < rows.clouds; cloud += groups) {
        const i64 count = given_points(rows, cloud), start = start_of(w, cloud);
        const i64 first = rows.mode == 2 ? max(extent_at(rows, cloud), 0ll) : cloud * rows.per_cloud;
        const i64 each = ((u32)count + (u32)w.group - 1) / (u32)w.group, begin = min(each * member, count);
        const bool wrong = count > 0 && (start < 0 || start >= count);
        i64* picks = member == 0 ? w.picks + cloud * w.k : 0;
        Share share = {w,
                       (ACC_T*)memory,
                       (ACC_T*)memory + w.held,
                       (ACC_T*)memory + 2 * w.held,
                       (u32)(first + begin),
                       (u32)(min(begin + each, count) - begin)};
        __syncthreads();  // the last cloud's points are no longer needed
        const u32 base = rows.mode == 2 ? 0 : (u32)first;
        const u32 made =
            count == 0 || wrong ? 0 : pick_all<TOGETHER>(w, share, (u32)(first + start), base, picks, &round);
        if (!picks) continue;
        if (wrong && threadIdx.x == 0) report(w.status, OUT_OF_RANGE);
        if (!wrong && made == 0 && w.k && w.repeat && threadIdx.x == 0) report(w.status, NOTHING);
        __syncthreads();
        for (u32 j = made + threadIdx.x; j < w.k; j += blockDim.x) picks[j] = made && w.repeat ? picks[j % made] : -1;
    }
}

extern "C" __global__ void __launch_bounds__(ALONE_THREADS, 1) sampling_alone(const Call w) {
    extern __shared__ uint4 memory[];
    pick_clouds<false>(w, memory);
}
extern "C" __global__ void __launch_bounds__(TOGETHER_THREADS, 1) sampling_together(const Call w) {
    extern __shared__ uint4 memory[];
    pick_clouds<true>(w, memory);
}
