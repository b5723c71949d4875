// Extremes, and features of another type than the points, reduced after group.cu; and what empty cells of a dense grid hold.

#include "common.cuh"
#include "grid.cuh"
#include "table.cuh"
#include "exact.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 2) reduce(const ReduceWork w) {
    reduce_all<true>(w, w.plan->arrived + 1);
}

// What a dense grid says of empty cells, where that is not a row of zero bytes.
extern "C" __global__ void __launch_bounds__(THREADS)
    reduce_fill(MEAN_T* mean, SUM_T* sum, FEATURE_T* high, FEATURE_T* low, i64 count, double value, i64 whole) {
#if FLOATING
    if (mean) fill<MEAN_T>(mean, count, rounded<MEAN_T>(value));
    if (sum) fill<SUM_T>(sum, count, rounded<SUM_T>(value));
#else
    if (mean) fill<MEAN_T>(mean, count, value);
    if (sum) fill<SUM_T>(sum, count, whole);
#endif
    if (high) fill<FEATURE_T>(high, count, filled(value, whole));
    if (low) fill<FEATURE_T>(low, count, filled(value, whole));
}
