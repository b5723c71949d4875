// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets): it finds index and weight once per target into shared memory,
// then all threads stream the features with the widest aligned access. Short rows are staged in shared memory, where
// their order is checked on the way; for long rows check_rows has left a verdict in `faulty`.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#include "common.cuh"
#include "stream.cuh"
#include "locate.cuh"
#include "blend.cuh"

extern "C" __global__ void __launch_bounds__(TILE, 4) trajectory_align(const __grid_constant__ Work goal) {
    __shared__ TIME_T stamps[STAGED];
    __shared__ Found found;
    for (i64 block = blockIdx.x; block < goal.blocks; block += gridDim.x) {
        int k = 0;
        while (k + 1 < goal.streams && block >= goal.stream[k + 1].first_block) ++k;
        const Stream& s = goal.stream[k];
        const i64 local = block - s.first_block, b = local / s.tiles, from = (local - b * s.tiles) * goal.tile;
        const i64 targets = min(goal.tile, goal.steps - from);
        const Row row = find_row(s, b, goal.status);
        const TIME_T* t = s.times + row.time;
        bool bad = !row.sound;
        if (row.count <= STAGED) {
            for (i64 i = threadIdx.x; i < row.count; i += blockDim.x) stamps[i] = t[i];
            t = stamps;
            __syncthreads();
            if (goal.checked) bad = __syncthreads_or(bad || out_of_order(t, row.count, goal.status));
        } else if (goal.faulty) {
            bad |= goal.faulty[k * goal.rows + b] != 0;
        }
        if (bad && row.sound && threadIdx.x == 0) report(goal.status, UNSORTED);
        if (threadIdx.x < targets) {
            const i64 step = from + threadIdx.x;
            const Hit hit = locate(s, t, bad ? 0 : row.count, goal.times[b * goal.row + step], goal.status);
            found.index[threadIdx.x] = hit.index < 0 ? -1 : hit.index + row.value;
            found.weight[threadIdx.x] = hit.weight;
            found.real[threadIdx.x] = hit.real;
            if (goal.age) goal.age[(b * goal.steps + step) * goal.columns + goal.column + k] = hit.age;
        }
        __syncthreads();
        const Place place = {s.values + b * s.value_row * s.size_in,
                             s.out + (b * s.out_row + from * s.out_target) * s.size_out, targets};
        stream_features(s, place, found, goal.valid != nullptr);
        __syncthreads();
        if (goal.valid && threadIdx.x < targets)
            goal.valid[(b * goal.steps + from + threadIdx.x) * goal.columns + goal.column + k] =
                found.real[threadIdx.x] != 0;
        __syncthreads();
    }
}

// For rows too long to stage: a block checks `share` stamps of one (stream, row); `faulty` starts as zeros.
extern "C" __global__ void trajectory_check_rows(const __grid_constant__ Work goal, const i64 share, const i64 shares) {
    const i64 total = goal.streams * goal.rows * shares;
    for (i64 block = blockIdx.x; block < total; block += gridDim.x) {
        const i64 which = block / shares, from = (block - which * shares) * share;
        const i64 k = which / goal.rows, b = which - k * goal.rows;
        const Stream& s = goal.stream[k];
        const Row row = find_row(s, b, goal.status);
        if (row.count <= STAGED || from >= row.count) continue;
        // One stamp more than the share, so that no pair of neighbours is missed.
        const i64 count = min(share + 1, row.count - from);
        if (out_of_order(s.times + row.time + from, count, goal.status)) goal.faulty[which] = 1;
    }
}
