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
def get(typingctx, address, item, kind):
    """Item of the numbers at an address, which no ``put`` of the same function changes."""
    if not isinstance(kind, types.NumberClass | types.DType):
        return None

    def emit(context, builder, signature, args):
        where = builder.inttoptr(args[0], context.get_data_type(kind.dtype).as_pointer())
        load = builder.load(builder.gep(where, [args[1]]), align=kind.dtype.bitwidth // 8)
        load.set_metadata("noalias", _results(builder.module))
        return load

    return kind.dtype(types.int64, types.int64, kind), emit


@intrinsic
def put(typingctx, address, item, value):
    """Set an item of the numbers at an address. The compiler need not look whether it is one that ``get`` reads."""

    def emit(context, builder, signature, args):
        where = builder.inttoptr(args[0], context.get_data_type(value).as_pointer())
        store = builder.store(args[2], builder.gep(where, [args[1]]), align=value.bitwidth // 8)
        store.set_metadata("alias.scope", _results(builder.module))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), emit


def _results(module):
    """The set of memory that ``put`` writes."""
    domain = module.add_metadata(["robocache"])
    return module.add_metadata([module.add_metadata(["results", domain])])


@intrinsic
def passed(typingctx, stamps, latency, q):
    """How many of the first eight numbers of an array, each less ``latency``, are not above ``q``: one comparison."""
    if stamps.dtype != q:
        return None

    def emit(context, builder, signature, args):
        kind, real = context.get_value_type(q), ir.DoubleType()
        vector, wide = ir.VectorType(kind, 8), ir.VectorType(real, 8)
        start = context.make_array(stamps)(context, builder, args[0]).data
        taken = builder.load(builder.bitcast(start, vector.as_pointer()), align=q.bitwidth // 8)
        less, limit = (_all(builder, number) for number in args[1:])
        if isinstance(q, types.Integer):
            flags = builder.icmp_signed("<=", builder.sub(taken, less), limit)
        elif kind == real:
            flags = builder.fcmp_ordered("<=", builder.fsub(taken, less), limit)
        else:
            taken = builder.fptrunc(builder.fsub(builder.fpext(taken, wide), less), vector)
            flags = builder.fcmp_ordered("<=", taken, limit)
        return builder.zext(builder.ctpop(builder.bitcast(flags, ir.IntType(8))), WORD)

    return types.int64(stamps, latency, q), emit


def _all(builder, number):
    """A vector of eight times that number."""
    vector = ir.VectorType(number.type, 8)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8))


@intrinsic
def move(typingctx, to, start, nbytes):
    """Copy that many bytes from one address to another."""

    def emit(context, builder, signature, args):
        to, start = (builder.inttoptr(address, ir.IntType(8).as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, to, start, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


@intrinsic
def fetch(typingctx, address):
    """Begin to read the cache line of an address."""

    def emit(context, builder, signature, args):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [builder.inttoptr(args[0], byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.int64), emit


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
