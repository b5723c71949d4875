// A point's cloud and cell. POINT_T is the type of the points, ACC_T that of the arithmetic (double for double).
// Floats are compared and floored as integers: -ftz=true would take a negative subnormal quotient for zero.

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
__device__ __forceinline__ i32 floor_cell(float a) {  // saturates; subnormals are not taken for zero
    i32 r;
    asm("cvt.rmi.s32.f32 %0, %1;" : "=r"(r) : "f"(a));
    return r;
}
__device__ __forceinline__ i32 floor_cell(double a) { return __double2int_rd(a); }

// floor of (p - origin) / size, both rounded: by the reciprocal wherever its error cannot move the floor, as everywhere
// but beside a cell's edge, and by division there. False for a cell outside of int32, for NaN and for infinity.
__device__ __forceinline__ bool floor_quotient(ACC_T p, ACC_T origin, ACC_T size, ACC_T reciprocal, ACC_T* q,
                                               i32* cell) {
    const ACC_T d = sub_ieee(p, origin), close = d * reciprocal;
    const i32 c = floor_cell(close);
    const ACC_T rest = close - (ACC_T)c;
    const ACC_T margin = (close < 0 ? -close : close) * (ACC_T)(sizeof(ACC_T) == 4 ? 4e-7 : 8e-16);  // 3.4 and 3.6 ulp
    *cell = c;
    *q = close;
    if (rest > margin && rest < (ACC_T)1 - margin) return true;
    *q = div_ieee(d, size);
    *cell = floor_cell(*q);
    return *q >= (ACC_T)-2147483648.0 && *q < (ACC_T)2147483648.0;
}

// Shape 0: no bounds but those of int32. A NaN, infinite or too distant point fails before its cell is used.
__device__ __forceinline__ bool cell_on_axis(ACC_T p, double origin, double size, i64 shape, bool clamp, i32* cell) {
    const ACC_T step = Narrow<ACC_T>::from(size);
    ACC_T q;
    const bool near = floor_quotient(p, Narrow<ACC_T>::from(origin), step, (ACC_T)1 / step, &q, cell);
    if (shape == 0) return near;
    if (!clamp) return near && (u32)*cell < (u32)shape;
    *cell = min(max(*cell, 0), (i32)shape - 1);
    return !is_nan(q) && is_finite(p);
}

// Coordinates of point i; past the last one, those of the last.
__device__ __forceinline__ void load_point(const POINT_T* points, const Rows& rows, u32 i, ACC_T* p) {
    i = min(i, (u32)rows.total - 1);
    const u32 outer = rows.inner == rows.total ? 0 : i / (u32)rows.inner;
    const POINT_T* at = points + outer * rows.stride_outer + (i - outer * (u32)rows.inner) * rows.stride_inner;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) p[axis] = widen<ACC_T>(at[axis]);
}
__device__ __forceinline__ bool cell_of(const ACC_T* p, const Grid& grid, i32* cell) {
    bool inside = true;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        inside &=
            cell_on_axis(p[axis], grid.origin[axis], grid.size[axis], grid.shape[axis], grid.clamp != 0, cell + axis);
    return inside;
}

// Dropped points, gathered in registers while the cloud stays the same: one atomic a warp where it matters.
struct Lost {
    u32 cloud, count;
    __device__ __forceinline__ void add(i64* dropped, i64 to) {
        if ((u32)to != cloud && count) {
            atomicAdd((u64*)dropped + cloud, (u64)count);
            count = 0;
        }
        cloud = (u32)to;
        ++count;
    }
    __device__ __forceinline__ void flush(i64* dropped) {  // every lane of the warp calls it
        const u32 some = __ballot_sync(FULL, count > 0);
        if (!some) return;
        const u32 common = __shfl_sync(FULL, cloud, __ffs((i32)some) - 1);
        if (__all_sync(FULL, count == 0 || cloud == common)) {
            for (int lane = 16; lane; lane >>= 1) count += __shfl_xor_sync(FULL, count, lane);
            if ((threadIdx.x & 31) == 0) atomicAdd((u64*)dropped + common, (u64)count);
        } else if (count) {
            atomicAdd((u64*)dropped + cloud, (u64)count);
        }
    }
};
