// What group.cu works with: a call, and how its cells are numbered.

#define NONE 0xffffffffu
#define MOST 8ll           // cells a point that are counted one by one
#define LEAST (1ll << 16)  // entries of the root there is room for, of LEAST_ENTRIES in group.py,
#define GUESS (1ll << 19)  // and the most that are cleared before it is known how many there are
// Points a thread has under way at once; with more it would spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define BATCH (sizeof(ACC_T) == 4 ? 3 : 2)
#else
#define BATCH (sizeof(ACC_T) == 4 ? 4 : 2)
#endif

struct GroupCall {         // addresses of one call, packed by Group.fill in group.py; null: not wanted
    const POINT_T* points;
    u32* status;
    i64* inverse;          // of a point: the key of its cell; (place in the voxel << 32 | cell or voxel), with the
                           // top bit; its voxel. -1 if it has none
    i64* dropped;
    i32 *coords, *counts;
    i64 *offsets, *kept, *found;
};
struct GroupWork : GroupCall {  // and what many calls share
    Plan* plan;
    Cloud cloud;
    i64 entries;           // of the whole table
    i64 limit;             // rows of the results
    i64 stages;            // 1: find the voxels, 2: fill the results, 4: reduce the features
    i64 deferred;          // report a key overflow, as the host will not look
    i64 cached;            // bytes that the L2 cache holds
    u32* rows;             // of a point, in a trie: its row in the next table
    u64* table;            // trie: two halves, each with an entry for every point; the root may take both.
                           // Cells one by one: 32 bits for the points of a cell, then for where they start
    u64* partials;         // of number_items: one a block
    u32* starts;           // points of voxel v are order[starts[v]] up to order[starts[v + 1]]
    i64* keys;             // of voxels
    u32* order;
    u32* shared;           // voxels of more than ALONE points from the front, of more than FEW from the back
    u32* chunks;           // pieces of voxels of more than CHUNK points: (voxel, first piece of that voxel)
    u32* firsts;           // order by first points: the first point of a voxel. Else null
    u64* firsts_table;
};

struct Numbers {           // how cells are numbered: key = ((cloud * nx + x) * ny + y) * nz + z, less the base
    i64 base[3], extent[3];
    i64 root;              // entries of the root
    i64 found;             // voxels there are
    i32 levels;            // below the root
    i32 overflow;
    i32 direct;            // cells are counted one by one
};

// What `inverse` says of a point that has its place in a cell or voxel (NONE: no point of any).
__device__ __forceinline__ i64 placed(u32 number, u32 place) {
    return number == NONE ? -1 : (i64)((u64)(place | 0x80000000u) << 32 | number);
}
