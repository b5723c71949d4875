// Extremes, and features of another type than the points, reduced after group.cu.

#include "common.cuh"
#include "grid.cuh"
#include "table.cuh"
#include "exact.cuh"
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define LOADS 3            // with more it would spill
#else
#define LOADS 4
#endif
#include "reduce.cuh"
#include "pieces.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 2) reduce(const ReduceWork w) {
    reduce_all<true>(w, &w.plan->arrived);
}
