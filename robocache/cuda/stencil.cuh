// Curves through a few neighbouring samples: pchip, akima, catmull_rom, and natural cubics whose bends are known.
// Slopes are those of the curve times the gap between the two samples, so no unit of time is in them.

// A reciprocal to a unit in the last place. It is asked for in any case, so that no branch comes of it: neighbouring
// threads hold other features.
__device__ __forceinline__ float inverse(float a) {
    float r;
    asm volatile("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
__device__ __forceinline__ double inverse(double a) { return 1 / a; }

// The sign bits differ. Zero has one too, but a product with it is zero.
__device__ __forceinline__ bool apart(float a, float b) { return (__float_as_int(a) ^ __float_as_int(b)) < 0; }
__device__ __forceinline__ bool apart(double a, double b) {
    return (__double_as_longlong(a) ^ __double_as_longlong(b)) < 0;
}

// Hermite's cubic from the nearer of the two samples on, so that both ends are met.
__device__ __forceinline__ ACC_T hermite(const Knot& k, ACC_T v0, ACC_T v1, ACC_T d, ACC_T m0, ACC_T m1) {
    return fma_ieee(k.h[0], d, fma_ieee(k.h[1], m0, fma_ieee(k.h[2], m1, k.late ? v1 : v0)));
}

// Weighted harmonic mean of two slopes, of which `own` is that of this gap, with `share` of the sum below. Zero where
// they differ in sign. A quarter of both, so that no sum is too large for a reciprocal.
__device__ __forceinline__ ACC_T harmonic(ACC_T other, ACC_T own, ACC_T share) {
    const ACC_T quarter = (ACC_T)0.25 * own;
    const ACC_T sum = fma_ieee(share, quarter, ((ACC_T)0.25 - (ACC_T)0.25 * share) * other);
    const ACC_T mean = other * (quarter * inverse(sum));
    return (apart(other, own) && sum == sum) || sum == 0 ? (ACC_T)0 : mean;
}
// Slope at an end of the curve, from two slopes; the curve stays monotone where the samples are.
__device__ __forceinline__ ACC_T end_slope(ACC_T own, ACC_T next, ACC_T part) {
    const ACC_T m = ((2 * part + 1) * own - part * next) / (part + 1);
    const int sign = (m > 0) - (m < 0), owns = (own > 0) - (own < 0), nexts = (next > 0) - (next < 0);
    if (m != m) return m;
    if (sign != owns) return 0;
    return owns != nexts && magnitude(m) > 3 * magnitude(own) ? 3 * own : m;
}

template <bool inner>
__device__ __forceinline__ ACC_T pchip(const Knot& k, ACC_T before, ACC_T v0, ACC_T v1, ACC_T after) {
    const ACC_T d = v1 - v0, left = (v0 - before) * k.w[0], right = (after - v1) * k.w[2];
    ACC_T m0, m1;
    if (inner) {
        m0 = harmonic(left, d, k.side[0]);
        m1 = harmonic(right, d, k.side[1]);
    } else {
        m0 = k.lefts ? harmonic(left, d, k.side[0]) : k.rights ? end_slope(d, right, k.w[2]) : d;
        m1 = k.rights ? harmonic(right, d, k.side[1]) : k.lefts ? end_slope(d, left, k.w[0]) : d;
    }
    return hermite(k, v0, v1, d, m0, m1);
}

// Slopes of four gaps in a row: that at the sample in their middle.
__device__ __forceinline__ ACC_T akima_slope(ACC_T a, ACC_T b, ACC_T c, ACC_T d) {
    const ACC_T p = magnitude(d - c), sum = p + magnitude(b - a);
    const ACC_T part = p * inverse(sum);
    return fma_ieee(sum == 0 ? (ACC_T)0.5 : part, b - c, c);
}
template <bool inner>
__device__ __forceinline__ ACC_T akima(const Knot& k, ACC_T farther, ACC_T before, ACC_T v0, ACC_T v1, ACC_T after,
                                       ACC_T last) {
    const ACC_T d = v1 - v0;
    ACC_T l1 = (v0 - before) * k.w[0], l2 = (before - farther) * k.w[1];
    ACC_T r1 = (after - v1) * k.w[2], r2 = (last - after) * k.w[3];
    if (!inner) {
        if (k.lefts == 0) l1 = k.rights == 0 ? d : 2 * d - r1;
        if (k.rights == 0) r1 = k.lefts == 0 ? d : 2 * d - l1;
        if (k.lefts < 2) l2 = 2 * l1 - d;
        if (k.rights < 2) r2 = 2 * r1 - d;
    }
    return hermite(k, v0, v1, d, akima_slope(l2, l1, d, r1), akima_slope(l1, d, r1, r2));
}

// N neighbouring features of a target.
template <int KIND, int N>
__device__ __forceinline__ void through(const Call& c, const Knot& k, i64 b, i64 feature, ACC_T* r) {
    constexpr int reach = KIND == CUBIC ? 0 : KIND == AKIMA ? 2 : 1;
    ACC_T v[6][N];         // samples i - 2 … i + 3, or as far as there are any
    const VALUE_T* from[6];
    from[2] = c.values + k.at + feature, from[3] = from[2] + c.value_sample;
#pragma unroll
    for (int j = 0; j < reach; ++j) {
        from[1 - j] = from[2 - j] - (j < k.lefts ? c.value_sample : 0);
        from[4 + j] = from[3 + j] + (j < k.rights ? c.value_sample : 0);
    }
#pragma unroll
    for (int j = 2 - reach; j < 4 + reach; ++j) load<N>(from[j], v[j]);
    if constexpr (KIND == CATMULL_ROM) {  // differences, so that a constant stays one
#pragma unroll
        for (int e = 0; e < N; ++e) {
            const ACC_T near = k.late ? v[3][e] : v[2][e], other = k.late ? v[2][e] : v[3][e];
            r[e] = fma_ieee(k.w[1], other - near,
                            fma_ieee(k.w[0], v[1][e] - near, fma_ieee(k.w[2], v[4][e] - near, near)));
        }
    } else if constexpr (KIND == CUBIC) {
        ACC_T bend[2][N];
        load_bends<N>(c.bend + k.bend + feature, bend[0]);
        load_bends<N>(c.bend + k.bend + c.features + feature, bend[1]);
#pragma unroll
        for (int e = 0; e < N; ++e) {
            const ACC_T near = k.late ? v[3][e] : v[2][e], other = k.late ? v[2][e] : v[3][e];
            r[e] = fma_ieee(k.w[1], other - near, fma_ieee(k.w[0], bend[0][e], fma_ieee(k.w[2], bend[1][e], near)));
            if (k.spoilt && c.spoilt[b * c.features + feature + e]) r[e] = not_a_number();
        }
    } else {
        const bool inner = k.lefts >= reach && k.rights >= reach;
        if (inner) {
#pragma unroll
            for (int e = 0; e < N; ++e)
                r[e] = KIND == PCHIP ? pchip<true>(k, v[1][e], v[2][e], v[3][e], v[4][e])
                                     : akima<true>(k, v[0][e], v[1][e], v[2][e], v[3][e], v[4][e], v[5][e]);
        } else {
#pragma unroll 1
            for (int e = 0; e < N; ++e) {
                ACC_T x[6];
#pragma unroll
                for (int j = 2 - reach; j < 4 + reach; ++j) load<1>(from[j] + e, x + j);
                ACC_T one = KIND == PCHIP ? pchip<false>(k, x[1], x[2], x[3], x[4])
                                          : akima<false>(k, x[0], x[1], x[2], x[3], x[4], x[5]);
#pragma unroll
                for (int f = 0; f < N; ++f)
                    if (f == e) r[f] = one;
            }
        }
    }
}
