// Rows of few features, which no wide access fits: a row's samples lie in shared memory, a thread makes the whole result
// of a target there, and results leave in order, whatever targets they belong to.

// All features of one target; whether one of them came out as NaN, where that is asked.
template <class T>
__device__ __forceinline__ bool narrow_as(const Layout& l, const char* samples, T* to, const Pick& it, bool mark) {
    typedef typename Bits<T>::type A;
    const int width = (int)l.features;
    const T *at = (const T*)samples + (u32)it.nearer * width, *other = at + it.use * width;
    T fill;
    memcpy(&fill, &l.fill, sizeof(T));
    if (it.use & 1) {
        A share;
        recall(it.share, share);
#pragma unroll 4
        for (int d = 0; d < width; ++d) to[d] = Narrow<T>::from(lean<A>(widen<A>(at[d]), widen<A>(other[d]), share));
    } else {
        for (int d = 0; d < width; ++d) to[d] = it.use == FILLED ? fill : at[d];
    }
    bool nan = false;
    if (mark && it.use != FILLED)
        for (int d = 0; d < width; ++d) nan |= widen<A>(to[d]) != widen<A>(to[d]);
    return nan;
}
__device__ __forceinline__ bool narrow_target(const Layout& l, const char* samples, char* to, const Pick& it,
                                              bool mark) {
    switch (l.kind_in) {
        case F16:
            return narrow_as(l, samples, (f16*)to, it, mark);
        case BF16:
            return narrow_as(l, samples, (bf16*)to, it, mark);
        case F32:
            return narrow_as(l, samples, (float*)to, it, mark);
        default:
            return narrow_as(l, samples, (double*)to, it, mark);
    }
}
