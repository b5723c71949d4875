// Features of a tile of targets from one or two samples each: shared by every kernel that knows index and weight.

#define TILE 256  // most threads of a block, and targets whose index and weight it holds; mirrored in _work.py

enum Kind { F16, BF16, F32, F64, I8, U8, I16, U16, I32, U32, I64, U64, BOOL };
struct Layout {  // of one stream's values and results; mirrored by _LAYOUT in _work.py; 8-byte fields only
    i64 features;
    i64 value_row, value_sample, out_row, out_target;  // in elements
    u64 fill;                                          // bits of one output element
    i64 kind_in, kind_out, size_in, size_out;          // sizes in bytes
    i64 vector;                                        // elements an access moves; 0 = convert types
};

// near + share * (near - far): from the nearer end, so exact at both, with half the worst error of a + w * (b - a), and
// equal ends give themselves, the sign of zero included.
template <class A> __device__ __forceinline__ A lean(A near, A far, A share) {
    return fma_ieee(share, sub_ieee(near, far), near);
}

enum Use { EXACT, AFTER, BEFORE, FILLED };  // a sample, or it and the next, or it and the one before; none

struct alignas(16) Entry {
    i64 sample;  // place of the nearer sample in bytes, times four, plus its use
    u64 share;   // bits of a double, or of a float where the arithmetic is float
};

__device__ __forceinline__ Entry entry_of(const Layout& l, i64 index, double exact) {
    if (index < 0) return {FILLED, 0};
    const float single = to_float(exact);
    const bool wide = l.vector == 0 || l.kind_in == F64, later = wide ? exact >= 0.5 : single >= 0.5f;
    const u64 share = wide ? (u64)__double_as_longlong(later ? exact - 1 : -exact)
                           : __float_as_uint(later ? sub_ieee(single, 1.0f) : -single);
    return {(index + later) * l.value_sample * l.size_in * 4 + (exact == 0 ? EXACT : later ? BEFORE : AFTER), share};
}

struct Found {  // in shared memory
    Entry* entry;
    int* real;
    __device__ Found(void* room, i64 capacity) : entry((Entry*)room), real((int*)((Entry*)room + capacity)) {}
    __device__ __forceinline__ void note(const Layout& l, int k, i64 index, double exact, bool valid) const {
        entry[k] = entry_of(l, index, exact);
        real[k] = valid;
    }
};
__device__ __forceinline__ void recall(u64 bits, float& w) { w = __uint_as_float((u32)bits); }
__device__ __forceinline__ void recall(u64 bits, double& w) { w = __longlong_as_double((i64)bits); }

struct Place {  // of this row and tile
    const char* values;
    char* out;
    int targets;
};

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

#ifndef WIDE
#define WIDE 4    // accesses of 16 bytes whose samples a thread has asked for before it computes any
#define NARROW 4  // and of fewer bytes
#endif

// A tile as every access sees it. Made once, before the kinds part: else the compiler computes it for each of them.
struct Tile {
    const char* values;
    char* out;
    i64 next, down;  // bytes to the next sample and target
    u64 fill;        // repeated to 8 bytes
    int targets;
    bool mark;
    __device__ __forceinline__ Tile(const Layout& l, const Place& p, bool mark)
        : values(p.values),
          out(p.out),
          next(l.value_sample * l.size_in),
          down(l.out_target * l.size_in),
          fill(l.fill),
          targets(p.targets),
          mark(mark) {
        if (l.size_in < 2) fill |= fill << 8;
        if (l.size_in < 4) fill |= fill << 16;
        if (l.size_in < 8) fill |= fill << 32;
    }
};

// Stores what `use(raw sample, raw other sample, how, target)` makes of every access of a tile. A thread loads the
// samples of a few accesses before it computes any: one memory latency for all of them.
template <class V, bool pairs, class F>
__device__ __forceinline__ void stream_with(const Tile& tile, const Found& found, Walk at, F use) {
    constexpr int batch = sizeof(V) == 16 ? WIDE : NARROW;
    while (at.k < tile.targets) {
        V a[batch], b[batch];
        int how[batch];  // and which target, times four
        u32 place[batch];
#pragma unroll
        for (int u = 0; u < batch; ++u, at.step()) {
            const i64 sample = found.entry[min(at.k, tile.targets - 1)].sample;
            const int whence = (int)sample & 3;
            how[u] = at.k < tile.targets ? at.k * 4 + whence : -1;
            place[u] = at.d;
            a[u] = b[u] = V();  // what may lack a value would be kept alive from the start of the kernel
            const char* from = tile.values + (sample >> 2) + at.d * (i64)sizeof(V);
            if (how[u] >= 0 && whence != FILLED) a[u] = *(const V*)from;
            if (pairs && how[u] >= 0 && (whence == AFTER || whence == BEFORE))
                b[u] = *(const V*)(from + (whence == AFTER ? tile.next : -tile.next));
        }
#pragma unroll
        for (int u = 0; u < batch; ++u) {
            if (how[u] < 0) continue;
            V result = a[u];
            if ((how[u] & 3) == FILLED) {
                const u64 words[2] = {tile.fill, tile.fill};
                memcpy(&result, words, sizeof(V));
            } else {
                use(result, b[u], how[u] & 3, how[u] >> 2);
            }
            *(V*)(tile.out + (how[u] >> 2) * tile.down + place[u] * (i64)sizeof(V)) = result;
        }
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
    stream_with<V, true>(tile, found, at, [&](V& a, const V& b, int how, int k) {
        Word x[words], y[words];
        memcpy(x, &a, sizeof(V));
        memcpy(y, &b, sizeof(V));
        if (how != EXACT) {
            A share;
            recall(found.entry[k].share, share);
#pragma unroll
            for (int i = 0; i < words; ++i) x[i] = blend_word<T>(x[i], y[i], share);
        }
        if (tile.mark) {
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
