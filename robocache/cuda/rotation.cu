// Rotations and poses, row by row: conversions, products, interpolation.
//
// Rows are 6 to 72 bytes long, which no access fits. So a block brings its rows to shared memory by 16 bytes at a time,
// a thread makes a result there, and results leave as the rows came. Rows that are strided, broadcast, or 16 bytes
// themselves are read from where they are.
//
// Macros: VALUE_T (float, double, f16, bf16), ACC_T (float, double), WEIGHT_T (either of the two);
// FROM and TO (a Form each), or PROGRAM.

#include "common.cuh"
#include "berth.cuh"
#include "rotation.cuh"
#include "turns.cuh"

#ifdef PROGRAM
typedef PROGRAM Program;
#else
typedef Convert<FROM, TO> Program;
#endif

#define THREADS 256

struct Side {  // rows of one array
    i64 steps[3];  // bytes to the next row along each axis
    i64 place;  // of the block's rows in shared memory; -1: they stay where they are
    i64 wide;  // whether every row begins at a multiple of its widest access
};
struct Work {  // mirrored in rotation.py: what changes between calls of one layout comes first
    char* out;
    const char* from[3];
    double weight;  // where no array has it
    i64 rows, tile, inner, innermost;  // of the last two axes and of the last
    Side result, sides[3];
    Settings settings;
};

template <int bytes> struct Access;
template <> struct Access<16> { typedef uint4 type; };
template <> struct Access<8> { typedef uint2 type; };
template <> struct Access<4> { typedef u32 type; };
template <> struct Access<2> { typedef u16 type; };
__host__ __device__ constexpr int access_of(int bytes) {
    return bytes % 16 == 0 ? 16 : bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : 2;
}

template <class T, int width> struct Row {
    T at[width];
    typedef typename Access<access_of(width * sizeof(T))>::type Part;
    static constexpr int parts = width * sizeof(T) / sizeof(Part);
    __device__ __forceinline__ void load(const char* p, bool wide) {
        if (wide) {
            Part part[parts];
#pragma unroll
            for (int i = 0; i < parts; ++i) part[i] = ((const Part*)p)[i];
            memcpy(at, part, sizeof(at));
        } else {
#pragma unroll
            for (int i = 0; i < width; ++i) at[i] = ((const T*)p)[i];
        }
    }
    __device__ __forceinline__ void store(char* p, bool wide) const {
        if (wide) {
            Part part[parts];
            memcpy(part, at, sizeof(at));
#pragma unroll
            for (int i = 0; i < parts; ++i) ((Part*)p)[i] = part[i];
        } else {
#pragma unroll
            for (int i = 0; i < width; ++i) ((T*)p)[i] = at[i];
        }
    }
};

// Rows of one operand as the threads of a block see them.
template <class T, int width> struct Rows {
    static constexpr int bytes = width * sizeof(T);
    const char *start, *held;
    __device__ __forceinline__ Rows(const Side& side, const char* start, char* room, i64 first, int count)
        : start(start), held(nullptr) {
        if (start == nullptr || side.place < 0) return;
        const char* from = start + first * bytes;
        char* to = berth(room + side.place, from);
        bring(to, from, (i64)count * bytes);
        held = to;
    }
    __device__ __forceinline__ void read(const Work& work, const Side& side, i64 first, int r, ACC_T* x) const {
        Row<T, width> row;
        if (side.place >= 0) {
            row.load(held + r * bytes, side.wide);
        } else {
            const i64 at = first + r, a = divide(at, work.inner), rest = at - a * work.inner;
            const i64 b = divide(rest, work.innermost), c = rest - b * work.innermost;
            row.load(start + a * side.steps[0] + b * side.steps[1] + c * side.steps[2], side.wide);
        }
#pragma unroll
        for (int i = 0; i < width; ++i) x[i] = widen<ACC_T>(row.at[i]);
    }
};
template <class T> struct Rows<T, 0> {
    __device__ __forceinline__ Rows(const Side&, const char*, char*, i64, int) {}
    __device__ __forceinline__ void read(const Work&, const Side&, i64, int, ACC_T*) const {}
};

extern "C" __global__ void __launch_bounds__(THREADS, 4) rotation_rows(const __grid_constant__ Work work) {
    extern __shared__ uint4 room[];
    char* const space = (char*)room;
    const i64 first = blockIdx.x * work.tile;
    const int count = (int)min(work.tile, work.rows - first);
    const Rows<VALUE_T, Program::first> rows_a(work.sides[0], work.from[0], space, first, count);
    const Rows<VALUE_T, Program::second> rows_b(work.sides[1], work.from[1], space, first, count);
    const Rows<WEIGHT_T, Program::third> rows_c(work.sides[2], work.from[2], space, first, count);
    constexpr int bytes = Program::result * sizeof(VALUE_T);
    char* const out = work.out + first * bytes;
    char* const made = work.result.place < 0 ? out : berth(space + work.result.place, out);
    arrived();
    for (int r = threadIdx.x; r < count; r += THREADS) {
        ACC_T a[Program::first], b[Program::second + 1], weight = (ACC_T)work.weight, y[Program::result];
        rows_a.read(work, work.sides[0], first, r, a);
        rows_b.read(work, work.sides[1], first, r, b);
        if (work.from[2]) rows_c.read(work, work.sides[2], first, r, &weight);
        Program::run(work.settings, a, b, weight, y);
        Row<VALUE_T, Program::result> row;
#pragma unroll
        for (int i = 0; i < Program::result; ++i) row.at[i] = Narrow<VALUE_T>::from(y[i]);
        row.store(made + r * bytes, work.result.wide);
    }
    if (work.result.place < 0) return;
    __syncthreads();
    send(out, made, (i64)count * bytes);
}
