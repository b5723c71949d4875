// Exact sums and extremes: what reduce.cu does with one value. FEATURE_T is the type of the features (FLOATING: 1 for
// floats); sums are SUM_T and means MEAN_T. CODE_T has as many bits as a feature needs.

#define SMALLEST 62u       // clamp of a double's exponent field, so that every factor is a normal number

__device__ __forceinline__ double power_of_two(i64 k) { return __longlong_as_double((k + 1023) << 52); }
__device__ __forceinline__ i64 fraction_bits(u32 count) { return 61 - (32 - __clz((i32)count)); }

// A value's bits as CODE_T: floats of 16 and 32 bits as float, those of 64 as double.
#if FLOATING
#define TOP ((CODE_T)1 << (8 * sizeof(CODE_T) - 1))
#define INFINITE (sizeof(CODE_T) == 4 ? (CODE_T)0x7f800000u : (CODE_T)0x7ff0000000000000ull)
__device__ __forceinline__ double wide(FEATURE_T x) { return widen<double>(x); }
__device__ __forceinline__ CODE_T bits_of(FEATURE_T x) {
    return sizeof(CODE_T) == 4 ? (CODE_T)__float_as_uint(widen<float>(x)) : (CODE_T)__double_as_longlong(wide(x));
}
__device__ __forceinline__ double of_bits(CODE_T bits) {
    return sizeof(CODE_T) == 4 ? to_double(__uint_as_float((u32)bits)) : __longlong_as_double((i64)bits);
}
// Codes that grow with the value, NaN above all.
__device__ __forceinline__ CODE_T code_of(FEATURE_T x, bool lowest) {
    const CODE_T bits = bits_of(x), code = bits & TOP ? ~bits : bits | TOP;
    return (bits & ~TOP) > INFINITE ? ~(CODE_T)0 : lowest ? ~code : code;
}
__device__ __forceinline__ FEATURE_T from_code(CODE_T code, bool lowest) {
    if (code == ~(CODE_T)0) return quiet_nan<FEATURE_T>();
    if (lowest) code = ~code;
    return Narrow<FEATURE_T>::from(of_bits(code & TOP ? code ^ TOP : ~code));
}
#else
#define SIGN ((FEATURE_T) - 1 < (FEATURE_T)0 ? (CODE_T)1 << (8 * sizeof(CODE_T) - 1) : (CODE_T)0)
__device__ __forceinline__ CODE_T code_of(FEATURE_T x, bool lowest) {
    return lowest ? ~((CODE_T)x ^ SIGN) : (CODE_T)x ^ SIGN;
}
__device__ __forceinline__ FEATURE_T from_code(CODE_T code, bool lowest) {
    return (FEATURE_T)((lowest ? ~code : code) ^ SIGN);
}
#endif

// What is known of one channel of a voxel from some of its points; nothing depends on their order. `look` takes every
// value once, then, if TWICE, `add` takes every value again after `settle` with the number of them all.
struct Sums {
    u64 units;             // the sum, in units that follow from largest and the count
#if FLOATING
    static const bool TWICE = true;
    CODE_T largest;  // bits of the largest absolute value; past INFINITE, units are flags: 1 NaN, 2 +Inf, 4 -Inf
    double scale;  // to units

    __device__ __forceinline__ void clear() { largest = 0, units = 0; }
    __device__ __forceinline__ void look(FEATURE_T x) { largest = max(largest, bits_of(x) & ~TOP); }
    __device__ __forceinline__ i64 unit_exponent(u32 count) const {
        const u32 field = (u32)((u64)__double_as_longlong(of_bits(largest)) >> 52);
        return (i64)max(field, SMALLEST) - 1022 - fraction_bits(count);
    }
    __device__ __forceinline__ void settle(u32 count) {
        units = 0;
        if (largest < INFINITE) scale = power_of_two(-unit_exponent(count));
    }
    __device__ __forceinline__ void add(FEATURE_T x) {
        if (largest < INFINITE) units += (u64)__double2ll_rn(__dmul_rn(wide(x), scale));
        else if ((bits_of(x) & ~TOP) >= INFINITE)
            units |= (bits_of(x) & ~TOP) > INFINITE ? 1 : bits_of(x) & TOP ? 4 : 2;
    }
    __device__ __forceinline__ void totals(u32 count, double* sum, double* mean) const {
        if (largest >= INFINITE) {
            const bool nan = (units & 1) || (units & 6) == 6;
            *sum = *mean = nan ? quiet_nan<double>()
                               : __longlong_as_double(units & 2 ? 0x7ff0000000000000ll : (i64)0xfff0000000000000ull);
            return;
        }
        const double unit = power_of_two(unit_exponent(count)), whole = __ll2double_rn((i64)units);
        *sum = __dmul_rn(whole, unit);
        *mean = __dmul_rn(__ddiv_rn(whole, (double)count), unit);
    }
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) largest = max(largest, __shfl_xor_sync(FULL, largest, lane));
    }
    __device__ __forceinline__ void merge_add(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) {
            const u64 other = __shfl_xor_sync(FULL, units, lane);
            units = largest < INFINITE ? units + other : units | other;
        }
    }
#else
    static const bool TWICE = false;

    __device__ __forceinline__ void clear() { units = 0; }
    __device__ __forceinline__ void look(FEATURE_T x) { units += (u64)x; }
    __device__ __forceinline__ void settle(u32) {}
    __device__ __forceinline__ void add(FEATURE_T) {}
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) units += __shfl_xor_sync(FULL, units, lane);
    }
    __device__ __forceinline__ void merge_add(int) {}
#endif
};

struct Extremes {
    static const bool TWICE = false;
    CODE_T high, low;

    __device__ __forceinline__ void clear() { high = low = 0; }
    __device__ __forceinline__ void look(FEATURE_T x) {
        high = max(high, code_of(x, false));
        low = max(low, code_of(x, true));
    }
    __device__ __forceinline__ void settle(u32) {}
    __device__ __forceinline__ void add(FEATURE_T) {}
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) {
            high = max(high, __shfl_xor_sync(FULL, high, lane));
            low = max(low, __shfl_xor_sync(FULL, low, lane));
        }
    }
    __device__ __forceinline__ void merge_add(int) {}
};
