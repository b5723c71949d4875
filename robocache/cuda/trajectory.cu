// Alignment of K streams to one set of target times, in one launch.
//
// A block serves one (stream, row, tile of targets): it finds index and weight once per target into shared memory,
// then all threads stream the features with the widest aligned access. Short rows are staged in shared memory, where
// their order is checked on the way; for long rows check_rows has left a verdict in `faulty`.
//
// Macros: TIME_T (i64, double, float), STREAMS (capacity of the table).

#define TILE 256
#define STAGED 2048  // mirrored in trajectory.py

enum Method { NEAREST, PREVIOUS, NEXT, LINEAR };
enum Outside { HOLD, FILL, EXTRAPOLATE, REFUSE };
enum Kind { F16, BF16, F32, F64, I8, U8, I16, U16, I32, U32, I64, U64, BOOL };

// ---- time arithmetic: integers subtract exactly as unsigned, floats in double ----
template <class T> struct Time;
template <> struct Time<i64> {
    typedef i64 Wide;
    typedef u64 Gap;
    static __device__ bool proper(i64 t) { return t != (i64)0x8000000000000000ll; }
    static __device__ Gap gap(i64 later, i64 earlier) { return (u64)later - (u64)earlier; }
    static __device__ i64 age(i64 q, i64 t) {
        const u64 most = 0x7fffffffffffffffull;
        if (q >= t) return (i64)min((u64)q - (u64)t, most);
        return -(i64)min((u64)t - (u64)q, most);
    }
    static __device__ i64 none() { return (i64)0x8000000000000000ll; }
    static __device__ bool coarse(i64, i64) { return false; }
};
template <class T> struct FloatTime {
    typedef double Wide;
    typedef double Gap;
    static __device__ bool proper(T t) { return isfinite((double)t); }
    static __device__ Gap gap(double later, double earlier) { return later - earlier; }
    static __device__ T age(double q, double t) { return Narrow<T>::from(q - t); }
    static __device__ T none() { return Narrow<T>::from(__longlong_as_double(0x7ff8000000000000ll)); }
};
template <> struct Time<double> : FloatTime<double> {
    static __device__ bool coarse(double, double) { return false; }
};
template <> struct Time<float> : FloatTime<float> {
    // The step between two stamps is not 100 times the spacing of float32 there.
    static __device__ bool coarse(float a, float b) {
        const double step = (double)b - (double)a;
        return step > 0 && fmax(fabs((double)a), fabs((double)b)) * 0x1p-24 > step / 100;
    }
};
typedef Time<TIME_T> Clock;
typedef Clock::Wide Wide;
typedef Clock::Gap Gap;

__device__ __forceinline__ Wide wide(TIME_T t) { return widen<Wide>(t); }
__device__ __forceinline__ bool within(Gap gap, Wide limit) { return limit < 0 || gap <= (Gap)limit; }

struct Stream {  // mirrored by STREAM in trajectory.py; 8-byte fields only
    const char* values;
    const TIME_T* times;
    const i64* lengths;
    const i64* offsets;
    char* out;
    i64 samples, features;
    i64 value_row, value_sample, time_row, out_row, out_target;  // in elements
    u64 fill;                                                    // bits of one output element
    Wide latency, tolerance, max_gap;
    i64 method, outside, kind_in, kind_out, size_in, size_out;   // sizes in bytes
    i64 vector;                                                  // elements an access moves; 0 = convert types
    i64 first_block, tiles;
};
struct Table { Stream stream[STREAMS]; };

struct Targets {  // mirrored by TARGETS in trajectory.py
    const TIME_T* times;
    u8* valid;
    TIME_T* age;
    const u8* faulty;
    u32* status;
    i64 row, rows, steps, streams, tile, checked, column, columns;
};

struct Row { i64 time, value, count; bool sound; };

__device__ Row find_row(const Stream& s, i64 b, u32* status) {
    Row r = {b * s.time_row, 0, s.samples, true};
    if (s.offsets) {
        const i64 from = s.offsets[b], to = s.offsets[b + 1];
        r.sound = 0 <= from && from <= to && to <= s.samples;
        r.time = r.value = from;
        r.count = to - from;
    } else if (s.lengths) {
        r.count = s.lengths[b];
        r.sound = 0 <= r.count && r.count <= s.samples;
    }
    if (!r.sound) {
        r.time = r.value = r.count = 0;
        if (threadIdx.x == 0) report(status, BAD_EXTENT);
    }
    return r;
}

__device__ __forceinline__ i64 upper(const TIME_T* t, i64 n, Wide q) {  // first stamp above q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (wide(t[middle]) <= q) low = middle + 1; else high = middle;
    }
    return low;
}
__device__ __forceinline__ i64 lower(const TIME_T* t, i64 n, Wide q) {  // first stamp not below q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (wide(t[middle]) < q) low = middle + 1; else high = middle;
    }
    return low;
}

struct Hit { i64 index; double weight; bool real; TIME_T age; };

__device__ Hit locate(const Stream& s, const TIME_T* t, i64 n, TIME_T raw, u32* status) {
    Hit hit = {-1, 0.0, false, Clock::none()};
    if (!Clock::proper(raw) || n <= 0) return hit;
    const Wide q = wide(raw) + s.latency;
    const i64 up = upper(t, n, q);
    const bool before = up == 0, after = up == n && q > wide(t[n - 1]), single = n == 1;
    if (single || before || after) {
        const i64 i = before || single ? 0 : n - 1;
        const Wide end = wide(t[i]);
        hit.age = Clock::age(q, end);
        const Gap apart = before ? Clock::gap(end, q) : Clock::gap(q, end);
        hit.real = (!before && !after) || (single && s.tolerance >= 0 && within(apart, s.tolerance));
        if (!hit.real && s.outside == REFUSE) report(status, OUTSIDE);
        if (!hit.real && s.outside == FILL) return hit;
        hit.index = i;
        if (s.outside == EXTRAPOLATE && s.method == LINEAR && !hit.real && !single) {
            const i64 j = before ? upper(t, n, end) - 1 : lower(t, n, end) - 1;
            if (0 <= j && j < n - 1) {
                const Wide left = wide(t[j]);
                const double span = (double)Clock::gap(wide(t[j + 1]), left);
                hit.index = j;
                hit.weight = before ? -(double)Clock::gap(left, q) / span : (double)Clock::gap(q, left) / span;
            }
        }
        return hit;
    }
    const i64 i = up - 1;
    const Gap past = Clock::gap(q, wide(t[i]));
    hit.real = true;
    if (past == 0) {  // exact hit: the last of a run of equal stamps, the first for NEXT
        hit.index = s.method == NEXT ? lower(t, n, q) : i;
        hit.age = Clock::age(q, wide(t[i]));
        return hit;
    }
    const Gap ahead = Clock::gap(wide(t[up]), q), bracket = Clock::gap(wide(t[up]), wide(t[i]));
    hit.index = i;
    Gap apart = past;
    if (s.method == NEXT || (s.method == NEAREST && ahead < past)) {
        hit.index = up;
        apart = ahead;
    } else if (s.method == LINEAR) {
        hit.weight = (double)past / (double)bracket;
        apart = min(past, ahead);
    }
    hit.real = within(bracket, s.max_gap) && within(apart, s.tolerance);
    hit.age = Clock::age(q, wide(t[hit.index]));
    return hit;
}

// Whether the stamps threadIdx.x, +blockDim.x, … of a row are in order and finite.
__device__ bool out_of_order(const TIME_T* t, i64 n, u32* status) {
    bool bad = false, coarse = false;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        bad |= !Clock::proper(t[i]);
        if (i + 1 < n) {
            bad |= !(wide(t[i]) <= wide(t[i + 1]));
            coarse |= Clock::coarse(t[i], t[i + 1]);
        }
    }
    if (coarse) report(status, COARSE);
    return bad;
}

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T item[N]; };

// From the nearer end: exact at both, half the worst error of a + w * (b - a).
template <class A> __device__ __forceinline__ A lerp(A a, A b, A w) {
    const A d = sub_ieee(b, a);
    return w < A(0.5) ? fma_ieee(w, d, a) : fma_ieee(sub_ieee(w, A(1)), d, b);
}

struct Found { i64 index[TILE]; double weight[TILE]; int real[TILE]; };
struct Place { const char* values; char* out; i64 targets; };  // of this row and tile

template <class T> struct Bits { typedef T type; static constexpr bool floating = false; };
template <> struct Bits<f16> { typedef float type; static constexpr bool floating = true; };
template <> struct Bits<bf16> { typedef float type; static constexpr bool floating = true; };
template <> struct Bits<float> { typedef float type; static constexpr bool floating = true; };
template <> struct Bits<double> { typedef double type; static constexpr bool floating = true; };

template <class T, int N> __device__ void blend(const Stream& s, const Place& p, Found& found, bool mark) {
    typedef typename Bits<T>::type A;
    typedef Pack<T, N> Vector;
    const T* values = (const T*)p.values;
    T* out = (T*)p.out;
    const i64 width = s.features / N, total = p.targets * width;
    T fill;
    memcpy(&fill, &s.fill, sizeof(T));
    for (i64 e = threadIdx.x; e < total; e += blockDim.x) {
        const i64 k = total <= 0x7fffffff ? (u32)e / (u32)width : e / width;
        const i64 d = (e - k * width) * N, at = found.index[k];
        Vector result;
        if (at < 0) {
#pragma unroll
            for (int j = 0; j < N; ++j) result.item[j] = fill;
        } else {
            const Vector a = *(const Vector*)(values + at * s.value_sample + d);
            result = a;
            if constexpr (Bits<T>::floating) {
                if (found.weight[k] != 0) {
                    const A w = Narrow<A>::from(found.weight[k]);
                    const Vector b = *(const Vector*)(values + (at + 1) * s.value_sample + d);
#pragma unroll
                    for (int j = 0; j < N; ++j) result.item[j] = Narrow<T>::from(lerp<A>(widen<A>(a.item[j]), widen<A>(b.item[j]), w));
                }
                if (mark) {
                    bool nan = false;
#pragma unroll
                    for (int j = 0; j < N; ++j) { const A x = widen<A>(result.item[j]); nan |= x != x; }
                    if (nan) atomicAnd(&found.real[k], 0);
                }
            }
        }
        *(Vector*)(out + k * s.out_target + d) = result;
    }
}

template <class A> __device__ A load(i64 kind, const char* p, i64 i) {
    switch (kind) {
        case F16: return (A)widen<double>(((const f16*)p)[i]);
        case BF16: return (A)widen<double>(((const bf16*)p)[i]);
        case F32: return (A)widen<double>(((const float*)p)[i]);
        case F64: return (A)((const double*)p)[i];
        case I8: return (A)((const i8*)p)[i];
        case I16: return (A)((const i16*)p)[i];
        case U16: return (A)((const u16*)p)[i];
        case I32: return (A)((const i32*)p)[i];
        case U32: return (A)((const u32*)p)[i];
        case I64: return (A)((const i64*)p)[i];
        case U64: return (A)((const u64*)p)[i];
        default: return (A)((const u8*)p)[i];
    }
}
template <class A> __device__ void store(i64 kind, char* p, i64 i, A x) {
    switch (kind) {
        case F16: ((f16*)p)[i] = Narrow<f16>::from((double)x); break;
        case BF16: ((bf16*)p)[i] = Narrow<bf16>::from((double)x); break;
        case F32: ((float*)p)[i] = Narrow<float>::from((double)x); break;
        case F64: ((double*)p)[i] = (double)x; break;
        case I8: case U8: case BOOL: ((i8*)p)[i] = (i8)x; break;
        case I16: case U16: ((i16*)p)[i] = (i16)x; break;
        case I32: case U32: ((i32*)p)[i] = (i32)x; break;
        default: ((i64*)p)[i] = (i64)x;
    }
}

// Mixed types in one output: element by element, through double (floats) or 64-bit integers.
template <class A> __device__ void convert(const Stream& s, const Place& p, Found& found, bool mark) {
    const i64 total = p.targets * s.features;
    for (i64 e = threadIdx.x; e < total; e += blockDim.x) {
        const i64 k = e / s.features, d = e - k * s.features, at = found.index[k], to = k * s.out_target + d;
        if (at < 0) {
            store<i64>(s.size_out == 8 ? I64 : s.size_out == 4 ? I32 : s.size_out == 2 ? I16 : I8, p.out, to, (i64)s.fill);
            continue;
        }
        A x = load<A>(s.kind_in, p.values, at * s.value_sample + d);
        if constexpr (Bits<A>::floating) {
            if (found.weight[k] != 0) x = lerp<A>(x, load<A>(s.kind_in, p.values, (at + 1) * s.value_sample + d), found.weight[k]);
            if (mark && x != x) atomicAnd(&found.real[k], 0);
        }
        store<A>(s.kind_out, p.out, to, x);
    }
}

template <class T> __device__ void blend_widest(const Stream& s, const Place& p, Found& found, bool mark) {
    constexpr int most = 16 / sizeof(T);
    if (s.vector == most) blend<T, most>(s, p, found, mark);
    else if (sizeof(T) < 4 && s.vector == 4) blend<T, sizeof(T) < 4 ? 4 : 1>(s, p, found, mark);
    else if (sizeof(T) < 8 && s.vector == 2) blend<T, sizeof(T) < 8 ? 2 : 1>(s, p, found, mark);
    else blend<T, 1>(s, p, found, mark);
}

__device__ void stream_features(const Stream& s, const Place& p, Found& found, bool mark) {
    if (s.vector == 0) {
        if (s.kind_out < I8) convert<double>(s, p, found, mark); else convert<i64>(s, p, found, mark);
        return;
    }
    switch (s.kind_in) {
        case F16: blend_widest<f16>(s, p, found, mark); break;
        case BF16: blend_widest<bf16>(s, p, found, mark); break;
        case F32: blend_widest<float>(s, p, found, mark); break;
        case F64: blend_widest<double>(s, p, found, mark); break;
        case I8: case U8: case BOOL: blend_widest<u8>(s, p, found, mark); break;
        case I16: case U16: blend_widest<u16>(s, p, found, mark); break;
        case I32: case U32: blend_widest<u32>(s, p, found, mark); break;
        default: blend_widest<u64>(s, p, found, mark);
    }
}

extern "C" __global__ void __launch_bounds__(TILE) trajectory_align(const __grid_constant__ Table table, const __grid_constant__ Targets goal, const i64 work) {
    __shared__ TIME_T stamps[STAGED];
    __shared__ Found found;
    for (i64 block = blockIdx.x; block < work; block += gridDim.x) {
        int k = 0;
        while (k + 1 < goal.streams && block >= table.stream[k + 1].first_block) ++k;
        const Stream& s = table.stream[k];
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
            goal.valid[(b * goal.steps + from + threadIdx.x) * goal.columns + goal.column + k] = found.real[threadIdx.x] != 0;
        __syncthreads();
    }
}

// One block a (stream, row): 1 where stamps are unsorted, NaN or infinite. For rows too long to stage.
extern "C" __global__ void trajectory_check_rows(const __grid_constant__ Table table, const __grid_constant__ Targets goal, u8* faulty) {
    const i64 total = goal.streams * goal.rows;
    for (i64 block = blockIdx.x; block < total; block += gridDim.x) {
        const i64 k = block / goal.rows, b = block - k * goal.rows;
        const Stream& s = table.stream[k];
        const Row row = find_row(s, b, goal.status);
        const bool bad = __syncthreads_or(row.count > STAGED && out_of_order(s.times + row.time, row.count, goal.status));
        if (threadIdx.x == 0) faulty[block] = bad;
    }
}
