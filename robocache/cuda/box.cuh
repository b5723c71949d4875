// The box of the cells of clouds without bounds. A cell grows with its coordinate, so most points only take part in a
// least and a largest coordinate; those too far from the origin for that have their cells worked out.
struct Box {
    u32 codes[6];          // as in Plan
    ACC_T low[3], high[3];

    __device__ __forceinline__ void take(const i32* cell) {
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const u32 code = (u32)cell[axis] ^ 0x80000000u;
            codes[axis] = max(codes[axis], code);
            codes[axis + 3] = max(codes[axis + 3], ~code);
        }
    }
    __device__ __forceinline__ void see(const Grid& grid, const ACC_T* p) {
        bool sure = true;
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            const ACC_T d = sub_ieee(p[axis], Narrow<ACC_T>::from(grid.origin[axis]));
            sure &= (d < 0 ? -d : d) < Narrow<ACC_T>::from(grid.size[axis]) * (ACC_T)1073741824.0;
        }
        i32 cell[3];
        if (!sure) {
            if (cell_of(p, grid, cell)) take(cell);
            return;
        }
#pragma unroll
        for (int axis = 0; axis < 3; ++axis) {
            low[axis] = p[axis] < low[axis] ? p[axis] : low[axis];
            high[axis] = p[axis] > high[axis] ? p[axis] : high[axis];
        }
    }
};
