// The cell of every point.

#include "common.cuh"
#include "cells.cuh"

struct Cells {             // mirrored in cell.py; 8-byte fields only
    const POINT_T* points;
    u32* status;
    i32* cells;            // one of these is null
    i64* numbers;
    i64 backwards, nowhere;
    Cloud cloud;
};

extern "C" __global__ void cell_of_point(const Cells w) {
    const Rows& rows = w.cloud.rows;
    const i64* shape = w.cloud.grid.shape;
    check_extent(rows, w.status);
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < rows.total; i += step) {
        i32 cell[3];
        ACC_T p[3];
        load_point(w.points, rows, (u32)i, p);
        const bool inside = cell_of(p, w.cloud.grid, cell) && cloud_of(rows, i) >= 0;
        const int a = w.backwards ? 2 : 0, b = 2 - a;
        if (w.numbers) {
            w.numbers[i] = inside ? ((i64)cell[a] * shape[1] + cell[1]) * shape[b] + cell[b] : -1;
            continue;
        }
        i32* at = w.cells + 3 * i;
        at[a] = inside ? cell[0] : (i32)w.nowhere;
        at[1] = inside ? cell[1] : (i32)w.nowhere;
        at[b] = inside ? cell[2] : (i32)w.nowhere;
    }
}
