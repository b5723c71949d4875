"""Products, inverses, signs, steps and poses against SciPy, with broadcast and strided arguments."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from ops.rotation_cases import FLOATS, LEADS, conventions, off, rows_of, turns
from oracles import rotations as oracle
from scipy.spatial.transform import Rotation
from strategies import LAYOUTS, arranged, generators

from robocache import rotations

ORDERS = ("xyzw", "wxyz")
PLAIN = {"quat_order": "xyzw", "layout": "rows", "order": "xyz"}


def call(backend: Any, name: str, *arrays: Any, order: str = "xyzw", **more: Any) -> np.ndarray:
    how = {} if name == "slerp" else {"quat_order": order}
    return backend.np(getattr(rotations, name)(*map(backend.to, arrays), **how, **more))


def eps_of(dtype: np.dtype) -> float:
    return tolerances.ROTATION_EPS[dtype.name] * tolerances.eps(dtype)


def poses_off(got: np.ndarray, exact: np.ndarray, reach: np.ndarray, dtype: np.dtype, order: str) -> float:
    """How far poses are off, in what they may be; ``reach`` is the size of the positions that they are made of."""
    got, exact = got.astype(np.float64).reshape(-1, 7), exact.reshape(-1, 7)
    place = np.abs(got[:, :3] - exact[:, :3]).max(1) / np.maximum(1, reach) / eps_of(dtype)
    quat = off("quat", oracle.scalar_last(got[:, 3:], order), exact[:, 3:], dtype, PLAIN)
    return float(np.maximum(place, quat).max(initial=0))


@st.composite
def pairs(draw: Any, form: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Two arrays of rows that broadcast together, in some layout."""
    rng, order, dtype = draw(generators()), draw(st.sampled_from(ORDERS)), draw(st.sampled_from(FLOATS))
    lead = draw(st.sampled_from([*LEADS, (2, 3, 2, 2, 2)]))
    made = []
    for _ in range(2):
        own = tuple(1 if rng.random() < 0.4 else n for n in lead)
        own = own[rng.integers(0, len(own) + 1) :] if rng.random() < 0.3 else own
        rows = rows_of(rng, form, int(np.prod(own)), dtype, {"quat_order": order})
        rows = rows.reshape(*own, rows.shape[-1])
        layouts = LAYOUTS if rows.ndim > 1 and rows.size else ("contiguous",)
        made.append(arranged(rows, draw(st.sampled_from(layouts))))
    return made[0], made[1], order


def both(a: np.ndarray, b: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Broadcast, float64, flat, scalar last."""
    lead = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    flat = []
    for rows in (a, b):
        wide = np.broadcast_to(rows.astype(np.float64), (*lead, rows.shape[-1])).reshape(-1, rows.shape[-1])
        flat.append(np.concatenate([wide[:, :-4], oracle.scalar_last(wide[:, -4:], order)], 1))
    return flat[0], flat[1], lead


@given(case=pairs("quat"))
def test_products(backend: Any, case: Any) -> None:
    left, right, order = case
    a, b, lead = both(left, right, order)
    for _ in range(2):
        got = call(backend, "multiply_quats", left, right, order=order)
        assert got.shape == (*lead, 4)
        if len(a):
            exact = (Rotation.from_quat(a) * Rotation.from_quat(b)).as_quat()
            found = oracle.scalar_last(got.astype(np.float64).reshape(-1, 4), order)
            assert off("quat", found, exact, left.dtype, PLAIN).max() <= 1
            assert (np.abs(found - product(a, b)) <= 2 * eps_of(left.dtype)).all()  # its own sign, not SciPy's


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of quaternions, by the definition."""
    a, b = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (a, b))
    vector = a[:, 3:] * b[:, :3] + b[:, 3:] * a[:, :3] + np.cross(a[:, :3], b[:, :3])
    return np.concatenate([vector, a[:, 3:] * b[:, 3:] - (a[:, :3] * b[:, :3]).sum(1, keepdims=True)], 1)


@given(case=pairs("pose"))
def test_relative_and_composed_poses(backend: Any, case: Any) -> None:
    pose, base, order = case
    a, b, lead = both(pose, base, order)
    reach = np.maximum(np.abs(a[:, :3]).max(1, initial=0), np.abs(b[:, :3]).max(1, initial=0))
    for name, first, second, exact in (
        ("relative_pose", pose, base, [oracle.relative(p, q) for p, q in zip(a, b)]),
        ("compose_poses", base, pose, [oracle.compose(q, p) for p, q in zip(a, b)]),
    ):
        got = call(backend, name, first, second, order=order)
        assert got.shape == (*lead, 7)
        assert got.dtype == pose.dtype
        if len(a):
            assert poses_off(got, np.array(exact), 2 * reach, pose.dtype, order) <= 1


@given(case=pairs("pose"))
def test_a_relative_pose_composed_again_is_the_pose(backend: Any, case: Any) -> None:
    pose, base, order = case
    a, b, _lead = both(pose, base, order)
    if not len(a):
        return
    moved = backend.to(call(backend, "relative_pose", pose, base, order=order))
    got = backend.np(rotations.compose_poses(backend.to(base), moved, quat_order=order))
    a[:, 3:] /= np.linalg.norm(a[:, 3:], axis=1, keepdims=True)
    reach = np.maximum(np.abs(a[:, :3]).max(1), np.abs(b[:, :3]).max(1))
    assert poses_off(got, a, 4 * reach, pose.dtype, order) <= 4  # twice, of twice the size


def test_a_chunk_against_where_it_began(backend: Any) -> None:
    chunk = rows_of(np.random.default_rng(0), "pose", 60, FLOATS[2], PLAIN).reshape(3, 20, 7)
    got = call(backend, "relative_pose", chunk, chunk[:, :1])
    assert np.abs(got[:, 0] - [0, 0, 0, 0, 0, 0, 1]).max() < 1e-6
    each = np.stack([call(backend, "relative_pose", rows, rows[0]) for rows in chunk])
    assert tolerances.same_bits(got, each)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_inverses(backend: Any, dtype: np.dtype, order: str) -> None:
    quats = rows_of(np.random.default_rng(1), "quat", 100, dtype, {"quat_order": order})
    got = oracle.scalar_last(call(backend, "invert_quat", quats, order=order).astype(np.float64), order)
    unit = oracle.scalar_last(quats.astype(np.float64), order)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    assert np.abs(got - unit * [-1, -1, -1, 1]).max() <= eps_of(dtype)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_canonical_signs(backend: Any, dtype: np.dtype, order: str) -> None:
    axis = [-2.0, -0.0, 0.0, 3.0, np.nan, -np.inf]
    quats = np.stack(np.meshgrid(axis, axis, axis, axis, indexing="ij"), -1).reshape(-1, 4)
    got = call(backend, "canonical_quat", oracle.in_order(quats, order).astype(dtype), order=order)
    for given_, found in zip(quats, oracle.scalar_last(got.astype(np.float64), order)):
        flip = False
        for number in (given_[3], *given_[:3]):
            if number != 0:
                flip = number < 0
                break
        want = -given_ if flip else given_
        assert all(x == y or (x != x and y != y) for x, y in zip(found, want)), (given_, found)
        assert not np.signbit(found[found == 0]).any()
    again = call(backend, "canonical_quat", got, order=order)
    assert tolerances.same_bits(again, got)
    assert tolerances.same_bits(call(backend, "canonical_quat", -got + np.zeros((), dtype), order=order)[~np.isnan(
        got.astype(np.float64)).any(1)], got[~np.isnan(got.astype(np.float64)).any(1)])  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_steps_between_quaternions(backend: Any, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    a, b = (rows_of(rng, "quat", 300, dtype, PLAIN) for _ in range(2))
    b[:50] = (a[:50].astype(np.float64) + 10.0 ** rng.uniform(-9, -2, (50, 1))).astype(dtype)  # near
    b[50:60], b[60:70] = a[50:60], -a[60:70]
    weight = np.concatenate([rng.random(250), [0, 1] * 10, rng.uniform(-1, 2, 30)]).astype(dtype)
    used, wide = weight.astype(np.float64), (a.astype(np.float64), b.astype(np.float64))
    unit = [q / np.linalg.norm(q, axis=1, keepdims=True) for q in wide]
    angle = 2 * np.arccos(np.minimum(1, np.abs((unit[0] * unit[1]).sum(1))))
    free = angle < np.pi - 0.1  # at half a turn both ways are right
    exact = np.array([oracle.step(p, q, w) for p, q, w in zip(*wide, used)])
    got = call(backend, "slerp", a, b, weight)
    assert off("quat", got, exact, dtype, PLAIN)[free].max() <= 1
    assert (np.abs(np.linalg.norm(got.astype(np.float64), axis=1) - 1) <= 2 * eps_of(dtype)).all()
    fine = weight.astype(np.float64 if dtype == np.float64 else np.float32)
    assert tolerances.same_bits(call(backend, "slerp", a, b, fine), got)
    for number in (0.0, 0.25, 1, np.float32(0.5)):
        one = call(backend, "slerp", a, b, np.full((), number, fine.dtype))
        assert tolerances.same_bits(backend.np(rotations.slerp(backend.to(a), backend.to(b), number)), one)
    grid = call(backend, "slerp", a[:7, None], b[:7, None], weight[:5])
    for k in range(5):
        assert tolerances.same_bits(grid[:, k], call(backend, "slerp", a[:7], b[:7], np.full(7, weight[k])))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_shorter_way_and_half_turns(backend: Any, dtype: np.dtype) -> None:
    one, half = np.eye(4, dtype=dtype)[3], np.eye(4, dtype=dtype)[:3]
    middle = call(backend, "slerp", one, np.concatenate([half, -half]), np.full(6, 0.5, dtype)).astype(np.float64)
    root = np.sqrt(0.5)
    assert np.abs(middle - np.concatenate([half * root, -half * root]) - one * root).max() <= eps_of(dtype)
    far = np.array([0.2, 0, 0, -0.98]).astype(dtype)
    near = call(backend, "slerp", one, far, np.full((), 0.5, dtype)).astype(np.float64)
    assert near[3] > 0.9
    assert near[0] < 0
    ends = call(backend, "slerp", one, -one, np.array([0, 0.3, 1]).astype(dtype))
    assert (ends == one).all()


@pytest.mark.parametrize("name", ["multiply_quats", "slerp", "relative_pose", "compose_poses"])
def test_a_bad_row_touches_no_other(backend: Any, name: str) -> None:
    form = "pose" if "pose" in name else "quat"
    for dtype in FLOATS:
        a, b = (rows_of(np.random.default_rng(s), form, 70, dtype, PLAIN) for s in (1, 2))
        weight = [np.linspace(0, 1, 70).astype(dtype)] if name == "slerp" else []
        clean = call(backend, name, a, b, *weight)
        for bad in (0, np.nan, np.inf):
            a[11, -4:] = 0
            a[33, -1] = b[40, -2] = bad if bad else np.nan
            got = call(backend, name, a, b, *weight)
            rows = [11, 33, 40]
            assert np.isnan(got[rows, -4:].astype(np.float64)).all()
            keep = np.setdiff1d(np.arange(70), rows)
            assert tolerances.same_bits(got[keep], clean[keep])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_lengths_from_the_smallest_to_the_largest(backend: Any, dtype: np.dtype) -> None:
    quats = turns(np.random.default_rng(4), 9)
    low, high = {"float16": (-3, 4), "float64": (-300, 307)}.get(dtype.name, (-34, 37))  # a GPU takes subnormals for 0
    exact = Rotation.from_quat(quats).as_matrix()
    for power in range(low, high + 1, max(1, (high - low) // 40)):
        rows = (quats * 10.0**power).astype(dtype)
        got = call(backend, "quat_to_matrix", rows).astype(np.float64)
        rounding = (1e-3 if power < -2 else 0) + 8 * tolerances.eps(dtype) if dtype == np.float16 else 8 * eps_of(dtype)
        assert np.abs(got - exact).max() <= eps_of(dtype) + rounding, power
    nothing = np.zeros((2, 4), dtype)
    nothing[1] = -nothing[1]
    assert np.isnan(call(backend, "quat_to_matrix", nothing).astype(np.float64)).all()
    assert (call(backend, "canonical_quat", nothing) == 0).all()


def test_conventions_agree(backend: Any) -> None:
    quats = turns(np.random.default_rng(6), 20)
    for name in ("quat_to_matrix", "quat_to_rotvec", "quat_to_euler", "quat_to_rot6d", "invert_quat", "canonical_quat"):
        how = conventions(name, PLAIN)
        a = backend.np(getattr(rotations, name)(backend.to(quats), **how))
        b = backend.np(getattr(rotations, name)(backend.to(np.roll(quats, 1, -1)), **(how | {"quat_order": "wxyz"})))
        assert tolerances.same_bits(a, np.roll(b, -1, -1) if a.shape[-1] == 4 else b)
