"""Clocks and their stamps, one sample, one lag or one pair of points at a time."""

from fractions import Fraction
from itertools import chain, combinations, pairwise

import numpy as np

NAT = np.iinfo(np.int64).min


def grid(values, times, step, max_gap):
    """Samples every ``step`` from the first stamp, and which are real: in range, in no gap, next to no NaN."""
    values, rows, real = np.asarray(values, np.float64).reshape(len(times), -1), [], []
    t = [x.item() - times[0].item() for x in times]
    for k in range(int(t[-1] // step) + 1):
        goal = k * step
        i = max(j for j in range(len(t)) if t[j] <= goal)
        if t[i] == goal or i + 1 == len(t):
            row, near = values[i], t[i] == goal
        else:
            weight = (goal - t[i]) / (t[i + 1] - t[i])
            row, near = values[i] * (1 - weight) + values[i + 1] * weight, t[i + 1] - t[i] <= max_gap
        rows.append(row)
        real.append(bool(near and np.isfinite(row).all()))
    return np.array(rows), np.array(real)


def correlation(a, b, lag, share):
    """Correlation of two grids with b shifted by ``lag``, over what both have there; NaN if that is too little."""
    (a, real_a), (b, real_b) = a, b
    pairs = [
        (a[i], b[i + lag]) for i in range(len(a)) if 0 <= i + lag < len(b) and real_a[i] and real_b[i + lag]
    ]  # fmt: skip
    if len(pairs) < max(3, share * min(real_a.sum(), real_b.sum())):
        return np.nan
    x, y = (np.array(side) for side in zip(*pairs, strict=True))
    x, y = x - x.mean(0), y - y.mean(0)
    energy = (x**2).sum() * (y**2).sum()
    return (x * y).sum() / np.sqrt(energy) if energy else 0.0


def envelope(x, y):
    """Slope, and value at 0, of the line below all points that is highest at their mean; exact."""
    x, y = [Fraction(int(v)) for v in x], [Fraction(int(v)) for v in y]
    centre, best = sum(x) / len(x), None
    for i, j in combinations(range(len(x)), 2):
        slope = (y[j] - y[i]) / (x[j] - x[i])
        if all(v >= y[i] + slope * (u - x[i]) for u, v in zip(x, y, strict=True)):
            height = y[i] + slope * (centre - x[i])
            if best is None or height > best[0]:
                best = height, slope, y[i] - slope * x[i]
    return best[1:]


def _middle(numbers):
    """The median, halfway between the two in the middle."""
    numbers = sorted(numbers)
    return (numbers[(len(numbers) - 1) // 2] + numbers[len(numbers) // 2]) / 2


def median(x, y):
    """Theil's incomplete method: the median slope of pairs half a record apart, and the median rest; exact."""
    x, y = [Fraction(int(v)) for v in x], [Fraction(int(v)) for v in y]
    half = len(x) // 2
    slope = _middle([(y[i + half] - y[i]) / (x[i + half] - x[i]) for i in range(len(x) - half)])
    return slope, _middle([v - slope * u for u, v in zip(x, y, strict=True)])


def least_squares(x, y):
    """The line of least squares, by its normal equations; exact."""
    x, y = [Fraction(int(v)) for v in x], [Fraction(int(v)) for v in y]
    n, sx, sy = len(x), sum(x), sum(y)
    slope = (n * sum(u * v for u, v in zip(x, y, strict=True)) - sx * sy) / (n * sum(u * u for u in x) - sx * sx)
    return slope, (sy - slope * sx) / n


def cleaned(times, offsets, order, duplicates, nonfinite, resets):
    """Indices kept, row by row, and the positions of every fault; a fault that is to raise ends it by its name."""
    found = {"nonfinite": [], "disordered": [], "duplicates": [], "resets": []}
    rows, whole = [], times.dtype.kind == "i"
    stamps = [int(t) if whole else float(t) for t in times]
    given = [list(range(low, high)) for low, high in pairwise(offsets)]
    for row in given:
        missing = [i for i in row if (stamps[i] == NAT if whole else not np.isfinite(stamps[i]))]
        found["nonfinite"] += missing
        row[:] = [i for i in row if i not in missing]
    if found["nonfinite"] and nonfinite == "raise":
        return "nonfinite", found
    steps = sorted(stamps[j] - stamps[i] for row in given for i, j in pairwise(row) if stamps[j] > stamps[i])
    period = steps[(len(steps) - 1) // 2] if steps else 0
    for row in given:
        parts = [[]]
        for k, i in enumerate(row):
            before = [stamps[j] for j in row[max(0, k - 2) : k]]
            after = [stamps[j] for j in row[k + 1 : k + 2]]
            anew = before and before[-1] - stamps[i] > 10 * period and stamps[i] < min(before)
            if anew and (not after or after[0] < before[-1]):
                found["resets"].append(i)
                parts.append([])
            parts[-1].append(i)
        rows += parts if resets == "split" else [[*chain(*parts)]]
    if found["resets"] and resets == "raise":
        return "resets", found
    late = [i for row in rows for k, i in enumerate(row) if any(stamps[j] > stamps[i] for j in row[:k])]
    found["disordered"] = sorted(late)
    if late and order == "raise":
        return "order", found
    for row in rows:
        row[:] = [i for i in row if i not in late] if order == "drop" else sorted(row, key=lambda i: stamps[i])
        for k in range(len(row) - 1):
            if stamps[row[k]] == stamps[row[k + 1]]:
                found["duplicates"].append(row[k] if duplicates == "last" else row[k + 1])
    found["duplicates"].sort()
    if found["duplicates"] and duplicates == "raise":
        return "duplicates", found
    if duplicates in ("first", "last"):
        rows = [[i for i in row if i not in found["duplicates"]] for row in rows]
    return rows, found


def spacing(times, rows, max_gap):
    """Median step of cleaned rows, median distance from it, largest step, and what lies after a gap."""
    steps = [(int(times[j]) - int(times[i]) if times.dtype.kind == "i" else float(times[j]) - float(times[i]), j)
             for row in rows for i, j in pairwise(row)]  # fmt: skip
    steps = [(step, j) for step, j in steps if step > 0]
    if not steps:
        return None, None, None, []
    plain = sorted(step for step, _ in steps)
    period = plain[(len(plain) - 1) // 2]
    off = sorted(abs(step - period) for step in plain)
    limit = 10 * period if max_gap is None else max_gap
    return period, off[(len(off) - 1) // 2], plain[-1], sorted(j for step, j in steps if step > limit)
