// Where a target falls in a row of stamps, and whether the row is in order.

// When a sample was taken, rounded to the stamps' type: the time that a clock following this stream asks for.
__device__ __forceinline__ i64 captured(i64 t, i64 latency) { return t - latency; }
__device__ __forceinline__ double captured(double t, double latency) { return t - latency; }
__device__ __forceinline__ double captured(float t, double latency) {
    return to_double(to_float(to_double(t) - latency));
}

__device__ __forceinline__ i64 upper(const TIME_T* t, i64 n, Wide q, Wide latency) {  // first sample taken after q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (captured(t[middle], latency) <= q) low = middle + 1;
        else high = middle;
    }
    return low;
}
__device__ __forceinline__ i64 lower(const TIME_T* t, i64 n, Wide q, Wide latency) {  // first not taken before q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (captured(t[middle], latency) < q) low = middle + 1;
        else high = middle;
    }
    return low;
}

struct Hit {
    i64 index;
    double weight;
    bool real;
    TIME_T age;
};

__device__ __forceinline__ Hit locate(const Stream& s, const TIME_T* t, i64 n, TIME_T raw, u32* status) {
    Hit hit = {-1, 0.0, false, Clock::none()};
    if (!Clock::proper(raw) || n <= 0) return hit;
    const Wide q = wide(raw), latency = s.latency;
    const i64 up = upper(t, n, q, latency);
    const bool before = up == 0, after = up == n && q > captured(t[n - 1], latency), single = n == 1;
    if (single || before || after) {
        const i64 i = before || single ? 0 : n - 1;
        const Wide end = captured(t[i], latency);
        const Gap apart = before ? Clock::gap(end, q) : Clock::gap(q, end);
        hit.real = (!before && !after) || (single && s.tolerance >= 0 && within(apart, s.tolerance));
        if (!hit.real && s.outside == REFUSE) report(status, OUTSIDE);
        if (!hit.real && s.outside == FILL) return hit;
        hit.index = i;
        hit.age = Clock::age(q, end);
        if (s.outside == EXTRAPOLATE && s.method == LINEAR && !hit.real && !single) {
            const i64 j = before ? upper(t, n, end, latency) - 1 : lower(t, n, end, latency) - 1;
            if (0 <= j && j < n - 1) {
                const Wide left = captured(t[j], latency);
                const double span = (double)Clock::gap(captured(t[j + 1], latency), left);
                hit.index = j;
                hit.weight = before ? -(double)Clock::gap(left, q) / span : (double)Clock::gap(q, left) / span;
            }
        }
        return hit;
    }
    const i64 i = up - 1;
    const Wide earlier = captured(t[i], latency);
    const Gap past = Clock::gap(q, earlier);
    hit.real = true;
    hit.age = Clock::age(q, earlier);
    if (past == 0) {  // exact hit: the last of a run of equal stamps, the first for NEXT
        hit.index = s.method == NEXT ? lower(t, n, q, latency) : i;
        return hit;
    }
    const Wide later = captured(t[up], latency);
    const Gap ahead = Clock::gap(later, q), bracket = Clock::gap(later, earlier);
    hit.index = i;
    Gap apart = past;
    if (s.method == NEXT || (s.method == NEAREST && ahead < past)) {
        // Of a run of equal stamps NEXT takes the first, NEAREST the last.
        hit.index = s.method == NEXT ? up : upper(t, n, later, latency) - 1;
        hit.age = Clock::age(q, later);
        apart = ahead;
    } else if (s.method == LINEAR) {
        hit.weight = (double)past / (double)bracket;
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
