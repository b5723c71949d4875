// Dense grids written once, from the sorted rows of the few voxels that hold something. OUT_T is the type of the grid,
// ACC_T that of its indices before they are rounded.

#include "common.cuh"
#include "kinds.cuh"

#define TILE 1024          // cells of a block
#define BLOCK 256

struct Source {            // columns of rows of voxels from one on, and what they are divided by
    const void* rows;
    i64 kind, width, from, count;
    i64 divisor;  // a column, or -1
};
struct Paint {
    const i32* coords;     // of rows, which are sorted by cloud and cell
    const i64* offsets;    // rows of each cloud
    OUT_T* out;
    i64 clouds, shape[3], cells, channels;  // cells: of a grid of the caller's, in which channels may come first
    i64 first, index, occupancy;
    double fill;
    Source source[2];
};  // packed by _PAINT in canvas.py

__device__ __forceinline__ OUT_T value_of(double x) {  // every NaN is the one that NumPy writes
    return Narrow<OUT_T>::from(x != x ? __longlong_as_double(0x7ff8000000000000ll) : x);
}

__device__ __forceinline__ i64 key_of(const Paint& w, i64 row) {
    const i32* at = w.coords + 3 * row;
    return (at[0] * w.shape[1] + at[1]) * w.shape[2] + at[2];
}
// The first of the cloud's rows whose cell is not before `cell`.
__device__ __forceinline__ i64 row_from(const Paint& w, i64 cloud, i64 cell) {
    i64 low = w.offsets[cloud], high = w.offsets[cloud + 1];
    while (low < high) {
        const i64 middle = (low + high) >> 1;
        if (key_of(w, middle) < cell) low = middle + 1;
        else high = middle;
    }
    return low;
}

// Rows of a tile's cells, -1 for empty ones, and its cells' indices over the lengths of the axes.
struct Tile {
    i32 row[TILE];
    ACC_T index[3][TILE];
};

__device__ __forceinline__ OUT_T element(const Paint& w, const Tile& tile, u32 cell, u32 channel) {
    const i32 row = tile.row[cell];
    const u32 means = (u32)(w.source[0].count + w.source[1].count);
    if (channel < means) {
        if (row < 0) return value_of(w.fill);
        const bool second = channel >= w.source[0].count;
        const Source& of = w.source[second];
        const i64 start = row * of.width, column = of.from + channel - (second ? w.source[0].count : 0);
        const double x = read(of.rows, start + column, of.kind);
        return value_of(of.divisor < 0 ? x : __ddiv_rn(x, read(of.rows, start + of.divisor, of.kind)));
    }
    channel -= means;
    if (w.index && channel < 3) return Narrow<OUT_T>::from(tile.index[channel][cell]);
    return Narrow<OUT_T>::from((ACC_T)(row >= 0));
}

struct alignas(16) Four { u32 a, b, c, d; };

extern "C" __global__ void __launch_bounds__(BLOCK, 1) canvas_paint(const Paint w) {
    __shared__ Tile tile;
    __shared__ i64 rows[2], origin[5];  // the tile's first cell: x, y, z, and the caller's grid and cell in it
    const i64 every = w.shape[0] * w.shape[1] * w.shape[2];
    const u32 tiles = (u32)((every + TILE - 1) / TILE), cloud = blockIdx.x / tiles;
    const i64 start = (i64)(blockIdx.x - cloud * tiles) * TILE, cell = cloud * every + start;
    const u32 count = (u32)min((i64)TILE, every - start), channels = (u32)w.channels;
    if (threadIdx.x < 2) rows[threadIdx.x] = row_from(w, cloud, start + threadIdx.x * count);
    if (threadIdx.x == 2) {
        const i64 line = divide(start, w.shape[2]), x = divide(line, w.shape[1]), grid = divide(cell, w.cells);
        origin[0] = x, origin[1] = line - x * w.shape[1], origin[2] = start - line * w.shape[2];
        origin[3] = grid, origin[4] = cell - grid * w.cells;
    }
    __syncthreads();
    for (u32 k = threadIdx.x; k < count; k += BLOCK) {
        tile.row[k] = -1;
        if (!w.index) continue;
        const u32 z = (u32)origin[2] + k, more = z / (u32)w.shape[2];
        const u32 y = (u32)origin[1] + more, above = y / (u32)w.shape[1];
        const u32 at[] = {(u32)origin[0] + above, y - above * (u32)w.shape[1], z - more * (u32)w.shape[2]};
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) tile.index[axis][k] = div_ieee((ACC_T)at[axis], (ACC_T)w.shape[axis]);
    }
    __syncthreads();
    for (i64 row = rows[0] + threadIdx.x; row < rows[1]; row += BLOCK) tile.row[key_of(w, row) - start] = (i32)row;
    __syncthreads();
    if (w.first) {
        for (u32 k = threadIdx.x; k < count; k += BLOCK) {
            i64 grid = origin[3], at = origin[4] + k;
            for (; at >= w.cells; at -= w.cells) ++grid;
            for (u32 c = 0; c < channels; ++c) w.out[(grid * channels + c) * w.cells + at] = element(w, tile, k, c);
        }
        return;
    }
    enum { PART = 16 / sizeof(OUT_T) };
    OUT_T* to = w.out + cell * channels;
    const u32 elements = count * channels, whole = ((u64)to & 15) == 0 ? elements / PART * PART : 0;
    for (u32 e = PART * threadIdx.x; e < whole; e += PART * BLOCK) {
        u32 k = e / channels, c = e - k * channels;
        union {
            OUT_T parts[PART];
            Four four;
        } wide;
#pragma unroll
        for (int i = 0; i < PART; ++i) {
            wide.parts[i] = element(w, tile, k, c);
            if (++c == channels) c = 0, ++k;
        }
        *(Four*)(to + e) = wide.four;
    }
    for (u32 e = whole + threadIdx.x; e < elements; e += BLOCK) to[e] = element(w, tile, e / channels, e % channels);
}
