// A stream as a kernel sees it: the table of streams, and the extent of a row.

#include "clock.cuh"

enum Method { NEAREST, PREVIOUS, NEXT, LINEAR };
enum Outside { HOLD, FILL, EXTRAPOLATE, REFUSE };

struct Source {  // addresses, which change from call to call
    const char* values;
    const TIME_T* times;
    const i64* lengths;
    const i64* offsets;
};

struct Stream {  // mirrored by _STREAM in _work.py; 8-byte fields only
    Layout layout;
    i64 samples, time_row;
    Wide latency, tolerance, max_gap;
    i64 method, outside;
    i64 first_block, tile, tiles;  // targets a block serves
};

struct Work {  // mirrored in _work.py: addresses first, so that a call replaces one stretch of bytes
    u32* status;
    u8* faulty;
    const TIME_T* times;
    u8* valid;
    TIME_T* age;
    Source source[STREAMS];
    char* out[STREAMS];
    i64 row, rows, steps, streams, staged, capacity, held, results, checked, column, columns, blocks;
    Stream stream[STREAMS];
};

struct Row {
    i64 time, value, count;
    bool sound;
};

__device__ __forceinline__ Row find_row(const Stream& s, const Source& at, i64 b, u32* status) {
    Row r = {b * s.time_row, 0, s.samples, true};
    if (at.offsets) {
        const i64 from = at.offsets[b], to = at.offsets[b + 1];
        r.sound = 0 <= from && from <= to && to <= s.samples;
        r.time = r.value = from;
        r.count = to - from;
    } else if (at.lengths) {
        r.count = at.lengths[b];
        r.sound = 0 <= r.count && r.count <= s.samples;
    }
    if (!r.sound) {
        r.time = r.value = r.count = 0;
        report(status, BAD_EXTENT);
    }
    return r;
}
