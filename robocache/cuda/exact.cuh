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
// value once, then, if TWICE and the first look is not `exact`, `add` takes every value again after `settle`, which gets
// the number of them all.
struct Sums {
    u64 units;  // the sum, in units that follow from largest and the count; while looking, bits of a double
#if FLOATING
    static const bool TWICE = true;
    CODE_T largest;  // bits of the largest absolute value; past INFINITE, units are flags: 1 NaN, 2 +Inf, 4 -Inf
    CODE_T least;  // and of the smallest but zero, less 1
    double scale;  // to units

    __device__ __forceinline__ void clear() { largest = 0, least = ~(CODE_T)0, units = 0; }
    __device__ __forceinline__ void look(FEATURE_T x) {
        const CODE_T bits = bits_of(x) & ~TOP;
        largest = max(largest, bits);
        if (sizeof(CODE_T) == 8) return;
        least = min(least, bits - 1);
        more(wide(x));
    }
    __device__ __forceinline__ void more(double x) {
        units = (u64)__double_as_longlong(__dadd_rn(__longlong_as_double((i64)units), x));
    }
    // Whether a double holds any sum of these floats: its 53 bits reach from the last bit of the smallest, 23 below the
    // first, to what the count adds above the first of the largest.
    __device__ __forceinline__ bool exact(u32 count) const {
        if (sizeof(CODE_T) == 8 || largest >= INFINITE) return false;
        const i32 above = (i32)((u64)largest >> 23), below = max((i32)((u32)(least + 1) >> 23), 1);
        return above - below <= 29 - (32 - __clz((i32)(count - 1)));
    }
    __device__ __forceinline__ i64 unit_exponent(u32 count) const {
        const u32 field = (u32)((u64)__double_as_longlong(of_bits(largest)) >> 52);
        return (i64)max(field, SMALLEST) - 1022 - fraction_bits(count);
    }
    __device__ __forceinline__ void settle(u32 count, bool exact) {
        const double sum = __longlong_as_double((i64)units);
        units = 0;
        if (largest < INFINITE) scale = power_of_two(-unit_exponent(count));
        if (exact) units = (u64)__double2ll_rn(__dmul_rn(sum, scale));
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
    __device__ __forceinline__ void join_look(const Sums& other) {
        largest = max(largest, other.largest);
        if (sizeof(CODE_T) == 8) return;
        least = min(least, other.least);
        more(__longlong_as_double((i64)other.units));
    }
    __device__ __forceinline__ void join_add(const Sums& other) {
        units = largest < INFINITE ? units + other.units : units | other.units;
    }
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) {
            Sums other;
            other.largest = __shfl_xor_sync(FULL, largest, lane);
            if (sizeof(CODE_T) == 4) {
                other.least = __shfl_xor_sync(FULL, least, lane);
                other.units = __shfl_xor_sync(FULL, units, lane);
            }
            join_look(other);
        }
    }
    __device__ __forceinline__ void merge_add(int lanes, bool exact) {
        for (int lane = lanes / 2; lane; lane >>= 1) {
            Sums other;
            other.units = __shfl_xor_sync(FULL, units, lane);
            if (!exact) join_add(other);
        }
    }
#else
    static const bool TWICE = false;

    __device__ __forceinline__ void clear() { units = 0; }
    __device__ __forceinline__ void look(FEATURE_T x) { units += (u64)x; }
    __device__ __forceinline__ bool exact(u32) const { return true; }
    __device__ __forceinline__ void settle(u32, bool) {}
    __device__ __forceinline__ void add(FEATURE_T) {}
    __device__ __forceinline__ void join_look(const Sums& other) { units += other.units; }
    __device__ __forceinline__ void join_add(const Sums&) {}
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1) units += __shfl_xor_sync(FULL, units, lane);
    }
    __device__ __forceinline__ void merge_add(int, bool) {}
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
    __device__ __forceinline__ bool exact(u32) const { return true; }
    __device__ __forceinline__ void settle(u32, bool) {}
    __device__ __forceinline__ void add(FEATURE_T) {}
    __device__ __forceinline__ void join_look(const Extremes& other) {
        high = max(high, other.high);
        low = max(low, other.low);
    }
    __device__ __forceinline__ void join_add(const Extremes&) {}
    __device__ __forceinline__ void merge_look(int lanes) {
        for (int lane = lanes / 2; lane; lane >>= 1)
            join_look({__shfl_xor_sync(FULL, high, lane), __shfl_xor_sync(FULL, low, lane)});
    }
    __device__ __forceinline__ void merge_add(int, bool) {}
};
