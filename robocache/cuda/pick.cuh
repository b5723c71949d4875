// The order in which points of a voxel are chosen. A point's rank is unique: what decides above, the point below.

#define EMPTY 0xffffffffffffffffull

enum Select { FIRST = 0, RANDOM = 1, NEAREST = 2 };

struct Choice {            // packed by pick.py; 8-byte fields only
    i64 select;
    u64 key;               // of RANDOM
    double scale;          // of NEAREST: a power of two
};

__device__ __forceinline__ u64 mixed(u64 x) {  // splitmix64
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

__device__ __forceinline__ i64 first_of(const Rows& rows, i64 cloud) {
    return rows.mode == 2 ? extent_at(rows, cloud) : cloud * rows.per_cloud;
}

// How far from the centre of its cell: the square in units of `scale`.
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

// The rank of point i, which has a cell.
__device__ __forceinline__ u64 rank_of(const POINT_T* points, const Cloud& cloud, const Choice& choice, u32 i) {
    const Rows& rows = cloud.rows;
    u64 rank = 0;
    if (choice.select == RANDOM) {
        const i64 place = i - first_of(rows, cloud_of(rows, i));
        rank = mixed(choice.key + (u64)(place + 1) * 0x9e3779b97f4a7c15ull) >> 32;
    } else if (choice.select == NEAREST) {
        ACC_T p[3];
        load_point(points, rows, i, p);
        rank = distance_code(p, cloud.grid, choice.scale);
    }
    return rank << 32 | i;
}
