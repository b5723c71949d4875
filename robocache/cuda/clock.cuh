// Time arithmetic: integers subtract exactly as unsigned, floats in double. TIME_T is i64, double or float.

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
