// Numbers of a type that is known when the kernel runs, as `KINDS` of _work.py counts them.

enum { F16, BF16, SINGLE, DOUBLE, I8, U8, I16, U16, I32, U32, I64, U64, BOOL };

__device__ __forceinline__ double read(const void* from, i64 i, i64 kind) {
    switch (kind) {
        case F16:
            return widen<double>(((const f16*)from)[i]);
        case BF16:
            return widen<double>(((const bf16*)from)[i]);
        case SINGLE:
            return to_double(((const float*)from)[i]);
        case DOUBLE:
            return ((const double*)from)[i];
        case I8:
            return (double)((const i8*)from)[i];
        case I16:
            return (double)((const i16*)from)[i];
        case U16:
            return (double)((const u16*)from)[i];
        case I32:
            return (double)((const i32*)from)[i];
        case U32:
            return (double)((const u32*)from)[i];
        default:
            return (double)((const u8*)from)[i];
    }
}
