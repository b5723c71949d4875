"""Writes robocache/cli/answers.json, which `robocache selftest` compares with, without using RoboCache.

    python tests/make_selftest_answers.py [PATH]

Everything is worked out in whole numbers and fractions from the definitions; float answers are rounded once, last.
Inputs are binary fractions, so that what is stored is what is meant.
"""

import json
import math
import sys
from fractions import Fraction
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "robocache" / "cli" / "answers.json"
EPOCH = 1_767_225_600 * 10**9
NO_AGE = -(2**63)  # NaT: a number stands there, no sample
ROUNDING = {"float32": 2.0**-22, "float64": 2.0**-51}  # relative to the largest value: a few roundings of each type


def array(dtype, nested):
    """Stored array; None stands for NaN."""
    shape, flat = [], nested
    while isinstance(flat, list):
        shape.append(len(flat))
        flat = flat[0] if flat else None
    flat = nested
    for _ in shape[1:]:
        flat = [item for row in flat for item in row]
    kind = {"f": float, "b": bool, "i": int}[dtype[0]]
    flat = [None if item is None else kind(item) for item in flat]
    return {"dtype": dtype, "shape": shape, "data": flat}


# ---- time ---------------------------------------------------------------------------------------------------------


def one(values, times, target, method, outside=None, tolerance=None, max_gap=None):
    """Value (list of fractions, or None for NaN), validity and age at one target; ``outside`` None holds the end."""
    width = len(values[0])
    before = [i for i, t in enumerate(times) if t <= target]
    after = [i for i, t in enumerate(times) if t >= target]
    if not before or not after:
        end = before[-1] if before else 0
        held = [Fraction(v) for v in values[end]] if outside is None else [outside] * width
        return held, False, target - times[end] if outside is None else NO_AGE
    left, right = before[-1], after[0]
    if times[left] == target:  # the last of equal stamps; the first for "next"
        used = right if method == "next" else left
        return [Fraction(v) for v in values[used]], True, 0
    bracket = times[right] - times[left]
    near = min(target - times[left], times[right] - target)
    if method == "linear":
        weight = Fraction(target - times[left], bracket)
        mixed = [a + weight * (b - a) for a, b in zip(map(Fraction, values[left]), map(Fraction, values[right]))]
        age, apart = target - times[left], near
    else:
        later = method == "next" or (method == "nearest" and times[right] - target < target - times[left])
        used = right if later else left
        mixed, age = [Fraction(v) for v in values[used]], target - times[used]
        apart = abs(age)
    valid = (max_gap is None or bracket <= max_gap) and (tolerance is None or apart <= tolerance)
    return mixed, valid, age


def rows(values, times, targets, method, lengths=None, **options):
    """Values, validity and age of a batch as nested lists."""
    out = []
    for b, (v, t, q) in enumerate(zip(values, times, targets)):
        n = len(t) if lengths is None else lengths[b]
        out.append([one(v[:n], t[:n], target, method, **options) for target in q])
    return tuple([[cell[part] for cell in row] for row in out] for part in range(3))


def resample_case(name, dtype, values, times, targets, method, lengths=None, outside=None, **options):
    got, valid, age = rows(values, times, targets, method, lengths, outside=outside, **options)
    arrays = {
        "values": array(dtype, values),
        "source_times": array("int64", times),
        "target_times": array("int64", targets),
    }
    if lengths is not None:
        arrays["lengths"] = array("int64", lengths)
    extra = {} if outside is None else {"outside": outside}
    return {
        "name": name,
        "op": "resample_trajectories",
        "arrays": arrays,
        "options": {"method": method, "return_valid": True, "return_age": True, **extra, **options},
        "expected": {"values": array(dtype, got), "valid": array("bool", valid), "age": array("int64", age)},
        "tolerance": {"values": tolerance(dtype, got) if method == "linear" else 0.0},
    }


def tolerance(dtype, nested):
    stored = array(dtype, nested)["data"]
    return ROUNDING[dtype] * max(1.0, *(abs(v) for v in stored if v is not None))


def resample_cases():
    ms = 10**6
    times = [EPOCH + t * ms for t in (0, 10, 20, 20, 35, 50)]
    values = [[[0, 64.0], [1, -32.0], [3, 8.0], [5, 8.5], [9, 0.25], [-7, 1.0]]]
    twice = [[*values[0]], [[v[1], v[0] * 0.5] for v in values[0]]]
    grids = [
        [EPOCH + t for t in (-5 * ms, 0, 1, 3 * ms + 1, 5 * ms, 10 * ms, 20 * ms, 27_500_000, 50 * ms, 51 * ms)]
    ] * 2
    cases = [
        resample_case(f"{method} {dtype}", dtype, twice, [times] * 2, grids, method)
        for method in ("linear", "nearest", "previous", "next")
        for dtype in ("float32", "float64")
    ]
    whole = [[[int(v[0]), 2**40 + i] for i, v in enumerate(values[0])]]
    cases.append(resample_case("previous int64", "int64", whole, [times], grids[:1], "previous"))
    flags = [[[i % 2 == 0] for i in range(6)]]
    cases.append(resample_case("next bool", "bool", flags, [times], grids[:1], "next"))
    cases.append(resample_case("fill outside", "float32", twice, [times] * 2, grids, "linear", outside=-1.5))
    cases.append(resample_case("ragged rows", "float32", twice, [times] * 2, grids, "linear", lengths=[6, 2]))
    cases.append(resample_case("max_gap", "float32", twice, [times] * 2, grids, "linear", max_gap=10 * ms))
    cases.append(resample_case("tolerance", "float32", twice, [times] * 2, grids, "nearest", tolerance=3 * ms))
    return cases


def fuse_case():
    """Two streams on two clocks: one late by 4 ms, one with a hole."""
    ms = 10**6
    targets = [EPOCH + t * ms for t in (0, 8, 16, 24, 32, 40)]
    streams = {
        "joints": (
            [[float(i), i * i / 4] for i in range(5)],
            [0, 10, 20, 30, 40],
            {"latency": 4 * ms, "method": "linear"},
        ),
        "camera": ([[2.0**i] for i in range(4)], [-2, 12, 33, 45], {"method": "previous", "tolerance": 12 * ms}),
        "force": ([[-1.0], [3.0], [4.5]], [0, 10, 40], {"method": "linear", "max_gap": 15 * ms}),
    }
    columns, stored = [], {}
    for name, (values, at, options) in streams.items():
        times = [EPOCH + t * ms for t in at]
        late = options.get("latency", 0)
        limits = {key: options[key] for key in ("tolerance", "max_gap") if key in options}
        columns.append([one(values, [t - late for t in times], q, options["method"], **limits) for q in targets])
        stored[name] = {"values": array("float32", values), "times": array("int64", times), "options": options}
    wide = [[v for column in columns for v in column[t][0]] for t in range(len(targets))]
    return {
        "name": "three streams, latency, hole",
        "op": "fuse_multimodal",
        "streams": stored,
        "arrays": {"target_times": array("int64", targets)},
        "options": {},
        "expected": {
            "values": array("float32", wide),
            "valid": array("bool", [[column[t][1] for column in columns] for t in range(len(targets))]),
            "age": array("int64", [[column[t][2] for column in columns] for t in range(len(targets))]),
            "times": array("int64", targets),
        },
        "tolerance": {"values": tolerance("float32", wide)},
    }


# ---- space --------------------------------------------------------------------------------------------------------

# On edges, inside, below zero, far off, and NaN.
POINTS = [
    [0.0, 0.0, 0.0], [0.25, 0.125, 0.5], [0.5, 0.0, 0.0], [0.499755859375, 0.25, 0.0], [-0.001953125, 0.0, 0.0],
    [1.0, 1.0, 0.75], [1.25, 1.125, 0.9375], [-1.0, 0.5, 0.25], [0.0, 0.0, 0.0], [1.9990234375, 1.5, 0.5],
    [2.0, 0.0, 0.0], [64.0, -32.0, 8.0], [None, 0.0, 0.0],
]  # fmt: skip
WEIGHTS = [[float((i * 7) % 5) - 6.0, i / 4] for i in range(len(POINTS))]
SIZE = Fraction(1, 2)


def cell(point, origin=(0, 0, 0)):
    if any(p is None for p in point):
        return None
    return tuple(math.floor((Fraction(p) - Fraction(o)) / SIZE) for p, o in zip(point, origin))


def reduced(which, members):
    """One reduction over the feature rows of a cell."""
    parts = [[Fraction(v) for v in column] for column in zip(*members)]
    if which == "mean":
        return [sum(column) / len(column) for column in parts]
    return [{"sum": sum, "max": max, "min": min}[which](column) for column in parts]


def set_case(which, dtype):
    cells = [cell(p) for p in POINTS]
    order = sorted({c for c in cells if c is not None})
    members = {c: [WEIGHTS[i] for i, other in enumerate(cells) if other == c] for c in order}
    features = [reduced(which, members[c]) for c in order]
    return {
        "name": f"set of voxels, {which} {dtype}",
        "op": "voxelize",
        "arrays": {"points": array(dtype, POINTS), "features": array(dtype, WEIGHTS)},
        "options": {"voxel_size": float(SIZE), "reduce": which},
        "expected": {
            "coords": array("int32", [list(c) for c in order]),
            "features": array(dtype, features),
            "counts": array("int32", [len(members[c]) for c in order]),
            "inverse": array("int64", [-1 if c is None else order.index(c) for c in cells]),
            "offsets": array("int64", [0, len(order)]),
        },
        "tolerance": {"features": tolerance(dtype, features)},
    }


def grid_case(which, features=None):
    lower, shape = (-1, 0, 0), (6, 4, 2)  # bounds (-1, 0, 0) to (2, 2, 1)
    cells = [cell(p, lower) for p in POINTS]
    fill = -64.0 if features else 0

    def content(*at):
        members = [i for i, c in enumerate(cells) if c == at]
        if which == "occupancy":
            return bool(members)
        if which == "count":
            return len(members)
        return reduced(which, [features[i] for i in members]) if members else [fill, fill]

    nested = [[[content(x, y, z) for z in range(shape[2])] for y in range(shape[1])] for x in range(shape[0])]
    arrays = {"points": array("float32", POINTS)}
    options = {"bounds": [list(lower), [2, 2, 1]], "voxel_size": float(SIZE), "reduce": which}
    if features:
        arrays["features"] = array("float32", features)
        options["fill"] = fill
    dtype = {"occupancy": "bool", "count": "int32"}.get(which, "float32")
    return {
        "name": f"grid, {which}",
        "op": "voxel_grid",
        "arrays": arrays,
        "options": options,
        "expected": {"grid": array(dtype, nested)},
        "tolerance": {"grid": tolerance("float32", nested) if features else 0.0},
    }


def answers():
    """All cases."""
    sets = [set_case(which, dtype) for which in ("mean", "sum", "min", "max") for dtype in ("float32", "float64")]
    grids = [grid_case("occupancy"), grid_case("count"), *(grid_case(w, WEIGHTS) for w in ("mean", "sum", "max"))]
    about = "Written by tests/make_selftest_answers.py from whole numbers and fractions; null is NaN."
    return {"about": about, "cases": [*resample_cases(), fuse_case(), *sets, *grids]}


def text():
    """The file's content: one case a line."""
    found = answers()
    cases = ",\n".join(json.dumps(case, allow_nan=False) for case in found["cases"])
    return f'{{"about": {json.dumps(found["about"])},\n"cases": [\n{cases}\n]}}\n'


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else TARGET).write_text(text(), "utf-8")
