// Binary search.

__device__ __forceinline__ int top_bit(i32 n) { return 31 - __clz(n); }
__device__ __forceinline__ int top_bit(i64 n) { return 63 - __clzll(n); }

// First of n > 0 items for which `before` is false, or n. Steps are powers of two, so those of all lanes are the same.
template <class N, class F> __device__ __forceinline__ N first_not(N n, F before) {
    N step = (N)1 << top_bit(n), low = before(step - 1) ? n - step : 0;
    while (step >>= 1)
        if (before(low + step - 1)) low += step;
    return low + before(low);
}

// The last of the episodes whose first item is not after `item`, which is one of theirs: edges has one entry more.
__device__ __forceinline__ i64 episode_of(const i64* edges, i64 episodes, i64 item) {
    return first_not(episodes, [&](i64 e) { return edges[e + 1] <= item; });
}
