// Features of a tile of targets from one or two samples each: shared by every kernel that knows index and weight.

#define TILE 256  // most targets whose index and weight a block holds; mirrored in _work.py

enum Kind { F16, BF16, F32, F64, I8, U8, I16, U16, I32, U32, I64, U64, BOOL };
struct Layout {  // of one stream's values and results; mirrored by _LAYOUT in _work.py; 8-byte fields only
    i64 features;
    i64 value_row, value_sample, out_row, out_target;  // in elements
    u64 fill;                                          // bits of one output element
    i64 kind_in, kind_out, size_in, size_out;          // sizes in bytes
    i64 vector;                                        // elements an access moves; 0 = convert types
};

// From the nearer end: exact at both, half the worst error of a + w * (b - a).
template <class A> __device__ __forceinline__ A lerp(A a, A b, A w) {
    const A d = sub_ieee(b, a);
    return w < A(0.5) ? fma_ieee(w, d, a) : fma_ieee(sub_ieee(w, A(1)), d, b);
}

enum Use { BLENDED = 1, FILLED = 2 };  // with the next sample; no sample at all

struct Found {    // in shared memory, an entry a target
    i64* sample;  // its place in bytes, times four, plus its use
    u64* weight;  // bits of a double, or of a float where the arithmetic is float
    int* real;
    __device__ Found(void* room, i64 capacity)
        : sample((i64*)room), weight((u64*)room + capacity), real((int*)((u64*)room + 2 * capacity)) {}
    __device__ __forceinline__ void note(const Layout& l, int k, i64 index, double exact, bool valid) const {
        const bool wide = l.vector == 0 || l.kind_in == F64;
        sample[k] = index < 0 ? FILLED : index * l.value_sample * l.size_in * 4 + (exact != 0 ? BLENDED : 0);
        weight[k] = wide ? (u64)__double_as_longlong(exact) : __float_as_uint(to_float(exact));
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
template <> struct Bits<f16> {
    typedef float type;
    static constexpr bool floating = true;
};
template <> struct Bits<bf16> {
    typedef float type;
    static constexpr bool floating = true;
};
template <> struct Bits<float> {
    typedef float type;
    static constexpr bool floating = true;
};
template <> struct Bits<double> {
    typedef double type;
    static constexpr bool floating = true;
};

// Elements start, start + step, … of a tile, as target and place in its row, without a division for each.
struct Walk {
    i64 d;
    int k, down;
    u32 ahead;
    i64 width;
    __device__ __forceinline__ Walk(i64 width) : width(width) {
        const u32 w = (u32)min(width, (i64)TILE + 1);  // longer rows than the block is wide are all alike
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

template <class V> __device__ __forceinline__ void put(V* to, const V& x) {
#ifdef STREAMED
    __stcs(to, x);
#else
    *to = x;
#endif
}

#ifndef WIDE
#define WIDE 2    // accesses of 16 bytes a thread has under way
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

// Stores what `use(raw sample, raw next sample, how, target)` gives for every access of a tile. A thread loads the
// samples of a few accesses before it computes any: one memory latency for all of them.
template <class V, bool pairs, class F>
__device__ __forceinline__ void stream_with(const Tile& tile, const Found& found, Walk at, F use) {
    constexpr int batch = sizeof(V) == 16 ? WIDE : NARROW;
    while (at.k < tile.targets) {
        V a[batch], b[batch];
        char* to[batch];
        int how[batch];  // and which target, times four
#pragma unroll
        for (int u = 0; u < batch; ++u, at.step()) {
            how[u] = -1;
            a[u] = b[u] = V();  // what may lack a value would be kept alive from the start of the kernel
            to[u] = tile.out;
            if (at.k >= tile.targets) continue;
            const i64 sample = found.sample[at.k], d = at.d * (i64)sizeof(V);
            to[u] = tile.out + at.k * tile.down + d;
            how[u] = at.k * 4 + ((int)sample & 3);
            if (sample & FILLED) {
                const u64 words[2] = {tile.fill, tile.fill};
                memcpy(&a[u], words, sizeof(V));
                continue;
            }
            const char* from = tile.values + (sample >> 2) + d;
            a[u] = *(const V*)from;
            if (pairs && (sample & BLENDED)) b[u] = *(const V*)(from + tile.next);
        }
#pragma unroll
        for (int u = 0; u < batch; ++u)
            if (how[u] >= 0) put((V*)to[u], use(a[u], b[u], how[u] & 3, how[u] >> 2));
    }
}

// The items of one register, each from its two samples; `nan` is set where one is none.
template <class T, class Word, class A>
__device__ __forceinline__ Word blend_word(Word a, Word b, bool blended, A w, bool mark, bool& nan) {
    typedef typename Raw<sizeof(T)>::type Item;
    Word result = 0;
#pragma unroll
    for (int j = 0; j < (int)(sizeof(Word) / sizeof(T)); ++j) {
        const Item left = (Item)(a >> (8 * sizeof(T) * j)), right = (Item)(b >> (8 * sizeof(T) * j));
        T x, y;
        memcpy(&x, &left, sizeof(T));
        memcpy(&y, &right, sizeof(T));
        if (blended) x = Narrow<T>::from(lerp<A>(widen<A>(x), widen<A>(y), w));
        if (mark) nan |= widen<A>(x) != widen<A>(x);
        Item bits;
        memcpy(&bits, &x, sizeof(T));
        result |= (Word)bits << (8 * sizeof(T) * j);
    }
    return result;
}

template <class T, int N>
__device__ __forceinline__ void blend(const Tile& tile, const Found& found, const Walk& at) {
    typedef typename Bits<T>::type A;
    typedef typename Access<sizeof(T) * N>::type V;
    typedef typename Raw < sizeof(T) * N<4 ? sizeof(T) * N : sizeof(T) == 8 ? 8 : 4>::type Word;
    constexpr int words = sizeof(V) / sizeof(Word);
    stream_with<V, true>(tile, found, at, [&](const V& a, const V& b, int how, int k) {
        if (how == FILLED || (how != BLENDED && !tile.mark)) return a;
        Word x[words], y[words];
        memcpy(x, &a, sizeof(V));
        memcpy(y, &b, sizeof(V));
        A w = 0;
        if (how == BLENDED) recall(found.weight[k], w);
        bool nan = false;
#pragma unroll
        for (int i = 0; i < words; ++i) x[i] = blend_word<T, Word, A>(x[i], y[i], how == BLENDED, w, tile.mark, nan);
        if (nan) atomicAnd(&found.real[k], 0);
        V result;
        memcpy(&result, x, sizeof(V));
        return result;
    });
}

template <class V> __device__ __forceinline__ void copy(const Tile& tile, const Found& found, const Walk& at) {
    stream_with<V, false>(tile, found, at, [](const V& a, const V&, int, int) { return a; });
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
