// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets): it finds index and weight once per target into shared memory,
// then all threads stream the features with the widest aligned access. Rows of up to `staged` stamps are staged in
// shared memory, where their order is checked on the way; for longer rows check_rows has left a verdict in `faulty`.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#include "common.cuh"
#include "blend.cuh"
#include "convert.cuh"
#include "stream.cuh"
#include "locate.cuh"

// Blocks of TILE threads an SM holds at least: as many as the registers allow without spilling.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define RESIDENT 3
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define RESIDENT 5
#else
#define RESIDENT 4
#endif

extern "C" __global__ void __launch_bounds__(TILE, RESIDENT) trajectory_align(const __grid_constant__ Work goal) {
    extern __shared__ i64 room[];  // what was found of some targets, then stamps
    const Found found(room, goal.capacity);
    TIME_T* stamps = (TIME_T*)(room + (goal.capacity * 5 + 1) / 2);
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    int k = 0;
    while (k + 1 < goal.streams && block >= goal.stream[k + 1].first_block) ++k;
    const Stream& s = goal.stream[k];
    const Source& at = goal.source[k];
    const i64 b = (block - s.first_block) / s.tiles, tile = (block - s.first_block) - b * s.tiles;
    const i64 end = min((tile + 1) * s.tile, goal.steps);
    const Row row = find_row(s, at, b, goal.status);
    const TIME_T* t = at.times + row.time;
    bool bad = !row.sound;
    if (row.count <= goal.staged) {
#pragma unroll 4
        for (int i = threadIdx.x; i < (int)row.count; i += blockDim.x) stamps[i] = t[i];
        t = stamps;
        __syncthreads();
        if (goal.checked) bad = __syncthreads_or(bad || out_of_order(t, row.count, goal.status));
    } else if (goal.faulty) {
        bad |= goal.faulty[k * goal.rows + b] != 0;
    }
    if (bad && row.sound && threadIdx.x == 0) report(goal.status, UNSORTED);
    for (i64 first = tile * s.tile; first < end; first += goal.capacity) {
        const int targets = (int)min(goal.capacity, end - first);
        const i64 line = (b * goal.steps + first) * goal.columns + goal.column + k;
        for (int i = threadIdx.x; i < targets; i += blockDim.x) {
            const Hit hit = locate(s, t, bad ? 0 : row.count, goal.times[b * goal.row + first + i], goal.status);
            found.note(s.layout, i, hit.index < 0 ? -1 : hit.index + row.value, hit.weight, hit.real);
            if (goal.age) goal.age[line + i * goal.columns] = hit.age;
        }
        __syncthreads();
        const Layout& l = s.layout;
        const Place place = {at.values + b * l.value_row * l.size_in,
                             goal.out[k] + (b * l.out_row + first * l.out_target) * l.size_out, targets};
        stream_features(l, place, found, goal.valid != nullptr);
        __syncthreads();
        if (goal.valid) {
            for (int i = threadIdx.x; i < targets; i += blockDim.x)
                goal.valid[line + i * goal.columns] = found.real[i] != 0;
            __syncthreads();
        }
    }
}

// For rows too long to stage: a block checks `share` stamps of one (stream, row); `faulty` starts as zeros.
extern "C" __global__ void trajectory_check_rows(const __grid_constant__ Work goal, const i64 share, const i64 shares) {
    const i64 total = goal.streams * goal.rows * shares;
    for (i64 block = blockIdx.x; block < total; block += gridDim.x) {
        const i64 which = block / shares, from = (block - which * shares) * share;
        const i64 k = which / goal.rows, b = which - k * goal.rows;
        const Stream& s = goal.stream[k];
        const Source& at = goal.source[k];
        const Row row = find_row(s, at, b, goal.status);
        if (row.count <= goal.staged || from >= row.count) continue;
        // One stamp more than the share, so that no pair of neighbours is missed.
        const i64 count = min(share + 1, row.count - from);
        if (out_of_order(at.times + row.time + from, count, goal.status)) goal.faulty[which] = 1;
    }
}

// For a plan: index (of 4 or 8 bytes), weight, validity and age of every target of one stream.
extern "C" __global__ void __launch_bounds__(TILE, 4)
    trajectory_find(const __grid_constant__ Work goal, char* index, double* weight, const i64 bytes) {
    const Stream& s = goal.stream[0];
    const i64 total = goal.rows * goal.steps;
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < total; i += gridDim.x * (i64)blockDim.x) {
        const i64 b = i / goal.steps;
        const Row row = find_row(s, goal.source[0], b, goal.status);
        const bool bad = goal.faulty && goal.faulty[b];
        if (bad) report(goal.status, UNSORTED);
        const TIME_T target = goal.times[b * goal.row + (i - b * goal.steps)];
        const Hit hit = locate(s, goal.source[0].times + row.time, bad ? 0 : row.count, target, goal.status);
        const i64 at = hit.index < 0 ? -1 : hit.index + row.value;
        if (bytes == 4) ((i32*)index)[i] = (i32)at;
        else ((i64*)index)[i] = at;
        if (weight) weight[i] = hit.weight;
        goal.valid[i] = hit.real;
        goal.age[i] = hit.age;
    }
}
