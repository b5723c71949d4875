"""What Numba lacks for code that is handed addresses: arrays over them, atomics, calls, and scratch on the stack."""

from llvmlite import ir  # type: ignore[import-untyped]
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel

WORD = ir.IntType(64)


@intrinsic
def add(typingctx, address, value):
    """Add to the 64-bit integer at an address in one step that no other thread can divide; returns what was there."""

    def emit(context, builder, signature, args):
        return builder.atomic_rmw("add", builder.inttoptr(args[0], WORD.as_pointer()), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def swap(typingctx, address, expected, value):
    """Put a value where another is expected, in one step; whether it was there."""

    def emit(context, builder, signature, args):
        where = builder.inttoptr(args[0], WORD.as_pointer())
        pair = builder.cmpxchg(where, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64), emit


@intrinsic
def call(typingctx, function, first, second, third, fourth):
    """Call the C function at an address with four integers. What it returns, and what it does not take, is lost."""

    def emit(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [WORD] * 4)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, types.int64), emit


@intrinsic
def _pointer(typingctx, address, kind):
    if not isinstance(kind, types.NumberClass | types.DType):
        return None
    to = types.CPointer(kind.dtype)

    def emit(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(to))

    return to(types.int64, kind), emit


@intrinsic
def stack(typingctx, words):
    """Address of that many (a literal) words of scratch in the frame of the caller."""
    if not isinstance(words, types.IntegerLiteral):
        return None

    def emit(context, builder, signature, args):
        room = cgutils.alloca_once(builder, WORD, size=words.literal_value)
        return builder.ptrtoint(room, WORD)

    return types.int64(words), emit


@kernel(inline=True)
def view(address, size, kind):
    """An array of ``size`` numbers at an address."""
    return carray(_pointer(address, kind), size)
