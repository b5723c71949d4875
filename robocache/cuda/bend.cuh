// Second derivatives of natural cubics: a tridiagonal system for each row and feature, whose unknowns lean on distant
// samples by less than half for every sample between. So a block solves `chunk` samples, with `halo` more on both sides
// that make its ends right beyond the last bit, and blocks need not wait for one another. What depends on the stamps
// alone is worked out once for all features, and for every sample at once: it forgets even faster where it began.

#define BEND_THREADS 128  // features of a block; 64 of float64, whose halo is twice as long
#define FORGOTTEN (sizeof(ACC_T) == 4 ? 16 : 32)  // samples after which a factor is what it would be from far away

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

struct System {  // of the samples of a block, in shared memory: d = scale * (change of slope) - lean * d before,
    ACC_T *gaps, *inverse;  // then bend = d - factor * bend after
    ACC_T *scale, *lean, *factor;
    __device__ __forceinline__ System(ACC_T* room, i64 most)
        : gaps(room), inverse(gaps + most + 2), scale(inverse + most + 2), lean(scale + most), factor(lean + most) {}
    // gaps[j] and gaps[j + 1] are those before and after sample j, of which there are `count`.
    __device__ __forceinline__ void eliminate(int count) const {
        for (int j = threadIdx.x; j < count; j += blockDim.x) {
            ACC_T before = 0, step = 0;
            for (int i = max(0, j - FORGOTTEN); i <= j; ++i) {
                const ACC_T left = i ? gaps[i] : (ACC_T)0, right = gaps[i + 1];
                step = left > 0 && right > 0 ? 1 / (2 * (left + right) - left * before) : (ACC_T)0;
                lean[j] = step * left;
                before = step * right;
            }
            scale[j] = 6 * step;
            factor[j] = before;
        }
    }
};

__device__ void spoil(const Call& c, i64 b, i64 j, i64 feature) {
    i64 row = b;
    if (c.offsets) {
        row = 0;
        while (row < c.rows && c.offsets[row + 1] <= j) ++row;
        if (row >= c.rows || j < c.offsets[row]) return;
    } else if (c.lengths && j >= c.lengths[b]) {
        return;  // only samples that are there count
    }
    c.spoilt[row * c.features + feature] = 1;
    c.spoilt[c.rows * c.features + row] = 1;
}

extern "C" __global__ void __launch_bounds__(BEND_THREADS, 4) curve_bend(const __grid_constant__ Call c) {
    extern __shared__ uint4 room[];
    const i64 most = c.chunk + 2 * c.halo;
    const System system((ACC_T*)room, most);
    ACC_T* column = system.factor + most + threadIdx.x;  // values, then d, of this thread's feature
    const int stride = blockDim.x;
    const i64 group = blockIdx.x % c.groups, part = blockIdx.x / c.groups;
    const i64 b = part / c.chunks, start = (part - b * c.chunks) * c.chunk, feature = group * stride + threadIdx.x;
    const i64 stop = min(start + c.chunk, c.samples), from = max(start - c.halo, (i64)0);
    const int count = (int)(min(stop + c.halo, c.samples) - from), head = (int)(start - from);
    const bool busy = feature < c.features;
    const VALUE_T* v = c.values + (c.offsets ? 0 : b * c.value_row) + from * c.value_sample + (busy ? feature : 0);
#pragma unroll 28
    for (int j = 0; j < count; ++j) column[j * stride] = widen<ACC_T>(v[j * c.value_sample]);
    for (int j = threadIdx.x; j <= count; j += stride) {
        const ACC_T h = from + j < 1 ? (ACC_T)0 : unit_gap(c, b, from + j - 1);
        system.gaps[j] = h;
        system.inverse[j] = h > 0 ? 1 / h : (ACC_T)0;
    }
    __syncthreads();
    system.eliminate(count);
    __syncthreads();
    ACC_T d = 0, here = column[0], sloped = 0, sum = 0;
#pragma unroll 4
    for (int j = 0; j < count; ++j) {
        const ACC_T next = j + 1 < count ? column[(j + 1) * stride] : here;
        const ACC_T slope = (next - here) * system.inverse[j + 1], scale = system.scale[j];
        d = scale > 0 ? fma_ieee(scale, slope - sloped, -(system.lean[j] * d)) : (ACC_T)0;  // also where it is NaN
        sum += here - here;  // NaN once one is not finite
        column[j * stride] = d;
        sloped = slope, here = next;
    }
    if (!busy) return;
    if (!is_finite(sum))
        for (i64 j = start; j < stop; ++j)
            if (!is_finite(widen<ACC_T>(v[(j - from) * c.value_sample]))) spoil(c, b, j, feature);
    ACC_T bend = 0;
    ACC_T* out = c.bend + ((c.offsets ? 0 : b * c.samples) + from) * c.features + feature;
#pragma unroll 4
    for (int j = count - 1; j >= head; --j) {
        const ACC_T factor = system.factor[j], own = column[j * stride];
        bend = factor > 0 ? fma_ieee(-factor, bend, own) : own;  // at an end of a row, the next row may hold NaN
        if (from + j < stop) out[j * c.features] = bend;
    }
}
