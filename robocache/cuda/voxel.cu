// Points to cells. POINT_T is the type of the points, ACC_T that of the arithmetic (float, or double for double).
// Floats are compared and floored as integers: -ftz=true would take a negative subnormal quotient for zero.

#include "common.cuh"

struct Rows {              // [total] points: rows of `inner` points, and how they fall into clouds
    i64 inner, stride_outer, stride_inner, total, clouds, per_cloud;
    i64 mode;  // 0: cloud = row; 1: the same, cut to extent[cloud] points; 2: extent holds the clouds' offsets
    i64 wide;  // extent is i64, else i32
    const void* extent;
};
struct Grid {
    double origin[3], size[3];
    i64 shape[3], clamp;
};  // shape 0: no bounds
struct Cloud {
    Rows rows;
    Grid grid;
};  // packed by _CLOUD in _points.py

#define FULL 0xffffffffu

__device__ __forceinline__ i64 divide(i64 a, i64 b) {  // a 64-bit division costs several times a 32-bit one
    return ((u64)(a | b) >> 32) == 0 ? (i64)((u32)a / (u32)b) : a / b;
}
__device__ __forceinline__ i64 extent_at(const Rows& rows, i64 k) {
    return rows.wide ? ((const i64*)rows.extent)[k] : (i64)((const i32*)rows.extent)[k];
}
__device__ __forceinline__ i64 given_points(const Rows& rows, i64 cloud) {
    if (rows.mode == 0) return rows.per_cloud;
    const i64 last =
        rows.mode == 2 ? min(extent_at(rows, cloud + 1), rows.total) : min(extent_at(rows, cloud), rows.per_cloud);
    return max(last - (rows.mode == 2 ? max(extent_at(rows, cloud), 0ll) : 0ll), 0ll);
}

// Whatever the extents hold, only points that exist are read; here each bad one is reported once or more.
__device__ __forceinline__ void check_extent(const Rows& rows, u32* status) {
    if (rows.mode == 0) return;
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < rows.clouds; k += step) {
        const i64 a = extent_at(rows, k);
        const i64 b = rows.mode == 2 ? extent_at(rows, k + 1) : rows.per_cloud;
        if (a < 0 || b < a || b > rows.total) report(status, BAD_EXTENT);
    }
}

// Cloud of a point, or -1 for padding.
__device__ __forceinline__ i64 cloud_of(const Rows& rows, i64 i) {
    if (rows.mode < 2) {
        if (rows.clouds == 1 && rows.mode == 0) return 0;
        const i64 cloud = divide(i, rows.per_cloud);
        return rows.mode == 0 || i - cloud * rows.per_cloud < extent_at(rows, cloud) ? cloud : -1;
    }
    if (rows.clouds == 0 || extent_at(rows, 0) > i) return -1;
    i64 low = 0, high = rows.clouds;
    while (high - low > 1) {
        const i64 middle = (low + high) >> 1;
        if (extent_at(rows, middle) <= i) low = middle;
        else high = middle;
    }
    return i < extent_at(rows, low + 1) ? low : -1;
}

__device__ __forceinline__ bool is_finite(float a) { return (__float_as_uint(a) & 0x7f800000u) != 0x7f800000u; }
__device__ __forceinline__ bool is_finite(double a) { return ((u64)__double_as_longlong(a) >> 52 & 0x7ff) != 0x7ff; }
__device__ __forceinline__ bool is_nan(float a) { return (__float_as_uint(a) & 0x7fffffffu) > 0x7f800000u; }
__device__ __forceinline__ bool is_nan(double a) { return a != a; }
__device__ __forceinline__ i64 floor_cell(float a) {
    i64 r;
    asm("cvt.rmi.s64.f32 %0, %1;" : "=l"(r) : "f"(a));
    return r;
}  // saturates
__device__ __forceinline__ i64 floor_cell(double a) { return __double2ll_rd(a); }

__device__ __forceinline__ bool cell_on_axis(ACC_T p, double origin, double size, i64 shape, bool clamp, i64* cell) {
    const ACC_T q = div_ieee(sub_ieee(p, Narrow<ACC_T>::from(origin)), Narrow<ACC_T>::from(size));
    if (is_nan(q)) return false;
    i64 c = floor_cell(q);
    if (shape == 0) {
        if (!is_finite(p) || c < -0x80000000ll || c > 0x7fffffffll) return false;
    } else if (c < 0 || c >= shape) {
        if (!clamp || !is_finite(p)) return false;
        c = c < 0 ? 0 : shape - 1;
    }
    *cell = c;
    return true;
}

__device__ __forceinline__ bool cell_of(const POINT_T* points, const Rows& rows, const Grid& grid, i64 i, i64* cell) {
    const i64 outer = rows.inner == rows.total ? 0 : divide(i, rows.inner);
    const POINT_T* p = points + outer * rows.stride_outer + (i - outer * rows.inner) * rows.stride_inner;
    bool inside = true;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        inside &= cell_on_axis(widen<ACC_T>(p[axis]), grid.origin[axis], grid.size[axis], grid.shape[axis],
                               grid.clamp != 0, cell + axis);
    return inside;
}

// Dropped points, gathered in registers while the cloud stays the same: one atomic a warp where it matters.
struct Lost {
    i64 cloud, count;
    __device__ __forceinline__ void add(i64* dropped, i64 to) {
        if (to != cloud && count) {
            atomicAdd((u64*)dropped + cloud, (u64)count);
            count = 0;
        }
        cloud = to;
        ++count;
    }
    __device__ __forceinline__ void flush(i64* dropped) {  // every lane of the warp calls it
        const u32 some = __ballot_sync(FULL, count > 0);
        if (!some) return;
        const i64 common = __shfl_sync(FULL, cloud, __ffs(some) - 1);
        if (__all_sync(FULL, count == 0 || cloud == common)) {
            for (int lane = 16; lane; lane >>= 1) count += __shfl_xor_sync(FULL, count, lane);
            if ((threadIdx.x & 31) == 0) atomicAdd((u64*)dropped + common, (u64)count);
        } else if (count) {
            atomicAdd((u64*)dropped + cloud, (u64)count);
        }
    }
};

// Everything a dense grid needs of the points in one pass; outputs that are null are not wanted.
extern "C" __global__ void voxel_dense(const POINT_T* points, const Cloud given, u8* occupied, i32* counts, i64* ids,
                                       i64* dropped, u32* status) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    check_extent(rows, status);
    const i64 step = (i64)gridDim.x * blockDim.x;
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 cloud = cloud_of(rows, i);
        i64 cell[3], id = -1;
        if (cloud >= 0) {
            if (cell_of(points, rows, grid, i, cell))
                id = ((cloud * grid.shape[0] + cell[0]) * grid.shape[1] + cell[1]) * grid.shape[2] + cell[2];
            else if (dropped) lost.add(dropped, cloud);
        }
        if (id >= 0 && occupied) occupied[id] = 1;
        if (id >= 0 && counts) atomicAdd(counts + id, 1);
        if (ids) ids[i] = id;
    }
    if (dropped) lost.flush(dropped);
}

// Counts to the share of the cloud's points; in place is fine.
extern "C" __global__ void voxel_density(const i32* counts, const Cloud given, i64 cells, float* out) {
    const Rows& rows = given.rows;
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.clouds * cells; i += step) {
        const i64 given = given_points(rows, divide(i, cells));
        const i32 count = counts[i];
        out[i] = count == 0 ? 0.0f : to_float(__ddiv_rn((double)count, (double)given));
    }
}

// Bounding box of the cells of an unbounded cloud.
extern "C" __global__ void voxel_box(const POINT_T* points, const Cloud given, KeyPlan* plan) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    const i64 step = (i64)gridDim.x * blockDim.x;
    u32 box[6] = {0, 0, 0, 0, 0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        i64 cell[3];
        if (cloud_of(rows, i) < 0 || !cell_of(points, rows, grid, i, cell)) continue;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const u32 code = (u32)(i32)cell[axis] ^ 0x80000000u;
            box[axis] = max(box[axis], code);
            box[axis + 3] = max(box[axis + 3], ~code);
        }
    }
#pragma unroll
    for (int k = 0; k < 6; ++k) {
        for (int lane = 16; lane; lane >>= 1) box[k] = max(box[k], __shfl_xor_sync(FULL, box[k], lane));
        if ((threadIdx.x & 31) == 0 && box[k] > *(volatile u32*)(plan->box + k)) atomicMax(plan->box + k, box[k]);
    }
}

// The numbering of cells: from the bounds, or from the box that voxel_box left. Every thread works out the same.
__device__ __forceinline__ void number_cells(const Grid& grid, i64 clouds, const u32* box, KeyPlan* plan) {
    u64 limit = (u64)clouds;
    plan->overflow = 0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        i64 base = 0, extent = grid.shape[axis];
        if (extent == 0) {
            base = (i64)(i32)(~box[axis + 3] ^ 0x80000000u);
            extent = max((i64)(i32)(box[axis] ^ 0x80000000u) - base + 1, 1ll);  // 1: no point at all
        }
        plan->base[axis] = base;
        plan->extent[axis] = extent;
        if (__umul64hi(limit, (u64)extent) || limit * (u64)extent >> 63) plan->overflow = 1;
        limit *= (u64)extent;
    }
    plan->limit = plan->overflow ? 0 : (i64)limit;
    plan->bits = plan->limit ? 64 - __clzll(plan->limit) : 1;
}

extern "C" __global__ void voxel_keys(const POINT_T* points, const Cloud given, KeyPlan* shared_plan, i64* keys,
                                      i64* dropped, i64 deferred, u32* status) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    KeyPlan plan;
    number_cells(grid, rows.clouds, shared_plan->box, &plan);
    check_extent(rows, status);
    if (blockIdx.x == 0 && threadIdx.x == 0) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            shared_plan->base[axis] = plan.base[axis];
            shared_plan->extent[axis] = plan.extent[axis];
        }
        shared_plan->limit = plan.limit;
        shared_plan->bits = plan.bits;
        shared_plan->overflow = plan.overflow;
        if (plan.overflow && deferred) report(status, KEY_OVERFLOW);
    }
    const i64 step = (i64)gridDim.x * blockDim.x;
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 cloud = cloud_of(rows, i);
        i64 cell[3], key = plan.limit;
        if (cloud >= 0) {
            if (!cell_of(points, rows, grid, i, cell)) lost.add(dropped, cloud);
            else if (!plan.overflow) {
                key = cloud;
#pragma unroll
                for (int axis = 0; axis < 3; ++axis) key = key * plan.extent[axis] + (cell[axis] - plan.base[axis]);
            }
        }
        keys[i] = key;
    }
    lost.flush(dropped);
}
