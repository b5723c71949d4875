// Features of a tile whose results have another type than the samples: element by element, through double (floats) or
// 64-bit integers.

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

template <class A> __device__ __forceinline__ void convert(const Layout& l, const Place& p, const Found& found,
                                                           bool mark) {
    if (l.features == 0) return;
    for (Walk at(l.features); at.k < p.targets; at.step()) {
        const Entry e = found.entry[at.k];
        const int use = found.use[at.k];
        const i64 to = at.k * l.out_target + at.d;
        if (use == FILLED) {
            store<i64>(l.size_out == 8   ? I64
                       : l.size_out == 4 ? I32
                       : l.size_out == 2 ? I16
                                         : I8,
                       p.out, to, (i64)l.fill);
            continue;
        }
        A x = load<A>(l.kind_in, e.sample, at.d);
        if constexpr (Bits<A>::floating) {
            if (use != EXACT) {
                A share;
                recall(e.share, share);
                x = lean<A>(x, load<A>(l.kind_in, e.sample, at.d + use * l.value_sample), share);
            }
            if (mark && x != x) atomicAnd(&found.real[at.k], 0);
        }
        store<A>(l.kind_out, p.out, to, x);
    }
}

__device__ __forceinline__ void stream_features(const Layout& l, const Place& p, const Found& found, bool mark) {
    if (l.vector) stream_alike(l, p, found, mark);
    else if (l.kind_out < I8) convert<double>(l, p, found, mark);
    else convert<i64>(l, p, found, mark);
}
