// Depth pictures into signed distances: every voxel meets the views in their order, in registers.
//
// A warp takes 128 voxels of a column (neighbours along z), four a lane, so that all accesses to the volume are of whole
// cache lines, and the place of the column before a camera is worked out once for four voxels. A voxel is read when the
// first view changes it and written after the last: 16 bytes a voxel that is seen, whatever the number of views, and
// none elsewhere. Depth is read through the caches.
//
// Macros: DEPTH_T; DEPTH_ACC_T: double for double, else float; COLOR_T.

#include "common.cuh"

#define VIEWS 16  // cameras that a launch carries, and that a block holds at a time; mirrored in tsdf.py
#define STEPS 4  // voxels of a lane
#define RESIDENT 3  // blocks of a multiprocessor, as registers allow

struct Camera { double intrinsics[4], pose[12]; };  // fx, fy, cx, cy; rows of [R | t], camera to world

struct Fusion {  // mirrored in tsdf.py; 8-byte fields only
    u32* status;
    float *grid, *weight, *tint;
    const DEPTH_T* depth;
    const COLOR_T* shades;
    const void *intrinsics, *poses;  // none: those in `cameras`
    i64 intrinsics_step, intrinsics_wide;  // numbers from a view to the next, 0 where shared; doubles
    i64 poses_step, poses_wide;
    i64 matrix, homogeneous;  // intrinsics have nine numbers; poses sixteen
    i64 shape[3], views, height, width;
    i64 limit;  // bits of the largest depth
    double middle[3], size[3], depth_scale, inverse, most;  // the last two hold floats
    Camera cameras[VIEWS];
};

struct Projection {  // of voxel (0, 0, 0) and of a step along each axis: x fx, y fy and z, in units of depth
    float place[3], step[3][3], sight[2];
};

__device__ __forceinline__ float times(float a, float b) {
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}
__device__ __forceinline__ float inverse_of(float a) {
    float r;
    asm("rcp.rn.f32 %0, %1;" : "=f"(r) : "f"(a));
    return r;
}
__device__ __forceinline__ float least(float a, float b) {
    float r;
    asm("min.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}

#define NORMAL 1.17549435e-38f  // the least normal number: what compares alike though -ftz=true takes subnormals for 0

__device__ __forceinline__ double number(const void* array, i64 wide, i64 i) {
    return wide ? ((const double*)array)[i] : to_double(((const float*)array)[i]);
}
__device__ __forceinline__ bool close(double a, double b) { return a - b <= 1e-3 && b - a <= 1e-3; }  // no NaN is

// Whether it is a camera as the host would have it.
__device__ __forceinline__ bool load_camera(const Fusion& f, i64 view, Camera& c) {
    bool good = true;
    if (f.intrinsics) {
        const i64 at = view * f.intrinsics_step;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int place = !f.matrix ? i : i == 0 ? 0 : i == 1 ? 4 : i == 2 ? 2 : 5;
            c.intrinsics[i] = number(f.intrinsics, f.intrinsics_wide, at + place);
            good &= c.intrinsics[i] - c.intrinsics[i] == 0;
        }
        good &= c.intrinsics[0] > 0 && c.intrinsics[1] > 0;
        for (int i = 0; i < 9 && f.matrix; ++i)
            if (i == 1 || i == 3 || i > 5) good &= number(f.intrinsics, f.intrinsics_wide, at + i) == (i == 8);
    }
    if (f.poses) {
        const i64 at = view * f.poses_step;
#pragma unroll
        for (int i = 0; i < 12; ++i) {
            c.pose[i] = number(f.poses, f.poses_wide, at + i);
            good &= c.pose[i] - c.pose[i] == 0;
        }
        for (int i = 12; i < 16 && f.homogeneous; ++i) good &= number(f.poses, f.poses_wide, at + i) == (i == 15);
        const double* t = c.pose;
#pragma unroll
        for (int a = 0; a < 3; ++a)
#pragma unroll
            for (int b = a; b < 3; ++b) good &= close(t[a] * t[b] + t[4 + a] * t[4 + b] + t[8 + a] * t[8 + b], a == b);
        good &= t[0] * (t[5] * t[10] - t[6] * t[9]) - t[1] * (t[4] * t[10] - t[6] * t[8]) +
                    t[2] * (t[4] * t[9] - t[5] * t[8]) >
                0;
    }
    return good;
}

__device__ __noinline__ void project(const Fusion& f, i64 view, int slot, Projection& p) {
    Camera c = f.cameras[slot];
    const bool good = load_camera(f, view, c);
    if (!good) report(f.status, BAD_CAMERA);
#pragma unroll
    for (int row = 0; row < 3; ++row) {
        const double focal = row == 2 ? 1.0 : c.intrinsics[row];
        double place = 0;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const double turn = c.pose[4 * axis + row], part = turn * (f.middle[axis] - c.pose[4 * axis + 3]);
            place = axis == 0 ? part : place + part;
            p.step[row][axis] = to_float(turn * f.size[axis] * f.depth_scale * focal);
        }
        p.place[row] = good ? to_float(place * f.depth_scale * focal) : __uint_as_float(0x7fc00000u);  // sees nothing
        if (row < 2) p.sight[row] = add_ieee(to_float(c.intrinsics[2 + row] + 0.5), 0.0f);  // never -0
    }
}

// Four voxels of a lane, 32 apart, and which of them have been read or changed.
template <bool COLORED> struct Voxels {
    float distance[STEPS], weight[STEPS], color[COLORED ? STEPS : 1][3];
    u32 changed;

    __device__ __forceinline__ void take(const Fusion& f, int s, i64 at, float distance_now, const COLOR_T* shade) {
        if (!(changed >> s & 1)) {
            weight[s] = f.weight[at];
            distance[s] = f.grid[at];
#pragma unroll
            for (int channel = 0; COLORED && channel < 3; ++channel) color[s][channel] = f.tint[3 * at + channel];
            changed |= 1u << s;
        }
        const bool had = weight[s] >= NORMAL;
        const float total = add_ieee(had ? weight[s] : 0.0f, 1.0f);
        const float moved = add_ieee(distance[s], div_ieee(sub_ieee(distance_now, distance[s]), total));
        distance[s] = had ? moved : distance_now;
        weight[s] = least(total, (float)f.most);
#pragma unroll
        for (int channel = 0; COLORED && channel < 3; ++channel) {
            const float now = widen<float>(shade[channel]), was = color[s][channel];
            color[s][channel] = had ? add_ieee(was, div_ieee(sub_ieee(now, was), total)) : now;
        }
    }
};

// All pixels of a lane's voxels are looked up before any is used: four loads are on their way at once.
template <bool COLORED>
__device__ __forceinline__ void meet(const Fusion& f, const Projection& p, i64 view, int x, int y, int first, i64 at,
                                     Voxels<COLORED>& voxels) {
    const DEPTH_T* picture = f.depth + view * f.height * f.width;
    const u32 wide = __float_as_uint((float)f.width), high = __float_as_uint((float)f.height);
    float base[3], far[STEPS], depth[STEPS];
    i32 pixel[STEPS];
#pragma unroll
    for (int row = 0; row < 3; ++row)
        base[row] = add_ieee(add_ieee(p.place[row], times((float)x, p.step[row][0])), times((float)y, p.step[row][1]));
#pragma unroll
    for (int s = 0; s < STEPS; ++s) {
        const float k = (float)(first + 32 * s);
        far[s] = add_ieee(base[2], times(k, p.step[2][2]));
        const float inverse = inverse_of(far[s]);
        const float u = add_ieee(times(add_ieee(base[0], times(k, p.step[0][2])), inverse), p.sight[0]);
        const float v = add_ieee(times(add_ieee(base[1], times(k, p.step[1][2])), inverse), p.sight[1]);
        // Bits of floats from 0 on are ordered as they are; negative numbers and NaN lie above them.
        const bool inside =
            first + 32 * s < f.shape[2] && far[s] >= NORMAL && __float_as_uint(u) < wide && __float_as_uint(v) < high;
        pixel[s] = inside ? (i32)v * (i32)f.width + (i32)u : -1;
        depth[s] = 0.0f;
        if (inside) depth[s] = Narrow<float>::from(widen<DEPTH_ACC_T>(picture[pixel[s]]));
    }
#pragma unroll
    for (int s = 0; s < STEPS; ++s) {
        const bool real = __float_as_uint(depth[s]) - 1 < (u32)f.limit;  // above zero, no NaN and not too far
        const float distance = times(sub_ieee(depth[s], far[s]), (float)f.inverse);
        if (!real || !(distance >= -1.0f)) continue;
        const COLOR_T* shade = COLORED ? f.shades + 3 * (view * f.height * f.width + pixel[s]) : nullptr;
        voxels.take(f, s, at + 32 * s, least(distance, 1.0f), shade);
    }
}

template <bool COLORED> __device__ __forceinline__ void integrate(const Fusion& f) {
    __shared__ Projection projections[VIEWS];
    const i64 parts = (f.shape[2] + 32 * STEPS - 1) / (32 * STEPS), total = f.shape[0] * f.shape[1] * parts;
    const i64 warps = (i64)gridDim.x * (blockDim.x / 32), warp = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / 32;
    for (i64 view = 0; view < f.views; view += VIEWS) {
        const int count = (int)min(f.views - view, (i64)VIEWS);
        __syncthreads();
        if (threadIdx.x < count) project(f, view + threadIdx.x, threadIdx.x, projections[threadIdx.x]);
        __syncthreads();
        for (i64 part = warp; part < total; part += warps) {
            const i64 column = divide(part, parts), row = divide(column, f.shape[1]);
            const int x = (int)row, y = (int)(column - row * f.shape[1]);
            const int first = (int)(part - column * parts) * (32 * STEPS) + (int)(threadIdx.x & 31);
            const i64 at = column * f.shape[2] + first;
            Voxels<COLORED> voxels;
            voxels.changed = 0;
            for (int n = 0; n < count; ++n) meet<COLORED>(f, projections[n], view + n, x, y, first, at, voxels);
#pragma unroll
            for (int s = 0; s < STEPS; ++s) {
                if (!(voxels.changed >> s & 1)) continue;
                f.grid[at + 32 * s] = voxels.distance[s];
                f.weight[at + 32 * s] = voxels.weight[s];
#pragma unroll
                for (int channel = 0; COLORED && channel < 3; ++channel)
                    f.tint[3 * (at + 32 * s) + channel] = voxels.color[s][channel];
            }
        }
    }
}

extern "C" __global__ void __launch_bounds__(256, RESIDENT) tsdf_integrate(const __grid_constant__ Fusion f) {
    integrate<false>(f);
}
extern "C" __global__ void __launch_bounds__(256, RESIDENT) tsdf_integrate_color(const __grid_constant__ Fusion f) {
    integrate<true>(f);
}
