// Features of a tile of targets from one or two samples each: shared by every kernel that knows index and share.

// near + share * (near - far): from the nearer end, so exact at both, with half the worst error of a + w * (b - a), and
// equal ends give themselves, the sign of zero included.
template <class A> __device__ __forceinline__ A lean(A near, A far, A share) {
    return fma_ieee(share, sub_ieee(near, far), near);
}

template <class T> struct Bits {
    typedef T type;
    static constexpr bool floating = false;
};
template <class A, u32 largest> struct FloatBits {  // infinity's in the last 32 bits or fewer
    typedef A type;
    static constexpr bool floating = true;
    static constexpr u32 infinity = largest;
};
template <> struct Bits<f16> : FloatBits<float, 0x7c00u> {};
template <> struct Bits<bf16> : FloatBits<float, 0x7f80u> {};
template <> struct Bits<float> : FloatBits<float, 0x7f800000u> {};
template <> struct Bits<double> : FloatBits<double, 0> {};

// Accesses start, start + step, … of a tile, as target and place in its row, without a division for each.
struct Walk {
    int k, down;
    u32 d, ahead, width;
    __device__ __forceinline__ Walk(i64 accesses) : width((u32)accesses) {
        const u32 w = min(width, TILE + 1u);  // longer rows than the block is wide are all alike
        down = (int)(blockDim.x / w);
        ahead = blockDim.x - down * w;
        k = (int)(threadIdx.x / w);
        d = threadIdx.x - k * w;
    }
    __device__ __forceinline__ void step() {
        k += down;
        d += ahead;
        if (d >= width) {
            d -= width;
            ++k;
        }
    }
};

// Bits of an element or a register, and what one access moves.
template <int bytes> struct Raw;
template <> struct Raw<1> { typedef u8 type; };
template <> struct Raw<2> { typedef u16 type; };
template <> struct Raw<4> { typedef u32 type; };
template <> struct Raw<8> { typedef u64 type; };
template <int bytes> struct Access { typedef typename Raw<bytes>::type type; };
template <> struct Access<8> { typedef uint2 type; };
template <> struct Access<16> { typedef uint4 type; };

#define UNDER_WAY 4  // accesses whose samples a thread has asked for before it computes any

// A tile as every access sees it. Made once, before the kinds part: else the compiler computes it for each of them.
// layout() in _work.py sees to it that 32 bits hold all this.
struct Tile {
    char* out;
    int next, down;  // bytes to the next sample and target
    u64 fill;  // repeated to 8 bytes
    int targets;
    bool mark;
    __device__ __forceinline__ Tile(const Layout& l, const Place& p, bool mark)
        : out(p.out),
          next((int)(l.value_sample * l.size_in)),
          down((int)(l.out_target * l.size_in)),
          fill(l.fill),
          targets(p.targets),
          mark(mark) {
        if (l.size_in < 2) fill |= fill << 8;
        if (l.size_in < 4) fill |= fill << 16;
        if (l.size_in < 8) fill |= fill << 32;
    }
};

__device__ __forceinline__ const char* stepped(const char* from, int steps, int bytes) {  // one instruction
    const char* r;
    asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(r) : "r"(steps), "r"(bytes), "l"(from));
    return r;
}

__device__ __forceinline__ const char* global(const char* p) {  // which the compiler cannot see of one in shared memory
    __builtin_assume(__isGlobal(p));
    return p;
}

// Samples of one access on their way.
template <class V> struct Flight {
    V a = V(), b = V();  // what may lack a value would be kept alive from the start of the kernel
    template <bool pairs> __device__ __forceinline__ void start(const Tile& tile, const Found& found, const Walk& at) {
        const int use = found.use[at.k];
        const char* from = found.entry[at.k].sample + at.d * sizeof(V);
        a = *(const V*)global(from);
        if (pairs && (use & 1)) b = *(const V*)global(stepped(from, use, tile.next));
    }
    template <class F>
    __device__ __forceinline__ void land(const Tile& tile, const Found& found, const Walk& at, F blend) {
        const int use = found.use[at.k];
        if (use == FILLED) {
            const u64 words[2] = {tile.fill, tile.fill};
            memcpy(&a, words, sizeof(V));
        } else {
            blend(a, b, use, at.k);
        }
        *(V*)(tile.out + (at.k * tile.down + (int)(at.d * sizeof(V)))) = a;
    }
};

// Stores what `blend(raw sample, raw other sample, use, target)` makes of every access of a tile. A thread loads the
// samples of a few accesses before it computes any: one memory latency for all of them.
template <class V, bool pairs, class F>
__device__ __forceinline__ void stream_with(const Tile& tile, const Found& found, Walk at, F blend) {
    const int step = blockDim.x, total = tile.targets * (int)at.width;
    int i = threadIdx.x;
    for (; i + (UNDER_WAY - 1) * step < total; i += UNDER_WAY * step) {
        Flight<V> flight[UNDER_WAY];
        Walk ahead = at;  // walked again when they land: registers are dearer
#pragma unroll
        for (int u = 0; u < UNDER_WAY; ++u, ahead.step()) flight[u].template start<pairs>(tile, found, ahead);
        asm volatile("" : : : "memory");  // or loads sink to where they are needed
#pragma unroll
        for (int u = 0; u < UNDER_WAY; ++u, at.step()) flight[u].land(tile, found, at, blend);
    }
    for (; i < total; i += 2 * step) {  // what is left
        Flight<V> flight[2];
        Walk ahead = at;
        flight[0].template start<pairs>(tile, found, ahead);
        ahead.step();
        if (i + step < total) flight[1].template start<pairs>(tile, found, ahead);
        asm volatile("" : : : "memory");
        flight[0].land(tile, found, at, blend);
        at.step();
        if (i + step < total) flight[1].land(tile, found, at, blend);
        at.step();
    }
}

template <class T> __device__ __forceinline__ T item(u32 word, int j) {
    T x;
    const typename Raw<sizeof(T)>::type bits = (typename Raw<sizeof(T)>::type)(word >> (8 * sizeof(T) * j));
    memcpy(&x, &bits, sizeof(T));
    return x;
}

// The items of one register, each from its two samples.
template <class T> __device__ __forceinline__ u32 blend_word(u32 a, u32 b, float share) {
    if constexpr (sizeof(T) == 4) return __float_as_uint(lean(__uint_as_float(a), __uint_as_float(b), share));
    else
        return Narrow<T>::two(lean(widen<float>(item<T>(a, 0)), widen<float>(item<T>(b, 0)), share),
                              lean(widen<float>(item<T>(a, 1)), widen<float>(item<T>(b, 1)), share));
}
template <class T> __device__ __forceinline__ u64 blend_word(u64 a, u64 b, double share) {
    const double x = __longlong_as_double((i64)a), y = __longlong_as_double((i64)b);
    return (u64)__double_as_longlong(lean(x, y, share));
}
template <class T> __device__ __forceinline__ u16 blend_word(u16 a, u16 b, float share) {
    return Narrow<T>::from(lean(widen<float>(item<T>(a, 0)), widen<float>(item<T>(b, 0)), share)).bits;
}

template <class T> __device__ __forceinline__ bool has_nan(u64 word) {
    return (word & 0x7fffffffffffffffull) > 0x7ff0000000000000ull;
}
template <class T> __device__ __forceinline__ bool has_nan(u32 word) {
    if constexpr (sizeof(T) == 4) return (word & 0x7fffffffu) > Bits<T>::infinity;
    else return (word & 0x7fffu) > Bits<T>::infinity || (word >> 16 & 0x7fffu) > Bits<T>::infinity;
}
template <class T> __device__ __forceinline__ bool has_nan(u16 word) { return (word & 0x7fffu) > Bits<T>::infinity; }

template <class T, int N>
__device__ __forceinline__ void blend(const Tile& tile, const Found& found, const Walk& at) {
    typedef typename Bits<T>::type A;
    typedef typename Access<sizeof(T) * N>::type V;
    typedef typename Raw < sizeof(T) * N<4 ? sizeof(T) * N : sizeof(T) == 8 ? 8 : 4>::type Word;
    constexpr int words = sizeof(V) / sizeof(Word);
    stream_with<V, true>(tile, found, at, [&](V& a, const V& b, int use, int k) {
        Word x[words], y[words];
        memcpy(x, &a, sizeof(V));
        memcpy(y, &b, sizeof(V));
        if (use != EXACT) {
            A share;
            recall(found.entry[k].share, share);
#pragma unroll
            for (int i = 0; i < words; ++i) x[i] = blend_word<T>(x[i], y[i], share);
        }
        if (tile.mark) {
            asm volatile("");  // a branch, not an instruction for every word that does nothing
            bool nan = false;
#pragma unroll
            for (int i = 0; i < words; ++i) nan |= has_nan<T>(x[i]);
            if (nan) atomicAnd(&found.real[k], 0);
        }
        memcpy(&a, x, sizeof(V));
    });
}

template <class V> __device__ __forceinline__ void copy(const Tile& tile, const Found& found, const Walk& at) {
    stream_with<V, false>(tile, found, at, [](V&, const V&, int, int) {});
}

template <class T>
__device__ __forceinline__ void blend_widest(i64 vector, const Tile& tile, const Found& found, const Walk& at) {
    constexpr int most = 16 / sizeof(T);
    if (vector == most) blend<T, most>(tile, found, at);
    else if (sizeof(T) < 4 && vector == 4) blend<T, sizeof(T) < 4 ? 4 : 1>(tile, found, at);
    else if (sizeof(T) < 8 && vector == 2) blend<T, sizeof(T) < 8 ? 2 : 1>(tile, found, at);
    else blend<T, 1>(tile, found, at);
}

// Samples and results of one type. With `mark`, NaN in a result takes `real` from its target.
__device__ __forceinline__ void stream_alike(const Layout& l, const Place& p, const Found& found, bool mark) {
    if (l.features == 0) return;
    const Tile tile(l, p, mark);
    const Walk at(l.features / l.vector);
    switch (l.kind_in) {
        case F16:
            return blend_widest<f16>(l.vector, tile, found, at);
        case BF16:
            return blend_widest<bf16>(l.vector, tile, found, at);
        case F32:
            return blend_widest<float>(l.vector, tile, found, at);
        case F64:
            return blend_widest<double>(l.vector, tile, found, at);
    }
    switch (l.vector * l.size_in) {  // nothing to compute: bytes are bytes
        case 16:
            return copy<uint4>(tile, found, at);
        case 8:
            return copy<uint2>(tile, found, at);
        case 4:
            return copy<u32>(tile, found, at);
        case 2:
            return copy<u16>(tile, found, at);
        default:
            return copy<u8>(tile, found, at);
    }
}
