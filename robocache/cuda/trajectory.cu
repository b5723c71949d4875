// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets): it finds index and share once per target into shared memory,
// then all threads stream the features with the widest aligned access. Rows of up to `staged` stamps are staged in
// shared memory, where their order is checked on the way; for longer rows check_rows has left a verdict in `faulty`.
// Where features are few, trajectory_align_narrow takes the row's samples there too, from byte `held` on.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#include "common.cuh"
#include "blend.cuh"
#include "convert.cuh"
#include "narrow.cuh"
#include "stream.cuh"
#include "locate.cuh"

// Index and share of targets first, first + 1, … of a row.
template <class N>
__device__ __forceinline__ void find_targets(const Work& goal, const Stream& s, const TIME_T* t, const Row& row,
                                             bool bad, const TIME_T* wanted, i64 line, int targets, const Found& found) {
    const N count = bad ? 0 : (N)row.count;
    const bool single = s.layout.vector != 0 && s.layout.kind_in != F64;
    for (int i = threadIdx.x; i < targets; i += blockDim.x) {
        const Hit hit = locate<N>(s, t, count, wanted[i], single, goal.status);
        found.note(s.layout, i, hit.index < 0 ? -1 : hit.index + row.value, hit.weight, hit.real);
        if (goal.age) goal.age[line + i * goal.columns] = hit.age;
    }
}

template <bool held> __device__ __forceinline__ void align_tile(const Work& goal) {
    extern __shared__ uint4 room[];  // what was found of some targets, then stamps, then samples
    const Found found(room, goal.capacity);
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    int k = 0;
    while (k + 1 < goal.streams && block >= goal.stream[k + 1].first_block) ++k;
    const Stream& s = goal.stream[k];
    const Source& at = goal.source[k];
    const i64 b = divide(block - s.first_block, s.tiles), tile = (block - s.first_block) - b * s.tiles;
    const i64 end = min((tile + 1) * s.tile, goal.steps);
    const Row row = find_row(s, at, b, goal.status);
    const TIME_T* t = at.times + row.time;
    const char* values = at.values + b * s.layout.value_row * s.layout.size_in;
    char* stamps = berth((char*)room + goal.capacity * 5 * 4, t);
    char* samples = berth((char*)room + goal.held, values);
    const bool staged = held || row.count <= goal.staged;
    bool bad = !row.sound;
    if (staged) {
        bring(stamps, (const char*)t, row.count * sizeof(TIME_T));
        if (held) bring(samples, values, row.count * s.layout.value_sample * s.layout.size_in);
        arrived();
        if (goal.checked) bad = __syncthreads_or(bad || out_of_order((TIME_T*)stamps, row.count, goal.status));
    } else if (goal.faulty) {
        bad |= goal.faulty[k * goal.rows + b] != 0;
    }
    if (bad && row.sound && threadIdx.x == 0) report(goal.status, UNSORTED);
    for (i64 first = tile * s.tile; first < end; first += goal.capacity) {
        const int targets = (int)min(goal.capacity, end - first);
        const i64 line = (b * goal.steps + first) * goal.columns + goal.column + k;
        const TIME_T* wanted = goal.times + b * goal.row + first;
        if (staged) find_targets<i32>(goal, s, (TIME_T*)stamps, row, bad, wanted, line, targets, found);
        else find_targets<i64>(goal, s, t, row, bad, wanted, line, targets, found);
        __syncthreads();
        const Layout& l = s.layout;
        const Place place = {values, goal.out[k] + (b * l.out_row + first * l.out_target) * l.size_out, targets};
        if (held) stream_narrow(l, place, samples, found, goal.valid != nullptr);
        else stream_features(l, place, found, goal.valid != nullptr);
        __syncthreads();
        if (goal.valid) {
            for (int i = threadIdx.x; i < targets; i += blockDim.x)
                goal.valid[line + i * goal.columns] = found.real[i] != 0;
            __syncthreads();
        }
    }
}

extern "C" __global__ void __launch_bounds__(TILE, 2) trajectory_align(const __grid_constant__ Work goal) {
    align_tile<false>(goal);
}

#if STREAMS == 1
extern "C" __global__ void __launch_bounds__(TILE, 2) trajectory_align_narrow(const __grid_constant__ Work goal) {
    align_tile<true>(goal);
}
#endif

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
extern "C" __global__ void __launch_bounds__(256, 4)
    trajectory_find(const __grid_constant__ Work goal, char* index, double* weight, const i64 bytes) {
    const Stream& s = goal.stream[0];
    const i64 total = goal.rows * goal.steps;
    for (i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x; i < total; i += gridDim.x * (i64)blockDim.x) {
        const i64 b = i / goal.steps;
        const Row row = find_row(s, goal.source[0], b, goal.status);
        const bool bad = goal.faulty && goal.faulty[b];
        if (bad) report(goal.status, UNSORTED);
        const TIME_T target = goal.times[b * goal.row + (i - b * goal.steps)];
        const Hit hit =
            locate<i64>(s, goal.source[0].times + row.time, bad ? 0 : row.count, target, false, goal.status);
        const i64 at = hit.index < 0 ? -1 : hit.index + row.value;
        if (bytes == 4) ((i32*)index)[i] = (i32)at;
        else ((i64*)index)[i] = at;
        if (weight) weight[i] = hit.weight;
        goal.valid[i] = hit.real;
        goal.age[i] = hit.age;
    }
}
