// Depth images to points: those that are kept, or all of them in the order of the image.

#include "common.cuh"
#include "affine.cuh"
#include "compact.cuh"

struct Images {  // packed by depth.py; 8-byte fields first
    const DEPTH_T* depth;
    ACC_T* out;
    u8* valid;
    i64 views, height, width;               // of the pixels that are used
    i64 strides[4];                         // of the used depth: scene, view, row, column; in elements
    i64 every, whole_height, whole_width;   // which pixels those are of the image
    Cameras cameras;
    Bounds box;
    ACC_T unit, near, far, not_a_number;  // unit: of the depth
};

struct Pixel { u32 view, row, column; };

__device__ __forceinline__ Pixel pixel_of(const Images& given, u32 i) {
    const u32 width = (u32)given.width, height = (u32)given.height, line = i / width, view = line / height;
    return {view, line - view * height, i - line * width};
}

__device__ __forceinline__ ACC_T as_real(u16 x) { return (ACC_T)x; }
__device__ __forceinline__ ACC_T as_real(f16 x) { return widen<ACC_T>(x); }
__device__ __forceinline__ ACC_T as_real(float x) { return Narrow<ACC_T>::from(x); }
__device__ __forceinline__ ACC_T as_real(double x) { return Narrow<ACC_T>::from(x); }

// The point of pixel i, and whether it is kept.
__device__ __forceinline__ bool point_of(const Images& given, u32 i, ACC_T* p) {
    const Pixel at = pixel_of(given, i);
    const u32 scene = at.view / (u32)given.views, view = at.view - scene * (u32)given.views;
    const DEPTH_T raw = given.depth[scene * given.strides[0] + view * given.strides[1] + at.row * given.strides[2] +
                                    at.column * given.strides[3]];
    const ACC_T z = mul_ieee(as_real(raw), given.unit);
    if (!below((ACC_T)0, z) || below(z, given.near) || !below(z, given.far)) return false;
    const ACC_T* camera = given.cameras.of(at.view);
    const ACC_T u = (ACC_T)(at.column * given.every), v = (ACC_T)(at.row * given.every);
    p[0] = mul_ieee(mul_ieee(sub_ieee(u, camera[2]), camera[0]), z);
    p[1] = mul_ieee(mul_ieee(sub_ieee(v, camera[3]), camera[1]), z);
    p[2] = z;
    if (given.cameras.moved) move(camera + 4, p);
    return given.box.hold(p);
}

struct Unprojected {
    struct Item { ACC_T p[3]; };
    const Images& given;
    const Carried& carried;

    __device__ __forceinline__ bool look(u32 i, Item* item) const { return point_of(given, i, item->p); }
    __device__ __forceinline__ i64 number(u32 i) const {
        const Pixel at = pixel_of(given, i);
        return (at.view * given.whole_height + at.row * given.every) * given.whole_width + at.column * given.every;
    }
    __device__ __forceinline__ void write(i64 place, u32 i, const Item& item) const {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) given.out[3 * place + axis] = item.p[axis];
        if (carried.from) carried.copy(number(i), place);
    }
    __device__ __forceinline__ void end(const Compact& job) const {}
};

extern "C" __global__ void __launch_bounds__(KEEPERS, 3)
    depth_unproject(const __grid_constant__ Images given, const __grid_constant__ Carried carried,
                    const __grid_constant__ Compact job) {
    Unprojected source = {given, carried};
    compact(source, job);
}

extern "C" __global__ void __launch_bounds__(256) depth_organize(i64 total, const __grid_constant__ Images given) {
    const u32 step = gridDim.x * blockDim.x;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < (u32)total; i += step) {
        ACC_T p[3];
        const bool kept = point_of(given, i, p);
        given.valid[i] = kept;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) given.out[3 * (i64)i + axis] = kept ? p[axis] : given.not_a_number;
    }
}
