// What goes round, and what is averaged: quaternions, angles, means over a target's cell.

// Four features are a quaternion, in either order. A length of zero has no direction.
__device__ __forceinline__ bool unit(ACC_T* q) {
    ACC_T most = 0, sum = 0;
#pragma unroll
    for (int e = 0; e < 4; ++e) most = magnitude(q[e]) > most || q[e] != q[e] ? magnitude(q[e]) : most;
    if (!(most > 0) || !is_finite(most)) return false;
#pragma unroll
    for (int e = 0; e < 4; ++e) {
        q[e] /= most;
        sum += q[e] * q[e];
    }
    const ACC_T length = sqrt(sum);
#pragma unroll
    for (int e = 0; e < 4; ++e) q[e] /= length;
    return true;
}

// Along the shorter arc, of any two quaternions and also past their ends. The angle comes from a difference and a sum:
// an arc cosine knows nothing near zero. By value, so that those of the caller stay in registers.
struct Four { ACC_T x[4]; };
__device__ __noinline__ Four slerp_with_care(Four a, Four b, ACC_T u) {
    const bool sound = unit(a.x) & unit(b.x);
    ACC_T dot = 0, apart = 0, along = 0;
    Four r;
#pragma unroll
    for (int e = 0; e < 4; ++e) dot = fma_ieee(a.x[e], b.x[e], dot);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
        if (dot < 0) b.x[e] = -b.x[e];
        apart = fma_ieee(b.x[e] - a.x[e], b.x[e] - a.x[e], apart);
        along = fma_ieee(b.x[e] + a.x[e], b.x[e] + a.x[e], along);
    }
    const ACC_T angle = 2 * atan2(sqrt(apart), sqrt(along));
    const bool far = angle >= (ACC_T)1e-4;
    const ACC_T first = far ? sin((1 - u) * angle) : 1 - u, second = far ? sin(u * angle) : u;
#pragma unroll
    for (int e = 0; e < 4; ++e) r.x[e] = fma_ieee(first, a.x[e], second * b.x[e]);
    const bool whole = unit(r.x) && sound;  // what both weights should be divided by goes with the length
#pragma unroll
    for (int e = 0; e < 4; ++e) r.x[e] = whole ? r.x[e] : not_a_number();
    return r;
}

// Polynomials fitted in Chebyshev nodes. The square of an arc over that of its chord, which is 2 at most: within 4e-7,
// of which the weights below feel a tenth. The sine of x over x, of x * x <= (pi / 2)^2: within 2e-8.
__device__ __forceinline__ float arc_over_chord(float y) {
    float p = fma_ieee(y, 7.2464245e-05f, -1.6791621e-04f);
    p = fma_ieee(y, p, 6.8291480e-04f);
    p = fma_ieee(y, p, 1.5023153e-03f);
    p = fma_ieee(y, p, 1.1212665e-02f);
    p = fma_ieee(y, p, 8.3319925e-02f);
    return fma_ieee(y, p, 1.0f);
}
__device__ __forceinline__ float sine_over(float y) {
    float p = fma_ieee(y, 2.6037001e-06f, -1.9808410e-04f);
    p = fma_ieee(y, p, 8.3330423e-03f);
    p = fma_ieee(y, p, -1.6666658e-01f);
    return fma_ieee(y, p, 1.0f);
}

__device__ __forceinline__ float dot(const float* a, const float* b) {
    return fma_ieee(a[0], b[0], fma_ieee(a[1], b[1], fma_ieee(a[2], b[2], a[3] * b[3])));
}
__device__ __forceinline__ void slerp(double* a, double* b, double u, double* r) {
    Four from, to;
    memcpy(&from, a, sizeof(Four));
    memcpy(&to, b, sizeof(Four));
    const Four found = slerp_with_care(from, to, (ACC_T)u);
    memcpy(r, &found, sizeof(Four));
}
__device__ __forceinline__ void slerp(float* a, float* b, float u, float* r) {
    const float aa = dot(a, a), bb = dot(b, b), ab = dot(a, b);
    // Lengths that neither vanish nor overflow, and nothing past the ends. NaN is neither.
    if (fminf(aa, bb) > 1e-30f && aa + bb < 1e30f && u >= 0 && u <= 1) {
        const float s = rsqrtf(aa), t = ab < 0 ? -rsqrtf(bb) : rsqrtf(bb), v = 1 - u;
        float chord = 0;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            a[e] *= s, b[e] *= t;
            chord = fma_ieee(b[e] - a[e], b[e] - a[e], chord);
        }
        const float arc = chord * arc_over_chord(chord);
        const float first = v * sine_over(v * v * arc), second = u * sine_over(u * u * arc);
#pragma unroll
        for (int e = 0; e < 4; ++e) r[e] = fma_ieee(first, a[e], second * b[e]);
        const float length = rsqrtf(dot(r, r));
#pragma unroll
        for (int e = 0; e < 4; ++e) r[e] *= length;
        return;
    }
    Four from, to;
    memcpy(&from, a, sizeof(Four));
    memcpy(&to, b, sizeof(Four));
    const Four found = slerp_with_care(from, to, (ACC_T)u);
    memcpy(r, &found, sizeof(Four));
}

// Into [low, low + period) by whole periods; what lies there is left as it is.
__device__ __forceinline__ ACC_T in_range(ACC_T low, ACC_T period, ACC_T a) {
    const ACC_T high = low + period;
    if (a >= low && a < high) return a;
    const ACC_T r = a - period * floor((a - low) / period);
    return r < low || r >= high ? low : r;  // NaN is neither
}
__device__ __noinline__ ACC_T angle_from_afar(ACC_T low, ACC_T period, ACC_T a, ACC_T b, ACC_T u) {
    const ACC_T half = period / 2, gap = b - a;
    const ACC_T d = gap >= -half && gap < half ? gap : gap - period * floor((gap + half) / period);
    return in_range(low, period, u < (ACC_T)0.5 ? fma_ieee(u, d, a) : fma_ieee(u - 1, d, b));
}
// The shorter way round between angles that are at most one period out of range: false if one of them is not.
__device__ __forceinline__ bool angle(ACC_T low, ACC_T period, ACC_T a, ACC_T b, ACC_T u, ACC_T* r) {
    const ACC_T half = period / 2, gap = b - a, high = low + period;
    const ACC_T d = gap >= half ? gap - period : gap < -half ? gap + period : gap;
    const ACC_T x = u < (ACC_T)0.5 ? fma_ieee(u, d, a) : fma_ieee(u - 1, d, b);
    *r = x >= high ? x - period : x < low ? x + period : x;
    return d >= -half && d < half && *r >= low && *r < high;
}

// Between two samples, from the nearer one on.
__device__ __forceinline__ ACC_T line(ACC_T a, ACC_T b, ACC_T u) {
    return u < (ACC_T)0.5 ? fma_ieee(u, b - a, a) : fma_ieee(u - 1, b - a, b);
}

struct Cell {
    i64 start, stop;       // samples before its edges,
    ACC_T from, to,
        share;  // where the edges lie behind those, and what a unit of time is of the whole; 0: it is a point
    ACC_T head, tail;      // what the parts of the first and the last gap are of the whole
    __device__ __forceinline__ Cell(const Call& c, i64 stamp, i64 first, i64 last, double low, double high)
        : start(first), stop(last), from((ACC_T)low), to((ACC_T)high), share(0), head(0), tail(0) {
        while (first < last && low == 0 && !(gap(c, stamp + first, stamp + first + 1) > 0)) ++first;  // equal stamps
        const double h = low > 0 || first < last || high > 0 ? gap(c, stamp + first, stamp + first + 1) : 0;
        const double t = high > 0 ? gap(c, stamp + last, stamp + last + 1) : 0;
        const double begin = first == last ? (high - low) * h : (1 - low) * h, end = first == last ? 0 : high * t;
        const double width = begin + end + (first + 1 < last ? gap(c, stamp + first + 1, stamp + last) : 0);
        if (!(width > 0)) return;
        start = first;
        share = (ACC_T)(1 / width), head = (ACC_T)(begin / width), tail = (ACC_T)(end / width);
    }
};

// Mean of the line through the samples over a cell: trapezoids, as differences from the first sample so that float32
// does not lose them. A few samples are on their way at once.
#define SAMPLES (sizeof(VALUE_T) == 2 ? 2 : 4)
template <int N> __device__ __forceinline__ void mean(const Call& c, const Cell& cell, const VALUE_T* row, i64 stamp,
                                                      i64 feature, ACC_T* r) {
    ACC_T first[N], left[N], right[SAMPLES][N], sum[N];
    const VALUE_T* at = row + cell.start * c.value_sample + feature;
    load<N>(at, first);
    if (cell.share == 0) {
        if (cell.from > 0) load<N>(at + c.value_sample, left);
#pragma unroll
        for (int e = 0; e < N; ++e) r[e] = cell.from > 0 ? line(first[e], left[e], cell.from) : first[e];
        return;
    }
#pragma unroll
    for (int e = 0; e < N; ++e) left[e] = 0, sum[e] = 0;
    const i64 last = cell.to > 0 ? cell.stop : cell.stop - 1;  // the gap that the cell ends in
    for (i64 j = cell.start; j <= last; j += SAMPLES) {
        ACC_T part[SAMPLES], middle[SAMPLES];
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) load<N>(at + (min(j + s, last) + 1 - cell.start) * c.value_sample, right[s]);
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) {
            const i64 g = min(j + s, last);
            const ACC_T from = g == cell.start ? cell.from : (ACC_T)0, to = g == cell.stop ? cell.to : (ACC_T)1;
            const ACC_T whole = g == cell.start  ? cell.head
                                : g == cell.stop ? cell.tail
                                                 : short_gap(c, stamp + g) * cell.share;
            part[s] = j + s <= last ? whole : (ACC_T)0;
            middle[s] = (ACC_T)0.5 * (from + to);
        }
#pragma unroll
        for (int s = 0; s < SAMPLES; ++s) {
#pragma unroll
            for (int e = 0; e < N; ++e) {
                const ACC_T next = right[s][e] - first[e];  // between equal stamps it counts for nothing, NaN or not
                if (part[s] > 0) sum[e] = fma_ieee(part[s], fma_ieee(middle[s], next - left[e], left[e]), sum[e]);
                left[e] = next;
            }
        }
    }
#pragma unroll
    for (int e = 0; e < N; ++e) r[e] = first[e] + sum[e];
}

// Hamilton product of quaternions x, y, z, w.
__device__ __forceinline__ void multiply(const ACC_T* a, const ACC_T* b, ACC_T* r) {
    r[0] = a[3] * b[0] + a[0] * b[3] + a[1] * b[2] - a[2] * b[1];
    r[1] = a[3] * b[1] - a[0] * b[2] + a[1] * b[3] + a[2] * b[0];
    r[2] = a[3] * b[2] + a[0] * b[1] - a[1] * b[0] + a[2] * b[3];
    r[3] = a[3] * b[3] - a[0] * b[0] - a[1] * b[1] - a[2] * b[2];
}
__device__ __forceinline__ void cross(const ACC_T* a, const ACC_T* b, ACC_T* r) {
    r[0] = a[1] * b[2] - a[2] * b[1], r[1] = a[2] * b[0] - a[0] * b[2], r[2] = a[0] * b[1] - a[1] * b[0];
}
__device__ __forceinline__ void rotate(const ACC_T* q, const ACC_T* v, ACC_T* r) {
    ACC_T once[3], twice[3];
    cross(q, v, once);
    cross(q, once, twice);
#pragma unroll
    for (int e = 0; e < 3; ++e) r[e] = v[e] + 2 * (q[3] * once[e] + twice[e]);
}

// Along the screw motion from pose a to pose b: a exp(u log(a^-1 b)), positions before quaternions x, y, z, w.
__device__ __forceinline__ void screw(ACC_T* a, ACC_T* b, ACC_T u, ACC_T* r) {
    const bool sound = unit(a + 3) & unit(b + 3);
    const ACC_T back[4] = {-a[3], -a[4], -a[5], a[6]};
    ACC_T turn[4], apart[3], path[3], once[3], twice[3], w[3];
    multiply(back, b + 3, turn);
    const ACC_T sign = turn[3] < 0 ? -1 : 1, sine = sqrt(turn[0] * turn[0] + turn[1] * turn[1] + turn[2] * turn[2]);
    const ACC_T angle = 2 * atan2(sine, turn[3] * sign);  // of the whole motion, pi at most
#pragma unroll
    for (int e = 0; e < 3; ++e) {
        w[e] = sine > 0 ? sign * turn[e] / sine : (ACC_T)0;  // the axis
        path[e] = b[e] - a[e];
    }
    rotate(back, path, apart);
    // Its velocity: what V(angle) takes to `apart`, with V^-1 = 1 - K angle / 2 + (1 - half cot(half)) K^2.
    const ACC_T half = angle / 2, small = (ACC_T)(sizeof(ACC_T) == 4 ? 0.02 : 1e-4);
    const ACC_T bend = half < small ? half * half / 3 : 1 - half * cos(half) / sin(half);
    cross(w, apart, once);
    cross(w, once, twice);
    ACC_T speed[3];
#pragma unroll
    for (int e = 0; e < 3; ++e) speed[e] = apart[e] - half * once[e] + bend * twice[e];
    // u V(u angle) of it, with V(t) = 1 + (1 - cos t) / t K + (1 - sin t / t) K^2.
    const ACC_T t = u * angle, h = t / 2;
    const ACC_T first = magnitude(t) < small ? h : sin(h) * sin(h) / h;
    const ACC_T second = magnitude(t) < small ? t * t / 6 : 1 - sin(t) / t;
    cross(w, speed, once);
    cross(w, once, twice);
#pragma unroll
    for (int e = 0; e < 3; ++e) path[e] = u * (speed[e] + first * once[e] + second * twice[e]);
    rotate(a + 3, path, apart);
    ACC_T step[4];
#pragma unroll
    for (int e = 0; e < 3; ++e) step[e] = w[e] * sin(h);
    step[3] = cos(h);
    multiply(a + 3, step, r + 3);
    const bool whole = unit(r + 3) && sound;
#pragma unroll
    for (int e = 0; e < 7; ++e) r[e] = !whole ? not_a_number() : e < 3 ? a[e] + apart[e] : r[e];
}
