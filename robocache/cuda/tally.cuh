// Sums of M * 2^e and of its square as integers, extremes as codes, buckets in a table: what stats.cu does with a sample.
// VALUE_T and WIDE are macros of stats.cu; the numbers are those of _core/tally.py.

#if WIDE
typedef u64 BITS;
typedef i64 CODE;
#define FRACTION 52
#define BINADES 2098
#define LOWEST 14  // bit of the least subnormal in the digits
#define SUM_DIGITS 67
#define SQUARE_DIGITS 133
#define SUM_WORDS 3  // of 64 bits, in registers
#define SQUARE_WORDS 4
__device__ __forceinline__ BITS bits_of(VALUE_T x) { return (u64)__double_as_longlong(widen<double>(x)); }
#else
typedef u32 BITS;
typedef i32 CODE;
#define FRACTION 23
#define BINADES 277
#define LOWEST 11
#define SUM_DIGITS 10
#define SQUARE_DIGITS 19
#define SUM_WORDS 2
#define SQUARE_WORDS 3
__device__ __forceinline__ BITS bits_of(VALUE_T x) { return __float_as_uint(widen<float>(x)); }
#endif

#define TOP ((BITS)1 << (8 * sizeof(BITS) - 1))
#define ONE ((BITS)1 << FRACTION)
#define INFINITE ((TOP >> FRACTION) - 1 << FRACTION)
#define WINDOW 63
#define SLOTS 4096
#define SLOT_BITS 12

enum Word { COUNT, STRANGE, LOW, HIGH, SUM };
#define SQUARE (SUM + SUM_DIGITS)
#define WORDS (SQUARE + SQUARE_DIGITS)
#define NONE_LOW 0x7fffffffffffffffll
#define NONE_HIGH (-NONE_LOW - 1)

__device__ __forceinline__ void gain(i64* word, i64 by) { atomicAdd((u64*)word, (u64)by); }

template <int N> __device__ __forceinline__ void grow(u64 (&to)[N], const u64 (&part)[N], bool negative) {
    u64 carry = negative;
#pragma unroll
    for (int i = 0; i < N; ++i) {
        const u64 x = negative ? ~part[i] : part[i], sum = to[i] + x, all = sum + carry;
        carry = (sum < x) | (all < sum);
        to[i] = all;
    }
}

template <int N> __device__ __forceinline__ void deliver(i64* digits, const u64 (&words)[N], bool negative) {
#pragma unroll
    for (int i = 0; i < 2 * N; ++i) {
        const i64 digit = (i64)(words[i / 2] >> (i % 2 * 32) & 0xffffffffu);
        if (digit) gain(digits + i, negative ? -digit : digit);
    }
}

// M and M^2, moved up by `shift` and twice that; shift is 0 to 63.
struct Moved {
    u64 sum[SUM_WORDS], square[SQUARE_WORDS];
    __device__ __forceinline__ Moved(u64 m, int shift) {
        sum[0] = m << shift;
        sum[1] = m >> 1 >> (63 - shift);
        if (SUM_WORDS > 2) sum[SUM_WORDS - 1] = 0;
        const u64 low = m * m, high = WIDE ? __umul64hi(m, m) : 0;
        const int turn = 2 * shift & 63;
        const bool up = shift >= 32;
        const u64 a = low << turn, b = high << turn | low >> 1 >> (63 - turn), c = WIDE ? high >> 1 >> (63 - turn) : 0;
        square[0] = up ? 0 : a;
        square[1] = up ? a : b;
        square[2] = up ? b : c;
        if (SQUARE_WORDS > 3) square[SQUARE_WORDS - 1] = up ? c : 0;
    }
};

struct Table {  // buckets of this block in shared memory; those that find no slot are counted outside
    u32 *tags, *hits;
    u64* counts;  // of the first feature of the block
    u32 buckets;
    __device__ __forceinline__ void count(int feature, u32 bucket) const {
        const u32 tag = (u32)feature * buckets + bucket + 1, slot = tag * 0x9e3779b1u >> (32 - SLOT_BITS);
        u32 held = *(volatile u32*)(tags + slot);
        if (held == 0) {
            held = atomicCAS(tags + slot, 0u, tag);
            if (held == 0) held = tag;
        }
        if (held == tag) atomicAdd(hits + slot, 1u);
        else atomicAdd(counts + (tag - 1), (u64)1);
    }
};

struct Tally {
    u64 sum[SUM_WORDS], square[SQUARE_WORDS];
    i64* home;
    int base;  // digit where the window begins; -1 before the first sample
    u32 count, strange;
    CODE low, high;

    __device__ __forceinline__ Tally(i64* home) : home(home), base(-1), count(0), strange(0) {
        clear();
        high = (CODE)TOP;
        low = ~high;
    }
    __device__ __forceinline__ void clear() {
        for (int i = 0; i < SUM_WORDS; ++i) sum[i] = 0;
        for (int i = 0; i < SQUARE_WORDS; ++i) square[i] = 0;
    }
    __device__ __forceinline__ void empty() {
        if (base < 0) return;
        const bool negative = sum[SUM_WORDS - 1] >> 63;
        if (negative) {
            u64 positive[SUM_WORDS] = {};
            grow(positive, sum, true);
            deliver(home + SUM + base, positive, true);
        } else {
            deliver(home + SUM + base, sum, false);
        }
        deliver(home + SQUARE + 2 * base, square, false);
        clear();
    }
    __device__ __forceinline__ void take(BITS bits, const Table& table, int feature, int kept) {
        const BITS magnitude = bits & ~TOP;
        if (magnitude >= INFINITE) {
            ++strange;
            return;
        }
        const bool negative = (bits & TOP) != 0;
        const CODE code = negative ? -(CODE)magnitude : (CODE)magnitude;
        ++count;
        low = min(low, code);
        high = max(high, code);
        const u32 half = (u32)BINADES << kept;
        if (magnitude == 0) {
            if (table.counts) table.count(feature, half);
            return;
        }
        int field = (int)(magnitude >> FRACTION);
        BITS m = magnitude & (ONE - 1);
        if (table.counts) {
            u32 binade = field + FRACTION - 1;
            BITS fraction = m;
            if (field == 0) {  // normalised, so that buckets of subnormals are as narrow as others
                binade = 63 - __clzll((i64)m);
                fraction = m << (FRACTION - binade) & (ONE - 1);
            }
            const u32 number = (binade << kept | (u32)(fraction >> (FRACTION - kept))) + 1;
            table.count(feature, negative ? half - number : half + number);
        }
        if (field) {
            m |= ONE;
            --field;
        }
        const int place = field + LOWEST;
        if (base < 0 || place > 32 * base + WINDOW) {
            empty();
            base = max((place >> 5) - 1, 0);
        }
        if (place < 32 * base) {
            const Moved moved(m, place & 31);
            deliver(home + SUM + (place >> 5), moved.sum, negative);
            deliver(home + SQUARE + 2 * (place >> 5), moved.square, false);
        } else {
            const Moved moved(m, place - 32 * base);
            grow(sum, moved.sum, negative);
            grow(square, moved.square, false);
        }
    }
    __device__ __forceinline__ void finish() {
        empty();
        if (strange) gain(home + STRANGE, strange);
        if (count == 0) return;
        gain(home + COUNT, count);
        atomicMin(home + LOW, (i64)low);
        atomicMax(home + HIGH, (i64)high);
    }
};
