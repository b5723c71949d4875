// Exact sums, extremes and a histogram of many samples, feature by feature; what is gathered is said in _core/tally.py.
//
// All of it is integers, so neither the order of the samples nor that of the atomics shows. A thread serves one feature
// of a tile of rows and keeps its sums in registers, in a window of 64 binades. What lies below goes straight to the
// digits, what lies above moves the window. Buckets that a block meets again are counted in a table in shared memory.
//
// Macros: VALUE_T; WIDE: 1 where float64 is needed to hold a value.

#include "common.cuh"
#include "tally.cuh"

#define AHEAD 4  // samples a thread has under way

struct Samples {  // mirrored in stats.py
    const VALUE_T* values;
    const u8* valid;  // none: all are
    i64* words;  // WORDS a feature
    u64* counts;  // none: no histogram
    i64 rows, inner, outer_step, inner_step, feature_step;  // row r begins at r / inner * outer_step + …
    i64 valid_outer, valid_inner, valid_feature;
    i64 features, per, chunks, share;  // per: features of a block, share: rows of a block
    i64 bits, buckets;
    i64 home;  // whether the words of a block's features fit into shared memory
};

// The samples of one feature that a thread takes, in order; several are under way while one is worked on.
struct Walk {
    const Samples& in;
    i64 row, last, step, outer, inner, feature;
    VALUE_T held[AHEAD];
    bool there[AHEAD];

    __device__ __forceinline__ Walk(const Samples& in, i64 first, i64 last, i64 step, i64 feature)
        : in(in), row(first), last(last), step(step), feature(feature) {
        outer = in.rows > in.inner ? divide(first, in.inner) : 0;
        inner = first - outer * in.inner;
#pragma unroll
        for (int k = 0; k < AHEAD; ++k) bring(k);
    }
    __device__ __forceinline__ void bring(int k) {
        const u8* mark = in.valid + outer * in.valid_outer + inner * in.valid_inner + feature * in.valid_feature;
        there[k] = row < last && (!in.valid || *mark);
        if (there[k]) held[k] = in.values[outer * in.outer_step + inner * in.inner_step + feature * in.feature_step];
        row += step;
        inner += step;
        if (inner >= in.inner && row < last) {
            const i64 more = divide(inner, in.inner);
            outer += more;
            inner -= more * in.inner;
        }
    }
    __device__ __forceinline__ void next() {
#pragma unroll
        for (int k = 1; k < AHEAD; ++k) {
            held[k - 1] = held[k];
            there[k - 1] = there[k];
        }
        bring(AHEAD - 1);
    }
};

extern "C" __global__ void __launch_bounds__(256, 2) stats_add(const __grid_constant__ Samples in) {
    extern __shared__ uint4 room[];
    const i64 chunk = blockIdx.x % in.chunks, begin = blockIdx.x / in.chunks * in.share, from = chunk * in.per;
    const int features = (int)min(in.per, in.features - from), per = (int)in.per, used = in.counts ? SLOTS : 0;
    const Table table = {(u32*)room, (u32*)room + used, in.counts ? in.counts + from * in.buckets : nullptr,
                         (u32)in.buckets};
    i64* const mine = (i64*)(table.hits + used);
    for (int i = threadIdx.x; i < 2 * used; i += blockDim.x) table.tags[i] = 0;
    const int kept = in.home ? features * WORDS : 0;
    for (int i = threadIdx.x; i < kept; i += blockDim.x)
        mine[i] = i % WORDS == LOW ? NONE_LOW : i % WORDS == HIGH ? NONE_HIGH : 0;
    __syncthreads();
    const int lane = threadIdx.x % per, step = blockDim.x / per;
    if (lane < features) {
        Tally tally(in.home ? mine + lane * WORDS : in.words + (from + lane) * WORDS);
        const i64 last = min(begin + in.share, in.rows);
        i64 row = begin + threadIdx.x / per;
        for (Walk walk(in, row, last, step, from + lane); row < last; row += step, walk.next())
            if (walk.there[0]) tally.take(bits_of(walk.held[0]), table, lane, (int)in.bits);
        tally.finish();
    }
    __syncthreads();
    for (int i = threadIdx.x; i < used; i += blockDim.x)
        if (table.tags[i]) atomicAdd(table.counts + (table.tags[i] - 1), (u64)table.hits[i]);
    i64* const words = in.words + from * WORDS;
    for (int i = threadIdx.x; i < kept; i += blockDim.x) {
        const i64 word = mine[i];
        if (i % WORDS == LOW) atomicMin(words + i, word);
        else if (i % WORDS == HIGH) atomicMax(words + i, word);
        else if (word) gain(words + i, word);
    }
}

extern "C" __global__ void stats_carry(i64* words, i64 features) {
    const i64 i = blockIdx.x * (i64)blockDim.x + threadIdx.x;
    if (i >= 2 * features) return;
    i64* digits = words + i / 2 * WORDS + (i % 2 ? SQUARE : SUM);
    for (int k = 0; k + 1 < (i % 2 ? SQUARE_DIGITS : SUM_DIGITS); ++k) {
        digits[k + 1] += digits[k] >> 32;
        digits[k] &= 0xffffffffll;
    }
}
