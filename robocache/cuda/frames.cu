// Surfaces of a video decoder to RGB, by the very integers that FFmpeg's libswscale takes on x86-64.
//
// A thread makes the four pixels that share a chroma pair.

#include "common.cuh"

struct Surface {  // mirrored in frames.py; 8-byte fields only
    const u8* luma;
    const u8* chroma;  // rows of u, v, u, v, …
    u8* out;
    i64 luma_pitch, chroma_pitch, width, height;  // pitches in bytes
    i64 offset, scale, red_v, green_u, green_v, blue_u;  // of 16 bits each
};

__device__ __forceinline__ u8 clamped(int x) { return (u8)min(max(x, 0), 255); }

extern "C" __global__ void nv12_to_rgb(Surface s) {
    const i64 x = 2 * ((i64)blockIdx.x * blockDim.x + threadIdx.x);
    const i64 y = 2 * ((i64)blockIdx.y * blockDim.y + threadIdx.y);
    if (x >= s.width || y >= s.height) return;
    const u8* pair = s.chroma + y / 2 * s.chroma_pitch + x;
    const int u = (pair[0] - 128) * 8, v = (pair[1] - 128) * 8;
    const int red = v * (int)s.red_v >> 16, blue = u * (int)s.blue_u >> 16;
    const int green = (u * (int)s.green_u >> 16) + (v * (int)s.green_v >> 16);
    for (int k = 0; k < 4; k++) {
        const i64 column = x + (k & 1), row = y + (k >> 1);
        const int light = (s.luma[row * s.luma_pitch + column] * 8 - (int)s.offset) * (int)s.scale >> 16;
        u8* pixel = s.out + 3 * (row * s.width + column);
        pixel[0] = clamped(light + red);
        pixel[1] = clamped(light + green);
        pixel[2] = clamped(light + blue);
    }
}
