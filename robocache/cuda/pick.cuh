// Places for the best points of each voxel. A point's rank is unique: what decides above, the point below.
// Every point sinks through the places of its voxel by atomic minima, each of which keeps the smaller rank and passes
// the larger on; so the smallest ranks stay, in order, whatever the schedule.

#define EMPTY 0xffffffffffffffffull

enum Select { FIRST = 0, RANDOM = 1, NEAREST = 2 };

__device__ __forceinline__ u64 mixed(u64 x) {  // splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

__device__ __forceinline__ i64 first_of(const Rows& rows, i64 cloud) {
    return rows.mode == 2 ? extent_at(rows, cloud) : cloud * rows.per_cloud;
}

// How far from the centre of its cell: the square in units of `scale`, a power of two.
__device__ __forceinline__ u32 distance_code(const ACC_T* p, const Grid& grid, double scale) {
    i32 cell[3];
    cell_of(p, grid, cell);
    double square = 0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const double middle = __dmul_rn(__dadd_rn((double)cell[axis], 0.5), grid.size[axis]);
        const double away = __dsub_rn(__dsub_rn(widen<double>(p[axis]), grid.origin[axis]), middle);
        const double scaled = __dmul_rn(away, scale);
        square = __dadd_rn(square, __dmul_rn(scaled, scaled));
    }
    return __float_as_uint(to_float(square));
}

// A place only ever gets smaller, so a look without an atomic says where there is nothing to do.
__device__ __forceinline__ void sink(u64* places, i64 count, u64 rank) {
    if (*(volatile u64*)(places + count - 1) < rank) return;
    for (i64 k = 0; k < count && rank != EMPTY; ++k) {
        if (*(volatile u64*)(places + k) < rank) continue;
        const u64 before = atomicMin(places + k, rank);
        rank = max(before, rank);
    }
}
