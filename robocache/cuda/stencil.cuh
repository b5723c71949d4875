// Curves through a few neighbouring samples: pchip, akima, catmull_rom, and natural cubics whose bends are known.
// Slopes are those of the curve times the gap between the two samples, so no unit of time is in them.

// A quotient to two units in the last place; 1 / 16 of both, so that no sum of slopes is too large for a reciprocal.
__device__ __forceinline__ float ratio(float a, float b) { return __fdividef(a, b); }
__device__ __forceinline__ double ratio(double a, double b) { return a / b; }

// From the nearer of the two samples on, so that both ends are met.
__device__ __forceinline__ ACC_T hermite(ACC_T v0, ACC_T v1, ACC_T m0, ACC_T m1, ACC_T u) {
    const ACC_T d = v1 - v0, t = fma_ieee((ACC_T)-2, d, m0 + m1);
    if (u < (ACC_T)0.5) return fma_ieee(u, fma_ieee(u, fma_ieee(u, t, d - m0 - t), m0), v0);
    const ACC_T s = u - 1;
    return fma_ieee(s, fma_ieee(-s, fma_ieee(-s, t, d - m1 - t), m1), v1);
}

// Weighted harmonic mean of two slopes, of which `own` is that of this gap; `other` is that of a gap beside it, and
// `part` this gap over that one. Zero where they differ in sign.
__device__ __forceinline__ ACC_T harmonic(ACC_T other, ACC_T own, ACC_T part) {
    const ACC_T whole = (ACC_T)0.1875 * (part + 1), mine = (ACC_T)0.125 * part + (ACC_T)0.0625;
    const ACC_T theirs = (ACC_T)0.0625 * part + (ACC_T)0.125, sum = fma_ieee(theirs, other, mine * own);
    const bool apart = (other < 0 && own > 0) || (other > 0 && own < 0) || sum == 0;
    return apart ? (ACC_T)0 : other * ratio(whole * own, sum);
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
        m0 = harmonic(left, d, k.w[0]);
        m1 = harmonic(right, d, k.w[2]);
    } else {
        m0 = k.lefts ? harmonic(left, d, k.w[0]) : k.rights ? end_slope(d, right, k.w[2]) : d;
        m1 = k.rights ? harmonic(right, d, k.w[2]) : k.lefts ? end_slope(d, left, k.w[0]) : d;
    }
    return hermite(v0, v1, m0, m1, k.u);
}

// Slopes of four gaps in a row: that at the sample in their middle.
__device__ __forceinline__ ACC_T akima_slope(ACC_T a, ACC_T b, ACC_T c, ACC_T d) {
    const ACC_T p = magnitude(d - c), sum = p + magnitude(b - a);
    return fma_ieee(sum == 0 ? (ACC_T)0.5 : ratio(p, sum), b - c, c);
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
    return hermite(v0, v1, akima_slope(l2, l1, d, r1), akima_slope(l1, d, r1, r2), k.u);
}

// N neighbouring features of a target.
template <int KIND, int N>
__device__ __forceinline__ void through(const Call& c, const Knot& k, i64 b, i64 feature, ACC_T* r) {
    const VALUE_T* from = c.values + k.at + feature;
    ACC_T v[6][N];         // samples i - 2 … i + 3, or as far as there are any
    constexpr int reach = KIND == CUBIC ? 0 : KIND == AKIMA ? 2 : 1;
#pragma unroll
    for (int j = 2 - reach; j < 4 + reach; ++j) {
        const int step = j < 2 ? -min(2 - j, k.lefts) : j > 3 ? 1 + min(j - 3, k.rights) : j - 2;
        load<N>(from + step * c.value_sample, v[j]);
    }
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
                const i64 at = e;
                ACC_T x[6];
#pragma unroll
                for (int j = 0; j < 6; ++j) {
                    const int step = j < 2 ? -min(2 - j, k.lefts) : j > 3 ? 1 + min(j - 3, k.rights) : j - 2;
                    load<1>(from + step * c.value_sample + at, x + j);
                }
                ACC_T one = KIND == PCHIP ? pchip<false>(k, x[1], x[2], x[3], x[4])
                                          : akima<false>(k, x[0], x[1], x[2], x[3], x[4], x[5]);
#pragma unroll
                for (int f = 0; f < N; ++f)
                    if (f == e) r[f] = one;
            }
        }
    }
}
