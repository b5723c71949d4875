// Features of a tile of targets from one or two samples each.

template <class T, int N> struct alignas(sizeof(T) * N) Pack { T item[N]; };

// From the nearer end: exact at both, half the worst error of a + w * (b - a).
template <class A> __device__ __forceinline__ A lerp(A a, A b, A w) {
    const A d = sub_ieee(b, a);
    return w < A(0.5) ? fma_ieee(w, d, a) : fma_ieee(sub_ieee(w, A(1)), d, b);
}

struct Found {
    i64 index[TILE];
    double weight[TILE];
    int real[TILE];
};
struct Place {
    const char* values;
    char* out;
    i64 targets;
};  // of this row and tile

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

template <class T, int N> __device__ __forceinline__ void blend(const Stream& s, const Place& p, Found& found,
                                                                bool mark) {
    typedef typename Bits<T>::type A;
    typedef Pack<T, N> Vector;
    const T* values = (const T*)p.values;
    T* out = (T*)p.out;
    const i64 width = s.features / N, total = p.targets * width;
    T fill;
    memcpy(&fill, &s.fill, sizeof(T));
    for (i64 e = threadIdx.x; e < total; e += blockDim.x) {
        const i64 k = total <= 0x7fffffff ? (u32)e / (u32)width : e / width;
        const i64 d = (e - k * width) * N, at = found.index[k];
        Vector result;
        if (at < 0) {
#pragma unroll
            for (int j = 0; j < N; ++j) result.item[j] = fill;
        } else {
            const Vector a = *(const Vector*)(values + at * s.value_sample + d);
            result = a;
            if constexpr (Bits<T>::floating) {
                if (found.weight[k] != 0) {
                    const A w = Narrow<A>::from(found.weight[k]);
                    const Vector b = *(const Vector*)(values + (at + 1) * s.value_sample + d);
#pragma unroll
                    for (int j = 0; j < N; ++j)
                        result.item[j] = Narrow<T>::from(lerp<A>(widen<A>(a.item[j]), widen<A>(b.item[j]), w));
                }
                if (mark) {
                    bool nan = false;
#pragma unroll
                    for (int j = 0; j < N; ++j) {
                        const A x = widen<A>(result.item[j]);
                        nan |= x != x;
                    }
                    if (nan) atomicAnd(&found.real[k], 0);
                }
            }
        }
        *(Vector*)(out + k * s.out_target + d) = result;
    }
}

template <class A> __device__ A load(i64 kind, const char* p, i64 i) {
    switch (kind) {
        case F16:
            return (A)widen<double>(((const f16*)p)[i]);
        case BF16:
            return (A)widen<double>(((const bf16*)p)[i]);
        case F32:
            return (A)widen<double>(((const float*)p)[i]);
        case F64:
            return (A)((const double*)p)[i];
        case I8:
            return (A)((const i8*)p)[i];
        case I16:
            return (A)((const i16*)p)[i];
        case U16:
            return (A)((const u16*)p)[i];
        case I32:
            return (A)((const i32*)p)[i];
        case U32:
            return (A)((const u32*)p)[i];
        case I64:
            return (A)((const i64*)p)[i];
        case U64:
            return (A)((const u64*)p)[i];
        default:
            return (A)((const u8*)p)[i];
    }
}
template <class A> __device__ void store(i64 kind, char* p, i64 i, A x) {
    switch (kind) {
        case F16:
            ((f16*)p)[i] = Narrow<f16>::from((double)x);
            break;
        case BF16:
            ((bf16*)p)[i] = Narrow<bf16>::from((double)x);
            break;
        case F32:
            ((float*)p)[i] = Narrow<float>::from((double)x);
            break;
        case F64:
            ((double*)p)[i] = (double)x;
            break;
        case I8:
        case U8:
        case BOOL:
            ((i8*)p)[i] = (i8)x;
            break;
        case I16:
        case U16:
            ((i16*)p)[i] = (i16)x;
            break;
        case I32:
        case U32:
            ((i32*)p)[i] = (i32)x;
            break;
        default:
            ((i64*)p)[i] = (i64)x;
    }
}

// Mixed types in one output: element by element, through double (floats) or 64-bit integers.
template <class A> __device__ __forceinline__ void convert(const Stream& s, const Place& p, Found& found, bool mark) {
    const i64 total = p.targets * s.features;
    for (i64 e = threadIdx.x; e < total; e += blockDim.x) {
        const i64 k = e / s.features, d = e - k * s.features, at = found.index[k], to = k * s.out_target + d;
        if (at < 0) {
            store<i64>(s.size_out == 8   ? I64
                       : s.size_out == 4 ? I32
                       : s.size_out == 2 ? I16
                                         : I8,
                       p.out, to, (i64)s.fill);
            continue;
        }
        A x = load<A>(s.kind_in, p.values, at * s.value_sample + d);
        if constexpr (Bits<A>::floating) {
            if (found.weight[k] != 0)
                x = lerp<A>(x, load<A>(s.kind_in, p.values, (at + 1) * s.value_sample + d), found.weight[k]);
            if (mark && x != x) atomicAnd(&found.real[k], 0);
        }
        store<A>(s.kind_out, p.out, to, x);
    }
}

template <class T> __device__ __forceinline__ void blend_widest(const Stream& s, const Place& p, Found& found,
                                                                bool mark) {
    constexpr int most = 16 / sizeof(T);
    if (s.vector == most) blend<T, most>(s, p, found, mark);
    else if (sizeof(T) < 4 && s.vector == 4) blend<T, sizeof(T) < 4 ? 4 : 1>(s, p, found, mark);
    else if (sizeof(T) < 8 && s.vector == 2) blend<T, sizeof(T) < 8 ? 2 : 1>(s, p, found, mark);
    else blend<T, 1>(s, p, found, mark);
}

__device__ __forceinline__ void stream_features(const Stream& s, const Place& p, Found& found, bool mark) {
    if (s.vector == 0) {
        if (s.kind_out < I8) convert<double>(s, p, found, mark);
        else convert<i64>(s, p, found, mark);
        return;
    }
    switch (s.kind_in) {
        case F16:
            blend_widest<f16>(s, p, found, mark);
            break;
        case BF16:
            blend_widest<bf16>(s, p, found, mark);
            break;
        case F32:
            blend_widest<float>(s, p, found, mark);
            break;
        case F64:
            blend_widest<double>(s, p, found, mark);
            break;
        case I8:
        case U8:
        case BOOL:
            blend_widest<u8>(s, p, found, mark);
            break;
        case I16:
        case U16:
            blend_widest<u16>(s, p, found, mark);
            break;
        case I32:
        case U32:
            blend_widest<u32>(s, p, found, mark);
            break;
        default:
            blend_widest<u64>(s, p, found, mark);
    }
}
