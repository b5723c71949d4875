// The first half of group.cu: from points to the cells they lie in, numbered in order.
// Few cells for so many points are counted one by one; many go into a trie (table.cuh).

__device__ void find_box(const GroupWork& w, u32* shared_box) {
    const Rows& rows = w.cloud.rows;
    const ACC_T most = Narrow<ACC_T>::from(__longlong_as_double(0x7ff0000000000000ll));
    Box box = {{0, 0, 0, 0, 0, 0}, {most, most, most}, {-most, -most, -most}};
    for (u32 i = first_item(); i < rows.total; i += BATCH * all_threads()) {
        ACC_T p[BATCH][3];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) load_point(w.points, rows, i + k * all_threads(), p[k]);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            if (j < rows.total && cloud_of(rows, j) >= 0) box.see(w.cloud.grid, p[k]);
        }
    }
    i32 cell[3];
    if (box.low[0] <= box.high[0]) {
        cell_of(box.low, w.cloud.grid, cell);
        box.take(cell);
        cell_of(box.high, w.cloud.grid, cell);
        box.take(cell);
    }
    if (threadIdx.x < 6) shared_box[threadIdx.x] = 0;
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 6; ++k) {
        for (int lane = 16; lane; lane >>= 1)
            box.codes[k] = max(box.codes[k], __shfl_xor_sync(FULL, box.codes[k], lane));
        if ((threadIdx.x & 31) == 0) atomicMax(shared_box + k, box.codes[k]);
    }
    __syncthreads();
    if (threadIdx.x < 6) atomicMax(w.plan->box[w.plan->turn & 1] + threadIdx.x, shared_box[threadIdx.x]);
}

__device__ void number_cells(const GroupWork& w, u32 turn, Numbers* n) {
    const u32* box = w.plan->box[turn & 1];
    u64 limit = (u64)w.cloud.rows.clouds;
    n->overflow = 0;
#pragma unroll
    for (int axis = 0; axis < 3; ++axis) {
        i64 base = 0, extent = w.cloud.grid.shape[axis];
        if (extent == 0) {
            base = (i64)(i32)(~box[axis + 3] ^ 0x80000000u);
            extent = max((i64)(i32)(box[axis] ^ 0x80000000u) - base + 1, 1ll);  // 1: no point at all
        }
        n->base[axis] = base;
        n->extent[axis] = extent;
        if (__umul64hi(limit, (u64)extent) || limit * (u64)extent >> 63) n->overflow = 1;
        limit *= (u64)extent;
    }
    const i64 last = n->overflow || limit == 0 ? 0 : (i64)limit - 1;
    n->levels = 0;
    n->root = last + 1;
    n->direct = n->root <= min(w.entries, MOST * w.cloud.rows.total) && n->root < NONE && !w.firsts;
    if (n->direct) return;
    n->root = (last >> 5) + 1;
    while (n->root > (n->levels ? w.entries / 2 : w.entries)) {
        ++n->levels;
        n->root = (last >> (5 + 5 * n->levels)) + 1;
    }
}

// The key of point j, which is at p; -1 for none. Dropped points are counted.
__device__ __forceinline__ i64 key_of(const GroupWork& w, const Numbers& n, u32 j, const ACC_T* p, Lost* lost) {
    const Rows& rows = w.cloud.rows;
    const i64 cloud = j < rows.total ? cloud_of(rows, j) : -1;
    i32 cell[3];
    if (cloud < 0) return -1;
    if (!cell_of(p, w.cloud.grid, cell)) {
        if (w.dropped) lost->add(w.dropped, cloud);
        return -1;
    }
    if (n.overflow) return -1;
    return ((cloud * n.extent[0] + cell[0] - n.base[0]) * n.extent[1] + cell[1] - n.base[1]) * n.extent[2] + cell[2] -
           n.base[2];
}

// Keys of all points, marked in the root or counted.
template <bool DIRECT> __device__ __forceinline__ void mark_keys(const GroupWork& w, const Numbers& n) {
    const Rows& rows = w.cloud.rows;
    const u32 lane = threadIdx.x & 31;
    Lost lost = {0, 0};
    for (u32 i = first_item(); i - lane < rows.total; i += BATCH * all_threads()) {
        ACC_T p[BATCH][3];
        i64 key[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) load_point(w.points, rows, i + k * all_threads(), p[k]);
#pragma unroll
        for (int k = 0; k < BATCH; ++k) key[k] = key_of(w, n, i + k * all_threads(), p[k], &lost);
        if (DIRECT) {
            u32 cell[BATCH], place[BATCH];
#pragma unroll
            for (int k = 0; k < BATCH; ++k) cell[k] = (u32)key[k];  // NONE for none
            take_places<BATCH>((u32*)w.table, cell, place);
#pragma unroll
            for (int k = 0; k < BATCH; ++k)
                if (i + k * all_threads() < rows.total) w.inverse[i + k * all_threads()] = placed(cell[k], place[k]);
            continue;
        }
        bool known[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            if (i + k * all_threads() < rows.total) w.inverse[i + k * all_threads()] = key[k];
            key[k] = key[k] < 0 ? -1 : key[k] >> (5 * n.levels);
            const i64 before = __shfl_up_sync(FULL, key[k], 1);  // neighbours share cells
            known[k] = key[k] < 0 || (lane > 0 && before == key[k]) || is_marked(w.table, key[k]);
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k)
            if (!known[k]) mark(w.table, key[k]);
    }
    if (w.dropped) lost.flush(w.dropped);
}

// Which cells counted one by one hold points: entries as in a trie, behind the counts.
__device__ __forceinline__ u64* entries_of(const GroupWork& w, const Numbers& n) { return w.table + (n.root + 1) / 2; }

// Items of number_items: points of a cell, and above bit 32 whether there are any.
struct Cells {
    const GroupWork& w;
    u64* entries;
    static __device__ __forceinline__ u64 counted(u32 count) { return (u64)(count > 0) << 32 | count; }
    __device__ __forceinline__ u64 get(i64 cell) const { return counted(((const u32*)w.table)[cell]); }
    __device__ __forceinline__ void get_all(i64 cell, u64* value) const {
        const Quad x = *(const Quad*)((const u32*)w.table + cell);
        value[0] = counted(x.a), value[1] = counted(x.b), value[2] = counted(x.c), value[3] = counted(x.d);
    }
    __device__ __forceinline__ void note(i64 cell, i64 last, const u64* value, u64 before) const {
        u32 bits = 0;
#pragma unroll
        for (int k = 0; k < ITEMS; ++k) bits |= (u32)(value[k] >> 32) << k;
        bits <<= cell & 31;
#pragma unroll
        for (int lane = 32 / ITEMS / 2; lane; lane >>= 1) bits |= __shfl_xor_sync(FULL, bits, lane);
        if (cell < last && (cell & 31) == 0) entries[cell >> 5] = before >> 32 << 32 | bits;
    }
    __device__ __forceinline__ void put(i64 cell, u64 before, u64 value) const {
        if (!value) return;
        ((u32*)w.table)[cell] = (u32)before;
        w.starts[before >> 32] = (u32)before;
        w.keys[before >> 32] = cell;
    }
};

__device__ __forceinline__ u64* table_of(const GroupWork& w, i32 level) {
    return w.table + (level & 1 ? w.entries / 2 : 0);
}

// Where a key is marked on a level; `row` is what the level above said.
__device__ __forceinline__ i64 place_of(const Numbers& n, i32 level, i64 key, u32 row) {
    const i64 rest = key >> (5 * (n.levels - level));
    return level == 0 ? rest : (i64)row * 32 + (rest & 31);
}

// Marks of the points on a level below the root.
__device__ void mark_level(const GroupWork& w, const Numbers& n, i32 level) {
    const u64* above = table_of(w, level - 1);
    u64* here = table_of(w, level);
    for (u32 i = first_item(); i < w.cloud.rows.total; i += BATCH * all_threads()) {
        i64 key[BATCH], place[BATCH];
        u64 entry[BATCH];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            const u32 j = i + k * all_threads();
            key[k] = j < w.cloud.rows.total ? w.inverse[j] : -1;
            place[k] = key[k] < 0 ? 0 : place_of(n, level - 1, key[k], level > 1 ? w.rows[j] : 0);
        }
#pragma unroll
        for (int k = 0; k < BATCH; ++k) entry[k] = above[place[k] >> 5];
#pragma unroll
        for (int k = 0; k < BATCH; ++k) {
            if (key[k] < 0) continue;
            const u32 row = row_of(entry[k], place[k]);
            w.rows[i + k * all_threads()] = row;
            const i64 below = place_of(n, level, key[k], row);
            if (!is_marked(here, below)) mark(here, below);
        }
    }
}

// Everything up to the number of voxels. What it wrote needs a wait before it is used.
__device__ void find(const GroupWork& w, Numbers* n, u64* room) {
    Plan* plan = w.plan;
    u32* arrived = &plan->arrived;
    if (first_item() == 0) plan->shared = plan->crowded = plan->chunks = plan->split = 0;
    check_extent(w.cloud.rows, w.status);
    if (w.dropped) fill<i64>(w.dropped, w.cloud.rows.clouds, 0);
    i64 clear = 0;  // so many words of the table are
    if (w.cloud.grid.shape[0] == 0) {
        clear = min(max(2 * w.cloud.rows.total, LEAST), GUESS);
        wipe((char*)w.table, 8 * clear, 0);  // before the points are here; few clouds need more, which takes a wait
        if (first_item() < 6) plan->box[~plan->turn & 1][first_item()] = 0;
        find_box(w, (u32*)room);
        wait_for_all(arrived);
    }
    if (threadIdx.x == 0) number_cells(w, plan->turn, n);
    __syncthreads();
    const i64 used = n->direct ? (n->root + 1) / 2 : n->root;
    if (clear < used) {
        fill<u64>(w.table + clear, used - clear, 0);
        wait_for_all(arrived);
    }
    if (n->direct) mark_keys<true>(w, *n);
    else mark_keys<false>(w, *n);
    wait_for_all(arrived);
    u32 rows;
    if (n->direct) {
        const u64 sums = number_items<u64>(Cells{w, entries_of(w, *n)}, n->root, w.partials, room, arrived);
        rows = (u32)(sums >> 32);
        if (first_item() == 0) w.starts[rows] = (u32)sums;
    } else {
        rows = number_items<u32>(Entries{w.table}, n->root, w.partials, room, arrived);
    }
    for (i32 level = 1; level <= n->levels; ++level) {
        fill<u64>(table_of(w, level), rows, 0);
        wait_for_all(arrived);
        mark_level(w, *n, level);
        wait_for_all(arrived);
        rows = number_items<u32>(Entries{table_of(w, level)}, rows, w.partials, room, arrived);
    }
    if (threadIdx.x == 0) n->found = rows;
    if (first_item() == 0) {
        if (w.cloud.grid.shape[0] == 0) ++plan->turn;  // all have read it: they have waited since
        plan->found = rows;
        plan->overflow = n->overflow;
        if (n->overflow && w.deferred) report(w.status, KEY_OVERFLOW);
    }
    __syncthreads();
}
