"""Curves by the letter of their definitions, in float64: one row, one target, one feature at a time.

SciPy is the definition of the cubic methods, on the part of the row between equal stamps that a target lies in, with
time counted from the sample before the target. Range, limits and ages are those of the linear method.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from scipy.interpolate import Akima1DInterpolator, CubicHermiteSpline, CubicSpline, PchipInterpolator

from oracles import trajectory

REACH = {"pchip": (1, 2), "akima": (2, 3), "catmull_rom": (1, 2)}  # samples before and after the first of a bracket


class Row(NamedTuple):
    """What should come out, [T, D] but for valid and age [T].

    ``copied`` values are equal bit for bit; the error of others is measured by ``scale``, the largest number that goes
    into them. ``open`` ones are left to the arithmetic: Inf among the samples, or either way round as good.
    """

    values: np.ndarray
    valid: np.ndarray
    age: np.ndarray
    scale: np.ndarray
    copied: np.ndarray
    open: np.ndarray


def parts(stamps: list[Any]) -> list[range]:
    """Runs of samples whose stamps rise: equal stamps part a row."""
    cuts = [0, *(j for j in range(1, len(stamps)) if stamps[j] == stamps[j - 1]), len(stamps)]
    return [range(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def piece(method: str, x: np.ndarray, v: np.ndarray, i: int, w: float) -> tuple[float, float]:
    """Value at share w between samples i and i + 1 of a part of finite samples, and its scale."""
    h = x[i + 1] - x[i]
    growth = 1.0 if 0 <= w <= 1 else (1 + abs(w)) ** 3
    size = float(np.abs(v[i : i + 2]).max())
    if len(v) == 2:
        return float(v[0] + w * (v[1] - v[0])), size * growth
    at, slopes = x[i] + w * h, np.diff(v) / np.diff(x)
    if method == "cubic":
        curve = CubicSpline(x, v, bc_type="natural")
        bend = (np.abs(slopes[1:]) + np.abs(slopes[:-1])) / (x[2:] - x[:-2])
        steep = float(np.abs(curve(x[i : i + 2], 1)).max())  # SciPy's own terms, which it does not keep so well
        steep = steep if growth == 1 else 32 * float(np.abs(curve(x, 1)).max())
        return float(curve(at)), (size + h * steep + h * h * float(bend.max())) * growth
    if method == "pchip":
        curve = PchipInterpolator(x, v)
        return float(curve(at)), max(size, float(np.abs(curve(x[i : i + 2], 1)).max()) * h) * growth
    if method == "akima":
        scale = max(size, _akima_doubt(slopes * h, i))
        return float(Akima1DInterpolator(x, v)(at, extrapolate=True)), scale * growth
    tangents = [slopes[0], *((v[2:] - v[:-2]) / (x[2:] - x[:-2])), slopes[-1]]
    both = (np.abs(np.diff(v))[1:] + np.abs(np.diff(v))[:-1]) / (x[2:] - x[:-2])
    return float(CubicHermiteSpline(x, v, tangents)(at)), max(size, h * float(both.max())) * growth


def _akima_doubt(m: np.ndarray, i: int) -> float:
    """How large the terms of both tangents are, and what is lost where the weights nearly vanish."""
    first, last = 2 * m[0] - m[1], 2 * m[-1] - m[-2]
    m = np.array([2 * first - m[0], first, *m, last, 2 * last - m[-1]])
    doubt = 0.0
    for j in (i, i + 1):  # slopes around this sample: m[j] … m[j + 3]
        a, b, c, d = m[j : j + 4]
        weights, largest = abs(d - c) + abs(b - a), float(np.abs(m[j : j + 4]).max())
        lost = 0.0 if weights == 0 else min(1e15, largest / weights) * abs(c - b)
        doubt = max(doubt, abs(b), abs(c), lost)
    return doubt


def _stencil(method: str, stamps: list[Any], i: int) -> range:
    part = next(p for p in parts(stamps) if i in p and i + 1 in p)
    if method == "cubic":
        return part
    before, after = REACH[method]
    return range(max(part.start, i - before), min(part.stop, i + after + 1))


def cubics(method: str, stamps: list[Any], column: np.ndarray, i: int, w: float) -> tuple[float, float, bool]:
    """Value, scale and whether it is left open, of one feature of a row between samples i and i + 1."""
    near = _stencil(method, stamps, i)
    some = column if method == "cubic" else column[near.start : near.stop]
    if not np.isfinite(some).all():
        return math.nan, 1.0, method != "cubic" and not np.isnan(some).any()
    x = np.array([float(stamps[j] - stamps[i]) for j in near])
    with np.errstate(all="ignore"):  # subnormals
        return *piece(method, x, column[near.start : near.stop], i - near.start, w), False


def turn(a: np.ndarray, b: np.ndarray, w: float) -> tuple[np.ndarray, bool]:
    """The quaternion at share w of the shorter arc from a to b; whether both ways are as short."""
    sizes = [math.hypot(*q) for q in (a, b)]
    if not all(0 < size < math.inf for size in sizes):
        return np.full(4, math.nan), False
    a, b = a / sizes[0], b / sizes[1]
    b = -b if a @ b < 0 else b
    across = b - (a @ b) * a
    angle = math.atan2(math.hypot(*across), a @ b)
    if math.hypot(*across) == 0:
        return a, False
    return a * math.cos(w * angle) + across / math.hypot(*across) * math.sin(w * angle), bool(abs(a @ b) < 1e-6)


def into(number: float, low: float, period: float) -> float:
    """An angle in [low, low + period)."""
    if not math.isfinite(number) or low <= number < low + period:
        return number if math.isfinite(number) else math.nan
    return min(max(number - period * math.floor((number - low) / period), low), math.nextafter(low + period, low))


def swing(a: float, b: float, w: float, low: float, period: float) -> tuple[float, float, bool]:
    """Angle at share w of the shorter way from a to b, its scale, and whether both ways are as short."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.nan, 1.0, False
    way = b - a - period * math.floor((b - a) / period + 0.5)
    scale = max(abs(a), abs(b), period) * (1 + abs(w))
    doubtful = period / 2 - abs(way) < 1e-6 * scale and not float(period / 2).is_integer()
    return into(a + w * way, low, period), scale, doubtful


def cells(targets: list[Any]) -> list[tuple[Any, Any]]:
    """From half way to the target before to half way to the next one; those at the ends reach as far out as in.

    Half ways of integers are rounded down.
    """
    if len(targets) < 2:
        return [(Fraction(q), Fraction(q)) for q in targets]
    whole = isinstance(targets[0], int)
    edges = [
        Fraction(a + (b - a) // 2) if whole else Fraction(a) + Fraction(b - a) / 2
        for a, b in zip(targets[:-1], targets[1:], strict=True)
    ]
    edges = [2 * Fraction(targets[0]) - edges[0], *edges, 2 * Fraction(targets[-1]) - edges[-1]]
    return list(zip(edges[:-1], edges[1:], strict=True))


def average(stamps: list[Any], column: np.ndarray, low: Any, high: Any) -> tuple[float, float, bool]:
    """Mean of the line through the samples of one feature from low to high; its value at low where that is no way."""
    stamps = [Fraction(t) for t in stamps]
    before = low < stamps[0]  # what lies there is held at the very first sample
    low, high = (min(max(Fraction(edge), stamps[0]), stamps[-1]) for edge in (low, high))
    if low >= high:
        last = 0 if before else max(j for j, t in enumerate(stamps) if t <= low)
        if stamps[last] == low:
            return float(column[last]), abs(float(column[last])), not np.isfinite(column[last])
        shares = [(last, low, low, 1)]
    else:
        ends = [(j, max(low, stamps[j]), min(high, stamps[j + 1])) for j in range(len(stamps) - 1)]
        shares = [(j, start, stop, (stop - start) / (high - low)) for j, start, stop in ends if start < stop]
    used = np.array([column[j : j + 2] for j, *_ in shares])
    if not np.isfinite(used).all():
        return math.nan, 1.0, not np.isnan(used).any()
    total = Fraction(0)
    for j, start, stop, share in shares:
        w = ((start + stop) / 2 - stamps[j]) / (stamps[j + 1] - stamps[j])
        total += share * (Fraction(column[j]) + w * (Fraction(column[j + 1]) - Fraction(column[j])))
    return float(total), float(np.abs(used).max()), False


def resample_row(
    values: Any,
    times: Any,
    targets: Any,
    method: str,
    outside: Any = "hold",
    tolerance: Any = None,
    max_gap: Any = None,
    low: float = -math.pi,
    period: float = 2 * math.pi,
) -> Row:
    """One row."""
    held = "hold" if method == "mean" and outside == "extrapolate" else outside
    limits = {"outside": held, "tolerance": tolerance, "max_gap": max_gap}
    real = trajectory.resample_row(np.zeros((len(times), 0), np.float32), times, targets, **limits)
    stamps, goals = trajectory.stamps_of(times), trajectory.stamps_of(targets)
    wide = np.asarray(values).reshape(len(stamps), math.prod(np.shape(values)[1:])).astype(np.float64)
    shape = (len(goals), wide.shape[1])
    row = Row(
        np.full(shape, math.nan if isinstance(outside, str) else outside), real.valid.copy(), real.age,
        np.ones(shape), np.ones(shape, bool), np.zeros(shape, bool),
    )  # fmt: skip
    for j, goal in enumerate(goals):
        use = trajectory.used(stamps, goal, "linear", held, tolerance)
        if use.first is None:
            continue
        i, w = use.first, 0.0
        if use.second is not None:
            w = float(goal - stamps[i]) / float(stamps[use.second] - stamps[i])
        _fill(row, j, method, stamps, wide, i, w, (low, period), cells(goals)[j] if method == "mean" else None)
        row.valid[j] &= not np.isnan(row.values[j]).any()
    return row


def _fill(
    row: Row, j: int, method: str, stamps: list[Any], v: np.ndarray, i: int, w: float, span: Any, cell: Any
) -> None:
    """Target j, at share w after sample i."""
    if method in ("cubic", *REACH, "slerp") and w == 0:
        row.values[j] = v[i]
        return
    row.copied[j] = False
    for d in range(v.shape[1]) if method != "slerp" else ():
        if method == "mean":
            found = average(stamps, v[:, d], *cell)
        elif method == "angle" and w == 0:
            found = into(v[i, d], *span), max(abs(v[i, d]), span[1]), False
            row.copied[j, d] = span[0] <= v[i, d] < sum(span)
        elif method == "angle":
            found = swing(v[i, d], v[i + 1, d], w, *span)
        else:
            found = cubics(method, stamps, v[:, d], i, w)
        row.values[j, d], row.scale[j, d], row.open[j, d] = found
    for d in range(0, v.shape[1], 4) if method == "slerp" else ():
        four = slice(d, d + 4)
        row.values[j, four], row.open[j, four] = turn(v[i, four], v[i + 1, four], w)
        row.scale[j, four] = 1 + abs(w)


def resample(values: Any, times: Any, targets: Any, *, lengths: Any = None, offsets: Any = None, **how: Any) -> Row:
    """A call with a batch axis: values [B, S, ...] or packed [N, ...], times [S], [B, S] or [N], targets [(B,) T]."""
    if offsets is not None:
        cuts = [slice(int(a), int(b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        pairs, feature = [(values[cut], times[cut]) for cut in cuts], values.shape[1:]
    else:
        batch, feature = values.shape[0], values.shape[2:]
        counts = [values.shape[1]] * batch if lengths is None else [int(n) for n in lengths]
        pairs = [(values[b][:n], (times[b] if times.ndim == 2 else times)[:n]) for b, n in enumerate(counts)]
    goals = [targets[b] if targets.ndim == 2 else targets for b in range(len(pairs))]
    rows = [resample_row(v, t, q, **how) for (v, t), q in zip(pairs, goals, strict=True)]
    lead = (len(rows), targets.shape[-1])
    clock = np.int64 if times.dtype.kind in "iM" else times.dtype
    kinds = (np.float64, bool, clock, np.float64, bool, bool)
    shapes = [lead if name in ("valid", "age") else (*lead, *feature) for name in Row._fields]
    return Row(*(
        np.array([getattr(r, name) for r in rows], kind).reshape(shape)
        for name, kind, shape in zip(Row._fields, kinds, shapes, strict=True)
    ))  # fmt: skip
