// Cells of contiguous points in grids of fewer than 2**31 cells, and what a block remembers of them.

#define DENSE_THREADS 256
#define SLOTS 4096
#define SLOT_BITS 12

enum { TOGETHER = 16 / sizeof(POINT_T) };           // neighbouring points of a thread: 48 bytes
enum { DENSE_BLOCKS = sizeof(ACC_T) == 4 ? 4 : 3 };  // that a multiprocessor has registers for

struct Frame {
    ACC_T origin[3], inverse[3], safe[3];
    u32 shape[3], total, clouds, per_cloud, head, share;
};  // packed by _FRAMES in _points.py; `head` points lie before the first that is aligned to 16 bytes, a block takes
    // `share` groups of TOGETHER points from there on

struct Words {
    u32 of[12];
    __device__ __forceinline__ void load(const uint4* from) {  // each point is read once: the grid is to stay in L2
#pragma unroll
        for (int k = 0; k < 3; ++k) {
            const uint4 part = __ldcs(from + k);
            of[4 * k] = part.x, of[4 * k + 1] = part.y, of[4 * k + 2] = part.z, of[4 * k + 3] = part.w;
        }
    }
    __device__ __forceinline__ float get(int i, float) const { return __uint_as_float(of[i]); }
    __device__ __forceinline__ double get(int i, double) const {
        return __longlong_as_double((i64)((u64)of[2 * i + 1] << 32 | of[2 * i]));
    }
    template <class T> __device__ __forceinline__ ACC_T get(int i, T value) const {
        value.bits = (u16)(of[i >> 1] >> 16 * (i & 1));
        return widen<ACC_T>(value);
    }
};

// Added to a small number, it leaves the whole number nearest to it in the lowest bits; anything else, be it far, NaN
// or infinite, comes out of `whole` as more than any shape here.
template <class A> struct Round;
template <> struct Round<float> {
    static __device__ __forceinline__ float bias() { return 12582912.0f; }
    static __device__ __forceinline__ u32 whole(float a) { return __float_as_uint(a) - 0x4b400000u; }
};
template <> struct Round<double> {
    static __device__ __forceinline__ double bias() { return 6755399441055744.0; }
    static __device__ __forceinline__ u64 whole(double a) {
        return (u64)__double_as_longlong(a) - 0x4338000000000000ull;
    }
};

// Number of a point's cell in its cloud, FULL outside. Half a cell is taken off, so that rounding floors. The error is
// below the distance of `safe` from one half; a point beside an edge, where it may matter, is `unsure`.
__device__ __forceinline__ u32 close_cell(const ACC_T* p, const Frame& frame, bool* unsure) {
    bool inside = true;
    u32 id = 0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const ACC_T q = fma_ieee(sub_ieee(p[axis], frame.origin[axis]), frame.inverse[axis], (ACC_T)-0.5);
        const ACC_T near = add_ieee(q, Round<ACC_T>::bias());
        const ACC_T rest = sub_ieee(q, sub_ieee(near, Round<ACC_T>::bias()));
        *unsure |= fabs(rest) >= frame.safe[axis];
        const auto cell = Round<ACC_T>::whole(near);
        inside &= cell < frame.shape[axis];
        id = id * frame.shape[axis] + (u32)cell;
    }
    return inside ? id : FULL;
}

__device__ __forceinline__ u32 exact_cell(const POINT_T* points, const Cloud& given, const Frame& frame, u32 i) {
    ACC_T p[3];
    i32 cell[3];
    load_point(points, given.rows, i, p);
    if (!cell_of(p, given.grid, cell)) return FULL;
    return ((u32)cell[0] * frame.shape[1] + (u32)cell[1]) * frame.shape[2] + (u32)cell[2];
}

// Cells of the thread's points from the `i`th on, numbered through all clouds, of which they meet two at most.
__device__ __forceinline__ void cells_of(const POINT_T* points, const Cloud& given, const Frame& frame,
                                         const Words& words, u32 i, i64* dropped, Lost* lost, u32* id) {
    u32 doubts = 0;
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        ACC_T p[3];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) p[axis] = words.get(3 * k + axis, POINT_T());
        bool unsure = false;
        id[k] = close_cell(p, frame, &unsure);
        if (unsure || (given.grid.clamp && id[k] == FULL)) doubts |= 1u << k;
    }
    while (doubts) {
        const int which = __ffs((i32)doubts) - 1;
        doubts &= doubts - 1;
        const u32 exact = exact_cell(points, given, frame, i + which);
#pragma unroll
        for (int k = 0; k < TOGETHER; ++k)
            if (k == which) id[k] = exact;
    }
    if (frame.clouds == 1 && !dropped) return;
    const u32 cloud = frame.clouds == 1 ? 0 : i / frame.per_cloud;
    const u32 left = (cloud + 1) * frame.per_cloud - i, cells = frame.shape[0] * frame.shape[1] * frame.shape[2];
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        const u32 own = cloud + (k >= left);
        if (id[k] != FULL) id[k] += own * cells;
        else if (dropped) lost->add(dropped, own);
    }
}

// What a block knows of the grid's cells, in shared memory: each has one slot. A lane with nothing to say
// takes part as well, so that no branch is needed: in one of the slots from `spare` on, where it does no harm.
struct Gathered {
    u32* tags;
    u32* sums;
    __device__ __forceinline__ void clear(bool counts) const {
#pragma unroll
        for (int k = 0; k < SLOTS / 4; k += DENSE_THREADS) {
            ((uint4*)tags)[k + threadIdx.x] = {FULL, FULL, FULL, FULL};
            if (counts) ((uint4*)sums)[k + threadIdx.x] = {0, 0, 0, 0};
        }
        __syncthreads();
    }
    static __device__ __forceinline__ u32 slot_of(u32 id, bool speaks, u32 spare) {
        return speaks ? id * 0x9e3779b1u >> (32 - SLOT_BITS) : spare + (threadIdx.x & 31);
    }
    __device__ __forceinline__ void settle(i32* counts) const {
        __syncthreads();
#pragma unroll
        for (int k = 0; k < SLOTS; k += DENSE_THREADS) {
            const u32 slot = k + threadIdx.x, id = tags[slot];
            if (id != FULL) atomicAdd(counts + id, (i32)sums[slot]);
        }
    }
};

struct Outputs {
    u8* occupied;
    i32* counts;
    bool words;  // occupancy is whole words: an atomic on one is faster than the store of a byte
    __device__ __forceinline__ void mark(u32 id) const {
        if (words) atomicOr((u32*)occupied + (id >> 2), 1u << 8 * (id & 3));
        else occupied[id] = 1;
    }
};
struct Bytes : Outputs { u32 deep; };  // a byte a cell
struct Bits : Outputs {    // occupancy with a bit a cell; a line along z is whole words
    u32 deep;  // cells of a line
    __device__ __forceinline__ void mark(u32 id) const {
        const u32 line = id / deep, z = id - line * deep;
        atomicOr((u32*)occupied + (i64)line * ((deep + 31) / 32) + z / 32, 1u << (z & 31));
    }
};

// Occupancy of a warp's points: a cell is marked once for neighbours, and once until another one takes its slot.
template <class Out> __device__ __forceinline__ void mark_all(const u32* id, const Gathered& room, const Out& out) {
    u32 held[TOGETHER], before = __shfl_up_sync(FULL, id[TOGETHER - 1], 1);
    if ((threadIdx.x & 31) == 0) before = FULL;
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        held[k] = id[k] == before ? id[k] : FULL;
        before = id[k];
    }
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        const bool speaks = held[k] != id[k];
        const u32 last = atomicExch(room.tags + room.slot_of(id[k], speaks, SLOTS), id[k]);
        if (speaks) held[k] = last;
    }
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k)
        if (held[k] != id[k]) out.mark(id[k]);
}

// Counts of a thread's points, and occupancy if it is wanted too; equal neighbours go together. A slot serves the first
// cell that comes, others go past it.
__device__ __forceinline__ void count_all(const u32* id, const Gathered& room, const Outputs& out) {
    u32 size[TOGETHER], slot[TOGETHER], held[TOGETHER], run = 0;
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        ++run;
        const bool last = k + 1 == TOGETHER || id[k + 1] != id[k];
        size[k] = last && id[k] != FULL ? run : 0;
        if (last) run = 0;
    }
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        slot[k] = room.slot_of(id[k], size[k] != 0, 0);
        held[k] = atomicCAS(room.tags + slot[k], size[k] ? FULL : id[k], id[k]);
    }
    if (out.occupied) {  // who took the slot has done it before
#pragma unroll
        for (int k = 0; k < TOGETHER; ++k)
            if (size[k] && held[k] != id[k]) out.mark(id[k]);
    }
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k) {
        const bool own = held[k] == FULL || held[k] == id[k];
        atomicAdd(room.sums + slot[k], own ? size[k] : 0);
        if (own) size[k] = 0;
    }
#pragma unroll
    for (int k = 0; k < TOGETHER; ++k)
        if (size[k]) atomicAdd(out.counts + id[k], (i32)size[k]);
}
