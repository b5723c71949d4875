// Rows of features to one row a group, to the same bits whatever the order of the points.
// Sums are integers: pass one finds a group's largest binary exponent a channel, pass two adds 64-bit multiples of
// 2^(exponent - 61 + bits of the count), which cannot overflow. Extremes are integers that grow with the value.
// FEATURE_T is the type of the features (FLOATING: 1 for floats); sums are SUM_T and means MEAN_T.

#include "common.cuh"

struct Features { i64 inner, stride_outer, stride_inner, total, channels; };

#define INFINITE 2047u     // exponent field of Inf and NaN; then the sum slot holds flags: 1 NaN, 2 +Inf, 4 -Inf
#define SMALLEST 62u       // clamp of the exponent field, so that every factor is a normal number
#define NOT_A_NUMBER 0xffffffffffffffffull

__device__ __forceinline__ i64 divide(i64 a, i64 b) {  // a 64-bit division costs several times a 32-bit one
    return ((u64)(a | b) >> 32) == 0 ? (i64)((u32)a / (u32)b) : a / b;
}
__device__ __forceinline__ FEATURE_T feature_at(const FEATURE_T* features, const Features& f, i64 i, i64 channel) {
    const i64 outer = f.inner == f.total ? 0 : divide(i, f.inner);
    return features[outer * f.stride_outer + (i - outer * f.inner) * f.stride_inner + channel];
}
__device__ __forceinline__ u32 exponent_of(double x) { return (u32)((u64)__double_as_longlong(x) >> 52) & 0x7ffu; }
__device__ __forceinline__ double power_of_two(i64 k) { return __longlong_as_double((k + 1023) << 52); }
__device__ __forceinline__ i64 fraction_bits(u32 count) { return 61 - (32 - __clz((int)count)); }

// Codes that grow with the value; smallest wins by the complement. NaN beats everything either way.
__device__ __forceinline__ u64 code_of(double x) {
    const u64 bits = (u64)__double_as_longlong(x);
    return bits >> 63 ? ~bits : bits | 0x8000000000000000ull;
}
__device__ __forceinline__ void raise_to(u64* slot, u64 code) {
    if (code > *(volatile u64*)slot) atomicMax(slot, code);  // most points change nothing: look first
}

template <class T> __device__ __forceinline__ T quiet_nan();
template <> __device__ __forceinline__ float quiet_nan<float>() { return __uint_as_float(0x7fc00000u); }
template <> __device__ __forceinline__ double quiet_nan<double>() { return __longlong_as_double(0x7ff8000000000000ll); }
template <> __device__ __forceinline__ f16 quiet_nan<f16>() {
    f16 r;
    r.bits = 0x7e00;
    return r;
}
template <> __device__ __forceinline__ bf16 quiet_nan<bf16>() {
    bf16 r;
    r.bits = 0x7fc0;
    return r;
}
template <class T> __device__ __forceinline__ T rounded(double x) {
    return x != x ? quiet_nan<T>() : Narrow<T>::from(x);
}

#if FLOATING
__device__ __forceinline__ double wide(FEATURE_T x) { return widen<double>(x); }
__device__ __forceinline__ FEATURE_T from_code(u64 code) {
    if (code == NOT_A_NUMBER) return quiet_nan<FEATURE_T>();
    return Narrow<FEATURE_T>::from(__longlong_as_double((i64)(code >> 63 ? code ^ 0x8000000000000000ull : ~code)));
}
__device__ __forceinline__ FEATURE_T filled(double fill, i64) { return rounded<FEATURE_T>(fill); }
#else
#define SIGN ((FEATURE_T) - 1 < (FEATURE_T)0 ? 0x8000000000000000ull : 0ull)
__device__ __forceinline__ FEATURE_T from_code(u64 code) { return (FEATURE_T)(code ^ SIGN); }
__device__ __forceinline__ FEATURE_T filled(double, i64 fill) { return (FEATURE_T)fill; }
#endif

// One thread a value. Outputs that are null are not wanted; all are zero before.
extern "C" __global__ void reduce_collect(const FEATURE_T* features, const Features f, const i64* ids, u32* exponents,
                                          u64* sums, u64* highs, u64* lows) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < f.total * f.channels; k += step) {
        const i64 i = divide(k, f.channels), channel = k - i * f.channels, group = ids[i];
        if (group < 0) continue;
        const i64 slot = group * f.channels + channel;
        const FEATURE_T x = feature_at(features, f, i, channel);
#if FLOATING
        const double value = wide(x);
        const u32 exponent = exponent_of(value);
        if (exponents && exponent > *(volatile u32*)(exponents + slot)) atomicMax(exponents + slot, exponent);
        const bool nan = value != value;
        const u64 code = code_of(value);
        if (highs) raise_to(highs + slot, nan ? NOT_A_NUMBER : code);
        if (lows) raise_to(lows + slot, nan ? NOT_A_NUMBER : ~code);
#else
        if (sums) atomicAdd(sums + slot, (u64)x);
        if (highs) raise_to(highs + slot, (u64)x ^ SIGN);
        if (lows) raise_to(lows + slot, ~((u64)x ^ SIGN));
#endif
    }
}

#if FLOATING
extern "C" __global__ void reduce_add(const FEATURE_T* features, const Features f, const i64* ids, const i32* counts,
                                      const u32* exponents, u64* sums) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < f.total * f.channels; k += step) {
        const i64 i = divide(k, f.channels), channel = k - i * f.channels, group = ids[i];
        if (group < 0) continue;
        const i64 slot = group * f.channels + channel;
        const double value = wide(feature_at(features, f, i, channel));
        const u32 exponent = exponents[slot];
        if (exponent == INFINITE) {
            if (exponent_of(value) == INFINITE) atomicOr(sums + slot, value != value ? 1ull : value > 0 ? 2ull : 4ull);
            continue;
        }
        const i64 shift = fraction_bits((u32)counts[group]) - ((i64)max(exponent, SMALLEST) - 1022);
        const i64 units = __double2ll_rn(__dmul_rn(value, power_of_two(shift)));
        if (units) atomicAdd(sums + slot, (u64)units);
    }
}
#endif

// Output o of [groups, channels], or [clouds, channels, cells] with channels first.
extern "C" __global__ void reduce_finish(const i32* counts, const u32* exponents, const u64* sums, const u64* highs,
                                         const u64* lows, i64 groups, i64 channels, i64 cells, i64 channels_first,
                                         double fill, i64 fill_integer, MEAN_T* mean, SUM_T* sum, FEATURE_T* high,
                                         FEATURE_T* low) {
    const i64 step = (i64)gridDim.x * blockDim.x;
    for (i64 o = (i64)blockIdx.x * blockDim.x + threadIdx.x; o < groups * channels; o += step) {
        i64 group, slot;
        if (channels_first) {
            const i64 plane = divide(o, cells), cloud = divide(plane, channels);
            group = cloud * cells + (o - plane * cells);
            slot = group * channels + (plane - cloud * channels);
        } else {
            group = divide(o, channels);
            slot = o;
        }
        const u32 count = (u32)counts[group];
        if (high) high[o] = count ? from_code(highs[slot]) : filled(fill, fill_integer);
        if (low)
            low[o] = !count                                   ? filled(fill, fill_integer)
                     : FLOATING && lows[slot] == NOT_A_NUMBER ? from_code(NOT_A_NUMBER)
                                                              : from_code(~lows[slot]);
        if (!mean && !sum) continue;
#if FLOATING
        double total = fill, average = fill;
        if (count && exponents[slot] == INFINITE) {
            const u64 flags = sums[slot];
            const bool nan = (flags & 1) || (flags & 6) == 6;
            total = average = nan ? quiet_nan<double>()
                                  : __longlong_as_double(flags & 2 ? 0x7ff0000000000000ll : (i64)0xfff0000000000000ull);
        } else if (count) {
            const double unit = power_of_two((i64)max(exponents[slot], SMALLEST) - 1022 - fraction_bits(count));
            const double units = __ll2double_rn((i64)sums[slot]);
            total = __dmul_rn(units, unit);
            average = __dmul_rn(__ddiv_rn(units, (double)count), unit);
        }
        if (sum) sum[o] = rounded<SUM_T>(total);
        if (mean) mean[o] = rounded<MEAN_T>(average);
#else
        if (sum) sum[o] = count ? (i64)sums[slot] : fill_integer;
        if (mean) mean[o] = count ? __ddiv_rn(__ll2double_rn((i64)sums[slot]), (double)count) : fill;
#endif
    }
}
