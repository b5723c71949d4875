// Which of very many numbers there are, and how many lie below each: a trie of 32-way nodes.
// An entry is 32 bits for the 32 children there may be, and above them how many children the entries before it have.
// The root is one long table of entries; the children of a level, in order, are the rows of the next level's table.

#define ALONE 16u          // points of a voxel that one thread reduces,
#define FEW 64u            // that some lanes of a warp reduce,
#define CHUNK 512u         // and that a warp reduces;
#define PIECE 8192u        // of larger voxels, a block takes this many points at a time

struct Plan {              // zero before the first launch, then as the one before has left it
    u32 arrived;           // for wait_for_all
    u32 found;             // voxels there are
    u32 overflow;          // 1: more cells than a key can number
    u32 shared;            // voxels of more than ALONE points,
    u32 crowded;           // and of more than FEW
    u32 chunks;            // pieces of voxels of more than CHUNK points
    u32 split;             // 1: some voxel has several
    u32 turn;  // box[turn & 1] is zero, for the next launch that finds voxels; the other is of the last one
    u32 box[2][6];  // of the cells of unbounded clouds, as codes that grow: max x, y, z, then min x, y, z
};

struct Entries {  // items of number_items
    u64* table;
    __device__ __forceinline__ u32 get(i64 i) const { return __popc((u32)table[i]); }
    __device__ __forceinline__ void get_all(i64 i, u32* value) const {
        const Pair* pairs = (const Pair*)(table + i);
        const Pair x = pairs[0], y = pairs[1];
        value[0] = __popc((u32)x.a), value[1] = __popc((u32)x.b), value[2] = __popc((u32)y.a);
        value[3] = __popc((u32)y.b);
    }
    __device__ __forceinline__ void note(i64, i64, const u32*, u32) const {}
    __device__ __forceinline__ void put(i64 i, u32 before, u32) const { ((u32*)(table + i))[1] = before; }
};

// What is read before the table is changed may be old; most marks are there already, so look first.
__device__ __forceinline__ bool is_marked(const u64* table, i64 place) {
    return *(const volatile u32*)(table + (place >> 5)) >> (place & 31) & 1;
}
__device__ __forceinline__ void mark(u64* table, i64 place) {
    atomicOr((u32*)(table + (place >> 5)), 1u << (place & 31));
}

// The row of a marked place: how many marked ones lie below it.
__device__ __forceinline__ u32 row_of(u64 entry, i64 place) {
    return (u32)(entry >> 32) + __popc((u32)entry & ((1u << (place & 31)) - 1));
}
