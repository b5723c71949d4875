// Second derivatives of natural cubics: a tridiagonal system for each row and feature, whose unknowns lean on distant
// samples by less than half for every sample between. So a block solves `chunk` samples, with `halo` more on both sides
// that make its ends right beyond the last bit, and blocks need not wait for one another.

#define BEND_THREADS 128  // features of a block; 64 of float64, whose halo is twice as long

// Gap after sample j of the row, in the row's unit; 0 at its ends, which part it.
__device__ __forceinline__ ACC_T unit_gap(const Call& c, i64 b, i64 j) {
    i64 at = b;
    if (c.offsets) {  // the row of sample j of all: the last that begins at or before it
        i64 low = 0, high = c.rows;
        while (low < high) {
            const i64 middle = (low + high) >> 1;
            if (c.offsets[middle + 1] <= j) low = middle + 1;
            else high = middle;
        }
        at = low;
        if (at >= c.rows || j < c.offsets[at]) return 0;
    }
    const Row row = row_of(c, at);
    const i64 first = c.offsets ? row.start : 0;
    if (j < first || j + 1 >= first + row.count) return 0;
    const i64 stamp = c.offsets ? j : row.start + j;
    const double h = gap(c, stamp, stamp + 1);
    return h > 0 ? (ACC_T)(h / spacing(c, row)) : (ACC_T)0;
}

extern "C" __global__ void __launch_bounds__(BEND_THREADS, 2) curve_bend(const __grid_constant__ Call c) {
    extern __shared__ uint4 room[];
    const i64 most = c.chunk + 2 * c.halo;
    ACC_T* gaps = (ACC_T*)room;  // most + 2: from the one before the first sample on
    ACC_T* factor = gaps + most + 2;  // most
    ACC_T* column = factor + most;  // (chunk + halo) of every thread
    const i64 group = blockIdx.x % c.groups, part = blockIdx.x / c.groups;
    const i64 b = part / c.chunks, start = (part - b * c.chunks) * c.chunk, feature = group * blockDim.x + threadIdx.x;
    const i64 stop = min(start + c.chunk, c.samples), from = max(start - c.halo, (i64)0);
    const i64 to = min(stop + c.halo, c.samples);
    for (i64 j = from - 1 + threadIdx.x; j < to; j += blockDim.x)
        gaps[j - from + 1] = j < 0 ? (ACC_T)0 : unit_gap(c, b, j);
    __syncthreads();
    const bool busy = feature < c.features;
    const VALUE_T* v = c.values + (c.offsets ? 0 : b * c.value_row) + (busy ? feature : 0);
    ACC_T before = 0, d = 0, here = widen<ACC_T>(v[from * c.value_sample]), sloped = 0;
    bool sound = true;
    for (i64 j = from; j < to; ++j) {  // eliminate: bend[j] + factor[j] bend[j + 1] = d
        const ACC_T left = j == from ? (ACC_T)0 : gaps[j - from], right = gaps[j - from + 1];
        const ACC_T next = j + 1 < c.samples ? widen<ACC_T>(v[(j + 1) * c.value_sample]) : here;
        const ACC_T slope = right > 0 ? (next - here) / right : (ACC_T)0;
        const bool inner = left > 0 && right > 0;
        const ACC_T scale = inner ? 1 / (2 * (left + right) - left * before) : (ACC_T)0;
        d = scale * (6 * (slope - sloped) - left * d);
        if (!inner) d = 0;  // also where the slopes are not numbers
        before = scale * right;
        sound &= is_finite(here) || j < start || j >= stop;
        if (threadIdx.x == 0) factor[j - from] = before;
        if (j >= start) column[(j - start) * blockDim.x + threadIdx.x] = d;
        sloped = slope;
        here = next;
    }
    __syncthreads();
    if (!busy) return;
    if (!sound) {  // of padded rows' tails too: only samples that are there count
        for (i64 j = start; j < stop; ++j) {
            if (is_finite(widen<ACC_T>(v[j * c.value_sample]))) continue;
            i64 row = b;
            if (c.offsets) {
                row = 0;
                while (row < c.rows && c.offsets[row + 1] <= j) ++row;
                if (row >= c.rows || j < c.offsets[row]) continue;
            } else if (c.lengths && j >= c.lengths[b]) {
                continue;
            }
            c.spoilt[row * c.features + feature] = 1;
        }
    }
    ACC_T bend = 0;
    ACC_T* out = c.bend + (c.offsets ? 0 : b * c.samples * c.features) + feature;
    for (i64 j = to - 1; j >= start; --j) {
        bend = column[(j - start) * blockDim.x + threadIdx.x] - factor[j - from] * bend;
        if (j < stop) out[j * c.features] = bend;
    }
}
