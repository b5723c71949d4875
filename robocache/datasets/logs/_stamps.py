"""Decimal text to integer nanoseconds without a float in between."""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}  # powers of ten to nanoseconds
SPELLED = {
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "ms": "ms", "msec": "ms", "millis": "ms",
    "milliseconds": "ms", "us": "us", "usec": "us", "micros": "us", "microseconds": "us", "ns": "ns", "nsec": "ns",
    "nanos": "ns", "nanosec": "ns", "nanoseconds": "ns",
}  # fmt: skip
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$")
LONGEST = 64  # characters of a stamp
FORMS = 64  # ways of writing a stamp in one file, past which stamps are read one by one


def exact(text: str, unit: str) -> int:
    """Nanoseconds of one decimal, rounded half to even where it is finer; ValueError for what is no number."""
    if not NUMBER.match(text):
        raise ValueError(f"{text[:LONGEST]!r} is no decimal number")
    value = Decimal(text)
    if value.adjusted() + UNITS[unit] > 19:
        raise ValueError(f"{text[:LONGEST]!r} {unit} is past what 64 bits of nanoseconds hold")
    found = int(value.scaleb(UNITS[unit], Context(prec=200)).to_integral_value(ROUND_HALF_EVEN))
    if not -(1 << 63) <= found < 1 << 63:
        raise ValueError(f"{text[:LONGEST]!r} {unit} is past what 64 bits of nanoseconds hold")
    return found


def to_nanoseconds(cells: NDArray[np.bytes_], unit: str) -> NDArray[np.int64]:
    """`exact` of many: those written in one form together."""
    texts = np.char.strip(cells)
    if not len(texts):
        return np.zeros(0, np.int64)
    table = np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1)
    lengths = np.char.str_len(texts).astype(np.int64)
    point, power = (np.where(hit.any(1), hit.argmax(1), lengths) for hit in (table == 46, (table | 32) == 101))
    stop = np.minimum(power, lengths)
    forms = np.stack([lengths, np.minimum(point, stop), stop], 1)
    packed = (forms[:, 0] * 256 + forms[:, 1]) * 256 + forms[:, 2]
    out = np.empty(len(texts), np.int64)
    kinds = np.unique(packed)
    for kind in kinds if len(kinds) <= FORMS else ():
        rows = np.flatnonzero(packed == kind)
        length, dot, end = (int(part) for part in forms[rows[0]])
        tails = np.unique(texts[rows].astype(f"S{length}").view(np.uint8).reshape(len(rows), -1)[:, end:], axis=0)
        if len(tails) > 1:
            out[rows] = [exact(texts[row].decode("latin-1"), unit) for row in rows]
        else:
            shift = int(bytes(tails[0])[1:] or b"0") if _power(bytes(tails[0])) else None
            out[rows] = _alike(table[rows], texts[rows], dot, end, shift, unit)
    if len(kinds) > FORMS:
        out[:] = [exact(text.decode("latin-1"), unit) for text in texts]
    return out


def _power(tail: bytes) -> bool:
    """Whether the exponent of a form can be read at all."""
    return not tail or re.fullmatch(rb"[eE][+-]?\d{1,4}", tail) is not None


def _alike(
    table: NDArray[np.uint8], texts: Any, dot: int, end: int, shift: int | None, unit: str
) -> NDArray[np.int64] | list[int]:
    """Stamps whose point and exponent stand at the same places."""
    digits = np.delete(table[:, :end], dot, 1) if dot < end else table[:, :end]
    digits = digits - np.uint8(48)
    kept = dot + UNITS[unit] + (shift or 0)  # digits before the point, once nanoseconds are counted
    if shift is None or digits.shape[1] == 0 or not 0 <= kept <= 18 or (digits > 9).any():
        return [exact(text.decode("latin-1"), unit) for text in texts] if kept != 19 else _long(texts, unit, digits)
    whole = digits[:, :kept].astype(np.int64)
    powers = 10 ** np.arange(kept - 1, kept - 1 - whole.shape[1], -1, dtype=np.int64)
    found = whole @ powers if kept else np.zeros(len(digits), np.int64)
    rest = digits[:, kept:]
    if rest.shape[1]:
        beyond = rest[:, 1:].any(1)
        up = (rest[:, 0] > 5) | ((rest[:, 0] == 5) & (beyond | (found % 2 == 1)))
        found = found + up
    return found


def _long(texts: Any, unit: str, digits: NDArray[np.uint8]) -> NDArray[np.int64] | list[int]:
    """Nineteen digits, as nanoseconds since 1970 have: two halves, if the first digit leaves room."""
    if (digits > 9).any() or (digits[:, 0] > 8).any() or digits.shape[1] != 19:
        return [exact(text.decode("latin-1"), unit) for text in texts]
    halves = digits.astype(np.int64)
    high = halves[:, :9] @ (10 ** np.arange(8, -1, -1, dtype=np.int64))
    low = halves[:, 9:] @ (10 ** np.arange(9, -1, -1, dtype=np.int64))
    return np.asarray(high * 10**10 + low)


def from_numbers(values: NDArray[Any], unit: str) -> NDArray[np.int64]:
    """Nanoseconds of stamps that are numbers already; of floats to the nearest that their own value allows."""
    scale = 10 ** UNITS[unit]
    if values.dtype.kind in "iu":
        if values.size and (int(values.max()) * scale >= 1 << 63 or int(values.min()) * scale < -(1 << 63)):
            raise ValueError("stamps are past what 64 bits of nanoseconds hold")
        return values.astype(np.int64) * scale
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all() or (wide.size and float(np.abs(wide).max()) * scale >= 2.0**63):
        raise ValueError("stamps are not finite, or past what 64 bits of nanoseconds hold")
    whole = np.floor(wide)
    return whole.astype(np.int64) * scale + np.rint((wide - whole) * scale).astype(np.int64)


def guess_unit(text: str) -> str | None:
    """The unit of a stamp by how it is written: a decimal is seconds, an integer of an epoch tells by its length."""
    if not NUMBER.match(text):
        return None
    if "." in text or "e" in text.lower():
        return "s" if abs(Decimal(text)) < 10**11 else None
    return {10: "s", 13: "ms", 16: "us", 19: "ns"}.get(len(text.lstrip("+-0")))


__all__ = ["NUMBER", "SPELLED", "UNITS", "exact", "from_numbers", "guess_unit", "to_nanoseconds"]
