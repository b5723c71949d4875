// Normals of organized points, by the differences of neighbours.

#include "common.cuh"
#include "affine.cuh"

struct Surface {  // packed by depth.py; 8-byte fields first
    const ACC_T* points;
    const u8* valid;  // none: all may be used
    ACC_T* out;
    u8* known;
    i64 height, width;
    Table eyes;
    ACC_T jump, not_a_number;  // jump: squared
    ACC_T infinity;

    __device__ __forceinline__ bool used(i64 i) const {
        if (valid && !valid[i]) return false;
        bool finite = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const ACC_T p = points[3 * i + axis];
            finite &= below(p, infinity) && below(-infinity, p);
        }
        return finite;
    }
};

__device__ __forceinline__ ACC_T square(const ACC_T* d) { return dot(d[0], d[0], d[1], d[1], d[2], d[2]); }

// From the neighbour before to the one after point i, or from or to the point itself; whether there is one.
__device__ __forceinline__ bool difference(const Surface& given, i64 i, i64 step, bool first, bool last, ACC_T reach,
                                           ACC_T* d) {
    i64 ends[2] = {i, i};
    bool some = false;
#pragma unroll
    for (int side = 0; side < 2; ++side) {
        const i64 other = side ? i + step : i - step;
        if ((side ? last : first) || !given.used(other)) continue;
        ACC_T apart[3];
#pragma unroll
        for (int axis = 0; axis < 3; ++axis)
            apart[axis] = sub_ieee(given.points[3 * other + axis], given.points[3 * (i64)i + axis]);
        if (!at_most(square(apart), reach)) continue;
        some = true;
        ends[side] = other;
    }
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        d[axis] = sub_ieee(given.points[3 * ends[1] + axis], given.points[3 * ends[0] + axis]);
    return some;
}

__device__ __forceinline__ bool normal_of(const Surface& given, u32 i, ACC_T* n) {
    if (!given.used(i)) return false;
    const u32 width = (u32)given.width, line = i / width, view = line / (u32)given.height;
    const u32 row = line - view * (u32)given.height, column = i - line * width;
    ACC_T out[3], a[3], b[3];
#pragma unroll
    for (int axis = 0; axis < 3; ++axis)
        out[axis] = sub_ieee(given.eyes.at(view, axis), given.points[3 * (i64)i + axis]);
    const ACC_T reach = mul_ieee(given.jump, square(out));
    if (!difference(given, i, 1, column == 0, column == width - 1, reach, a)) return false;
    if (!difference(given, i, given.width, row == 0, row == (u32)given.height - 1, reach, b)) return false;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        const int j = (axis + 1) % 3, k = (axis + 2) % 3;
        n[axis] = sub_ieee(mul_ieee(a[j], b[k]), mul_ieee(a[k], b[j]));
    }
    const ACC_T size = square(n);
    if (!below((ACC_T)0, size) || !below(size, given.infinity)) return false;
    const ACC_T length = root_ieee(size);
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) n[axis] = div_ieee(n[axis], length);
    if (below(dot(n[0], out[0], n[1], out[1], n[2], out[2]), (ACC_T)0)) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis)
            n[axis] = mul_ieee(n[axis], (ACC_T)-1);  // a minus sign would flush subnormals
    }
    return true;
}

extern "C" __global__ void __launch_bounds__(256) normals_organized(i64 total, const __grid_constant__ Surface given) {
    const u32 step = gridDim.x * blockDim.x;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < (u32)total; i += step) {
        ACC_T n[3];
        const bool known = normal_of(given, i, n);
        given.known[i] = known;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) given.out[3 * (i64)i + axis] = known ? n[axis] : given.not_a_number;
    }
}
