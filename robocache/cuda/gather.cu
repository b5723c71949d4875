// Rows of an array by index, at the speed of a copy whatever their width.
//
// The result is one stretch of bytes, of which a block writes `tile`. It finds where the rows of its tile come from once
// into shared memory. Then a thread puts each access of 16 bytes together from as many loads as the rows allow: an odd
// row costs narrow loads, which the first cache serves, but no narrow stores.

#include "common.cuh"

#define FILLED 0x8000000000000000ull  // mark of a row that is filled, in the address it has otherwise

struct Gather {  // mirrored in gather.py; 8-byte fields only
    u32* status;
    const char* values;
    const void* index;
    const u8* valid;  // none: every row is real
    char* out;
    u64 fill;  // an element, repeated to 8 bytes
    i64 samples, step, row, count;  // step and row in bytes
    i64 tile, wide;  // wide: the index is of 64 bits
    u64 share;  // 2**31 over row, rounded up; 0 where a row is no shorter than a tile
};

template <int bytes> struct Access;
template <> struct Access<1> { typedef u8 type; };
template <> struct Access<2> { typedef u16 type; };
template <> struct Access<4> { typedef u32 type; };
template <> struct Access<8> { typedef uint2 type; };
template <> struct Access<16> { typedef uint4 type; };

// Where row m comes from. A row to be filled has the mark, and something to read that does no harm.
__device__ __forceinline__ u64 source_of(const Gather& g, i64 m) {
    if (!g.valid || g.valid[m]) {
        const i64 i = g.wide ? ((const i64*)g.index)[m] : ((const i32*)g.index)[m];
        if (i >= 0 && i < g.samples) return (u64)(g.values + i * g.step);
        report(g.status, OUT_OF_RANGE);
    }
    return (u64)(g.samples ? g.values : g.out + m * g.row) | FILLED;
}

// The row in which a byte lies, both counted from the tile's first. With 32 bits exact, since rows have at most 15 bits
// and bytes 16; longer rows are no shorter than a tile, which then lies in two at most.
__device__ __forceinline__ int row_of(const Gather& g, int byte) { return (int)((u64)(u32)byte * (u32)g.share >> 31); }
__device__ __forceinline__ int row_of(const Gather& g, i64 byte) { return byte >= g.row; }

__device__ __forceinline__ const char* global(u64 address) {  // which the compiler cannot see of one in shared memory
    const char* p = (const char*)address;
    __builtin_assume(__isGlobal(p));
    return p;
}

// unit: bytes of a load, which divide a row; size: bytes of a store; N: numbers the bytes of two rows.
template <int unit, int size, class N>
__device__ __forceinline__ void write_tile(const Gather& g, u64* source, i64 begin, i64 first) {
    typedef typename Access<unit>::type Unit;
    typedef typename Access<size>::type Store;
    constexpr int units = size / unit;
    constexpr int ways = units > 8 ? 1 : units > 4 ? 2 : 4;  // accesses a thread has loaded before it stores any
    const N skip = (N)(begin - first * g.row), row = (N)g.row;
    const int bytes = (int)min(g.tile, g.count * g.row - begin), end = (bytes - 1) / size * size;
    const int last = row_of(g, skip + bytes - 1);
    for (int i = threadIdx.x; i <= last; i += blockDim.x) source[i] = source_of(g, first + i);
    __syncthreads();

    const u64 filler[2] = {g.fill, g.fill};
    const int step = blockDim.x * size;
    for (int at = threadIdx.x * size; at < bytes; at += ways * step) {
        Unit part[ways][units];
#pragma unroll
        for (int u = 0; u < ways; ++u) {
            const N here = skip + min(at + u * step, end);  // beyond it matters not what is loaded
            int r = row_of(g, here);
            N place = here - r * row;
            u64 from = source[r];
#pragma unroll
            for (int j = 0; j < units; ++j) {
                part[u][j] = *(const Unit*)(global(from & ~FILLED) + place);
                if (from & FILLED) memcpy(&part[u][j], filler, unit);
                place += unit;
                if (j + 1 < units && place == row) {
                    place = 0;
                    from = source[min(++r, last)];
                }
            }
        }
        asm volatile("" : : : "memory");  // or loads sink to where they are needed
#pragma unroll
        for (int u = 0; u < ways; ++u) {
            const int here = at + u * step;
            char* to = g.out + begin + here;
            if (here + size <= bytes) {
                Store whole;
                memcpy(&whole, part[u], size);
                __stcs((Store*)to, whole);  // written once; the cache is for the samples that windows share
            } else if (here < bytes) {  // the last of all
#pragma unroll
                for (int j = 0; j < units; ++j)
                    if (here + (j + 1) * unit <= bytes) ((Unit*)to)[j] = part[u][j];
            }
        }
    }
}

template <int unit, int size> __device__ __forceinline__ void gather(const Gather& g, u64* source) {
    const i64 begin = blockIdx.x * g.tile, first = divide(begin, g.row);
    if (g.share) write_tile<unit, size, int>(g, source, begin, first);
    else write_tile<unit, size, i64>(g, source, begin, first);
}

#define GATHER(unit, size)                                                                                       \
    extern "C" __global__ void __launch_bounds__(256) gather_##unit##_##size(const __grid_constant__ Gather g) { \
        extern __shared__ uint4 room[];                                                                          \
        gather<unit, size>(g, (u64*)room);                                                                       \
    }
GATHER(16, 16)
GATHER(8, 16)
GATHER(4, 16)
GATHER(2, 16)
GATHER(1, 16)
GATHER(8, 8)
GATHER(4, 4)
GATHER(2, 2)
GATHER(1, 1)
