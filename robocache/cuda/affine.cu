// Intrinsics and transforms, brought into the form that kernels read for every point.

#include "common.cuh"
#include "affine.cuh"

extern "C" __global__ void __launch_bounds__(256, 2)
    affine_prepare(const __grid_constant__ Table lenses, const __grid_constant__ Table poses, i64 rows, ACC_T* out) {
    const u32 step = gridDim.x * blockDim.x;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < (u32)rows; i += step) {
        ACC_T* to = out + (i64)i * CAMERA;
        if (lenses.rows) {
            const bool matrix = lenses.width == 9;
            to[0] = div_ieee((ACC_T)1, lenses.at(i, 0));
            to[1] = div_ieee((ACC_T)1, lenses.at(i, matrix ? 4 : 1));
            to[2] = lenses.at(i, 2);
            to[3] = lenses.at(i, matrix ? 5 : 3);
        }
        if (poses.rows)
            for (int k = 0; k < 12; ++k) to[4 + k] = poses.at(i, k);
    }
}
