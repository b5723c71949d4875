// Shared by every kernel: fixed-width names, 16-bit floats without CUDA headers, IEEE arithmetic, the status word.
// CuPy compiles with -ftz=true; the inline PTX below names the forms that keep subnormals, so CPU and GPU agree.

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

struct f16 { u16 bits; };
struct bf16 { u16 bits; };

enum Fault {
    UNSORTED = 0,
    BAD_EXTENT = 1,
    COARSE = 2,
    OUTSIDE = 3,
    TOO_MANY = 4,
    KEY_OVERFLOW = 5,
    OUT_OF_RANGE = 6,
    MISSED = 7,
    BAD_CAMERA = 8,
    NOTHING = 9
};

// One word a fault, in pinned host memory, touched only when something is wrong. All writers write the same value,
// so no atomic is needed (atomics on host memory depend on the bus).
__device__ __forceinline__ void report(u32* status, Fault fault) { *(volatile u32*)(status + fault) = 1; }

// ---- IEEE float32 with subnormals, never fused ----
__device__ __forceinline__ float add_ieee(float a, float b) {
    float r;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float sub_ieee(float a, float b) {
    float r;
    asm("sub.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float div_ieee(float a, float b) {
    float r;
    asm("div.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float fma_ieee(float a, float b, float c) {
    float r;
    asm("fma.rn.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
    return r;
}
__device__ __forceinline__ double add_ieee(double a, double b) { return __dadd_rn(a, b); }
__device__ __forceinline__ double sub_ieee(double a, double b) { return __dsub_rn(a, b); }
__device__ __forceinline__ double div_ieee(double a, double b) { return __ddiv_rn(a, b); }
__device__ __forceinline__ double fma_ieee(double a, double b, double c) { return __fma_rn(a, b, c); }
__device__ __forceinline__ double to_double(float a) {
    double r;
    asm("cvt.f64.f32 %0, %1;" : "=d"(r) : "f"(a));
    return r;
}
__device__ __forceinline__ float to_float(double a) {
    float r;
    asm("cvt.rn.f32.f64 %0, %1;" : "=f"(r) : "d"(a));
    return r;
}

// ---- widen<A>(x): any element to the accumulator; narrow<T>(a): back, one rounding (to nearest, ties to even) ----
template <class A, class T> __device__ __forceinline__ A widen(T x) { return (A)x; }
template <> __device__ __forceinline__ float widen<float, f16>(f16 x) {
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x.bits));
    return r;
}
template <> __device__ __forceinline__ float widen<float, bf16>(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
template <> __device__ __forceinline__ double widen<double, float>(float x) { return to_double(x); }
template <> __device__ __forceinline__ double widen<double, f16>(f16 x) { return to_double(widen<float, f16>(x)); }
template <> __device__ __forceinline__ double widen<double, bf16>(bf16 x) { return to_double(widen<float, bf16>(x)); }

template <class T> struct Narrow;
template <> struct Narrow<float> {
    static __device__ __forceinline__ float from(float a) { return a; }
    static __device__ __forceinline__ float from(double a) { return to_float(a); }
};
template <> struct Narrow<double> {
    static __device__ __forceinline__ double from(float a) { return to_double(a); }
    static __device__ __forceinline__ double from(double a) { return a; }
};
template <> struct Narrow<f16> {
    static __device__ __forceinline__ f16 from(float a) {
        f16 r;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(a));
        return r;
    }
    static __device__ __forceinline__ f16 from(double a) { return from(to_float(a)); }
    static __device__ __forceinline__ u32 two(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        u32 r;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
        return r;
#else
        return from(low).bits | (u32)from(high).bits << 16;
#endif
    }
};
template <> struct Narrow<bf16> {  // every NaN becomes 0x7fff, as where the processor rounds
    static __device__ __forceinline__ u32 two(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        u32 r;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
        return r;
#else
        return from(low).bits | (u32)from(high).bits << 16;
#endif
    }
    static __device__ __forceinline__ bf16 from(float a) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        return {(u16)two(a, 0.0f)};
#else
        const u32 bits = __float_as_uint(a);
        if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
        return {(u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
    }
    static __device__ __forceinline__ bf16 from(double a) { return from(to_float(a)); }
};

// ---- rounded<T>(x): narrow, and every NaN becomes the one that NumPy writes ----
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

#define FULL 0xffffffffu

__device__ __forceinline__ i64 divide(i64 a, i64 b) {  // a 64-bit division costs several times a 32-bit one
    return ((u64)(a | b) >> 32) == 0 ? (i64)((u32)a / (u32)b) : a / b;
}
