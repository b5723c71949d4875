// Rows of few features: all samples of a row lie in shared memory, and results leave in words that may span targets.

// Brings bytes into shared memory, where `to` lies as `from` does within 16 bytes. They are there after `arrived`.
__device__ __forceinline__ void bring(char* to, const char* from, i64 bytes) {
    const int head = (int)min(bytes, (i64)(-(u64)from & 15)), whole = (int)(bytes - head) / 16;
    if ((int)threadIdx.x < head) to[threadIdx.x] = from[threadIdx.x];
    for (int i = threadIdx.x; i < whole; i += blockDim.x) {
        const int at = head + 16 * i;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        const u32 shared = (u32)__cvta_generic_to_shared(to + at);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(shared), "l"(from + at) : "memory");
#else
        *(uint4*)(to + at) = *(const uint4*)(from + at);
#endif
    }
    for (int i = head + 16 * whole + threadIdx.x; i < bytes; i += blockDim.x) to[i] = from[i];
}
__device__ __forceinline__ void arrived() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" : : : "memory");
#endif
    __syncthreads();
}
// Where in room for 16 bytes more than needed the bytes at `from` may be brought.
__device__ __forceinline__ char* berth(void* room, const void* from) { return (char*)room + ((u64)from & 15); }

// One feature of one target.
template <class T>
__device__ __forceinline__ T narrow_item(const char* held, const Found& found, const Tile& tile, int k, u32 d) {
    typedef typename Bits<T>::type A;
    const Entry e = found.entry[k];
    const int how = (int)e.sample & 3;
    T x;
    if (how == FILLED) {
        memcpy(&x, &tile.fill, sizeof(T));
        return x;
    }
    const T* at = (const T*)(held + (u32)(e.sample >> 2)) + d;
    x = *at;
    if (how != EXACT) {
        A share;
        recall(e.share, share);
        const T other = at[how == AFTER ? tile.width : -tile.width];
        x = Narrow<T>::from(lean<A>(widen<A>(x), widen<A>(other), share));
    }
    if (tile.mark && widen<A>(x) != widen<A>(x)) atomicAnd(&found.real[k], 0);
    return x;
}

// Results lie side by side and begin at a word: `each` of them make one.
template <class T> __device__ __forceinline__ void narrow_rows(const char* held, const Found& found, const Tile& tile) {
    constexpr u32 each = sizeof(T) == 2 ? 2 : 1;
    T* out = (T*)tile.out;
    const int items = tile.targets * tile.width;
    int i = threadIdx.x * each;
    for (Walk at(tile.width, each); i < items; at.step(), i += blockDim.x * each) {
        const T x = narrow_item<T>(held, found, tile, at.k, at.d);
        if (each == 2 && i + 1 < items) {
            const bool over = at.d + 1 == at.width;
            const T y = narrow_item<T>(held, found, tile, at.k + over, over ? 0 : at.d + 1);
            u16 low, high;
            memcpy(&low, &x, 2);
            memcpy(&high, &y, 2);
            *(u32*)(out + i) = low | (u32)high << 16;
        } else {
            out[i] = x;
        }
    }
}

__device__ __forceinline__ void stream_narrow(const Layout& l, const Place& p, const char* held, const Found& found,
                                              bool mark) {
    const Tile tile(l, p, mark);
    switch (l.kind_in) {
        case F16:
            return narrow_rows<f16>(held, found, tile);
        case BF16:
            return narrow_rows<bf16>(held, found, tile);
        case F32:
            return narrow_rows<float>(held, found, tile);
        default:
            return narrow_rows<double>(held, found, tile);
    }
}
