// Dense grids written in one go, from the sorted rows of the few voxels that hold something. A block writes what empty
// cells hold everywhere in its tile, without a look at the rows, and then theirs over it while the tile is in the cache.
// OUT_T is the type of the grid, ACC_T that of its indices before they are rounded.

#include "common.cuh"
#include "kinds.cuh"

#define TILE_BYTES 8192  // of one channel of the cells of a block
#define BLOCK 128
enum {
    TILE = TILE_BYTES / sizeof(OUT_T),
    EACH = TILE / BLOCK,  // cells of a thread
    PART = 16 / sizeof(OUT_T),
    FILL = 3 * TILE,  // where in what empty cells hold
    ZERO = FILL + PART,
    BLANK = ZERO + PART
};

struct Source {  // columns of rows of voxels from one on, and what they are divided by
    const void* rows;
    i64 kind, width, from, count;
    i64 divisor;  // a column, or -1
};
struct Paint {
    const i32* coords;  // of rows, which are sorted by cloud and cell
    const i64* offsets;  // rows of each cloud
    OUT_T* out;
    i64 clouds, shape[3], cells, channels;  // cells: of a grid of the caller's, in which channels may come first
    i64 first, index, occupancy;
    i64 painters, step;  // threads that write PART elements at a time, 0 for none, and the cells they get ahead by that
    double fill;
    Source source[2];
};  // packed by _PAINT in canvas.py

struct alignas(16) Four { u32 a, b, c, d; };
union Word {
    OUT_T parts[PART];
    Four four;
};

__device__ __forceinline__ OUT_T share(const Paint& w, int axis, u32 at) {
    if (at == 0) return OUT_T();  // the division of zero takes the slow way
    return Narrow<OUT_T>::from(div_ieee((ACC_T)at, (ACC_T)w.shape[axis]));
}
__device__ __forceinline__ u32 means_of(const Paint& w) { return (u32)(w.source[0].count + w.source[1].count); }

__device__ __forceinline__ i64 key_of(const Paint& w, i64 row) {
    const i32* at = w.coords + 3 * row;
    return (at[0] * w.shape[1] + at[1]) * w.shape[2] + at[2];
}
// The first of the cloud's rows whose cell is not before `cell`, by all lanes of a warp.
__device__ __forceinline__ i64 row_from(const Paint& w, i64 cloud, i64 cell) {
    i64 low = w.offsets[cloud], high = w.offsets[cloud + 1];
    while (low < high) {
        const i64 step = (high - low + 31) >> 5, row = low + ((threadIdx.x & 31) + 1) * step - 1;
        const i64 before = __popc(__ballot_sync(FULL, row < high && key_of(w, row) < cell));
        high = min(high, low + (before + 1) * step - 1);
        low += before * step;
    }
    return low;
}

// What empty cells hold: index channels of the tile's cells, one after the other, then PART times `fill` and zero.
__device__ __forceinline__ void lay_out(const Paint& w, i64 start, u32 count, OUT_T* blank) {
    if (threadIdx.x < 2 * PART) blank[FILL + threadIdx.x] = rounded<OUT_T>(threadIdx.x < PART ? w.fill : 0.0);
    if (!w.index) return;
    const u32 first = EACH * threadIdx.x, last = min(first + EACH, count);
    const u32 wide = (u32)w.shape[1], deep = (u32)w.shape[2];
    const i64 cell = start + first, line = divide(cell, w.shape[2]), plane = divide(line, w.shape[1]);
    u32 at[] = {(u32)plane, (u32)(line - plane * wide), (u32)(cell - line * deep)};
    OUT_T x = share(w, 0, at[0]), y = share(w, 1, at[1]);
    for (u32 k = first; k < last; k += PART) {
        Word words[3];
#pragma unroll
        for (int j = 0; j < PART; ++j) {
            words[0].parts[j] = x, words[1].parts[j] = y, words[2].parts[j] = share(w, 2, at[2]);
            if (++at[2] < deep) continue;
            at[2] = 0;
            if (++at[1] == wide) {
                at[1] = 0;
                x = share(w, 0, ++at[0]);
            }
            y = share(w, 1, at[1]);
        }
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) *(Four*)(blank + axis * TILE + k) = words[axis].four;
    }
}
// Where in it a channel of the tile's cell k is.
__device__ __forceinline__ u32 spot(const Paint& w, u32 k, u32 channel) {
    const u32 means = means_of(w);
    if (channel < means) return FILL;
    return w.index && channel - means < 3 ? (channel - means) * TILE + k : ZERO;
}

// Cells from `cell` on, channels last. Cells repeat in 16 bytes after a few threads, whatever their channels: each
// thread keeps the same channels from turn to turn, and only moves on in those of the index.
__device__ __forceinline__ void blank_cells(const Paint& w, const OUT_T* blank, i64 cell, u32 count) {
    OUT_T* to = w.out + cell * w.channels;
    const i64 elements = count * w.channels, skip = min(elements, (i64)(-(u64)to & 15) / (i64)sizeof(OUT_T));
    const i64 whole = w.painters ? (elements - skip) / PART * PART : 0;
    if (threadIdx.x < w.painters) {
        const u32 e = (u32)skip + PART * threadIdx.x, channels = (u32)w.channels;
        u32 k = e / channels, c = e - k * channels, ahead[PART];
        const OUT_T* from[PART];
#pragma unroll
        for (int i = 0; i < PART; ++i) {
            const u32 at = spot(w, k, c);
            from[i] = blank + at;
            ahead[i] = at < FILL ? (u32)w.step : 0;
            if (++c == channels) c = 0, ++k;
        }
        for (OUT_T* there = to + e; there < to + skip + whole; there += PART * w.painters) {
            Word word;
#pragma unroll
            for (int i = 0; i < PART; ++i) {
                word.parts[i] = *from[i];
                from[i] += ahead[i];
            }
            *(Four*)there = word.four;
        }
    }
#pragma unroll 1
    for (i64 i = threadIdx.x; i < elements - whole; i += BLOCK) {  // what is left before and behind
        const i64 e = i < skip ? i : whole + i, k = divide(e, w.channels);
        to[e] = blank[spot(w, (u32)k, (u32)(e - k * w.channels))];
    }
}

__device__ __forceinline__ OUT_T* place_of(const Paint& w, i64 cell, u32 channel) {
    if (!w.first) return w.out + cell * w.channels + channel;
    const i64 grid = divide(cell, w.cells);
    return w.out + (grid * w.channels + channel) * w.cells + cell - grid * w.cells;
}

// The same, channels first, WIDE cells at a time.
template <int WIDE> __device__ __forceinline__ void blank_planes(const Paint& w, const OUT_T* blank, i64 cell,
                                                                 u32 count) {
    for (u32 k = WIDE * threadIdx.x; k < count; k += WIDE * BLOCK) {
        OUT_T* to = place_of(w, cell + k, 0);
        for (u32 c = 0; c < w.channels; ++c, to += w.cells) {
            const OUT_T* from = blank + spot(w, k, c);
            if (WIDE == 1) *to = *from;
            else *(Four*)to = *(const Four*)from;
        }
    }
}

__device__ __forceinline__ OUT_T mean_of(const Paint& w, i64 row, u32 channel) {
    const bool second = channel >= w.source[0].count;
    const Source& of = w.source[second];
    const i64 start = row * of.width, column = of.from + channel - (second ? w.source[0].count : 0);
    const double x = read(of.rows, start + column, of.kind);
    return rounded<OUT_T>(of.divisor < 0 ? x : __ddiv_rn(x, read(of.rows, start + of.divisor, of.kind)));
}
// What the cells of `rows` rows hold; `there` has room for where in the tile they are. Neighbours in memory are written by
// neighbouring threads.
__device__ __forceinline__ void put_rows(const Paint& w, i64 start, i64 cell, i64 row, u32 rows, u32* there) {
    const i64 means = means_of(w), wide = means + w.occupancy, inner = w.first ? rows : wide;
    for (u32 r = threadIdx.x; r < rows; r += BLOCK) there[r] = (u32)(key_of(w, row + r) - start);
    __syncthreads();
    for (i64 item = threadIdx.x; item < rows * wide; item += BLOCK) {
        const i64 major = divide(item, inner), minor = item - major * inner;
        const u32 r = (u32)(w.first ? minor : major), c = (u32)(w.first ? major : minor);
        OUT_T* to = place_of(w, cell + there[r], c < means ? c : (u32)w.channels - 1);
        *to = c < means ? mean_of(w, row + r, c) : Narrow<OUT_T>::from((ACC_T)1);
    }
}

extern "C" __global__ void __launch_bounds__(BLOCK, 1) canvas_paint(const Paint w) {
    alignas(16) __shared__ OUT_T blank[BLANK];
    __shared__ i64 rows[2];
    const i64 every = w.shape[0] * w.shape[1] * w.shape[2];
    const u32 tiles = (u32)((every + TILE - 1) / TILE), cloud = blockIdx.x / tiles;
    const i64 start = (i64)(blockIdx.x - cloud * tiles) * TILE, cell = cloud * every + start;
    const u32 count = (u32)min((i64)TILE, every - start), warp = threadIdx.x >> 5;
    lay_out(w, start, count, blank);
    __syncthreads();
    if (warp < 2) {
        const i64 row = row_from(w, cloud, start + warp * count);
        if ((threadIdx.x & 31) == 0) rows[warp] = row;
    }
    if (!w.first) blank_cells(w, blank, cell, count);
    else if (((u64)w.out & 15) == 0 && w.cells % PART == 0) blank_planes<PART>(w, blank, cell, count);
    else blank_planes<1>(w, blank, cell, count);
    __syncthreads();
    if (rows[0] < rows[1]) put_rows(w, start, cell, rows[0], (u32)(rows[1] - rows[0]), (u32*)blank);
}
