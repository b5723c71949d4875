// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets). Rows of up to `staged` stamps are brought to shared memory, where
// their order is checked; for longer rows check_rows has left a verdict in `faulty`. In rounds of a few targets it finds
// index and share once per target into shared memory, then all threads stream the features with the widest aligned
// access. trajectory_align_narrow brings the row's samples along instead, for features too few and odd for that.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#include "common.cuh"
#include "found.cuh"
#include "blend.cuh"
#include "convert.cuh"
#include "berth.cuh"
#include "narrow.cuh"
#include "stream.cuh"
#include "locate.cuh"

// Blocks of TILE threads an SM holds at least: as many as the registers allow without spilling.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define RESIDENT (sizeof(TIME_T) == 4 ? 2 : 3)
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ <= 800
#define RESIDENT 3
#else
#define RESIDENT 4
#endif

// The part of a call that a block serves: of stream k, some targets of row b.
struct Part {
    int k;
    int targets;  // from `first` on
    i64 b, first;
    Row row;
    __device__ __forceinline__ Part(const Work& goal, i64 block) : k(0) {
        while (k + 1 < goal.streams && block >= goal.stream[k + 1].first_block) ++k;
        const Stream& s = goal.stream[k];
        b = divide(block - s.first_block, s.tiles);
        first = (block - s.first_block - b * s.tiles) * s.tile;
        targets = (int)min(s.tile, goal.steps - first);
        row = find_row(s, goal.source[k], b, goal.status);
    }
    __device__ __forceinline__ const TIME_T* times(const Work& goal) const { return goal.source[k].times + row.time; }
    __device__ __forceinline__ void leave(u32* status) {  // no target of a row that is out of order is found
        if (row.sound && threadIdx.x == 0) report(status, UNSORTED);
        row.count = 0;
    }
    __device__ __forceinline__ i64 line(const Work& goal, i64 target) const {  // where validity and age of one go
        return (b * goal.steps + target) * goal.columns + goal.column + k;
    }
};

// Where a target falls. N numbers the stamps of the row.
template <class N>
__device__ __forceinline__ Hit hit_of(const Work& goal, const Part& part, const TIME_T* t, i64 target) {
    const Stream& s = goal.stream[part.k];
    const bool single = s.layout.vector != 0 && s.layout.kind_in != F64;
    const TIME_T wanted = goal.times[part.b * goal.row + target];
    const Hit hit = locate<N>(s, t, (N)part.row.count, wanted, single, goal.status);
    if (goal.age) goal.age[part.line(goal, target)] = hit.age;
    return hit;
}
template <class N>
__device__ __forceinline__ void find_round(const Work& goal, const Part& part, const TIME_T* t, i64 first,
                                           const Place& place, const Found& found) {
    for (int i = threadIdx.x; i < place.targets; i += blockDim.x) {
        const Hit hit = hit_of<N>(goal, part, t, first + i);
        const i64 index = hit.index < 0 ? -1 : hit.index + part.row.value;
        found.note(goal.stream[part.k].layout, place, i, index, hit.weight, hit.real);
    }
}

extern "C" __global__ void __launch_bounds__(TILE, RESIDENT) trajectory_align(const __grid_constant__ Work goal) {
    extern __shared__ uint4 room[];  // what was found of the targets of a round, then stamps
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    Part part(goal, block);
    const Stream& s = goal.stream[part.k];
    const TIME_T* t = part.times(goal);
    TIME_T* stamps = (TIME_T*)berth((char*)room + goal.capacity * FOUND_BYTES, t);
    const bool staged = part.row.count <= goal.staged;
    bool bad = !part.row.sound;
    if (staged) {
        bring((char*)stamps, (const char*)t, part.row.count * sizeof(TIME_T));
        arrived();
        if (goal.checked) bad = __syncthreads_or(bad || out_of_order(stamps, part.row.count, goal.status));
    } else if (goal.faulty) {
        bad |= goal.faulty[part.k * goal.rows + part.b] != 0;
    }
    if (bad) part.leave(goal.status);
    const Found found(room, goal.capacity);
    for (int done = 0; done < part.targets; done += (int)goal.capacity) {
        const Layout& l = s.layout;
        const i64 first = part.first + done;
        const Place place = {goal.source[part.k].values + part.b * l.value_row * l.size_in,
                             goal.out[part.k] + (part.b * l.out_row + first * l.out_target) * l.size_out,
                             min((int)goal.capacity, part.targets - done)};
        if (staged) find_round<i32>(goal, part, stamps, first, place, found);
        else find_round<i64>(goal, part, part.times(goal), first, place, found);
        __syncthreads();
        stream_features(l, place, found, goal.valid != nullptr);
        __syncthreads();
        if (goal.valid) {
            for (int i = threadIdx.x; i < min((int)goal.capacity, part.targets - done); i += blockDim.x)
                goal.valid[part.line(goal, part.first + done + i)] = found.real[i] != 0;
            __syncthreads();
        }
    }
}

#if STREAMS == 1
extern "C" __global__ void __launch_bounds__(2 * TILE, 2) trajectory_align_narrow(const __grid_constant__ Work goal) {
    extern __shared__ uint4 room[];  // stamps, then samples, then results of a round
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    Part part(goal, block);
    const Layout& l = goal.stream[0].layout;
    const i64 bytes = l.features * l.size_in, count = part.row.count;
    const TIME_T* t = part.times(goal);
    const char* values = goal.source[0].values + part.b * l.value_row * l.size_in;
    TIME_T* stamps = (TIME_T*)berth(room, t);
    char* samples = berth((char*)room + goal.held, values);
    bring((char*)stamps, (const char*)t, count * sizeof(TIME_T));
    bring(samples, values, count * bytes);
    arrived();
    bool bad = !part.row.sound;
    if (goal.checked) bad = __syncthreads_or(bad || out_of_order(stamps, count, goal.status));
    if (bad) part.leave(goal.status);
    for (int done = 0; done < part.targets; done += blockDim.x) {
        const int targets = min((int)blockDim.x, part.targets - done);
        const i64 first = part.first + done;
        char* out = goal.out[0] + (part.b * l.out_row + first * l.features) * l.size_out;
        char* results = berth((char*)room + goal.results, out);
        if ((int)threadIdx.x < targets) {
            const i64 target = first + threadIdx.x;
            const Hit hit = hit_of<i32>(goal, part, stamps, target);
            const Pick it = pick(l, hit.index, hit.weight);
            const bool nan = narrow_target(l, samples, results + threadIdx.x * (u32)bytes, it, goal.valid != nullptr);
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

#if STREAMS == 1
// For a plan: index (of 4 or 8 bytes), weight, validity and age of every target of one stream.
extern "C" __global__ void __launch_bounds__(TILE, RESIDENT)
    trajectory_find(const __grid_constant__ Work goal, char* index, double* weight, const i64 bytes) {
    extern __shared__ uint4 room[];  // stamps
    const i64 block = blockIdx.y * (i64)gridDim.x + blockIdx.x;
    if (block >= goal.blocks) return;
    Part part(goal, block);
    const TIME_T* t = part.times(goal);
    TIME_T* stamps = (TIME_T*)berth(room, t);
    const bool staged = part.row.count <= goal.staged;
    bool bad = !part.row.sound;
    if (staged) {
        bring((char*)stamps, (const char*)t, part.row.count * sizeof(TIME_T));
        arrived();
        if (goal.checked) bad = __syncthreads_or(bad || out_of_order(stamps, part.row.count, goal.status));
    } else if (goal.faulty) {
        bad |= goal.faulty[part.b] != 0;
    }
    if (bad) part.leave(goal.status);
    for (int k = threadIdx.x; k < part.targets; k += blockDim.x) {
        const i64 i = part.b * goal.steps + part.first + k;
        const TIME_T target = goal.times[part.b * goal.row + part.first + k];
        const Hit hit = staged ? locate<i32>(goal.stream[0], stamps, (i32)part.row.count, target, false, goal.status)
                               : locate<i64>(goal.stream[0], t, part.row.count, target, false, goal.status);
        const i64 at = hit.index < 0 ? -1 : hit.index + part.row.value;
        if (bytes == 4) ((i32*)index)[i] = (i32)at;
        else ((i64*)index)[i] = at;
        if (weight) weight[i] = hit.weight;
        goal.valid[i] = hit.real;
        goal.age[i] = hit.age;
    }
}

// Halfway between two targets, rounded the same way for both; away from a lone one as far as the other side.
__device__ __forceinline__ i64 halfway(i64 early, i64 late) { return early + (i64)(((u64)late - (u64)early) / 2); }
__device__ __forceinline__ double halfway(double early, double late) { return early + (late - early) / 2; }
__device__ __forceinline__ float halfway(float early, float late) {
    return to_float(halfway(to_double(early), to_double(late)));
}
__device__ __forceinline__ i64 mirrored(i64 edge, i64 at) {  // an overflow comes out on the wrong side
    const i64 r = (i64)(2 * (u64)at - (u64)edge), most = 0x7fffffffffffffffll;
    if (edge <= at) return r >= at ? r : most;
    return r <= at && r >= -most ? r : -most;
}
__device__ __forceinline__ double mirrored(double edge, double at) { return at + (at - edge); }
__device__ __forceinline__ float mirrored(float edge, float at) {
    return to_float(mirrored(to_double(edge), to_double(at)));
}

// For means: the lower edges of the cells of every row of targets, then the upper ones. Targets that do not rise have
// no cells.
extern "C" __global__ void trajectory_cells(const TIME_T* targets, TIME_T* edges, const i64 total, const i64 steps) {
    const i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x, b = divide(i, steps), k = i - b * steps;
    if (i >= total) return;
    const TIME_T at = targets[i], left = k > 0 ? targets[i - 1] : Clock::none();
    const TIME_T right = k + 1 < steps ? targets[i + 1] : Clock::none();
    const bool after = Clock::proper(left), before = Clock::proper(right);
    const bool sound = Clock::proper(at) && !(after && left > at) && !(before && right < at);
    TIME_T low = after ? halfway(left, at) : at, high = before ? halfway(at, right) : at;
    if (!after && before) low = mirrored(high, at);
    if (!before && after) high = mirrored(low, at);
    TIME_T* to = edges + b * 2 * steps + k;
    to[0] = sound ? low : Clock::none();
    to[steps] = sound ? high : Clock::none();
}
#endif
