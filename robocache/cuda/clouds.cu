// Points moved by a transform, and those in a box.

#include "common.cuh"
#include "cells.cuh"
#include "affine.cuh"
#include "compact.cuh"

struct Clouds {  // packed by clouds.py; 8-byte fields only
    const POINT_T* points;
    POINT_T* out;
    i64 channels;
    Rows rows;
    Cameras poses;
    Bounds box;

    __device__ __forceinline__ const POINT_T* at(u32 i) const {
        const u32 outer = rows.inner == rows.total ? 0 : i / (u32)rows.inner;
        return points + outer * rows.stride_outer + (i - outer * (u32)rows.inner) * rows.stride_inner;
    }
};

// As cloud_of, for fewer than 2**31 points in clouds of equal room: without a division of 64 bits.
__device__ __forceinline__ i64 owner(const Rows& rows, u32 i) {
    if (rows.mode == 2) return cloud_of(rows, i);
    const u32 cloud = rows.clouds == 1 ? 0 : i / (u32)rows.per_cloud;
    return rows.mode == 0 || i - cloud * (u32)rows.per_cloud < extent_at(rows, cloud) ? (i64)cloud : -1;
}

// Coordinates as they are stored: 16-bit types round here.
__device__ __forceinline__ void rounded(ACC_T* p) {
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) p[axis] = widen<ACC_T>(Narrow<POINT_T>::from(p[axis]));
}

extern "C" __global__ void __launch_bounds__(256) clouds_move(u32* status, const __grid_constant__ Clouds given) {
    check_extent(given.rows, status);
    const u32 step = gridDim.x * blockDim.x;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < (u32)given.rows.total; i += step) {
        const POINT_T* from = given.at(i);
        POINT_T* to = given.out + (i64)i * given.channels;
        const i64 cloud = owner(given.rows, i);
        for (i64 c = cloud < 0 ? 0 : 3; c < given.channels; ++c) to[c] = from[c];
        if (cloud < 0) continue;
        ACC_T p[3] = {widen<ACC_T>(from[0]), widen<ACC_T>(from[1]), widen<ACC_T>(from[2])};
        move(given.poses.of((u32)cloud) + 4, p);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) to[axis] = Narrow<POINT_T>::from(p[axis]);
    }
}

struct Cropped {
    struct Item { ACC_T p[3]; };
    const Clouds& given;
    const Carried& carried;

    __device__ __forceinline__ bool look(u32 i, Item* item) const {
        const i64 cloud = owner(given.rows, i);
        if (cloud < 0) return false;
        const POINT_T* from = given.at(i);
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) item->p[axis] = widen<ACC_T>(from[axis]);
        if (given.poses.moved) {
            move(given.poses.of((u32)cloud) + 4, item->p);
            rounded(item->p);
        }
        return given.box.hold(item->p);
    }
    __device__ __forceinline__ i64 number(u32 i) const { return i; }
    __device__ __forceinline__ void write(i64 place, u32 i, const Item& item) const {
        const POINT_T* from = given.at(i);
        POINT_T* to = given.out + place * given.channels;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) to[axis] = Narrow<POINT_T>::from(item.p[axis]);
        for (i64 c = 3; c < given.channels; ++c) to[c] = from[c];
        carried.copy(i, place);
    }
    // Offsets of packed clouds, which may begin anywhere: where the kept points reach theirs. There may be no index
    // where none is kept.
    __device__ __forceinline__ void end(const Compact& job) const {
        if (given.rows.mode != 2) return;
        const i64 kept = *(volatile i64*)job.kept;
        for (i64 k = threadIdx.x; k <= job.clouds; k += KEEPERS) {
            const i64 edge = extent_at(given.rows, k);
            i64 low = 0, high = kept;
            while (low < high) {
                const i64 middle = (low + high) >> 1;
                if (((volatile i64*)job.index)[middle] < edge) low = middle + 1;
                else high = middle;
            }
            job.offsets[k] = low;
        }
    }
};

extern "C" __global__ void __launch_bounds__(KEEPERS, 3)
    clouds_crop(u32* status, const __grid_constant__ Clouds given, const __grid_constant__ Carried carried,
                const __grid_constant__ Compact job) {
    check_extent(given.rows, status);
    Cropped source = {given, carried};
    compact(source, job);
}
