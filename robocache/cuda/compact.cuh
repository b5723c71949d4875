// What is kept of many items, in their order, in one pass (decoupled look-back, Merrill and Garland 2016).
//
// Blocks take tiles by a ticket, so all tiles before a block's own are under way. A block counts what it keeps, tells
// that to later ones, sums up what earlier ones told, and writes. The last block to end leaves the memory as it was.

#define KEEPERS 256  // threads of a block
constexpr int WARPS = KEEPERS / 32, ITEMS = sizeof(ACC_T) == 4 ? 8 : 4, TILE = KEEPERS * ITEMS;
constexpr u64 PARTIAL = 1ull << 62, PREFIX = 2ull << 62, VALUE = PARTIAL - 1;

struct Progress { u32 ticket, done; };  // zero between launches

struct Compact {  // packed by _compact.py; 8-byte fields only
    u32* status;  // none: only what there is is counted
    Progress* progress;
    u64* tiles;  // zero between launches: what each tile keeps (PARTIAL), or it and all before (PREFIX)
    i64* offsets;
    i64* kept;
    i64* found;
    i64* index;            // none: not wanted
    i64 count;             // tiles
    i64 rows;              // places in the result
    i64 items, per_cloud;  // per_cloud 0: the source finds the offsets itself
    i64 clouds;
};

// Kept items before this tile; warp 0 calls it, after the block has counted its own.
__device__ __forceinline__ u64 look_back(u64* tiles, i64 tile, u64 mine) {
    const int lane = threadIdx.x & 31;
    volatile u64* words = tiles;
    if (lane == 0) words[tile] = (tile ? PARTIAL : PREFIX) | mine;
    u64 before = 0;
    for (i64 last = tile - 1; last >= 0; last -= 32) {
        const i64 at = last - lane;
        u64 word = at >= 0 ? words[at] : PREFIX;
        while (__any_sync(FULL, word == 0))
            if (word == 0) word = words[at];
        const u32 whole = __ballot_sync(FULL, (word & PREFIX) != 0);
        const int stop = whole ? __ffs((i32)whole) - 1 : 31;
        u64 value = lane <= stop ? word & VALUE : 0;
#pragma unroll
        for (int far = 16; far; far >>= 1) value += __shfl_xor_sync(FULL, value, far);
        before += value;
        if (whole) break;
    }
    if (lane == 0 && tile) words[tile] = PREFIX | (before + mine);
    return before;
}

// Exclusive sums of the counts of the warps, item by item, by warp 0; the sum of all.
__device__ __forceinline__ u32 sum_warps(u32* counts) {
    const int lane = threadIdx.x & 31;
    u32 total = 0;
#pragma unroll
    for (int start = 0; start < ITEMS * WARPS; start += 32) {
        const u32 mine = counts[start + lane];
        u32 sum = mine;
#pragma unroll
        for (int up = 1; up < 32; up <<= 1) {
            const u32 lower = __shfl_up_sync(FULL, sum, up);
            if (lane >= up) sum += lower;
        }
        counts[start + lane] = total + sum - mine;
        total += __shfl_sync(FULL, sum, 31);
    }
    return total;
}

// source.look(i, &item) says whether item i is kept; source.write(place, i, item) writes it; source.end(job), called by
// the threads of the last block, sees all that was written.
template <class Source> __device__ __forceinline__ void compact(const Source& source, const Compact& job) {
    __shared__ u32 counts[ITEMS * WARPS], ticket, last;
    __shared__ u64 earlier;
    if (threadIdx.x == 0) ticket = atomicAdd(&job.progress->ticket, 1u);
    __syncthreads();
    const i64 tile = ticket;
    const u32 first = (u32)tile * TILE + threadIdx.x;  // items are fewer than 2**31
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    typename Source::Item item[ITEMS];
    u32 kept[ITEMS];
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const u32 i = first + k * KEEPERS;
        kept[k] = __ballot_sync(FULL, i < (u32)job.items && source.look(i, &item[k]));
        if (lane == 0) counts[k * WARPS + warp] = __popc(kept[k]);
    }
    __syncthreads();
    if (warp == 0) {
        const u32 mine = sum_warps(counts);
        const u64 before = look_back(job.tiles, tile, mine);
        if (lane == 0) {
            earlier = before;
            if (tile == job.count - 1) {
                const i64 found = before + mine;
                *job.found = found;
                *job.kept = min(found, job.rows);
                if (job.per_cloud) job.offsets[job.clouds] = min(found, job.rows);
                if (found > job.rows && job.status) report(job.status, TOO_MANY);
            }
        }
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < ITEMS; ++k) {
        const u32 i = first + k * KEEPERS;
        const i64 to = earlier + counts[k * WARPS + warp] + __popc(kept[k] & ((1u << lane) - 1));
        if (i < (u32)job.items && job.per_cloud) {
            const u32 cloud = i / (u32)job.per_cloud;
            if (cloud * (u32)job.per_cloud == i) job.offsets[cloud] = min(to, job.rows);
        }
        if (!(kept[k] >> lane & 1) || to >= job.rows) continue;
        if (job.index) job.index[to] = source.number(i);
        source.write(to, i, item[k]);
    }
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicAdd(&job.progress->done, 1u) == (u32)job.count - 1;
    __syncthreads();
    if (!last) return;
    __threadfence();
    source.end(job);
    for (i64 k = threadIdx.x; k < job.count; k += KEEPERS) job.tiles[k] = 0;
    if (threadIdx.x == 0) job.progress->ticket = job.progress->done = 0;
}

// A row of any type, in steps of `unit` bytes that divide it.
__device__ __forceinline__ void copy_row(const char* from, char* to, i64 bytes, i64 unit) {
    if (unit == 8)
        for (i64 b = 0; b < bytes; b += 8) *(u64*)(to + b) = *(const u64*)(from + b);
    else if (unit == 4)
        for (i64 b = 0; b < bytes; b += 4) *(u32*)(to + b) = *(const u32*)(from + b);
    else if (unit == 2)
        for (i64 b = 0; b < bytes; b += 2) *(u16*)(to + b) = *(const u16*)(from + b);
    else
        for (i64 b = 0; b < bytes; ++b) to[b] = from[b];
}

struct Carried {  // features; from: none
    const char* from;
    char* to;
    i64 bytes, unit;

    __device__ __forceinline__ void copy(i64 source, i64 place) const {
        if (from) copy_row(from + source * bytes, to + place * bytes, bytes, unit);
    }
};
