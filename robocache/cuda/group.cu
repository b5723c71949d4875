// Equal keys to voxel numbers: a stable radix sort of (key, point), 8 bits a pass, then numbering of the runs.
// Nothing here is known to the host: passes past plan->bits return at once, and readers pick the buffer that the
// last real pass wrote. INDEX_T (u32 or u64) holds a point number.

#include "common.cuh"

#define THREADS 256
#define WARPS 8
#define ITEMS 8
#define TILE 2048          // THREADS * ITEMS: what one block sorts or numbers at a time
#define FULL 0xffffffffu

template <class T> __device__ __forceinline__ const T* sorted(const KeyPlan* plan, const T* a, const T* b) {
    return ((plan->bits + 7) / 8) & 1 ? b : a;
}

// Inclusive sum over the block; `total` is that of all threads. `room` holds WARPS values.
template <class T> __device__ __forceinline__ T block_scan(T value, T* room, T* total) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
    for (int up = 1; up < 32; up <<= 1) {
        const T below = __shfl_up_sync(FULL, value, up);
        if (lane >= up) value += below;
    }
    __syncthreads();  // the room may still be read by the previous call
    if (lane == 31) room[warp] = value;
    __syncthreads();
    T sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; ++w) {
        if (w == warp) value += sum;
        sum += room[w];
    }
    *total = sum;
    return value;
}

// counts[digit][tile] of one pass.
extern "C" __global__ void __launch_bounds__(THREADS)
    group_radix_count(const i64* a, const i64* b, const KeyPlan* plan, i64 total, i64 tiles, i64 shift,
                      INDEX_T* counts) {
    if (shift >= plan->bits) return;
    __shared__ u32 bins[256];
    const i64* keys = (shift >> 3) & 1 ? b : a;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        bins[threadIdx.x] = 0;
        __syncthreads();
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const i64 j = tile * TILE + k * THREADS + threadIdx.x;
            if (j < total) atomicAdd(bins + ((keys[j] >> shift) & 255), 1u);
        }
        __syncthreads();
        counts[(i64)threadIdx.x * tiles + tile] = bins[threadIdx.x];
    }
}

// Each block turns its row of counts into sums of what is before; totals[row] is the sum of all.
extern "C" __global__ void __launch_bounds__(THREADS)
    group_scan(INDEX_T* counts, i64 tiles, const KeyPlan* plan, i64 shift, i64* totals) {
    if (shift >= plan->bits) return;
    __shared__ INDEX_T room[WARPS];
    INDEX_T* row = counts + (i64)blockIdx.x * tiles;
    INDEX_T before = 0;
    for (i64 start = 0; start < tiles; start += THREADS) {
        const i64 tile = start + threadIdx.x;
        const INDEX_T count = tile < tiles ? row[tile] : (INDEX_T)0;
        INDEX_T all;
        const INDEX_T upto = block_scan<INDEX_T>(count, room, &all);
        if (tile < tiles) row[tile] = before + upto - count;
        before += all;
    }
    if (threadIdx.x == 0) totals[blockIdx.x] = (i64)before;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    group_radix_scatter(i64* a, i64* b, INDEX_T* index_a, INDEX_T* index_b, const KeyPlan* plan, i64 total, i64 tiles,
                        i64 shift, const INDEX_T* counts, const i64* totals) {
    if (shift >= plan->bits) return;
    __shared__ INDEX_T slot[WARPS][256];
    __shared__ INDEX_T room[WARPS];
    const bool odd = (shift >> 3) & 1;
    const i64* keys = odd ? b : a;
    const INDEX_T* index = odd ? index_b : index_a;
    i64* keys_out = odd ? a : b;
    INDEX_T* index_out = odd ? index_a : index_b;
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    const u32 below = (1u << lane) - 1;
    INDEX_T all;
    const INDEX_T mine = (INDEX_T)totals[threadIdx.x];
    const INDEX_T base = block_scan<INDEX_T>(mine, room, &all) - mine;  // where the digit of this thread starts
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
#pragma unroll
        for (int w = 0; w < WARPS; ++w) slot[w][threadIdx.x] = 0;
        __syncthreads();
        const i64 first = tile * TILE + warp * (TILE / WARPS) + lane;
        i64 key[ITEMS];
        u32 rank[ITEMS];
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {  // a warp walks its stretch in order: ranks keep the sort stable
            const i64 j = first + k * 32;
            const bool valid = j < total;
            key[k] = valid ? keys[j] : 0;
            const u32 digit = valid ? (u32)(key[k] >> shift) & 255 : 256;
            const u32 same = __match_any_sync(FULL, digit);
            const u32 before = valid ? (u32)slot[warp][digit] : 0;
            __syncwarp();
            rank[k] = before + __popc(same & below);
            if (valid && !(same & below)) slot[warp][digit] = before + __popc(same);
            __syncwarp();
        }
        __syncthreads();
        INDEX_T sum = base + counts[(i64)threadIdx.x * tiles + tile];
#pragma unroll
        for (int w = 0; w < WARPS; ++w) {
            const INDEX_T count = slot[w][threadIdx.x];
            slot[w][threadIdx.x] = sum;
            sum += count;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const i64 j = first + k * 32;
            if (j >= total) continue;
            const i64 to = (i64)(slot[warp][(key[k] >> shift) & 255] + rank[k]);
            keys_out[to] = key[k];
            index_out[to] = shift ? index[j] : (INDEX_T)j;
        }
        __syncthreads();
    }
}

// flags[j]: a voxel's run starts here. first[p], if wanted: point p is the first of its voxel. Sums a tile.
extern "C" __global__ void __launch_bounds__(THREADS)
    group_heads(const i64* a, const i64* b, const INDEX_T* index_a, const INDEX_T* index_b, KeyPlan* plan, i64 total,
                i64 tiles, u8* flags, u8* first, INDEX_T* sums) {
    const i64* keys = sorted(plan, a, b);
    const INDEX_T* index = sorted(plan, index_a, index_b);
    const i64 limit = plan->limit;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        int heads = 0;
        for (int k = 0; k < ITEMS; ++k) {
            const i64 j = tile * TILE + k * THREADS + threadIdx.x;
            const bool real = j < total && keys[j] < limit;
            const bool head = real && (j == 0 || keys[j - 1] != keys[j]);
            heads += __syncthreads_count(head);
            if (j < total) flags[j] = head;
            if (real && (j + 1 == total || keys[j + 1] >= limit)) plan->ended = j + 1;
            if (head && first) first[index[j]] = 1;
        }
        if (threadIdx.x == 0) sums[tile] = (INDEX_T)heads;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    group_count_flags(const u8* flags, i64 total, i64 tiles, INDEX_T* sums) {
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        int set = 0;
        for (int k = 0; k < ITEMS; ++k) {
            const i64 j = tile * TILE + k * THREADS + threadIdx.x;
            set += __syncthreads_count(j < total && flags[j]);
        }
        if (threadIdx.x == 0) sums[tile] = (INDEX_T)set;
    }
}

// Flags before this thread's ITEMS neighbouring items, which start at tile * TILE + threadIdx.x * ITEMS.
__device__ __forceinline__ i64 flags_before(const u8* flags, i64 total, i64 tile, const INDEX_T* sums, u32* room) {
    u32 mine = 0, all;
    for (int k = 0; k < ITEMS; ++k) {
        const i64 j = tile * TILE + threadIdx.x * ITEMS + k;
        if (j < total) mine += flags[j];
    }
    return (i64)sums[tile] + (i64)(block_scan<u32>(mine, room, &all) - mine);
}

// inverse[p] = voxel of p in sorted order; starts[v] = where its run starts.
extern "C" __global__ void __launch_bounds__(THREADS)
    group_label(const INDEX_T* index_a, const INDEX_T* index_b, const KeyPlan* plan, i64 total, i64 tiles,
                const u8* flags, const INDEX_T* sums, i64 rows, i64 starts_size, i64* inverse, INDEX_T* starts) {
    __shared__ u32 room[WARPS];
    const INDEX_T* index = sorted(plan, index_a, index_b);
    const i64 ended = plan->ended;
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        i64 id = flags_before(flags, total, tile, sums, room) - 1;
#pragma unroll 2  // eight at once would spill registers
        for (int k = 0; k < ITEMS; ++k) {
            const i64 j = tile * TILE + threadIdx.x * ITEMS + k;
            if (j >= total) break;
            id += flags[j];
            inverse[index[j]] = j < ended && id < rows ? id : -1;
            if (flags[j] && id < starts_size) starts[id] = (INDEX_T)j;
        }
    }
}

// rank[v] = place of sorted voxel v among the voxels in order of their first points.
extern "C" __global__ void __launch_bounds__(THREADS)
    group_rank(const u8* first, i64 total, i64 tiles, const INDEX_T* sums, const i64* inverse, INDEX_T* rank) {
    __shared__ u32 room[WARPS];
    for (i64 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        i64 id = flags_before(first, total, tile, sums, room);
        for (int k = 0; k < ITEMS; ++k) {
            const i64 p = tile * TILE + threadIdx.x * ITEMS + k;
            if (p < total && first[p]) rank[inverse[p]] = (INDEX_T)id++;
        }
    }
}

extern "C" __global__ void group_renumber(i64 total, i64 rows, const INDEX_T* rank, i64* inverse) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 p = (i64)blockIdx.x * blockDim.x + threadIdx.x; p < total; p += step) {
        const i64 v = inverse[p];
        if (v >= 0) inverse[p] = (i64)rank[v] < rows ? (i64)rank[v] : -1;
    }
}

// What belongs to a voxel: coordinates, count; to a cloud: where its voxels start; and how many there are.
extern "C" __global__ void group_rows(const i64* a, const i64* b, const KeyPlan* plan, const INDEX_T* starts,
                                      const INDEX_T* rank, i64 rows, i64 clouds, i32* coords, i32* counts, i64* offsets,
                                      i64* kept_out, i64* found_out, u32* status) {
    const i64* keys = sorted(plan, a, b);
    const i64 found = plan->found, kept = min(found, rows), known = rank ? found : kept;
    const i64 step = (i64)gridDim.x * blockDim.x, me = (i64)blockIdx.x * blockDim.x + threadIdx.x;
    const u64 nx = plan->extent[0], ny = plan->extent[1], nz = plan->extent[2];
    for (i64 v = me; v < known; v += step) {
        const i64 row = rank ? (i64)rank[v] : v;
        if (row >= rows) continue;
        u64 key = (u64)keys[starts[v]];
        coords[row * 3 + 2] = (i32)((i64)(key % nz) + plan->base[2]);
        key /= nz;
        coords[row * 3 + 1] = (i32)((i64)(key % ny) + plan->base[1]);
        key /= ny;
        coords[row * 3] = (i32)((i64)(key % nx) + plan->base[0]);
        counts[row] = (i32)((v + 1 < found ? (i64)starts[v + 1] : plan->ended) - (i64)starts[v]);
    }
    for (i64 row = kept + me; row < rows; row += step) {
        coords[row * 3] = coords[row * 3 + 1] = coords[row * 3 + 2] = -1;
        counts[row] = 0;
    }
    for (i64 cloud = me; cloud <= clouds; cloud += step) {
        const i64 least = plan->overflow ? 0 : cloud * (i64)(nx * ny * nz);
        i64 low = 0, high = known;  // the first voxel whose key is not below the cloud's
        while (low < high) {
            const i64 middle = (low + high) >> 1;
            if (keys[starts[middle]] < least) low = middle + 1;
            else high = middle;
        }
        offsets[cloud] = min(low, kept);
    }
    if (me == 0) {
        *kept_out = kept;
        *found_out = found;
        if (found > rows) report(status, TOO_MANY);
    }
}
