// Affine transforms and boxes of points, in single IEEE operations: nothing is fused, and no subnormal is flushed.

__device__ __forceinline__ float mul_ieee(float a, float b) {
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ double mul_ieee(double a, double b) { return __dmul_rn(a, b); }
__device__ __forceinline__ float root_ieee(float a) {
    float r;
    asm("sqrt.rn.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
__device__ __forceinline__ double root_ieee(double a) { return __dsqrt_rn(a); }
__device__ __forceinline__ bool below(float a, float b) {  // with -ftz=true a comparison would take subnormals for zero
    u32 r;
    asm("set.lt.u32.f32 %0, %1, %2;" : "=r"(r) : "f"(a), "f"(b));
    return r != 0;
}
__device__ __forceinline__ bool below(double a, double b) { return a < b; }
__device__ __forceinline__ bool at_most(float a, float b) {
    u32 r;
    asm("set.le.u32.f32 %0, %1, %2;" : "=r"(r) : "f"(a), "f"(b));
    return r != 0;
}
__device__ __forceinline__ bool at_most(double a, double b) { return a <= b; }

// (a * x + b * y) + c * z
__device__ __forceinline__ ACC_T dot(ACC_T a, ACC_T x, ACC_T b, ACC_T y, ACC_T c, ACC_T z) {
    return add_ieee(add_ieee(mul_ieee(a, x), mul_ieee(b, y)), mul_ieee(c, z));
}

// Parameters of clouds or views as they come: row i % rows belongs to i. Packed by _affine.py.
struct Table {
    const void* values;  // none: `given` belongs to all
    i64 rows, width;  // rows 0: there are no parameters
    i64 wide;  // values are double, else float
    ACC_T given[12];

    __device__ __forceinline__ ACC_T at(u32 i, int k) const {
        if (!values) return given[k];
        const i64 place = (i64)(i % (u32)rows) * width + k;
        return wide ? Narrow<ACC_T>::from(((const double*)values)[place])
                    : Narrow<ACC_T>::from(((const float*)values)[place]);
    }
};

// The same as kernels read them for every point: 1 / fx, 1 / fy, cx, cy, and a transform, in the type of the arithmetic.
#define CAMERA 16
struct Cameras {
    const ACC_T* values;  // none: `given` belongs to all
    i64 rows;
    i64 moved;  // there is a transform
    ACC_T given[CAMERA];

    __device__ __forceinline__ const ACC_T* of(u32 i) const {
        return values ? values + (i64)(i % (u32)rows) * CAMERA : given;
    }
};

__device__ __forceinline__ void move(const ACC_T* t, ACC_T* p) {
    const ACC_T x = p[0], y = p[1], z = p[2];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        p[axis] = add_ieee(dot(t[4 * axis], x, t[4 * axis + 1], y, t[4 * axis + 2], z), t[4 * axis + 3]);
}

struct Bounds {
    ACC_T low[3], high[3];

    __device__ __forceinline__ bool hold(const ACC_T* p) const {  // false for NaN; the default ones refuse infinity
        bool inside = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) inside &= !below(p[axis], low[axis]) && below(p[axis], high[axis]);
        return inside;
    }
};
