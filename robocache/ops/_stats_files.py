"""Statistics as JSON: the lossless state, and the spellings of LeRobot and of RLDS."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, DataError, ShapeError
from ._total import UNIT, Total, empty

FORMAT = "robocache.RunningStats/1"


def spell(q: float) -> str:
    """Name of a quantile in both spellings: q01, q50, q995."""
    digits = f"{q:.12f}".rstrip("0")[2:].ljust(2, "0")
    return f"q{digits}" if 0 < q < 1 else f"q{round(100 * q):02d}"


def state(total: Total) -> dict[str, Any]:
    """Every number of a total, in types of JSON."""
    ends = {"min": total.low, "max": total.high}
    sketch: dict[str, Any] = {}
    if total.bits:
        features, buckets = np.divmod(total.places, total.span)
        cuts = np.searchsorted(features, np.arange(len(total.sums) + 1)).tolist()
        buckets = (buckets - total.span // 2).tolist()
        numbers = total.numbers.tolist()
        spans = list(zip(cuts[:-1], cuts[1:], strict=True))
        sketch = {"buckets": [buckets[a:b] for a, b in spans], "counts": [numbers[a:b] for a, b in spans]}
    return {
        "count": total.count.tolist(),
        "nonfinite": total.strange.tolist(),
        **{name: [v if math.isfinite(v) else None for v in end.tolist()] for name, end in ends.items()},
        "sum": [_power(s, UNIT) for s in total.sums],
        "square": [_power(s, 2 * UNIT) for s in total.squares],
        **sketch,
    }


Parts = tuple[Total | None, tuple[int, ...] | None, tuple[float, ...], int, dict[float, Any]]


def restored(entry: Mapping[str, Any]) -> Parts:
    """Total, shape, quantiles, bits and the quantiles of a file, from the state."""
    try:
        quantiles, bits = checked(entry["quantiles"]), int(entry["bits"])
        if entry["shape"] is None:
            return None, None, quantiles, bits, {}
        shape = tuple(int(n) for n in entry["shape"])
        given = {float(q): np.asarray(array, np.float64).reshape(shape) for q, array in entry["given"].items()}
        return _total_of(entry, math.prod(shape), bits), shape, quantiles, bits, given
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"state is not what to_dict gave: {type(error).__name__}: {error}") from None


def _total_of(entry: Mapping[str, Any], size: int, bits: int) -> Total:
    total = empty(size, bits)
    total.count[...] = np.array(_sized(entry["count"], size), np.int64)
    total.strange[...] = np.array(_sized(entry["nonfinite"], size), np.int64)
    for name, array in (("min", total.low), ("max", total.high)):
        array[...] = [a if v is None else float(v) for v, a in zip(_sized(entry[name], size), array, strict=True)]
    total.sums = [_integer(p, UNIT) for p in _sized(entry["sum"], size)]
    total.squares = [_integer(p, 2 * UNIT) for p in _sized(entry["square"], size)]
    if bits:
        rows = list(zip(_sized(entry["buckets"], size), _sized(entry["counts"], size), strict=True))
        middle = total.span // 2
        places = [f * total.span + b + middle for f, (buckets, _) in enumerate(rows) for b in buckets]
        total.places = np.array(places, np.int64)
        total.numbers = np.array([n for _, counts in rows for n in counts], np.int64)
        if len(total.places) != len(total.numbers):
            raise ValueError("buckets and counts differ in length")
    return total


def _sized(items: Any, size: int) -> Any:
    if len(items) != size:
        raise ValueError(f"{len(items)} entries for {size} features")
    return items


def _power(number: int, unit: int) -> list[Any]:
    """An integer in units of 2**-unit as odd hexadecimal digits and an exponent."""
    if number == 0:
        return ["0", 0]
    zeros = (number & -number).bit_length() - 1
    return [f"{number >> zeros:x}", zeros - unit]


def _integer(pair: Sequence[Any], unit: int) -> int:
    digits, exponent = pair
    if digits != "0" and exponent < -unit:
        raise ValueError(f"exponent {exponent} is below what sums can hold")
    return int(digits, 16) << (exponent + unit) if digits != "0" else 0


def from_moments(entry: Any, count: Any, label: str) -> Parts:
    """As ``restored``, from moments; no bits, but the quantiles that were beside them."""
    if not isinstance(entry, Mapping):
        raise ArgumentError(
            f"{label} is {type(entry).__name__}; expected the mapping of one key, such as file['action']"
        )
    absent = [name for name in ("mean", "std", "min", "max") if name not in entry]
    if absent:
        raise DataError(f"{label} lacks {', '.join(absent)}; expected the entry of one key with mean, std, min and max")
    try:
        found = {name: np.asarray(entry[name], np.float64) for name in ("mean", "std", "min", "max")}
        known = {q: np.asarray(entry[name], np.float64) for name in entry if (q := _quantile(name)) is not None}
    except (TypeError, ValueError) as error:
        raise DataError(f"{label} holds something else than numbers: {error}") from None
    shape = found["mean"].shape
    wrong = next((n for n, a in (*found.items(), *known.items()) if a.shape != shape), None)
    if wrong is not None:
        raise ShapeError(f"{label}: {wrong} and mean have different shapes; expected {shape}")
    if count is None:
        raise DataError(
            f"{label} comes without the number of samples, so it cannot be merged; pass it to normalize as it is, or "
            "give the count (LeRobot: count, RLDS: num_transitions)"
        )
    numbers = np.asarray(count)
    if numbers.dtype.kind not in "iu" or numbers.size not in (1, found["mean"].size) or (numbers < 0).any():
        raise DataError(f"{label} has count {count!r}; expected one integer, or one a feature")
    total = empty(found["mean"].size, 0)
    total.count[...] = numbers.reshape(-1)
    flat = {name: array.reshape(-1) for name, array in found.items()}
    seen = total.count > 0
    if not all(np.isfinite(a[seen]).all() for a in flat.values()) or (flat["std"][seen] < 0).any():
        raise DataError(f"{label} has a mean, std, min or max that no finite samples have")
    total.low[seen], total.high[seen] = flat["min"][seen], flat["max"][seen]
    for f in np.flatnonzero(seen).tolist():
        n, mean, std = int(total.count[f]), _exact(flat["mean"][f], UNIT), _exact(flat["std"][f], UNIT)
        total.sums[f], total.squares[f] = n * mean, n * (mean * mean + std * std)
    return total, shape, tuple(sorted(known)), 0, known


def _exact(value: float, unit: int) -> int:
    top, bottom = float(value).as_integer_ratio()
    return (top << unit) // bottom  # bottom is a power of two, at most 2**1074


def _quantile(name: Any) -> float | None:
    if isinstance(name, str) and len(name) > 2 and name[0] == "q" and name[1:].isdigit():
        return float(f"0.{name[1:]}")
    return None


def _moments(stats: Any, shape: tuple[int, ...], names: tuple[str, ...]) -> dict[str, Any]:
    """Nested lists of Python numbers, in a shape."""
    if math.prod(shape) != math.prod(stats.shape or ()):
        raise ShapeError(f"shape={shape} does not hold the features, of shape {stats.shape}")
    if not stats.count.all():
        raise DataError("some feature has no sample, so its statistics are NaN, which JSON does not know; update first")
    found = {"min": stats.min, "max": stats.max, "mean": stats.mean, "std": stats.std()}
    found = {name: found[name] for name in names} | {spell(q): stats.quantile(q) for q in stats.quantiles}
    return {name: np.reshape(array, shape).tolist() for name, array in found.items()}


def lerobot(stats: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """One key of LeRobot's file."""
    entry = _moments(stats, shape, ("min", "max", "mean", "std"))
    counts = np.unique(stats.count)
    if len(counts) != 1:
        raise DataError(f"features have {counts.min()} to {counts.max()} samples; LeRobot's format knows one count")
    quantiles = {name: entry.pop(name) for name in list(entry) if name[0] == "q"}
    return {**entry, "count": counts.tolist(), **quantiles}


def rlds(stats: Any, shape: tuple[int, ...], mask: Any) -> dict[str, Any]:
    """One key of an RLDS file."""
    entry = _moments(stats, shape, ("mean", "std", "max", "min"))
    if mask is not None:
        marks = np.asarray(mask)
        if marks.dtype != np.bool_ or marks.shape != shape:
            raise ShapeError(f"mask has dtype {marks.dtype} and shape {marks.shape}; expected bool and {shape}")
        entry["mask"] = marks.tolist()
    return entry


def checked(quantiles: Iterable[float] | None) -> tuple[float, ...]:
    """Quantiles in order, each once."""
    try:
        found = sorted({float(q) for q in quantiles or ()})
    except (TypeError, ValueError):
        raise ArgumentError(f"quantiles={quantiles!r} must be numbers from 0 to 1") from None
    if not all(0 <= q <= 1 for q in found):
        raise ArgumentError(f"quantiles={quantiles!r} must be numbers from 0 to 1")
    return tuple(found)
