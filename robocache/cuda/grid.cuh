// What the blocks of one cooperative launch do together: wait for one another, and number things.

#define THREADS 448
#define WARPS 14
#define ITEMS 4            // neighbouring items a thread numbers at a time

// Every block waits until all have come here and sees what they wrote. What the blocks add is one half of the range in
// all, so the top bit turns when the last one comes, and the others are zero again: for the next time, or the next
// launch, whatever its blocks. `arrived` is zero before its first use.
__device__ __forceinline__ void wait_for_all(u32* arrived) {
    __syncthreads();
    if (gridDim.x > 1) {
        if (threadIdx.x == 0) {
            __threadfence();
            const u32 before = atomicAdd(arrived, blockIdx.x ? 1u : 0x80000001u - gridDim.x);
            while (!((*(volatile u32*)arrived ^ before) >> 31)) {}
            __threadfence();
        }
        __syncthreads();
    }
}

struct alignas(16) Pair { u64 a, b; };
struct alignas(16) Quad { u32 a, b, c, d; };

// Fills memory with a pattern that begins at multiples of 8 bytes. Not inlined: the caller has no registers to spare.
__device__ __noinline__ void wipe(char* start, i64 bytes, u64 pattern) {
    const i64 thread = blockIdx.x * (i64)blockDim.x + threadIdx.x, threads = gridDim.x * (i64)blockDim.x;
    const i64 head = min((i64)(-(u64)start & 15), bytes), whole = (bytes - head) >> 4;
    const Pair value = {pattern, pattern};
    for (i64 i = thread; i < whole; i += threads) ((Pair*)(start + head))[i] = value;
    for (i64 i = thread; i < bytes - 16 * whole; i += threads) {  // fewer than 32 bytes before and after those
        char* at = start + (i < head ? i : i + 16 * whole);
        *at = (char)(pattern >> 8 * ((u64)at & 7));
    }
}

// Inclusive sum over the block; `total` is that of all threads. `room` holds WARPS values in shared memory.
template <class T> __device__ __forceinline__ T block_scan(T value, u64* room, T* total) {
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
        sum += (T)room[w];
    }
    *total = sum;
    return value;
}

// items.put(i, sum of items.get(k) for k < i, items.get(i)) for all i < count; the sum of all. get_all gets ITEMS of
// them from a multiple of ITEMS on, and note takes as many, and the sum before them, from whole warps. Waits once, in the
// middle: what put and note write needs another wait before other blocks may read it. T is the type of the sums.
template <class T, class Items>
__device__ __forceinline__ T number_items(const Items& items, i64 count, u64* partials, u64* room, u32* arrived) {
    const i64 tile = THREADS * ITEMS, tiles = divide(count + tile - 1, tile);
    const i64 share = divide(tiles + gridDim.x - 1, gridDim.x) * tile;
    const i64 first = min(share * blockIdx.x, count), last = min(first + share, count);
    T mine = 0, all;
    for (i64 i = first + threadIdx.x; i < last; i += THREADS) mine += items.get(i);
    block_scan<T>(mine, room, &all);
    if (threadIdx.x == 0) partials[blockIdx.x] = all;
    wait_for_all(arrived);
    T before = 0, total = 0;
    for (u32 block = threadIdx.x; block < gridDim.x; block += THREADS) {
        const T sum = (T)partials[block];
        total += sum;
        if (block < blockIdx.x) before += sum;
    }
    block_scan<T>(before, room, &before);
    block_scan<T>(total, room, &total);
    for (i64 start = first; start < last; start += tile) {
        T value[ITEMS];
        const bool whole = start + threadIdx.x * ITEMS + ITEMS <= last;
        if (whole) items.get_all(start + threadIdx.x * ITEMS, value);
        mine = 0;
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const i64 i = start + threadIdx.x * ITEMS + k;
            if (!whole) value[k] = i < last ? items.get(i) : 0;
            mine += value[k];
        }
        T sum = before + block_scan<T>(mine, room, &all) - mine;
        items.note(start + threadIdx.x * ITEMS, last, value, sum);
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) {
            const i64 i = start + threadIdx.x * ITEMS + k;
            if (i < last) items.put(i, sum, value[k]);
            sum += value[k];
        }
        before += all;
    }
    return total;
}

// A call has fewer than 2**31 points, so a point and the next ones of its thread are numbered by u32.
__device__ __forceinline__ u32 first_item() { return blockIdx.x * THREADS + threadIdx.x; }
__device__ __forceinline__ u32 all_threads() { return gridDim.x * THREADS; }

template <class T> __device__ __forceinline__ void fill(T* array, i64 count, T value) {
    for (i64 i = first_item(); i < count; i += all_threads()) array[i] = value;
}

// Lanes beside each other with one number: the lane that speaks for this one, and how many it speaks for.
struct Run { u32 head, size; };
__device__ __forceinline__ Run run_of(u32 number) {
    const u32 lane = threadIdx.x & 31;
    const u32 heads = __ballot_sync(FULL, __shfl_up_sync(FULL, number, 1) != number || lane == 0);
    const u32 later = lane == 31 ? 0 : heads >> (lane + 1);
    return {(u32)(31 - __clz((i32)(heads & (FULL >> (31 - lane))))), later ? (u32)__ffs((i32)later) : 32 - lane};
}

// Places of COUNT points among those of their cell or voxel (FULL: none), whose points `counts` counts.
template <int COUNT>
__device__ __forceinline__ void take_places(u32* counts, const u32* number, u32* place) {
    Run run[COUNT];
#pragma unroll
    for (int k = 0; k < COUNT; ++k) {
        run[k] = run_of(number[k]);
        const bool speaks = run[k].head == (threadIdx.x & 31) && number[k] != FULL;
        place[k] = speaks ? atomicAdd(counts + number[k], run[k].size) : 0;
    }
#pragma unroll
    for (int k = 0; k < COUNT; ++k)
        place[k] = __shfl_sync(FULL, place[k], run[k].head) + (threadIdx.x & 31) - run[k].head;
}
