// A stream as a kernel sees it: time arithmetic, the table of streams, and the extent of a row.

enum Method { NEAREST, PREVIOUS, NEXT, LINEAR };
enum Outside { HOLD, FILL, EXTRAPOLATE, REFUSE };

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

struct Source {  // addresses, which change from call to call
    const char* values;
    const TIME_T* times;
    const i64* lengths;
    const i64* offsets;
};

struct Stream {  // mirrored by _STREAM in _work.py; 8-byte fields only
    Layout layout;
    i64 samples, time_row;
    Wide latency, tolerance, max_gap;
    i64 method, outside;
    i64 first_block, tile, tiles;  // targets a block serves
};

struct Work {  // mirrored in _work.py: addresses first, so that a call replaces one stretch of bytes
    u32* status;
    u8* faulty;
    const TIME_T* times;
    u8* valid;
    TIME_T* age;
    Source source[STREAMS];
    char* out[STREAMS];
    i64 row, rows, steps, streams, staged, capacity, held, results, checked, column, columns, blocks;
    Stream stream[STREAMS];
};

struct Row {
    i64 time, value, count;
    bool sound;
};

__device__ __forceinline__ Row find_row(const Stream& s, const Source& at, i64 b, u32* status) {
    Row r = {b * s.time_row, 0, s.samples, true};
    if (at.offsets) {
        const i64 from = at.offsets[b], to = at.offsets[b + 1];
        r.sound = 0 <= from && from <= to && to <= s.samples;
        r.time = r.value = from;
        r.count = to - from;
    } else if (at.lengths) {
        r.count = at.lengths[b];
        r.sound = 0 <= r.count && r.count <= s.samples;
    }
    if (!r.sound) {
        r.time = r.value = r.count = 0;
        report(status, BAD_EXTENT);
    }
    return r;
}
