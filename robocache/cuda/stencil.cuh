// Curves through a few neighbouring samples: pchip, akima, catmull_rom, and natural cubics whose bends are known.
// Slopes are those of the curve times the gap between the two samples, so no unit of time is in them.

// From the nearer of the two samples on, so that both ends are met.
__device__ __forceinline__ ACC_T hermite(ACC_T v0, ACC_T v1, ACC_T m0, ACC_T m1, ACC_T u) {
    const ACC_T d = v1 - v0, c = m0 + m1 - 2 * d;
    if (u < (ACC_T)0.5) return v0 + u * (m0 + u * ((3 * d - 2 * m0 - m1) + u * c));
    const ACC_T s = 1 - u;
    return v1 - s * (m1 + s * ((3 * d - 2 * m1 - m0) + s * c));
}

// Weighted harmonic mean of two slopes, of which b is that of this gap; `ratio`: this gap over the other.
__device__ __forceinline__ ACC_T harmonic(ACC_T other, ACC_T own, ACC_T ratio) {
    if (!(other * own > 0) && other == other && own == own) {
        const bool apart = (other > 0) != (own > 0) || other == 0 || own == 0;
        if (apart) return 0;  // else their product is too small to be seen
    }
    return 3 * (ratio + 1) * other / ((2 * ratio + 1) + (ratio + 2) * (other / own));
}
// Slope at an end of the curve, from two slopes; the curve stays monotone where the samples are.
__device__ __forceinline__ ACC_T end_slope(ACC_T own, ACC_T next, ACC_T ratio) {
    const ACC_T m = ((2 * ratio + 1) * own - ratio * next) / (ratio + 1);
    const int sign = (m > 0) - (m < 0), owns = (own > 0) - (own < 0), nexts = (next > 0) - (next < 0);
    if (m != m) return m;
    if (sign != owns) return 0;
    return owns != nexts && magnitude(m) > 3 * magnitude(own) ? 3 * own : m;
}

__device__ __forceinline__ ACC_T pchip(const Knot& k, ACC_T before, ACC_T v0, ACC_T v1, ACC_T after) {
    const ACC_T d = v1 - v0, left = (v0 - before) * k.left[0], right = (after - v1) * k.right[0];
    const ACC_T m0 = k.lefts ? harmonic(left, d, k.left[0]) : k.rights ? end_slope(d, right, k.right[0]) : d;
    const ACC_T m1 = k.rights ? harmonic(right, d, k.right[0]) : k.lefts ? end_slope(d, left, k.left[0]) : d;
    const ACC_T r = hermite(v0, v1, m0, m1, k.u), low = v0 < v1 ? v0 : v1, high = v0 < v1 ? v1 : v0;
    if (k.u < 0 || k.u > 1) return r;
    return r < low ? low : r > high ? high : r;  // rounding must not leave the two samples
}

__device__ __forceinline__ ACC_T catmull_rom(const Knot& k, ACC_T before, ACC_T v0, ACC_T v1, ACC_T after) {
    const ACC_T d = v1 - v0;  // gap / (gap + other gap) = ratio / (ratio + 1)
    const ACC_T m0 = k.lefts ? (v1 - before) * (k.left[0] / (k.left[0] + 1)) : d;
    const ACC_T m1 = k.rights ? (after - v0) * (k.right[0] / (k.right[0] + 1)) : d;
    return hermite(v0, v1, m0, m1, k.u);
}

// Slopes of four gaps in a row: that at the sample in their middle.
__device__ __forceinline__ ACC_T akima_slope(ACC_T a, ACC_T b, ACC_T c, ACC_T d) {
    const ACC_T p = magnitude(d - c), q = magnitude(b - a);
    return p + q == 0 ? (ACC_T)0.5 * (b + c) : (p * b + q * c) / (p + q);
}
__device__ __forceinline__ ACC_T akima(const Knot& k, ACC_T farther, ACC_T before, ACC_T v0, ACC_T v1, ACC_T after,
                                       ACC_T last) {
    const ACC_T d = v1 - v0;
    ACC_T l1 = (v0 - before) * k.left[0], l2 = (before - farther) * k.left[1];
    ACC_T r1 = (after - v1) * k.right[0], r2 = (last - after) * k.right[1];
    if (k.lefts == 0) l1 = k.rights == 0 ? d : 2 * d - r1;
    if (k.rights == 0) r1 = k.lefts == 0 ? d : 2 * d - l1;
    if (k.lefts < 2) l2 = 2 * l1 - d;
    if (k.rights < 2) r2 = 2 * r1 - d;
    return hermite(v0, v1, akima_slope(l2, l1, d, r1), akima_slope(l1, d, r1, r2), k.u);
}

__device__ __forceinline__ ACC_T natural(const Knot& k, ACC_T v0, ACC_T v1, ACC_T bend0, ACC_T bend1) {
    const ACC_T u = k.u, s = 1 - u, d = v1 - v0;
    const ACC_T line = u < (ACC_T)0.5 ? v0 + u * d : v1 - s * d;
    return line + k.left[0] * ((s * s - 1) * s * bend0 + (u * u - 1) * u * bend1);
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
#pragma unroll
    for (int e = 0; e < N; ++e) {
        if (KIND == PCHIP) r[e] = pchip(k, v[1][e], v[2][e], v[3][e], v[4][e]);
        if (KIND == CATMULL_ROM) r[e] = catmull_rom(k, v[1][e], v[2][e], v[3][e], v[4][e]);
        if (KIND == CUBIC) {
            const ACC_T* bend = c.bend + k.bend + feature + e;
            r[e] = c.spoilt[b * c.features + feature + e] ? not_a_number()
                                                          : natural(k, v[2][e], v[3][e], bend[0], bend[c.features]);
        }
        if (KIND == AKIMA) r[e] = akima(k, v[0][e], v[1][e], v[2][e], v[3][e], v[4][e], v[5][e]);
    }
}
