// What a curve is told of a call, and what a block keeps of each of its targets.

#define TILE 256           // most targets of a block; mirrored in curve.py
#define WIDE (16 / sizeof(VALUE_T))  // elements of the widest access

enum Kind { CUBIC, PCHIP, AKIMA, CATMULL_ROM, SLERP, ANGLE, MEAN, SE3, SPLIT };
enum Clock { NANOSECONDS, DOUBLE, SINGLE };
enum State { SAMPLE, BLEND, FILLED };  // a target is a sample, lies between two, or has none

struct Call {              // mirrored by _CALL in curve.py; 8-byte fields only
    const VALUE_T* values;
    VALUE_T* out;
    u8* valid;             // or null
    const char* times;
    const i64 *lengths, *offsets;  // of rows, or null
    const char* index;     // of every target: its sample, or the one before it; -1 for none
    const double* weight;
    const u8* real;
    const char* edge_index;  // of mean: of the lower edges of the targets' cells, then of the upper ones
    const double* edge_weight;
    ACC_T* bend;           // of cubic: second derivatives of every sample,
    u8* spoilt;            // and whether a feature of a row holds NaN or infinity
    i64 index_bytes, found_row, edge_row;  // targets to the next row of what was found; 0: one row serves all
    i64 rows, steps, tile, tiles;
    i64 samples, time_row, clock;
    i64 features, value_row, value_sample, out_row, out_target, vector;
    u64 fill;
    double low, period;    // of angle: results lie in [low, low + period)
    i64 scalar_first;      // of poses: where the scalar of the quaternion is
    i64 lanes;             // threads that share a target
    i64 chunk, chunks, groups, across;  // of cubic: samples of a block, blocks of a row, of features; threads of one
};

struct Row { i64 start, count; };  // in times; for packed rows in values too
__device__ __forceinline__ Row row_of(const Call& c, i64 b) {
    if (c.offsets) return {c.offsets[b], c.offsets[b + 1] - c.offsets[b]};
    return {b * c.time_row, c.lengths ? c.lengths[b] : c.samples};
}
// Stamp j + 1 less stamp j, in their own type before anything is rounded.
__device__ __forceinline__ double gap(const Call& c, i64 j, i64 to) {
    if (c.clock == NANOSECONDS) return (double)(((const u64*)c.times)[to] - ((const u64*)c.times)[j]);
    if (c.clock == DOUBLE) return ((const double*)c.times)[to] - ((const double*)c.times)[j];
    return (double)((const float*)c.times)[to] - (double)((const float*)c.times)[j];
}
__device__ __forceinline__ ACC_T short_gap(const Call& c, i64 j) {
    if (c.clock == NANOSECONDS) return (ACC_T)(((const u64*)c.times)[j + 1] - ((const u64*)c.times)[j]);
    return (ACC_T)gap(c, j, j + 1);
}
// The unit of time of a cubic: the mean spacing of the row, so that float32 keeps its range.
__device__ __forceinline__ double spacing(const Call& c, const Row& row) {
    return row.count > 1 ? gap(c, row.start, row.start + row.count - 1) / (double)(row.count - 1) : 1.0;
}

__device__ __forceinline__ i64 index_at(const Call& c, const char* index, i64 at) {
    return c.index_bytes == 4 ? ((const i32*)index)[at] : ((const i64*)index)[at];
}

struct Knot {              // of a target between samples i and i + 1
    i64 at, bend;          // of sample i in values, and in bends
    ACC_T u;               // where between them
    ACC_T w[4];  // pchip, akima: this gap over the two before it and the two after, next ones first. Else weights
    ACC_T h[3];  // of them: weights of the difference of the two samples, and of the slopes there
    ACC_T side[2];  // of pchip: share of this gap's slope in the means with the ones before and after
    i32 state, lefts, rights;  // how many of them there are
    i32 real, late, spoilt;  // late: the second sample is nearer. spoilt: some feature of the row is
};

static_assert(sizeof(Knot) == (sizeof(ACC_T) == 4 ? 80 : 120), "KNOT of curve.py");

// Weights of the sample before, of the one of the two that is farther, and of the sample after, on their differences to
// the nearer one: Hermite's cubic with tangents from neighbour to neighbour.
__device__ __forceinline__ void weigh_tangents(Knot* k, ACC_T s) {
    const ACC_T u = k->u, a = u * s * s, b = -u * u * s;  // of the tangents; left, right: gap over the other gap
    const ACC_T l = k->lefts ? k->w[0] / (k->w[0] + 1) : 0, r = k->rights ? k->w[2] / (k->w[2] + 1) : 0;
    const ACC_T to = k->late ? s * s * (1 + 2 * u) : u * u * (1 + 2 * s);  // of the sample that is farther
    const ACC_T lone = (k->lefts ? 0 : a) + (k->rights ? 0 : b);
    k->w[0] = -a * l;
    k->w[1] = k->late ? to - lone - b * r : to + lone + a * l;
    k->w[2] = b * r;
}

// Everything about a target but its features. A run of equal stamps is an end: nothing is taken from beyond it.
template <int KIND> __device__ void note(const Call& c, i64 b, i64 target, Knot* k) {
    const i64 found = b * c.found_row + target, i = index_at(c, c.index, found);
    k->real = c.real[found];
    k->state = i < 0 ? FILLED : SAMPLE;
    k->lefts = k->rights = 0;
    if (i < 0) return;
    const Row row = row_of(c, b);
    const i64 first = c.offsets ? row.start : 0, stamp = c.offsets ? i : row.start + i;
    const double u = c.weight[found];
    k->at = b * c.value_row + i * c.value_sample;
    k->bend = (c.offsets ? i : b * c.samples + i) * c.features;
    k->u = (ACC_T)u;
    k->late = k->u >= (ACC_T)0.5;
    if (u == 0) return;
    k->state = BLEND;
    if (KIND == SLERP || KIND == ANGLE || KIND == SE3 || KIND == SPLIT) return;
    const double h = gap(c, stamp, stamp + 1);
    if (KIND == CUBIC) {
        const double scaled = h / spacing(c, row), s = 1 - u, unit = scaled * scaled / 6;
        k->w[0] = (ACC_T)(unit * ((s * s - 1) * s));
        k->w[1] = (ACC_T)(k->late ? s : u);
        k->w[2] = (ACC_T)(unit * ((u * u - 1) * u));
        k->spoilt = c.spoilt[c.rows * c.features + b];
        return;
    }
    const i64 before = i - first, after = row.count - before - 2;  // gaps there are on both sides
    const ACC_T own = (ACC_T)h;
#pragma unroll
    for (int j = 0; j < (KIND == AKIMA ? 2 : 1); ++j) {
        const double l = j < before && k->lefts == j ? gap(c, stamp - j - 1, stamp - j) : 0.0;
        const double r = j < after && k->rights == j ? gap(c, stamp + j + 1, stamp + j + 2) : 0.0;
        k->w[j] = l > 0 ? own / (ACC_T)l : (ACC_T)0;
        k->w[2 + j] = r > 0 ? own / (ACC_T)r : (ACC_T)0;
        k->lefts += l > 0;
        k->rights += r > 0;
    }
    if (KIND == CATMULL_ROM) return weigh_tangents(k, (ACC_T)(1 - u));
    const double s = 1 - u;  // Hermite's cubic, as what is added to the nearer sample
    k->h[0] = (ACC_T)(k->late ? -s * s * (1 + 2 * u) : u * u * (1 + 2 * s));
    k->h[1] = (ACC_T)(u * s * s);
    k->h[2] = (ACC_T)(-u * u * s);
    if (KIND == PCHIP)
        for (int j = 0; j < 2; ++j) k->side[j] = (2 * k->w[2 * j] + 1) / (3 * (k->w[2 * j] + 1));
}

// ---- elements ----
template <int N> struct alignas(N * sizeof(VALUE_T) < 16 ? N * sizeof(VALUE_T) : 16) Pack { VALUE_T x[N]; };

// Nothing writes what is read here while the kernel runs, so loads of the next access need not wait for a store.
__device__ __forceinline__ void read(uint4* to, const void* from) { *to = __ldg((const uint4*)from); }
__device__ __forceinline__ void read(uint2* to, const void* from) { *to = __ldg((const uint2*)from); }
__device__ __forceinline__ void read(u32* to, const void* from) { *to = __ldg((const u32*)from); }
__device__ __forceinline__ void read(u16* to, const void* from) { *to = __ldg((const u16*)from); }
template <int bytes> struct Raw { typedef uint4 type; };
template <> struct Raw<8> { typedef uint2 type; };
template <> struct Raw<4> { typedef u32 type; };
template <> struct Raw<2> { typedef u16 type; };

template <int N> __device__ __forceinline__ void load(const VALUE_T* from, ACC_T* x) {
    constexpr int size = sizeof(Pack<N>), part = size < 16 ? size : 16;
    Pack<N> pack;
#pragma unroll
    for (int at = 0; at < size; at += part) {
        typename Raw<part>::type raw;
        read(&raw, (const char*)from + at);
        memcpy((char*)&pack + at, &raw, part);
    }
#pragma unroll
    for (int e = 0; e < N; ++e) x[e] = widen<ACC_T>(pack.x[e]);
}
template <int N> __device__ __forceinline__ bool store(VALUE_T* to, const ACC_T* x) {
    Pack<N> pack;
    bool nan = false;
#pragma unroll
    for (int e = 0; e < N; ++e) {
        pack.x[e] = Narrow<VALUE_T>::from(x[e]);
        nan |= x[e] != x[e];
    }
    *(Pack<N>*)to = pack;
    return nan;
}
template <int N> __device__ __forceinline__ void load_bends(const ACC_T* from, ACC_T* x) {
    constexpr int part = N * sizeof(ACC_T) < 16 ? N : 16 / sizeof(ACC_T);
    struct alignas(part * sizeof(ACC_T)) Bends { ACC_T x[part]; };
#pragma unroll
    for (int e = 0; e < N; e += part) {
        const Bends bends = *(const Bends*)(from + e);
#pragma unroll
        for (int f = 0; f < part; ++f) x[e + f] = bends.x[f];
    }
}
template <int N> __device__ __forceinline__ bool any_nan(const VALUE_T* from) {
    ACC_T x[N];
    load<N>(from, x);
    bool nan = false;
#pragma unroll
    for (int e = 0; e < N; ++e) nan |= x[e] != x[e];
    return nan;
}

__device__ __forceinline__ ACC_T not_a_number() {
    return Narrow<ACC_T>::from(__longlong_as_double(0x7ff8000000000000ll));
}
__device__ __forceinline__ ACC_T magnitude(ACC_T x) { return x < 0 ? -x : x; }
__device__ __forceinline__ bool is_finite(ACC_T x) { return x - x == 0; }
