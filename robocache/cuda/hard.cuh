// What the launches of hard.cu share, and what threads of theirs do together. After pick.cuh and compact.cuh.

#define NONE 0xffffffffu
#define NOWHERE EMPTY      // of a point that has no cell
#define CROWD 64           // points of a list that each count for themselves, or as many as there are places
#define THINNED 4          // ranks of a long list that a thread has under way
#define NARROW 8           // units of a row that one thread copies
constexpr int BIN_BITS = sizeof(ACC_T) == 4 ? 6 : 5;  // of ITEMS * WARPS bins
// Blocks of some of the launches that a multiprocessor has registers for.
constexpr int FINDERS = sizeof(ACC_T) == 8 ? 4 : sizeof(POINT_T) == 2 ? 6 : 8, LISTERS = sizeof(ACC_T) == 8 ? 4 : 6;
constexpr int PLACERS = 6;

struct alignas(16) Slot {  // of the table; the first two words NONE: free
    u32 first;             // point of the cell
    u32 voxel;             // lower half of the cell's key at first
    u32 count, start;      // points, and where they begin in the list
};
struct State { u32 ticket, done, crowds, more; };

static_assert(sizeof(Slot) == 16 && sizeof(State) == 16, "SLOT and STATE of hard.py");

struct Hard {              // packed by hard.py; 8-byte fields only
    const POINT_T* points;
    const char* features;
    u32* status;
    State* state;
    Slot* table;
    u64* where;            // of a point: slot << 32 | place in the list of the voxel
    u64* list;             // ranks
    u64* tiles;            // for look_back
    u32* crowds;           // slots with long lists
    i64* edges;            // of clouds among all voxels, those that are cut too
    i64 *offsets, *kept, *dropped, *cut_points, *cut_voxels, *inverse;
    char* voxels;
    i32 *coords, *num;
    i64 limit, places, rows, backwards, batched;
    u64 factor;            // a key times this, above `shift`, is where its slot is looked for
    i64 shift, slots, wide, count;  // wide: keys of more than 32 bits; count: tiles
    i64 inner, stride_outer, stride_inner;  // of rows of features, in bytes
    i64 bytes, units;      // of all voxels, of a row
    Choice choice;
    Cloud cloud;
};

__device__ __forceinline__ u32 this_item() { return blockIdx.x * (u32)KEEPERS + threadIdx.x; }
__device__ __forceinline__ u32 lanes_below() { return (1u << (threadIdx.x & 31)) - 1; }

// Adds what each thread has for a cloud to the numbers of clouds; nearly all of a block are in one. All threads come.
__device__ __forceinline__ void add_up(i64* numbers, i64 cloud, u32 mine, bool negative) {
    __shared__ i64 home;
    __shared__ u32 sum;
    if (threadIdx.x == 0) {
        home = cloud;
        sum = 0;
    }
    __syncthreads();
    const bool here = cloud == home;
    u32 common = here ? mine : 0;
#pragma unroll
    for (int lane = 16; lane; lane >>= 1) common += __shfl_xor_sync(FULL, common, lane);
    if ((threadIdx.x & 31) == 0 && common) atomicAdd(&sum, common);
    if (!here && mine) atomicAdd((u64*)numbers + cloud, negative ? 0 - (u64)mine : (u64)mine);
    __syncthreads();
    if (threadIdx.x == 0 && sum) atomicAdd((u64*)numbers + home, negative ? 0 - (u64)sum : (u64)sum);
}

__device__ __forceinline__ i64 key_of(const Cloud& w, i64 cloud, const ACC_T* p) {
    i32 cell[3];
    if (!cell_of(p, w.grid, cell)) return -1;
    return ((cloud * w.grid.shape[0] + cell[0]) * w.grid.shape[1] + cell[1]) * w.grid.shape[2] + cell[2];
}

__device__ __forceinline__ bool has_key(const Hard& w, u32 i, i64 key) {
    ACC_T p[3];
    load_point(w.points, w.cloud.rows, i, p);
    return key_of(w.cloud, cloud_of(w.cloud.rows, i), p) == key;
}

// The slot of a key. Keys of 32 bits are told apart by the slot, others by its point too, which every thread can read.
__device__ __forceinline__ u32 slot_of(const Hard& w, i64 key, u32 i) {
    const u64 mine = (u64)(u32)key << 32 | i;
    for (u32 slot = (u32)((u64)key * w.factor >> w.shift);; slot = (slot + 1) & (u32)(w.slots - 1)) {
        u64* entry = (u64*)(w.table + slot);
        u64 held = *(volatile u64*)entry;
        if (held == EMPTY) held = atomicCAS(entry, EMPTY, mine);
        if (held == EMPTY) return slot;
        if (held >> 32 != (u32)key) continue;
        if (w.wide && !has_key(w, (u32)held, key)) continue;
        if ((u32)held > i) atomicMin(entry, mine);
        return slot;
    }
}

// Where the rows of each cloud begin, and what was cut; of the points, those that stay are taken off later. One warp.
__device__ __forceinline__ void cut_clouds(const Hard& w) {
    const Rows& rows = w.cloud.rows;
    const int lane = threadIdx.x & 31;
    const volatile i64* edges = w.edges;
    i64 before = 0;
    for (i64 first = 0; first < rows.clouds; first += 32) {
        const i64 cloud = first + lane;
        const i64 found = cloud < rows.clouds ? max(edges[cloud + 1] - edges[cloud], 0ll) : 0;
        const i64 stay = min(found, w.limit);
        i64 sum = stay;
#pragma unroll
        for (int up = 1; up < 32; up <<= 1) {
            const i64 lower = __shfl_up_sync(FULL, sum, up);
            if (lane >= up) sum += lower;
        }
        if (cloud < rows.clouds) {
            w.offsets[cloud + 1] = before + sum;
            w.cut_voxels[cloud] = found - stay;
            w.cut_points[cloud] = given_points(rows, cloud) - w.dropped[cloud];
        }
        before += __shfl_sync(FULL, sum, 31);
    }
    if (lane == 0) {
        w.offsets[0] = 0;
        *w.kept = before;
    }
}

// The row of a voxel, or -1 for one that is cut. Wrong extents leave no order that could be relied on.
__device__ __forceinline__ i64 row_of(const Hard& w, i64 cloud, u32 voxel) {
    const i64 first = w.offsets[cloud], place = (i64)voxel - w.edges[cloud];
    return place >= 0 && place < w.offsets[cloud + 1] - first ? first + place : -1;
}

// Features of point i become a row of the voxels; -1: none does. All lanes of a warp come.
template <class Unit> __device__ __forceinline__ void put(const Hard& w, u32 i, i64 row) {
    const u32 outer = i / (u32)w.inner;
    const char* from = w.features + outer * w.stride_outer + (i - outer * (u32)w.inner) * w.stride_inner;
    constexpr int EACH = sizeof(Unit) > 4 ? 16 / sizeof(Unit) : 4;  // units under way at once
    const int units = (int)w.units, lane = threadIdx.x & 31;
    Unit* to = (Unit*)w.voxels + row * units;
    if (units <= NARROW) {
#pragma unroll 1
        for (int start = 0; start < units && row >= 0; start += EACH) {
            Unit unit[EACH];
#pragma unroll
            for (int k = 0; k < EACH; ++k)
                if (start + k < units) unit[k] = ((const Unit*)from)[start + k];
#pragma unroll
            for (int k = 0; k < EACH; ++k)
                if (start + k < units) to[start + k] = unit[k];
        }
        return;
    }
#pragma unroll 1
    for (u32 rest = __ballot_sync(FULL, row >= 0); rest; rest &= rest - 1) {  // a row after the other
        const int next = __ffs((i32)rest) - 1;
        const Unit* source = (const Unit*)__shfl_sync(FULL, (u64)from, next);
        Unit* target = (Unit*)__shfl_sync(FULL, (u64)to, next);
#pragma unroll 1
        for (int k = lane; k < units; k += 32) target[k] = source[k];
    }
}

// How many of a list rank below `mine`; no more are of interest than `most`.
__device__ __forceinline__ u32 below(const u64* list, u32 count, u64 mine, i64 most) {
    u32 found = 0;
    for (u32 start = 0; start < count && found < most; start += 4) {
#pragma unroll
        for (u32 k = start; k < start + 4; ++k) found += k < count && list[k] < mine;
    }
    return found;
}

struct Room {
    u64 low, high;
    u32 stay, bins[ITEMS * WARPS];
};

// Of a long list, what is in bins below which there are enough goes; the rest moves to its front, and how many those
// are is returned. A whole block does it.
__device__ __forceinline__ u32 thin(const Hard& w, u64* list, u32 count, Room* room) {
    u64 low = EMPTY, high = 0;
#pragma unroll THINNED
    for (u32 k = threadIdx.x; k < count; k += KEEPERS) {
        low = min(low, list[k]);
        high = max(high, list[k]);
    }
#pragma unroll
    for (int lane = 16; lane; lane >>= 1) {
        low = min(low, __shfl_xor_sync(FULL, low, lane));
        high = max(high, __shfl_xor_sync(FULL, high, lane));
    }
    if (threadIdx.x == 0) *room = Room{EMPTY, 0, 0, {}};
    __syncthreads();
    if ((threadIdx.x & 31) == 0) {
        atomicMin(&room->low, low);
        atomicMax(&room->high, high);
    }
    __syncthreads();
    low = room->low;
    const int top = 64 - __clzll((i64)(room->high - low)), shift = max(top - BIN_BITS, 0);
#pragma unroll THINNED
    for (u32 k = threadIdx.x; k < count; k += KEEPERS) atomicAdd(room->bins + ((list[k] - low) >> shift), 1u);
    __syncthreads();
    if (threadIdx.x < 32) sum_warps(room->bins);
    __syncthreads();
    for (u32 start = threadIdx.x; start - threadIdx.x < count; start += THINNED * KEEPERS) {
        u64 mine[THINNED];
#pragma unroll
        for (int k = 0; k < THINNED; ++k) mine[k] = start + k * KEEPERS < count ? list[start + k * KEEPERS] : EMPTY;
        __syncthreads();  // all have read what may be written over
#pragma unroll
        for (int k = 0; k < THINNED; ++k) {
            if (mine[k] == EMPTY || room->bins[(mine[k] - low) >> shift] >= w.places) continue;
            list[atomicAdd(&room->stay, 1u)] = mine[k];
        }
    }
    __syncthreads();
    const u32 stay = room->stay;
    __syncthreads();  // before the room is used again
    return stay;
}
