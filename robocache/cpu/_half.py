"""16-bit floats in Numba, which has no arithmetic for them: widen to float32, narrow with ties to even."""

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from ._jit import kernel

# Where the processor converts float16 itself. Elsewhere LLVM would call a C library that Numba may not find.
HARDWARE = "+f16c" in cpu_target.target_context.codegen().magic_tuple()[2].split(",")


@intrinsic
def _extend(typingctx, bits):
    def emit(context, builder, signature, args):
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), emit


@intrinsic
def _round(typingctx, number):
    def emit(context, builder, signature, args):
        return builder.bitcast(builder.fptrunc(args[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), emit


@kernel(inline=True)
def widen_bf16(x):
    return np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)


@kernel(inline=True)
def narrow_bf16(a):
    bits = np.float32(a).view(np.uint32)
    rounded = np.uint32(bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    return np.uint16(np.uint32(0x7FFF) if nan else rounded)


@kernel(inline=True)
def widen_f16(x):
    if HARDWARE:
        return _extend(np.uint16(x))
    x = np.uint32(x)
    # Exponent and mantissa moved into place are 2**112 too small; the product also normalises subnormals.
    scale = np.uint32(0x77800000).view(np.float32)
    magnitude = np.float32(np.uint32((x & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32) * scale)
    finite = magnitude.view(np.uint32)
    special = (x & np.uint32(0x7C00)) == np.uint32(0x7C00)
    bits = np.uint32(finite | np.uint32(0x7F800000)) if special else finite
    return np.uint32(bits | ((x & np.uint32(0x8000)) << np.uint32(16))).view(np.float32)


@kernel(inline=True)
def narrow_f16(a):
    if HARDWARE:
        half = _round(np.float32(a))
        return half if a == a else np.uint16((half & np.uint16(0x8000)) | np.uint16(0x7E00))
    raw = np.float32(a).view(np.uint32)
    bits = np.uint32(raw & np.uint32(0x7FFFFFFF))
    sign = np.uint32((raw >> np.uint32(16)) & np.uint32(0x8000))
    # Below 2**-14, adding 0.5 leaves the rounded subnormal in the low bits.
    small = np.uint32(np.float32(bits.view(np.float32) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000))
    odd = np.uint32((bits >> np.uint32(13)) & np.uint32(1))
    normal = np.uint32(np.uint32(bits + np.uint32(0xC8000FFF) + odd) >> np.uint32(13))
    half = small if bits < np.uint32(0x38800000) else normal
    half = np.uint32(0x7C00) if bits >= np.uint32(0x477FF000) else half  # 65520 and above round to infinity
    half = np.uint32(0x7E00) if bits > np.uint32(0x7F800000) else half
    return np.uint16(half | sign)
