// Extremes, and features of another type than the points, reduced after group.cu.

#include "common.cuh"
#include "grid.cuh"
#include "table.cuh"
#include "exact.cuh"
#include "reduce.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 2) reduce(const ReduceWork w) {
    reduce_all<true>(w, &w.plan->arrived);
}
