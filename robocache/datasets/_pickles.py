"""Pickles of plain values and NumPy arrays, read without the `pickle` module: nothing is imported or called.

A pickle is a program for a small stack machine. This one knows only the instructions that build containers, text,
numbers and arrays; all others, and every global that is not on the list, are refused with `DataError`. Every length is
held against the bytes that are left before anything is made of it, so what comes out is at most some hundred times as
large as what went in.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._faults import fault, faults
from ._pickle_bounds import measure
from ._pickle_values import Named, Refused, Type, Unfilled, call, cost, fill, key, named, quoted, refuse

PICKLE_BYTES = 1 << 30
OBJECTS = 20_000_000  # no pickle of a log has more
COPIES = 20  # how often, on average, a byte may be copied into arrays; twice is usual
SHARING = 100  # how often, on average, what a byte made may be met on a walk through the result
MARK = object()


def load(path: Path, *, limit: int = PICKLE_BYTES, **place: Any) -> Any:
    """As `loads`, of a file that is no longer than ``limit`` bytes."""
    with faults(OSError, file=path, **place):
        if path.stat().st_size > limit:
            raise OSError(f"it is longer than {limit} bytes")
        data = path.read_bytes()
    return loads(data, file=path, **place)


def loads(data: Any, **place: Any) -> Any:
    """What a pickle holds. Raises DataError, with the ``place``, for all but plain values and arrays."""
    data = bytes(data)
    try:
        value = _Machine(data).run()
        measure(value, SHARING * len(data) + 1000)
    except (Refused, ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error) as error:
        told = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        raise fault(f"is no pickle that may be read: {told}", **place) from None
    return value


class _Machine:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.budget = COPIES * len(data) + 4096
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        data, operations, end = self.data, OPERATIONS, len(self.data)
        count = 0
        while self.at < end:
            code = data[self.at]
            self.at += 1
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.stack[0] is MARK:
                    refuse("it ends in the middle")
                return self.stack[0]
            operation = operations.get(code)
            if operation is None:
                refuse(f"the instruction {bytes([code])!r} is not allowed")
            operation(self)
            count += 1
            if count > OBJECTS:
                refuse(f"it has more than {OBJECTS} instructions")
        return refuse("it is cut off")

    def take(self, length: int) -> bytes:
        start, stop = self.at, self.at + length
        if length < 0 or stop > len(self.data):
            refuse(f"it is cut off: {length} bytes are wanted, and {len(self.data) - start} are left")
        self.at = stop
        return self.data[start:stop]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> bytes:
        stop = self.data.find(b"\n", self.at)
        if stop < 0:
            refuse("it is cut off: a line does not end")
        start, self.at = self.at, stop + 1
        return self.data[start:stop]

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is MARK:
            refuse("its stack is empty")
        return self.stack.pop()

    def items(self) -> list[Any]:
        """Everything after the last mark."""
        at = len(self.stack) - 1
        while at >= 0 and self.stack[at] is not MARK:
            at -= 1
        if at < 0:
            refuse("its stack has no mark")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def remember(self, index: int) -> None:
        if not self.stack or self.stack[-1] is MARK:
            refuse("its stack is empty")
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        if index not in self.memo:
            refuse("it asks for something that it never made")
        found = self.memo[index]
        if isinstance(found, Unfilled) and found.array is not None:
            found = found.array
        self.stack.append(found)

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            refuse(f"items for something that is no {kind.__name__}")
        return self.stack[-1]

    def pairs(self, into: dict[Any, Any], flat: list[Any]) -> dict[Any, Any]:
        if len(flat) % 2:
            refuse("a key without a value")
        for at in range(0, len(flat), 2):
            into[key(flat[at])] = flat[at + 1]
        return into

    def pay(self, args: Any) -> None:
        """Bytes that were made once may be copied a few times, not without end."""
        self.budget -= cost(args)
        if self.budget < 0:
            refuse("it copies the same bytes again and again")

    def build(self) -> None:
        state = self.pop()
        target = self.pop()
        self.pay(state)
        if isinstance(target, Type):
            target.build(state)
        elif isinstance(target, Unfilled) and target.array is None:
            made = fill(state)
            target.array, target = made, made
        else:
            refuse("a state for something that has none")
        self.stack.append(target)


def _pushing(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def operation(machine: _Machine) -> None:
        machine.stack.append(make(machine))

    return operation


def _tuple(count: int) -> Callable[[_Machine], None]:
    def operation(machine: _Machine) -> None:
        items = [machine.pop() for _ in range(count)]
        machine.stack.append(tuple(reversed(items)))

    return operation


def _append(machine: _Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _appends(machine: _Machine) -> None:
    items = machine.items()
    machine.top(list).extend(items)


def _set_item(machine: _Machine) -> None:
    value, name = machine.pop(), machine.pop()
    machine.pairs(machine.top(dict), [name, value])


def _set_items(machine: _Machine) -> None:
    items = machine.items()
    machine.pairs(machine.top(dict), items)


def _add_items(machine: _Machine) -> None:
    items = machine.items()
    machine.top(set).update(key(item) for item in items)


def _reduce(machine: _Machine) -> None:
    args = machine.pop()
    machine.pay(args)
    machine.stack.append(call(machine.pop(), args))


def _stack_global(machine: _Machine) -> None:
    name = machine.pop()
    machine.stack.append(named(machine.pop(), name))


def _pop_any(machine: _Machine) -> None:
    if not machine.stack:
        refuse("its stack is empty")
    machine.stack.pop()


def _duplicate(machine: _Machine) -> None:
    item = machine.pop()
    machine.stack += [item, item]


def _frame(machine: _Machine) -> None:
    if machine.number("<Q") > len(machine.data) - machine.at:
        refuse("it is cut off within a frame")


def _protocol(machine: _Machine) -> None:
    if machine.number("<B") > 5:
        refuse("its protocol is unknown")


def _text(form: str) -> Callable[[_Machine], str]:
    return lambda machine: machine.take(machine.number(form)).decode("utf-8", "surrogatepass")


def _bytes(form: str) -> Callable[[_Machine], bytes]:
    return lambda machine: machine.take(machine.number(form))


def _latin(form: str) -> Callable[[_Machine], str]:
    return lambda machine: machine.take(machine.number(form)).decode("latin1")


def _long(form: str) -> Callable[[_Machine], int]:
    return lambda machine: int.from_bytes(machine.take(machine.number(form)), "little", signed=True)


def _integer_line(machine: _Machine) -> int | bool:
    line = machine.line()
    return line == b"01" if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _global_line(machine: _Machine) -> Named:
    module, name = machine.line().decode("utf-8"), machine.line().decode("utf-8")
    return named(module, name)


VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    b"(": lambda machine: MARK,
    b"N": lambda machine: None,
    b"\x88": lambda machine: True,
    b"\x89": lambda machine: False,
    b"I": _integer_line,
    b"L": lambda machine: int(machine.line().removesuffix(b"L")),
    b"J": lambda machine: machine.number("<i"),
    b"K": lambda machine: machine.number("<B"),
    b"M": lambda machine: machine.number("<H"),
    b"\x8a": _long("<B"),
    b"\x8b": _long("<i"),
    b"F": lambda machine: float(machine.line()),
    b"G": lambda machine: machine.number(">d"),
    b"S": lambda machine: quoted(machine.line()),
    b"T": _latin("<i"),
    b"U": _latin("<B"),
    b"V": lambda machine: machine.line().decode("raw-unicode-escape"),
    b"X": _text("<I"),
    b"\x8c": _text("<B"),
    b"\x8d": _text("<Q"),
    b"B": _bytes("<I"),
    b"C": _bytes("<B"),
    b"\x8e": _bytes("<Q"),
    b"\x96": lambda machine: bytearray(machine.take(machine.number("<Q"))),
    b"]": lambda machine: [],
    b"}": lambda machine: {},
    b")": lambda machine: (),
    b"\x8f": lambda machine: set(),
    b"l": lambda machine: machine.items(),
    b"t": lambda machine: tuple(machine.items()),
    b"d": lambda machine: machine.pairs({}, machine.items()),
    b"\x91": lambda machine: frozenset(key(item) for item in machine.items()),
    b"c": _global_line,
}
OPERATIONS: dict[int, Callable[[_Machine], None]] = {code[0]: _pushing(make) for code, make in VALUES.items()} | {
    b"\x80"[0]: _protocol,
    b"\x95"[0]: _frame,
    b"0"[0]: _pop_any,
    b"1"[0]: lambda machine: machine.items().clear(),
    b"2"[0]: _duplicate,
    b"a"[0]: _append,
    b"e"[0]: _appends,
    b"s"[0]: _set_item,
    b"u"[0]: _set_items,
    b"\x90"[0]: _add_items,
    b"\x85"[0]: _tuple(1),
    b"\x86"[0]: _tuple(2),
    b"\x87"[0]: _tuple(3),
    b"R"[0]: _reduce,
    b"\x93"[0]: _stack_global,
    b"b"[0]: _Machine.build,
    b"g"[0]: lambda machine: machine.recall(int(machine.line())),
    b"h"[0]: lambda machine: machine.recall(machine.number("<B")),
    b"j"[0]: lambda machine: machine.recall(machine.number("<I")),
    b"p"[0]: lambda machine: machine.remember(int(machine.line())),
    b"q"[0]: lambda machine: machine.remember(machine.number("<B")),
    b"r"[0]: lambda machine: machine.remember(machine.number("<I")),
    b"\x94"[0]: lambda machine: machine.remember(len(machine.memo)),
}


__all__ = ["load", "loads"]
