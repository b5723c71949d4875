"""Rows of rotations in every form, with the turns that formulas stumble over, and how far answers are off."""

from typing import Any

import numpy as np
import tolerances
from hypothesis import strategies as st
from oracles import rotations as oracle
from scipy.spatial.transform import Rotation
from strategies import FLOATS, LAYOUTS, arranged, generators

from robocache import rotations

SHAPES = {"quat": (4,), "matrix": (3, 3), "rotvec": (3,), "rot6d": (6,), "euler": (3,), "pose": (7,)}
PAIRS = [tuple(name.split("_to_")) for name in rotations.__all__ if "_to_" in name]
ORDERS = [a + b + c for a in "xyz" for b in "xyz" for c in "xyz" if a != b != c]
ORDERS += [order.upper() for order in ORDERS]
LEADS = ((), (0,), (1,), (7,), (33,), (3, 1), (2, 5), (2, 3, 4), (1, 2, 1, 3), (2, 0, 3))


def turns(rng: np.random.Generator, count: int) -> np.ndarray:
    """Unit quaternions x, y, z, w: any, none at all, small ones, half turns and nearly so, quarter turns about axes."""
    quats = rng.standard_normal((count, 4))
    kind = rng.integers(0, 8, count)
    quats[kind == 0] = [0, 0, 0, 1]
    quats[kind == 1, :3] *= 10.0 ** rng.integers(-9, -1)
    quats[kind == 2, 3] = 0
    quats[kind == 3, 3] *= 1e-6
    axes = np.eye(4)[rng.integers(0, 3, count)]
    quats[kind == 4] = (axes + np.eye(4)[3])[kind == 4]
    quats[kind == 5] = axes[kind == 5]
    return quats / np.linalg.norm(quats, axis=1, keepdims=True)


def rows_of(rng: np.random.Generator, form: str, count: int, dtype: np.dtype, how: dict[str, Any]) -> np.ndarray:
    """Rows of a form, rounded to a type; quaternions and 6D vectors of any length, some angles beyond a turn."""
    if form == "pose":
        place = rng.standard_normal((count, 3)) * 10.0 ** rng.integers(-2, 3)
        return np.concatenate([place.astype(dtype), rows_of(rng, "quat", count, dtype, how)], 1)
    quats = turns(rng, count)
    if not count:
        return np.zeros((0, *SHAPES[form]), dtype)
    if form == "euler":
        rows = rng.uniform(-4, 4, (count, 3))
        rows[:, 1][rng.random(count) < 0.2] = rng.choice([0, np.pi / 2, -np.pi / 2])
        return rows.astype(dtype)
    rows = oracle.form_of(form, Rotation.from_quat(quats), how)
    if form in ("quat", "rot6d"):
        rows = rows * 10.0 ** rng.uniform(-1.5, 1.5, (count, 1)) * rng.choice([-1, 1], (count, 1))
    if form == "rotvec":
        rows *= rng.choice([1.0, 1.0, 3.0], (count, 1))
    return rows.astype(dtype)


def conventions(name: str, how: dict[str, Any]) -> dict[str, Any]:
    """Those that an operation takes."""
    wanted = {"quat_order": "quat" in name or "pose" in name, "layout": "rot6d" in name, "order": "euler" in name}
    return {key: value for key, value in how.items() if wanted[key]}


@st.composite
def how(draw: Any) -> dict[str, Any]:
    return {
        "quat_order": draw(st.sampled_from(("xyzw", "wxyz"))),
        "layout": draw(st.sampled_from(("rows", "columns"))),
        "order": draw(st.sampled_from(ORDERS)),
    }


@st.composite
def conversions(draw: Any) -> tuple[str, str, np.ndarray, dict[str, Any]]:
    """Source, target, rows in some layout, conventions."""
    rng, chosen = draw(generators()), draw(how())
    (source, target), lead = draw(st.sampled_from(PAIRS)), draw(st.sampled_from(LEADS))
    rows = rows_of(rng, source, int(np.prod(lead)), draw(st.sampled_from(FLOATS)), chosen)
    if len(rows) and draw(st.booleans()):
        rows.reshape(len(rows), -1)[rng.integers(0, len(rows))] = draw(st.sampled_from((0, np.nan, np.inf)))
    rows = rows.reshape(*lead, *SHAPES[source])
    layouts = LAYOUTS if rows.ndim > 1 and rows.size else ("contiguous",)
    return source, target, arranged(rows, draw(st.sampled_from(layouts))), chosen


def flat(array: np.ndarray, form: str) -> np.ndarray:
    return np.asarray(array, np.float64).reshape(-1, *SHAPES[form])


def off(target: str, got: np.ndarray, exact: np.ndarray, dtype: np.dtype, chosen: dict[str, Any]) -> np.ndarray:
    """How far rows of an answer are off, in what they may be (1 is the limit); NaN where it must be is 0, else inf."""
    got, exact = flat(got, target), flat(exact, target)
    missing = np.isnan(exact.reshape(len(exact), -1)).all(1)
    right = np.isnan(got.reshape(len(got), -1)).all(1) == missing
    a, b = np.where(np.isnan(got), 0, got), np.where(np.isnan(exact), 0, exact)
    if target == "euler":
        size = 6.0  # three angles, each up to 4 and rounded
        a, b = (Rotation.from_euler(chosen["order"], rows).as_matrix() for rows in (a, b))
    else:
        size = np.maximum(np.abs(b), 1)
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    size = size.reshape(b.shape) if isinstance(size, np.ndarray) else size
    wrong = (np.abs(a - b) / size).max(1, initial=0)
    half_turn = np.linalg.norm(b, axis=1) > np.pi - 0.05
    if target in {"quat", "rotvec"}:
        other = (np.abs(a + b) / size).max(1, initial=0)
        wrong = np.where((target == "quat") | half_turn, np.minimum(wrong, other), wrong)
    return np.where(right, wrong / (tolerances.ROTATION_EPS[dtype.name] * tolerances.eps(dtype)), np.inf)
