// Bytes on their way between global and shared memory by 16 at a time, whatever address they begin at.

// Where in room for 16 bytes more than needed the bytes of a place in global memory lie as they do there.
__device__ __forceinline__ char* berth(void* room, const void* place) { return (char*)room + ((u64)place & 15); }

// Calls move16(byte, byte + 16) and move1(byte) so that every byte from `place` on is met once and 16 start at a
// multiple of 16.
template <class Wide, class One>
__device__ __forceinline__ void share_bytes(const void* place, i64 bytes, Wide move16, One move1) {
    const int head = (int)min(bytes, (i64)(-(u64)place & 15)), end = head + (int)(bytes - head) / 16 * 16;
    for (int i = threadIdx.x; i < head; i += blockDim.x) move1(i);
    for (int i = head + 16 * threadIdx.x; i < end; i += 16 * blockDim.x) move16(i);
    for (int i = end + threadIdx.x; i < bytes; i += blockDim.x) move1(i);
}

// Into a berth; the bytes are there after `arrived`.
__device__ __forceinline__ void bring(char* to, const char* from, i64 bytes) {
    const auto wide = [&](int at) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        const u32 shared = (u32)__cvta_generic_to_shared(to + at);
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(shared), "l"(from + at) : "memory");
#else
        *(uint4*)(to + at) = *(const uint4*)(from + at);
#endif
    };
    share_bytes(from, bytes, wide, [&](int at) { to[at] = from[at]; });
}
__device__ __forceinline__ void arrived() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" : : : "memory");
#endif
    __syncthreads();
}

// Out of a berth.
__device__ __forceinline__ void send(char* to, const char* from, i64 bytes) {
    share_bytes(
        to, bytes, [&](int at) { *(uint4*)(to + at) = *(const uint4*)(from + at); },
        [&](int at) { to[at] = from[at]; });
}
