// Where a target falls in a row of stamps, and whether the row is in order.

#include "search.cuh"

// When a sample was taken, rounded to the stamps' type: the time that a clock following this stream asks for.
__device__ __forceinline__ i64 captured(i64 t, i64 latency) { return t - latency; }
__device__ __forceinline__ double captured(double t, double latency) { return t - latency; }
__device__ __forceinline__ double captured(float t, double latency) {
    return to_double(to_float(to_double(t) - latency));
}

// First sample taken after q, or with `same` not before q.
template <bool same, class N> __device__ __forceinline__ N bound(const TIME_T* t, N n, Wide q, Wide latency) {
    if (latency == 0) return first_not(n, [&](N i) { return same ? wide(t[i]) < q : wide(t[i]) <= q; });
    return first_not(n, [&](N i) {
        const Wide taken = captured(t[i], latency);
        return same ? taken < q : taken <= q;
    });
}
template <class N> __device__ __forceinline__ N upper(const TIME_T* t, N n, Wide q, Wide latency) {
    return bound<false, N>(t, n, q, latency);
}
template <class N> __device__ __forceinline__ N lower(const TIME_T* t, N n, Wide q, Wide latency) {
    return bound<true, N>(t, n, q, latency);
}

// past / bracket. With `single` it will be rounded to float32 in the end: for integers below 2**24 one division in
// float32 is then the same, since no quotient of two such lies within 2**-49 of a midpoint without being it.
__device__ __forceinline__ double quotient(u64 past, u64 bracket, bool single) {
    if (single && bracket < (1u << 24)) return to_double(div_ieee((float)(u32)past, (float)(u32)bracket));
    return (double)past / (double)bracket;
}
__device__ __forceinline__ double quotient(double past, double bracket, bool) { return past / bracket; }

struct Hit {
    i64 index;
    double weight;
    bool real;
    TIME_T age;
};

// N numbers the row's stamps: 32 bits where they are few enough to be staged. `single`: the weight ends as a float32.
template <class N>
__device__ __forceinline__ Hit locate(const Stream& s, const TIME_T* t, N n, TIME_T raw, bool single, u32* status) {
    Hit hit = {-1, 0.0, false, Clock::none()};
    if (!Clock::proper(raw) || n <= 0) return hit;
    const Wide q = wide(raw), latency = s.latency;
    const N up = upper<N>(t, n, q, latency);
    const bool before = up == 0, after = up == n && q > captured(t[n - 1], latency), alone = n == 1;
    if (alone || before || after) {
        const N i = before || alone ? 0 : n - 1;
        const Wide end = captured(t[i], latency);
        const Gap apart = before ? Clock::gap(end, q) : Clock::gap(q, end);
        hit.real = (!before && !after) || (alone && s.tolerance >= 0 && within(apart, s.tolerance));
        if (!hit.real && s.outside == REFUSE) report(status, OUTSIDE);
        if (!hit.real && s.outside == FILL) return hit;
        hit.index = i;
        hit.age = Clock::age(q, end);
        if (s.outside == EXTRAPOLATE && s.method == LINEAR && !hit.real && !alone) {
            const N j = before ? upper<N>(t, n, end, latency) - 1 : lower<N>(t, n, end, latency) - 1;
            if (0 <= j && j < n - 1) {
                const Wide left = captured(t[j], latency);
                const double span = (double)Clock::gap(captured(t[j + 1], latency), left);
                hit.index = j;
                hit.weight = before ? -(double)Clock::gap(left, q) / span : (double)Clock::gap(q, left) / span;
            }
        }
        return hit;
    }
    const N i = up - 1;
    const Wide earlier = captured(t[i], latency);
    const Gap past = Clock::gap(q, earlier);
    hit.real = true;
    hit.age = Clock::age(q, earlier);
    if (past == 0) {  // exact hit: the last of a run of equal stamps, the first for NEXT
        hit.index = s.method == NEXT ? lower<N>(t, n, q, latency) : i;
        return hit;
    }
    const Wide later = captured(t[up], latency);
    const Gap ahead = Clock::gap(later, q), bracket = Clock::gap(later, earlier);
    hit.index = i;
    Gap apart = past;
    if (s.method == NEXT || (s.method == NEAREST && ahead < past)) {
        // Of a run of equal stamps NEXT takes the first, NEAREST the last.
        hit.index = s.method == NEXT ? up : upper<N>(t, n, later, latency) - 1;
        hit.age = Clock::age(q, later);
        apart = ahead;
    } else if (s.method == LINEAR) {
        hit.weight = quotient(past, bracket, single);
        apart = min(past, ahead);
    }
    hit.real = within(bracket, s.max_gap) && within(apart, s.tolerance);
    return hit;
}

// Whether the stamps threadIdx.x, +blockDim.x, … of a row are in order and finite.
__device__ __forceinline__ bool out_of_order(const TIME_T* t, i64 n, u32* status) {
    bool bad = false, coarse = false;
#pragma unroll 4
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        const TIME_T left = t[i], right = t[min(i + 1, n - 1)];  // no branch: loads of several rounds run side by side
        bad |= !Clock::proper(left) || !(wide(left) <= wide(right));
        coarse |= Clock::coarse(left, right);
    }
    if (coarse) report(status, COARSE);
    return bad;
}
