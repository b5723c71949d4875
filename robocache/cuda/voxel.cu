// Dense grids of occupancy, counts and density.

#include "common.cuh"
#include "cells.cuh"

// Everything a dense grid needs of the points in one pass; outputs that are null are not wanted.
extern "C" __global__ void voxel_dense(const POINT_T* points, const Cloud given, u8* occupied, i32* counts,
                                       i64* dropped, u32* status) {
    const Rows& rows = given.rows;
    const Grid& grid = given.grid;
    check_extent(rows, status);
    const i64 step = (i64)gridDim.x * blockDim.x;
    Lost lost = {0, 0};
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        const i64 cloud = cloud_of(rows, i);
        i32 cell[3];
        i64 id = -1;
        if (cloud >= 0) {
            ACC_T p[3];
            load_point(points, rows, i, p);
            if (cell_of(p, grid, cell))
                id = ((cloud * grid.shape[0] + cell[0]) * grid.shape[1] + cell[1]) * grid.shape[2] + cell[2];
            else if (dropped) lost.add(dropped, cloud);
        }
        if (id >= 0 && occupied) occupied[id] = 1;
        if (id >= 0 && counts) atomicAdd(counts + id, 1);
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
