"""Conversions of rotations against SciPy: every pair of forms, type, layout in memory and convention."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from ops.rotation_cases import FLOATS, ORDERS, PAIRS, SHAPES, conventions, conversions, flat, off, rows_of, turns
from oracles import rotations as oracle
from scipy.spatial.transform import Rotation

from robocache import rotations

XYZ = {"quat_order": "xyzw", "layout": "rows", "order": "xyz"}


def call(backend: Any, name: str, *arrays: np.ndarray, how: dict[str, Any] = XYZ, **more: Any) -> np.ndarray:
    got = getattr(rotations, name)(*map(backend.to, arrays), **conventions(name, how), **more)
    return backend.np(got)


def judged(source: str, target: str, rows: np.ndarray, got: np.ndarray, how: dict[str, Any]) -> None:
    given = flat(rows, source)
    if not len(given):
        return
    exact = oracle.convert(source, target, given, how)
    allowed = np.ones(len(given))
    if source in ("rotvec", "euler"):
        allowed = np.maximum(1, np.abs(given).max(1))
    if source == "matrix":
        allowed += tolerances.MATRIX_EPS / tolerances.ROTATION_EPS[rows.dtype.name]
    wrong = off(target, got, exact, rows.dtype, how)
    with np.errstate(invalid="ignore"):
        assert not (wrong > allowed).any(), (wrong, given[wrong > allowed], got.reshape(exact.shape)[wrong > allowed])
    if target == "quat":
        w = flat(got, "quat")[:, 3 if how["quat_order"] == "xyzw" else 0]
        assert not (w < 0).any()
        assert not np.signbit(w[w == 0]).any()


@given(case=conversions())
def test_every_conversion(backend: Any, case: Any) -> None:
    source, target, rows, how = case
    name = f"{source}_to_{target}"
    if name == "matrix_to_rot6d":
        got = call(backend, name, rows, how=how)
        picked = rows if how["layout"] == "rows" else np.swapaxes(rows, -1, -2)
        assert tolerances.same_bits(got, picked[..., :2, :].reshape(got.shape))
        return
    for _ in range(2):  # the second call skips its checks
        got = call(backend, name, rows, how=how)
        assert got.dtype == rows.dtype
        assert got.shape == (*rows.shape[: rows.ndim - len(SHAPES[source])], *SHAPES[target])
        judged(source, target, rows, got, how)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("source, target", PAIRS)
def test_many_rows_span_blocks_and_shares(
    backend: Any, monkeypatch: pytest.MonkeyPatch, source: str, target: str, dtype: np.dtype
) -> None:
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    rng, how = np.random.default_rng(len(source) + len(target)), XYZ | {"order": "ZXZ"}
    base = rows_of(rng, source, 1999, dtype, how)
    copies = 15 if backend.name == "cpu" else 2
    rows = backend.to(np.concatenate([base] * copies))[1:]  # begins at no multiple of 16 bytes
    name = f"{source}_to_{target}"
    got = backend.np(getattr(rotations, name)(rows, **conventions(name, how)))
    one = call(backend, name, base, how=how)
    judged(source, target, base, one, how)
    again = np.concatenate([one] * copies)[1:]
    assert tolerances.same_bits(got, again)  # where a row lies does not matter


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", FLOATS[2:], ids=str)
def test_angles_are_those_of_scipy(backend: Any, order: str, dtype: np.dtype) -> None:
    how = XYZ | {"order": order}
    quats = turns(np.random.default_rng(7), 400).astype(dtype)
    exact = oracle.angles(Rotation.from_quat(quats.astype(np.float64)), order)
    middle = exact[:, 1] if order[0] == order[2] else exact[:, 1] + np.pi / 2
    near = np.minimum(middle, np.pi - middle)
    free = near > 1e-3
    got = call(backend, "quat_to_euler", quats, how=how).astype(np.float64)
    wrong = np.abs(np.angle(np.exp(1j * (got - exact))))[free] * near[free, None]
    assert wrong.max() <= tolerances.ROTATION_EPS[dtype.name] * np.finfo(dtype).eps
    assert (np.abs(got) <= np.pi * (1 + 2 * np.finfo(dtype).eps)).all()
    low, high = (0, np.pi) if order[0] == order[2] else (-np.pi / 2, np.pi / 2)
    assert (got[:, 1] >= low - 1e-6).all()
    assert (got[:, 1] <= high + 1e-6).all()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("end", [0, 1])
def test_gimbal_lock_sets_the_third_angle_to_zero(backend: Any, order: str, end: int) -> None:
    middle = np.pi * end if order[0] == order[2] else np.pi * (end - 0.5)
    angles = np.array([[0.3, middle, 0.4], [-2.9, middle, 1.2], [0, middle, 0]])
    for dtype in FLOATS[2:]:
        quats = Rotation.from_euler(order, angles).as_quat().astype(dtype)
        got = call(backend, "quat_to_euler", quats, how=XYZ | {"order": order})
        assert (got[:, 2] == 0).all()
        turn, exact = Rotation.from_euler(order, got.astype(np.float64)), Rotation.from_quat(quats.astype(np.float64))
        assert (turn * exact.inv()).magnitude().max() < 3 * {4: 2e-6, 8: 1e-7}[dtype.itemsize]


@pytest.mark.parametrize("dtype", FLOATS[2:], ids=str)
def test_small_angles_keep_their_digits(backend: Any, dtype: np.dtype) -> None:
    least = {4: -30, 8: -250}[dtype.itemsize]
    small = (np.array([[1.0, -2.0, 3.0]]) * 10.0 ** np.arange(least, -1)[:, None]).astype(dtype)
    quats = call(backend, "rotvec_to_quat", small)
    exact = Rotation.from_rotvec(small.astype(np.float64)).as_quat()
    np.testing.assert_allclose(quats, exact, rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_allclose(call(backend, "quat_to_rotvec", quats), small, rtol=16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_half_turns(backend: Any, dtype: np.dtype) -> None:
    """The trace is -1 there: the largest number of the quaternion is x, y or z."""
    axes = np.array([[1, 0, 0], [0, -1, 0], [0, 0, 1], [-0.6, 0.8, 0], [0, -0.6, -0.8], [1e-4, 0, -1], [3, 4, -5]])
    quats = np.concatenate([axes, np.zeros((len(axes), 1))], 1).astype(dtype)
    got = call(backend, "quat_to_rotvec", quats).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), np.pi, rtol=4 * tolerances.eps(dtype))
    first = np.take_along_axis(got, (np.abs(got) > 0).argmax(1)[:, None], 1)
    assert (first > 0).all()
    exact = Rotation.from_quat(quats.astype(np.float64)).as_matrix()
    back = call(backend, "matrix_to_quat", exact.astype(dtype))
    assert (off("quat", back, quats.astype(np.float64) / np.linalg.norm(quats.astype(np.float64), axis=1)[:, None],
                dtype, XYZ) < 20).all()  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_turns_of_a_cube_come_back_as_they_went(backend: Any, dtype: np.dtype) -> None:
    cube = Rotation.create_group("O").as_matrix().round().astype(dtype)
    cube += np.zeros((), dtype)  # no negative zeros
    quats = call(backend, "matrix_to_quat", cube)
    again = call(backend, "quat_to_matrix", quats).astype(np.float64)
    assert np.abs(again - cube.astype(np.float64)).max() <= 4 * tolerances.eps(dtype)
    for layout in ("rows", "columns"):
        how = XYZ | {"layout": layout}
        six = call(backend, "matrix_to_rot6d", cube, how=how)
        assert tolerances.same_bits(call(backend, "rot6d_to_matrix", six, how=how) + np.zeros((), dtype), cube)


def test_layouts_are_what_their_users_say(backend: Any) -> None:
    matrix = np.arange(9.0).reshape(3, 3)
    rows, columns = (call(backend, "matrix_to_rot6d", matrix, how=XYZ | {"layout": n}) for n in ("rows", "columns"))
    assert rows.tolist() == [*matrix[0], *matrix[1]]
    assert columns.tolist() == [*matrix[:, 0], *matrix[:, 1]]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_vectors_that_span_no_plane(backend: Any, dtype: np.dtype) -> None:
    a = np.array([[1.0, 2, 3], [0.1, -0.7, 0.3], [0, 0, 0], [1, 0, 0], [np.nan, 0, 1], [1, 0, 0]]).astype(dtype)
    b = np.concatenate([(a[:2] * dtype.type(-2)), np.eye(3, dtype=dtype)[:1], np.zeros((1, 3), dtype), a[:1], a[:1]])
    b[5, 1] = np.inf
    got = call(backend, "rot6d_to_matrix", np.concatenate([a, b.astype(dtype)], 1))
    assert np.isnan(got.astype(np.float64)).all()
    assert np.isnan(call(backend, "rot6d_to_quat", np.concatenate([a, b], 1)).astype(np.float64)).all()


@pytest.mark.parametrize("dtype", FLOATS[2:], ids=str)
@pytest.mark.parametrize("angle", [1e-1, 1e-3, 1e-5])
def test_nearly_parallel_vectors_still_give_a_rotation(backend: Any, dtype: np.dtype, angle: float) -> None:
    rng = np.random.default_rng(5)
    turn = Rotation.from_quat(turns(rng, 200)).as_matrix()
    six = np.concatenate([turn[:, 0], np.cos(angle) * turn[:, 0] + np.sin(angle) * turn[:, 1]], 1).astype(dtype)
    got = call(backend, "rot6d_to_matrix", six).astype(np.float64)
    limit = tolerances.ROTATION_EPS[dtype.name] * np.finfo(dtype).eps
    assert np.abs(got @ np.swapaxes(got, 1, 2) - np.eye(3)).max() <= limit
    assert np.abs(got - turn).max() <= limit / angle
