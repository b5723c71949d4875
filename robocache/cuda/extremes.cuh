// What extremes.cu works on: a call, rows of elements, and the order of elements by their bits.

#define ACCESS 16  // bytes of the widest access
#define WIDE (ACCESS / sizeof(CODE_T))
#define NONE 0xffffffffu
#define FIRST 0x80000000u  // beside a point's cell: it claimed the cell
#define TOP ((CODE_T)1 << (8 * sizeof(CODE_T) - 1))
#define INFINITE (sizeof(CODE_T) == 4 ? (CODE_T)0x7f800000u : (CODE_T)0x7ff0000000000000ull)
#define QUIET_NAN (sizeof(CODE_T) == 4 ? (CODE_T)0x7fc00000u : (CODE_T)0x7ff8000000000000ull)

enum Kind { UNSIGNED = 0, SIGNED = 1, FLOATING = 2 };
struct State { u32 arrived, turn, nan; };  // zero before the first launch; nan: turn + 1 if this one has met NaN

struct Call {  // addresses, packed by Extremes.run in extremes.py
    const POINT_T* points;
    const CODE_T* features;
    CODE_T *high, *low;  // results; null if not wanted
    i64* dropped;
    u32* status;
    State* state;
    u64* claimed;  // a bit a cell, zero before and after
    u32* places;  // cell of every point
};
struct Work : Call {
    Cloud cloud;
    i64 inner, stride_outer, stride_inner, channels;  // of the features
    i64 all;  // cells of all clouds, fewer than 2**31
    i64 kind, whole;  // whole: a unit of a row, of features and of results, is of 16 bytes; else it is an element
    i64 units, rows, rest;  // units of a row; rows and units that 32 units are
    u64 fill;
};

template <int COUNT> struct alignas(COUNT * sizeof(CODE_T)) Vector { CODE_T x[COUNT]; };

// Lanes side by side take what lies side by side: rows of units, one after the other.
struct Walk {
    u32 row, unit;
    __device__ __forceinline__ explicit Walk(const Work& w) {
        const u32 lane = threadIdx.x & 31;
        row = lane / (u32)w.units, unit = lane - row * (u32)w.units;
    }
    __device__ __forceinline__ void step(const Work& w) {
        row += (u32)w.rows, unit += (u32)w.rest;
        if (unit >= (u32)w.units) unit -= (u32)w.units, ++row;
    }
};

__device__ __forceinline__ const CODE_T* features_of(const Work& w, u32 i) {
    const u32 inner = (u32)w.inner, outer = w.inner == w.cloud.rows.total ? 0 : i / inner;
    return w.features + outer * w.stride_outer + (i - outer * inner) * w.stride_inner;
}
__device__ __forceinline__ i64 element(const Work& w, u32 cell, u32 channel) { return cell * w.channels + channel; }

__device__ __forceinline__ bool is_nan_bits(const Work& w, CODE_T bits) {
    return w.kind == FLOATING && (bits & ~TOP) > INFINITE;
}
// Codes that grow with the value, or with how low it is. NaN of one form is the largest value; see rewrite_nan for lows.
__device__ __forceinline__ CODE_T code_of(const Work& w, bool lowest, CODE_T bits) {
    if (w.kind == FLOATING && bits & TOP) bits ^= ~TOP;
    if (w.kind != UNSIGNED) bits ^= TOP;
    return lowest ? ~bits : bits;
}
__device__ __forceinline__ CODE_T from_code(const Work& w, bool lowest, CODE_T code) {
    if (lowest) code = ~code;
    if (w.kind != UNSIGNED) code ^= TOP;
    return w.kind == FLOATING && code & TOP ? code ^ ~TOP : code;
}
__device__ __forceinline__ CODE_T plain(const Work& w, bool lowest, CODE_T bits) {
    if (!is_nan_bits(w, bits)) return bits;
    if (lowest) *(volatile u32*)&w.state->nan = *(volatile u32*)&w.state->turn + 1;
    return QUIET_NAN;
}

// Negative floats grow as unsigned numbers while they fall, and are above the others; as signed ones, below them.
__device__ __forceinline__ void improve(const Work& w, bool lowest, CODE_T* at, CODE_T bits) {
    const bool below = w.kind == FLOATING && bits & TOP, up = lowest == below;
    if (w.kind != UNSIGNED && !below) {
        if (up) atomicMax((WHOLE_T*)at, (WHOLE_T)bits);
        else atomicMin((WHOLE_T*)at, (WHOLE_T)bits);
    } else {
        if (up) atomicMax(at, bits);
        else atomicMin(at, bits);
    }
}
