// Applying a plan: index, weight and validity of every target are known, so only features move.
//
// A block serves one (row, tile of targets), as in trajectory.cu: what is known of the targets goes to shared memory,
// then all threads stream the features.
//
// Macros: INDEX_T (i32, i64).

#include "common.cuh"
#include "found.cuh"
#include "blend.cuh"

struct Known {  // mirrored in plan.py: addresses first, so that a call replaces one stretch of bytes
    const char* values;
    char* out;
    u8* valid;
    const INDEX_T* index;
    const double* weight;  // none where nothing is blended
    const u8* real;
    i64 row;  // targets to the next row of the plan; 0: one row serves all
    i64 steps, tile, tiles, blocks;
    Layout layout;
};

extern "C" __global__ void __launch_bounds__(TILE, 3) plan_apply(const __grid_constant__ Known plan) {
    extern __shared__ uint4 room[];
    const Found found(room, plan.tile);
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= plan.blocks) return;
    const i64 b = block / plan.tiles, first = (block - b * plan.tiles) * plan.tile;
    const int targets = (int)min(plan.tile, plan.steps - first);
    const i64 from = b * plan.row + first;
    const Layout& l = plan.layout;
    const Place place = {plan.values + b * l.value_row * l.size_in,
                         plan.out + (b * l.out_row + first * l.out_target) * l.size_out, targets};
    for (int i = threadIdx.x; i < targets; i += blockDim.x)
        found.note(l, place, i, plan.index[from + i], plan.weight ? plan.weight[from + i] : 0.0,
                   plan.valid && plan.real[from + i]);
    __syncthreads();
    stream_alike(l, place, found, plan.valid != nullptr);
    if (plan.valid) {
        __syncthreads();
        u8* valid = plan.valid + b * plan.steps + first;
        for (int i = threadIdx.x; i < targets; i += blockDim.x) valid[i] = found.real[i] != 0;
    }
}
