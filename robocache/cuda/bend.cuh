// Second derivatives of natural cubics: a tridiagonal system for each row and feature, whose unknowns lean on distant
// samples by less than half for every sample between. So a thread solves CHUNK samples of a feature in its registers (in
// shared memory, if they are double), from HALO more on both sides that make its ends right beyond the last bit, and
// threads need not wait for one another. What depends on the stamps alone is worked out once for all features of a
// block, and for every sample at once: it forgets even faster where it began.

enum { CHUNK = 32, HALO = sizeof(ACC_T) == 4 ? 24 : 56 };  // BEND of curve.py
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define SOLVING 1  // blocks there are registers for
#else
#define SOLVING 2
#endif
enum { SOLVERS = sizeof(ACC_T) == 4 ? 256 : 128 };  // threads of a block at most
enum { FORGOTTEN = sizeof(ACC_T) == 4 ? 16 : 32 };  // samples after which a factor is what it would be from far away

// Gap after sample j of the row, in the row's unit; 0 at its ends, which part it.
__device__ __forceinline__ ACC_T unit_gap(const Call& c, i64 b, i64 j) {
    i64 at = b;
    if (c.offsets) {  // the row of sample j of all: the last that begins at or before it
        i64 low = 0, high = c.rows;
        while (low < high) {
            const i64 middle = (low + high) >> 1;
            if (c.offsets[middle + 1] <= j) low = middle + 1;
            else high = middle;
        }
        at = low;
        if (at >= c.rows || j < c.offsets[at]) return 0;
    }
    const Row row = row_of(c, at);
    const i64 first = c.offsets ? row.start : 0;
    if (j < first || j + 1 >= first + row.count) return 0;
    const i64 stamp = c.offsets ? j : row.start + j;
    const double h = gap(c, stamp, stamp + 1);
    return h > 0 ? (ACC_T)(h / spacing(c, row)) : (ACC_T)0;
}

// Of a sample: d = scale * (change of slope) - lean * d before, then bend = d - factor * bend after.
struct alignas(4 * sizeof(ACC_T)) Step { ACC_T inverse, scale, lean, factor; };  // inverse: of the gap after it

// Steps of `count` samples; gaps[j] and gaps[j + 1] are those before and after sample j. A thread takes a few in a row.
__device__ __forceinline__ void eliminate(const ACC_T* gaps, Step* steps, int count) {
    const int own = (count + blockDim.x - 1) / blockDim.x, start = threadIdx.x * own, stop = min(start + own, count);
    ACC_T before = 0;
    for (int i = max(0, start - FORGOTTEN); i < stop; ++i) {
        const ACC_T left = i ? gaps[i] : (ACC_T)0, right = gaps[i + 1];
        const ACC_T step = left > 0 && right > 0 ? 1 / (2 * (left + right) - left * before) : (ACC_T)0;
        before = step * right;
        if (i >= start) steps[i] = {right > 0 ? 1 / right : (ACC_T)0, 6 * step, step * left, before};
    }
}

__device__ void spoil(const Call& c, i64 b, i64 j, i64 feature) {
    i64 row = b;
    if (c.offsets) {
        row = 0;
        while (row < c.rows && c.offsets[row + 1] <= j) ++row;
        if (row >= c.rows || j < c.offsets[row]) return;
    } else if (c.lengths && j >= c.lengths[b]) {
        return;  // only samples that are there count
    }
    c.spoilt[row * c.features + feature] = 1;
    c.spoilt[c.rows * c.features + row] = 1;
}

enum { BATCH = sizeof(ACC_T) == 4 ? 8 : 4 };  // samples of a thread on their way at once
constexpr bool IN_REGISTERS = sizeof(ACC_T) == 4;
static_assert(HALO % BATCH == 0 && CHUNK % BATCH == 0, "whole batches");

// Samples of a feature one after another. At an edge, the first and the last there are stand for those beyond.
template <bool EDGE> struct Feed {
    const VALUE_T* from;
    i64 step;
    int before, after;  // places before the first sample, and samples after the one that is next
    __device__ __forceinline__ void fetch(ACC_T* batch) {
#pragma unroll
        for (int k = 0; k < BATCH; ++k) batch[k] = next();
    }
    __device__ __forceinline__ ACC_T next() {
        ACC_T sample;
        load<1>(from, &sample);
        from += !EDGE || (before <= 0 && after > 0) ? step : 0;
        if (EDGE && before-- <= 0) --after;
        asm volatile("" : "+l"(from), "+r"(before), "+r"(after));  // or all addresses are worked out first
        return sample;
    }
};

// A feature of CHUNK samples from `start` on. At an edge there are not HALO more on both sides; their steps are zero,
// and any sample will do. False if a sample is not finite.
template <bool EDGE>
__device__ __forceinline__ bool solve(const Call& c, const VALUE_T* v, i64 start, const Step* steps, ACC_T* column,
                                      ACC_T* out) {
    const i64 early = start - HALO;
    Feed<EDGE> feed = {v + max(early, (i64)0) * c.value_sample, c.value_sample, (int)max(-early, (i64)0),
                       (int)min(c.samples - 1 - max(early, (i64)0), (i64)(CHUNK + 2 * HALO))};
    ACC_T here = feed.next(), d = 0, sloped = 0, sum = 0, own[IN_REGISTERS ? CHUNK + HALO : 1], batch[2][BATCH];
    const auto kept = [&](int i) -> ACC_T& { return IN_REGISTERS ? own[i] : column[i * blockDim.x]; };
    const auto step = [&](const Step& s, ACC_T next) {
        const ACC_T slope = (next - here) * s.inverse;
        const ACC_T found = fma_ieee(s.scale, slope - sloped, -(s.lean * d));
        d = s.scale > 0 ? found : (ACC_T)0;  // also where it is NaN
        sloped = slope, here = next;
    };
    feed.fetch(batch[0]);
#pragma unroll
    for (int i = 0; i < CHUNK + 2 * HALO; i += BATCH) {
        if (i + BATCH < CHUNK + 2 * HALO) feed.fetch(batch[1 - i / BATCH % 2]);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            if (i >= HALO && i < HALO + CHUNK) sum = fma_ieee(here, (ACC_T)0, sum);  // NaN once one is not finite
            step(steps[i + k], batch[i / BATCH % 2][k]);
            if (i >= HALO) kept(i + k - HALO) = d;
        }
    }
    ACC_T bend = 0;
#pragma unroll
    for (int i = CHUNK + HALO - 1; i >= 0; --i) {
        const ACC_T factor = steps[HALO + i].factor;
        bend = factor > 0 ? fma_ieee(-factor, bend, kept(i)) : kept(i);  // at an end of a row, the next may hold NaN
        if (i < CHUNK) kept(i) = bend;
    }
#pragma unroll
    for (int i = 0; i < CHUNK; ++i, out += c.features)
        if (!EDGE || start + i < c.samples) *out = kept(i);
    return sum == 0;
}

extern "C" __global__ void __launch_bounds__(SOLVERS, SOLVING) curve_bend(const __grid_constant__ Call c) {
    extern __shared__ uint4 room[];
    const int count = (int)c.chunk + 2 * HALO, slot = threadIdx.x / (u32)c.across;
    Step* steps = (Step*)room;
    ACC_T* gaps = (ACC_T*)(steps + count);
    const i64 group = blockIdx.x % c.groups, part = blockIdx.x / c.groups, b = part / c.chunks;
    const i64 first = (part - b * c.chunks) * c.chunk - HALO;  // sample of the first step
    for (int i = threadIdx.x; i <= count; i += blockDim.x)
        gaps[i] = first + i < 1 || first + i >= c.samples ? (ACC_T)0 : unit_gap(c, b, first + i - 1);
    __syncthreads();
    eliminate(gaps, steps, count);
    __syncthreads();
    const i64 feature = group * c.across + (threadIdx.x - slot * (u32)c.across), start = first + HALO + slot * CHUNK;
    if (feature >= c.features || start >= c.samples) return;
    const VALUE_T* v = c.values + (c.offsets ? 0 : b * c.value_row) + feature;
    ACC_T* out = c.bend + ((c.offsets ? 0 : b * c.samples) + start) * c.features + feature;
    ACC_T* column = gaps + count + 1 + threadIdx.x;
    steps += slot * CHUNK;
    const bool edge = start < HALO || start + CHUNK + HALO >= c.samples;
    const bool sound =
        edge ? solve<true>(c, v, start, steps, column, out) : solve<false>(c, v, start, steps, column, out);
    if (sound) return;
    for (i64 j = start; j < min(start + CHUNK, c.samples); ++j)
        if (!is_finite(widen<ACC_T>(v[j * c.value_sample]))) spoil(c, b, j, feature);
}
