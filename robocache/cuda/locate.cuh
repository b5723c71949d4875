// Where a target falls in a row of stamps, and whether the row is in order.

__device__ __forceinline__ i64 upper(const TIME_T* t, i64 n, Wide q) {  // first stamp above q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (wide(t[middle]) <= q) low = middle + 1;
        else high = middle;
    }
    return low;
}
__device__ __forceinline__ i64 lower(const TIME_T* t, i64 n, Wide q) {  // first stamp not below q
    i64 low = 0, high = n;
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (wide(t[middle]) < q) low = middle + 1;
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

__device__ Hit locate(const Stream& s, const TIME_T* t, i64 n, TIME_T raw, u32* status) {
    Hit hit = {-1, 0.0, false, Clock::none()};
    if (!Clock::proper(raw) || n <= 0) return hit;
    const Wide q = wide(raw) + s.latency;
    const i64 up = upper(t, n, q);
    const bool before = up == 0, after = up == n && q > wide(t[n - 1]), single = n == 1;
    if (single || before || after) {
        const i64 i = before || single ? 0 : n - 1;
        const Wide end = wide(t[i]);
        hit.age = Clock::age(q, end);
        const Gap apart = before ? Clock::gap(end, q) : Clock::gap(q, end);
        hit.real = (!before && !after) || (single && s.tolerance >= 0 && within(apart, s.tolerance));
        if (!hit.real && s.outside == REFUSE) report(status, OUTSIDE);
        if (!hit.real && s.outside == FILL) return hit;
        hit.index = i;
        if (s.outside == EXTRAPOLATE && s.method == LINEAR && !hit.real && !single) {
            const i64 j = before ? upper(t, n, end) - 1 : lower(t, n, end) - 1;
            if (0 <= j && j < n - 1) {
                const Wide left = wide(t[j]);
                const double span = (double)Clock::gap(wide(t[j + 1]), left);
                hit.index = j;
                hit.weight = before ? -(double)Clock::gap(left, q) / span : (double)Clock::gap(q, left) / span;
            }
        }
        return hit;
    }
    const i64 i = up - 1;
    const Gap past = Clock::gap(q, wide(t[i]));
    hit.real = true;
    if (past == 0) {  // exact hit: the last of a run of equal stamps, the first for NEXT
        hit.index = s.method == NEXT ? lower(t, n, q) : i;
        hit.age = Clock::age(q, wide(t[i]));
        return hit;
    }
    const Gap ahead = Clock::gap(wide(t[up]), q), bracket = Clock::gap(wide(t[up]), wide(t[i]));
    hit.index = i;
    Gap apart = past;
    if (s.method == NEXT || (s.method == NEAREST && ahead < past)) {
        hit.index = up;
        apart = ahead;
    } else if (s.method == LINEAR) {
        hit.weight = (double)past / (double)bracket;
        apart = min(past, ahead);
    }
    hit.real = within(bracket, s.max_gap) && within(apart, s.tolerance);
    hit.age = Clock::age(q, wide(t[hit.index]));
    return hit;
}

// Whether the stamps threadIdx.x, +blockDim.x, … of a row are in order and finite.
__device__ bool out_of_order(const TIME_T* t, i64 n, u32* status) {
    bool bad = false, coarse = false;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
        bad |= !Clock::proper(t[i]);
        if (i + 1 < n) {
            bad |= !(wide(t[i]) <= wide(t[i + 1]));
            coarse |= Clock::coarse(t[i], t[i + 1]);
        }
    }
    if (coarse) report(status, COARSE);
    return bad;
}
