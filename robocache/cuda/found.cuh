// What is known of a tile of targets, in shared memory: the samples that each is made of, and their shares.

#define TILE 256  // most threads of a block, and targets whose index and weight it holds; mirrored in _work.py
#define FOUND_BYTES 24  // of shared memory for each of them; there too

enum Kind { F16, BF16, F32, F64, I8, U8, I16, U16, I32, U32, I64, U64, BOOL };
struct Layout {  // of one stream's values and results; mirrored by _LAYOUT in _work.py; 8-byte fields only
    i64 features;
    i64 value_row, value_sample, out_row, out_target;  // in elements
    u64 fill;                                          // bits of one output element
    i64 kind_in, kind_out, size_in, size_out;          // sizes in bytes
    i64 vector;                                        // elements an access moves; 0 = convert types
};

enum Use { BEFORE = -1, EXACT = 0, AFTER = 1, FILLED = 2 };  // a sample and the one before, alone, and the next; none

struct Pick {  // what a target is made of
    i64 nearer;
    int use;
    u64 share;  // bits of a double, or of a float where the arithmetic is float
};
__device__ __forceinline__ Pick pick(const Layout& l, i64 index, double exact) {
    if (index < 0) return {0, FILLED, 0};
    const float single = to_float(exact);
    const bool wide = l.vector == 0 || l.kind_in == F64, later = wide ? exact >= 0.5 : single >= 0.5f;
    const u64 share = wide ? (u64)__double_as_longlong(later ? exact - 1 : -exact)
                           : __float_as_uint(later ? sub_ieee(single, 1.0f) : -single);
    return {index + later, exact == 0 ? EXACT : later ? BEFORE : AFTER, share};
}

struct alignas(16) Entry {
    const char* sample;  // the nearer one; where there is none, the place of the result, so that a read does no harm
    u64 share;
};

struct Place {  // of this row and tile
    const char* values;
    char* out;
    int targets;
};

struct Found {  // in shared memory, FOUND_BYTES a target
    Entry* entry;
    int *use, *real;
    __device__ Found(void* room, i64 capacity)
        : entry((Entry*)room), use((int*)(entry + capacity)), real(use + capacity) {}
    __device__ __forceinline__ void note(const Layout& l, const Place& p, int k, i64 index, double exact,
                                         bool valid) const {
        const Pick it = pick(l, index, exact);
        const char* sample = p.values + it.nearer * l.value_sample * l.size_in;
        entry[k] = {it.use == FILLED ? p.out + k * l.out_target * l.size_out : sample, it.share};
        use[k] = it.use;
        real[k] = valid;
    }
};
__device__ __forceinline__ void recall(u64 bits, float& w) { w = __uint_as_float((u32)bits); }
__device__ __forceinline__ void recall(u64 bits, double& w) { w = __longlong_as_double((i64)bits); }
