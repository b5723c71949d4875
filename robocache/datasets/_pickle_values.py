"""What the restricted unpickler may build: NumPy types, scalars and arrays, out of bytes that were checked first."""

import math
import re
from typing import Any, NamedTuple, NoReturn

import numpy as np

DTYPE = re.compile(r"(?:[bB]1|[bBhHiIlLqQefdFD?]|[iu][1248]|f[248]|c(?:8|16)|S\d{1,9}|U\d{1,9}|O8?)")
HOMES = ("numpy.core.multiarray", "numpy._core.multiarray")
FLAT = ("numpy.core.numeric", "numpy._core.numeric")
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|[\\'\"nrt])")
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
KEY_BITS = 60  # larger integers can be chosen so that their hashes collide
KEY_ITEMS = 16
DIMENSIONS = 32
CHARACTERS = 0x10FFFF


class Refused(ValueError):
    """What this pickle asks for is not allowed, or does not fit its bytes."""


class Named(NamedTuple):
    """A global that is on the list; it is never imported."""

    module: str
    name: str


class Type:
    """A dtype until its state is known."""

    def __init__(self, code: Any) -> None:
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str) or not DTYPE.fullmatch(code):
            refuse(f"the dtype {_shown(code)} is not allowed")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        """Its byte order; fields, sub-arrays and metadata are refused."""
        if not isinstance(state, tuple) or not 5 <= len(state) <= 9 or any(part is not None for part in state[2:5]):
            refuse("a dtype with fields or of an unknown state is not allowed")
        order, size = state[1], (state[5] if len(state) > 5 else -1)
        order = order.decode("latin1") if isinstance(order, bytes) else order  # of Python 2
        if order not in ("<", ">", "|", "=") or type(size) is not int or size not in (-1, self.dtype.itemsize):
            refuse("a dtype of an unknown state is not allowed")
        if (len(state) > 6 and state[6] not in (-1, self.dtype.alignment)) or (len(state) > 8 and state[8] is not None):
            refuse("a dtype with metadata is not allowed")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder("<" if order == "<" else ">")


class Unfilled:
    """An array until its state is known."""

    def __init__(self) -> None:
        self.array: Any = None


UNBUILT = (Named, Type, Unfilled)


def refuse(message: str) -> NoReturn:
    """Raise `Refused`."""
    raise Refused(message)


def named(module: Any, name: Any) -> Named:
    """A global of the list, or `Refused` with its name."""
    found = Named(_text(module), _text(name))
    if (found.module in HOMES and found.name in ("_reconstruct", "scalar")) or found in ALLOWED:
        return found
    return refuse(f"the global {_shown('.'.join(found))} is not allowed")


def cost(args: Any) -> int:
    """About how many bytes a call or a state will copy."""
    if isinstance(args, str | bytes | bytearray | list | set):
        return len(args) * (1 if isinstance(args, bytes | bytearray) else 8)
    return sum(cost(part) for part in args if not isinstance(part, tuple)) if isinstance(args, tuple) else 0


def call(what: Any, args: Any) -> Any:
    """The object that REDUCE asks for."""
    if not isinstance(what, Named) or not isinstance(args, tuple):
        refuse("a call of something that is no global")
    if what.module in HOMES:
        return _reconstruct(args) if what.name == "_reconstruct" else _scalar(args)
    if what.module in FLAT:
        return _flat(args)
    if what == ("numpy", "dtype"):
        return Type(args[0]) if 1 <= len(args) <= 3 else refuse("a dtype of no known form")
    if what == ("_codecs", "encode"):
        if len(args) != 2 or not isinstance(args[0], str) or args[1] != "latin1":
            refuse("an encoding other than that of bytes is not allowed")
        return _latin1(args[0])
    if what.module in ("builtins", "__builtin__"):
        return _builtin(what.name, args)
    return refuse(f"a call of {'.'.join(what)} is not allowed")


def _reconstruct(args: tuple[Any, ...]) -> Unfilled:
    if len(args) != 3 or args[0] != Named("numpy", "ndarray") or args[1] != (0,):
        refuse("an array of an unknown form")
    return Unfilled()


def _scalar(args: tuple[Any, ...]) -> Any:
    dtype = args[0].dtype if len(args) == 2 and isinstance(args[0], Type) else refuse("a scalar of an unknown form")
    if dtype.kind == "O":
        refuse("a scalar of objects is not allowed")
    return _numbers(args[1], dtype, (), False)[()]


def _flat(args: tuple[Any, ...]) -> Any:
    if len(args) != 4 or not isinstance(args[1], Type) or args[3] not in ("C", "F"):
        refuse("an array of an unknown form")
    if args[1].dtype.kind == "O":
        refuse("an array of objects out of bytes is not allowed")
    return _numbers(args[0], args[1].dtype, _shape(args[2]), args[3] == "F")


def _builtin(name: str, args: tuple[Any, ...]) -> Any:
    if name in ("bytes", "bytearray") and not args:
        return b"" if name == "bytes" else bytearray()
    if name == "bytearray" and len(args) == 1 and isinstance(args[0], bytes):
        return bytearray(args[0])
    if name == "bytearray" and len(args) == 2 and isinstance(args[0], str) and args[1] in ("latin-1", "latin1"):
        return bytearray(_latin1(args[0]))
    if name in ("set", "frozenset") and len(args) == 1 and isinstance(args[0], list):
        made = {key(item) for item in args[0]}
        return made if name == "set" else frozenset(made)
    if name == "complex" and len(args) == 2 and all(type(part) is float for part in args):
        return complex(*args)
    return refuse(f"this call of {name} is not allowed")


def fill(state: Any) -> Any:
    """The array that a state describes."""
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], Type) or state[0] != 1:
        refuse("an array of an unknown state")
    _, shape, kind, fortran, data = state
    if kind.dtype.kind == "O":
        return _objects(data, _shape(shape), bool(fortran))
    made = _numbers(data, kind.dtype, _shape(shape), bool(fortran))
    return made if kind.dtype.isnative else made.astype(kind.dtype.newbyteorder("="), order="K")


def _shape(shape: Any) -> tuple[int, ...]:
    good = isinstance(shape, tuple) and len(shape) <= DIMENSIONS
    if not good or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        refuse("the shape of an array is no tuple of sizes")
    return tuple(shape)


def _numbers(data: Any, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> Any:
    data = _latin1(data) if isinstance(data, str) else data
    count = math.prod(shape)
    if not isinstance(data, bytes | bytearray) or count * dtype.itemsize != len(data):
        told = f"{len(data)} bytes" if isinstance(data, bytes | bytearray) else "something else"
        refuse(f"an array of shape {shape} and {dtype} needs {count * dtype.itemsize} bytes, and has {told}")
    if dtype.itemsize == 0:
        refuse("an array of empty strings is not allowed")
    flat = np.frombuffer(data, dtype).copy()
    if dtype.kind == "U" and int(flat.view(np.dtype("u4").newbyteorder(dtype.byteorder)).max(initial=0)) > CHARACTERS:
        refuse("a text with characters that do not exist")
    return flat.reshape(shape, order="F" if fortran else "C")


def _objects(data: Any, shape: tuple[int, ...], fortran: bool) -> Any:
    if not isinstance(data, list) or math.prod(shape) != len(data):
        refuse(f"an array of objects of shape {shape} needs as many objects")
    if any(isinstance(item, UNBUILT) for item in data):
        refuse("an array of objects that are not whole")
    flat = np.empty(len(data), object)
    for at, item in enumerate(data):
        flat[at] = item
    return flat.reshape(shape, order="F" if fortran else "C")


def key(item: Any) -> Any:
    """What may be a key or in a set: nothing whose hash takes long or can be made to collide."""
    parts = item if type(item) is tuple else (item,)
    if len(parts) > KEY_ITEMS:
        refuse("a key of many parts is not allowed")
    for part in parts:
        small = type(part) in (int, bool) and abs(part) >> KEY_BITS == 0
        if not (small or part is None or type(part) in (str, bytes)):
            refuse(f"a key of {type(part).__name__} is not allowed")
    return item


def _latin1(text: str) -> bytes:
    try:
        return text.encode("latin1")
    except UnicodeEncodeError:
        return refuse("bytes that are none")


def quoted(line: bytes) -> str:
    """Text as Python 2 spells it, in quotes and with escapes."""
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        refuse("a text without quotes")
    return ESCAPE.sub(_unescape, line[1:-1]).decode("latin1")


def _unescape(match: "re.Match[bytes]") -> bytes:
    code = match[1]
    return bytes([int(code[1:], 16)]) if code[:1] == b"x" else ESCAPED.get(code, code)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else refuse("a global whose name is no text")


def _shown(value: Any) -> str:
    return ascii(value[:80]) if isinstance(value, str) else f"of {type(value).__name__}"


ALLOWED = {
    Named("numpy", "ndarray"),
    Named("numpy", "dtype"),
    Named("_codecs", "encode"),  # how bytes are spelled in protocol 2
    *(Named(home, "_frombuffer") for home in FLAT),
    *(Named(home, name) for home in ("builtins", "__builtin__") for name in ("set", "frozenset", "bytes", "bytearray")),
    *(Named(home, "complex") for home in ("builtins", "__builtin__")),
}

__all__ = [
    "UNBUILT",
    "Named",
    "Refused",
    "Type",
    "Unfilled",
    "call",
    "cost",
    "fill",
    "key",
    "named",
    "quoted",
    "refuse",
]
