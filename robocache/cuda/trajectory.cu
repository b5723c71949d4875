// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets). Rows of up to `staged` stamps are brought to shared memory, where
// their order is checked; for longer rows check_rows has left a verdict in `faulty`. In rounds of a few targets it finds
// index and share once per target into shared memory, then all threads stream the features with the widest aligned
// access. trajectory_align_narrow brings the row's samples along instead, for features too few and odd for that.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#include "common.cuh"
#include "blend.cuh"
#include "convert.cuh"
#include "narrow.cuh"
#include "stream.cuh"
#include "locate.cuh"

// The part of a call that a block serves: of stream k, targets first to end of row b.
struct Part {
    int k;
    i64 b, first, end;
    __device__ __forceinline__ Part(const Work& goal, i64 block) : k(0) {
        while (k + 1 < goal.streams && block >= goal.stream[k + 1].first_block) ++k;
        const Stream& s = goal.stream[k];
        b = divide(block - s.first_block, s.tiles);
        first = (block - s.first_block - b * s.tiles) * s.tile;
        end = min(first + s.tile, goal.steps);
    }
    __device__ __forceinline__ i64 line(const Work& goal, i64 target) const {  // where validity and age of one go
        return (b * goal.steps + target) * goal.columns + goal.column + k;
    }
};

// Where a target falls. N numbers the stamps of the row.
template <class N>
__device__ __forceinline__ Hit hit_of(const Work& goal, const Part& part, const TIME_T* t, const Row& row, bool bad,
                                      i64 target) {
    const Stream& s = goal.stream[part.k];
    const bool single = s.layout.vector != 0 && s.layout.kind_in != F64;
    const TIME_T wanted = goal.times[part.b * goal.row + target];
    const Hit hit = locate<N>(s, t, bad ? 0 : (N)row.count, wanted, single, goal.status);
    if (goal.age) goal.age[part.line(goal, target)] = hit.age;
    return hit;
}
template <class N>
__device__ __forceinline__ void find_round(const Work& goal, const Part& part, const TIME_T* t, const Row& row, bool bad,
                                           i64 first, int targets, const Found& found) {
    for (int i = threadIdx.x; i < targets; i += blockDim.x) {
        const Hit hit = hit_of<N>(goal, part, t, row, bad, first + i);
        found.note(goal.stream[part.k].layout, i, hit.index < 0 ? -1 : hit.index + row.value, hit.weight, hit.real);
    }
}

extern "C" __global__ void __launch_bounds__(TILE, 4) trajectory_align(const __grid_constant__ Work goal) {
    extern __shared__ uint4 room[];  // what was found of the targets of a round, then stamps
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    const Part part(goal, block);
    const Stream& s = goal.stream[part.k];
    const Source& at = goal.source[part.k];
    const Row row = find_row(s, at, part.b, goal.status);
    const TIME_T* t = at.times + row.time;
    const bool staged = row.count <= goal.staged;
    TIME_T* stamps = (TIME_T*)berth((char*)room + goal.capacity * 20, t);
    bool bad = !row.sound;
    if (staged) {
        bring((char*)stamps, (const char*)t, row.count * sizeof(TIME_T));
        arrived();
        if (goal.checked) bad = __syncthreads_or(bad || out_of_order(stamps, row.count, goal.status));
    } else if (goal.faulty) {
        bad |= goal.faulty[part.k * goal.rows + part.b] != 0;
    }
    if (bad && row.sound && threadIdx.x == 0) report(goal.status, UNSORTED);
    const Found found(room, goal.capacity);
    for (i64 first = part.first; first < part.end; first += goal.capacity) {
        const int targets = (int)min(goal.capacity, part.end - first);
        if (staged) find_round<i32>(goal, part, stamps, row, bad, first, targets, found);
        else find_round<i64>(goal, part, t, row, bad, first, targets, found);
        __syncthreads();
        const Layout& l = s.layout;
        const Place place = {at.values + part.b * l.value_row * l.size_in,
                             goal.out[part.k] + (part.b * l.out_row + first * l.out_target) * l.size_out, targets};
        stream_features(l, place, found, goal.valid != nullptr);
        __syncthreads();
        if (goal.valid) {
            for (int i = threadIdx.x; i < targets; i += blockDim.x)
                goal.valid[part.line(goal, first + i)] = found.real[i] != 0;
            __syncthreads();
        }
    }
}

#if STREAMS == 1
extern "C" __global__ void __launch_bounds__(2 * TILE, 2) trajectory_align_narrow(const __grid_constant__ Work goal) {
    extern __shared__ uint4 room[];  // stamps, then samples, then results of a round
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    const Part part(goal, block);
    const Layout& l = goal.stream[0].layout;
    const Row row = find_row(goal.stream[0], goal.source[0], part.b, goal.status);
    const TIME_T* t = goal.source[0].times + row.time;
    const char* values = goal.source[0].values + part.b * l.value_row * l.size_in;
    const i64 bytes = l.features * l.size_in;
    TIME_T* stamps = (TIME_T*)berth(room, t);
    char* samples = berth((char*)room + goal.held, values);
    bring((char*)stamps, (const char*)t, row.count * sizeof(TIME_T));
    bring(samples, values, row.count * bytes);
    arrived();
    bool bad = !row.sound;
    if (goal.checked) bad = __syncthreads_or(bad || out_of_order(stamps, row.count, goal.status));
    if (bad && row.sound && threadIdx.x == 0) report(goal.status, UNSORTED);
    for (i64 first = part.first; first < part.end; first += blockDim.x) {
        const int targets = (int)min((i64)blockDim.x, part.end - first);
        char* out = goal.out[0] + (part.b * l.out_row + first * l.features) * l.size_out;
        char* results = berth((char*)room + goal.results, out);
        if ((int)threadIdx.x < targets) {
            const i64 target = first + threadIdx.x;
            const Hit hit = hit_of<i32>(goal, part, stamps, row, bad, target);
            const Entry e = entry_of(l, hit.index, hit.weight);
            const bool nan = narrow_target(l, samples, results + threadIdx.x * (u32)bytes, e, goal.valid != nullptr);
            if (goal.valid) goal.valid[part.line(goal, target)] = hit.real && !nan;
        }
        __syncthreads();
        send(out, results, targets * bytes);
        __syncthreads();
    }
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
