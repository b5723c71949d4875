"""How operations on rotations are called: what is refused, outputs, strides, frameworks, repeated calls."""

import re
import threading
from typing import Any

import numpy as np
import pytest
import tolerances
from ops.rotation_cases import FLOATS, PAIRS, SHAPES, conventions, rows_of
from strategies import LAYOUTS, arranged

import robocache as rc
from robocache import rotations
from robocache._core.errors import ArgumentError, DeviceError, DTypeError, ShapeError

HOW = {"quat_order": "xyzw", "layout": "columns", "order": "ZYX"}
ONE = np.array([0.0, 0.0, 0.0, 1.0])
POSE = np.concatenate([np.zeros(3), ONE])

WRONG = [
    (ArgumentError, "quat_order='wxzy'", "quat_to_matrix", (ONE,), {"quat_order": "wxzy"}),
    (ArgumentError, "layout='both'", "quat_to_rot6d", (ONE,), {"layout": "both"}),
    (ArgumentError, "order='xyX'", "quat_to_euler", (ONE,), {"order": "xyX"}),
    (ArgumentError, "order='xxy'", "quat_to_euler", (ONE,), {"order": "xxy"}),
    (ArgumentError, "order='xy'", "euler_to_quat", (np.zeros(3),), {"order": "xy"}),
    (ArgumentError, "order='xyw'", "euler_to_quat", (np.zeros(3),), {"order": "xyw"}),
    (ArgumentError, "order=3", "euler_to_quat", (np.zeros(3),), {"order": 3}),
    (TypeError, "layout", "quat_to_rot6d", (ONE,), {}),
    (TypeError, "order", "quat_to_euler", (ONE,), {}),
    (ShapeError, "quat has shape (3,); expected (..., 4)", "quat_to_matrix", (np.zeros(3),), {}),
    (ShapeError, "quat has shape ()", "quat_to_matrix", (np.zeros(()),), {}),
    (ShapeError, "matrix has shape (9,); expected (..., 3, 3)", "matrix_to_quat", (np.zeros(9),), {}),
    (ShapeError, "matrix has shape (4, 3)", "matrix_to_quat", (np.zeros((4, 3)),), {}),
    (ShapeError, "do not broadcast", "multiply_quats", (np.zeros((2, 4)), np.zeros((3, 4))), {}),
    (ShapeError, "do not broadcast", "slerp", (np.zeros((2, 4)), np.zeros((2, 4)), np.zeros(3)), {}),
    (DTypeError, "quat has dtype int64", "quat_to_matrix", (np.zeros(4, int),), {}),
    (DTypeError, "base has dtype float64 but pose float32", "relative_pose", (POSE.astype(np.float32), POSE), {}),
    (DTypeError, "float16 or float32", "slerp", (*[ONE.astype(np.float16)] * 2, np.zeros(())), {}),
    (ShapeError, "out has shape", "quat_to_rotvec", (ONE,), {"out": np.zeros(4)}),
    (DTypeError, "out has dtype", "quat_to_rotvec", (ONE,), {"out": np.zeros(3, np.float32)}),
    (ArgumentError, "not C-contiguous", "quat_to_rotvec", (ONE,), {"out": np.zeros(6)[::2]}),
]


@pytest.mark.parametrize("error, message, name, arrays, more", WRONG, ids=range(len(WRONG)))
def test_what_is_refused(backend: Any, error: type, message: str, name: str, arrays: Any, more: Any) -> None:
    more = {key: backend.to(value) for key, value in more.items()}
    with pytest.raises(error, match=re.escape(message)) as caught:
        getattr(rotations, name)(*map(backend.to, arrays), **more)
    assert type(caught.value) is error


def test_read_only_and_overlapping_outputs(backend: Any) -> None:
    quats = backend.to(rows_of(np.random.default_rng(0), "quat", 9, FLOATS[2], HOW))
    for _ in range(2):  # a call that looks like an earlier one is refused as well
        fresh = backend.to(np.empty((9, 4), np.float32))
        assert rotations.invert_quat(quats, out=fresh) is fresh
        with pytest.raises(ArgumentError, match="out overlaps quat"):
            rotations.invert_quat(quats, out=quats)
        with pytest.raises(ArgumentError, match="out overlaps right"):
            rotations.multiply_quats(fresh, quats, out=quats)
    if backend.name == "cpu":
        fresh.flags.writeable = False
        with pytest.raises(ArgumentError, match="read-only"):
            rotations.invert_quat(quats, out=fresh)


@pytest.mark.parametrize("name", rotations.__all__)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_outputs_layouts_and_repeats(backend: Any, name: str, dtype: np.dtype) -> None:
    """Whatever the layout, and whether the call is the first of its kind: the same bits."""
    forms = {"slerp": ("quat", "quat"), "multiply_quats": ("quat", "quat"), "compose_poses": ("pose", "pose")}
    forms |= {"relative_pose": ("pose", "pose"), "canonical_quat": ("quat",), "invert_quat": ("quat",)}
    taken = forms.get(name) or (name.split("_to_", maxsplit=1)[0],)
    function, how = getattr(rotations, name), {} if name == "slerp" else conventions(name, HOW)
    more = (0.3,) if name == "slerp" else ()
    rng = np.random.default_rng(len(name))
    arrays = [rows_of(rng, form, 42, dtype, HOW).reshape(6, 7, *SHAPES[form]) for form in taken]
    want = backend.np(function(*map(backend.to, arrays), *more, **how))
    for layout in LAYOUTS:
        given = [arranged(array, layout) for array in arrays]
        expected = want
        if layout == "broadcast":
            expected = backend.np(function(*[backend.to(array.copy()) for array in given], *more, **how))
        native = [backend.to(array) for array in given]
        before = [backend.np(array).copy() for array in native]
        for _ in range(3):
            assert tolerances.same_bits(backend.np(function(*native, *more, **how)), expected), layout
            out = backend.to(np.full_like(expected, 7))
            assert function(*native, *more, **how, out=out) is out
            assert tolerances.same_bits(backend.np(out), expected), layout
        assert all(tolerances.same_bits(backend.np(a), b) for a, b in zip(native, before))


@pytest.mark.parametrize("lead", [(0,), (3, 0), (0, 4, 2)])
def test_nothing_to_do(backend: Any, lead: tuple[int, ...]) -> None:
    for source, target in PAIRS:
        name = f"{source}_to_{target}"
        for _ in range(2):
            got = getattr(rotations, name)(backend.to(np.zeros((*lead, *SHAPES[source]))), **conventions(name, HOW))
            assert got.shape == (*lead, *SHAPES[target])
    one = backend.to(np.ones(7))
    assert rotations.relative_pose(backend.to(np.zeros((*lead, 7))), one).shape == (*lead, 7)


def test_a_row_shared_by_all_is_not_copied(backend: Any) -> None:
    """A broadcast of 2**40 rows would not fit anywhere."""
    base = np.broadcast_to(np.arange(7.0), (1 << 40, 7))[:5]
    pose = rows_of(np.random.default_rng(2), "pose", 5, FLOATS[3], HOW)
    got = rotations.relative_pose(backend.to(pose), backend.to(base))
    assert tolerances.same_bits(backend.np(got), backend.np(rotations.relative_pose(*map(backend.to, (pose, base[0])))))


def test_weights_of_many_rows_over_one_pair(backend: Any) -> None:
    a, b = rows_of(np.random.default_rng(3), "quat", 2, FLOATS[2], HOW)
    weight = np.linspace(0, 1, 1001, dtype=np.float32)
    got = backend.np(rotations.slerp(*map(backend.to, (a, b, weight))))
    each = np.stack([backend.np(rotations.slerp(backend.to(a), backend.to(b), float(w))) for w in weight[::250]])
    assert tolerances.same_bits(got[::250], each)


def test_other_devices_are_refused(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="base lives on"):
        rotations.relative_pose(cupy.asarray(POSE), POSE)


def test_torch_and_jax_give_their_own() -> None:  # on a GPU: tests/cuda
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    quats = rows_of(np.random.default_rng(4), "quat", 11, FLOATS[2], HOW)
    want = rotations.quat_to_matrix(quats)
    got = rotations.quat_to_matrix(torch.from_numpy(quats))
    assert isinstance(got, torch.Tensor)
    assert tolerances.same_bits(got.numpy(), want)
    out = torch.empty(11, 3, 3)
    assert rotations.quat_to_matrix(torch.from_numpy(quats), out=out) is out
    assert tolerances.same_bits(out.numpy(), want)
    half = rotations.quat_to_matrix(torch.from_numpy(quats).bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - torch.from_numpy(want)).abs().max() < 0.05
    array = rotations.quat_to_matrix(jax.numpy.asarray(quats))
    assert isinstance(array, jax.Array)
    assert tolerances.same_bits(np.asarray(array), want)
    assert rotations.slerp([0, 0, 0, 1.0], [0, 0, 1.0, 0], 0.5).tolist()[2] == pytest.approx(np.sqrt(0.5))


def test_threads_at_once(backend: Any) -> None:
    rng = np.random.default_rng(5)
    sets = [backend.to(rows_of(rng, "quat", 3000, FLOATS[2], HOW)) for _ in range(4)]
    wanted = [backend.np(rotations.quat_to_rotvec(quats)) for quats in sets]
    wrong: list[int] = []

    def work(number: int) -> None:
        answers = [backend.np(rotations.quat_to_rotvec(sets[number])) for _ in range(20)]
        wrong.extend(number for answer in answers if not tolerances.same_bits(answer, wanted[number]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_public_namespace() -> None:
    assert rc.rotations is rotations
    assert all(callable(getattr(rotations, name)) for name in rotations.__all__)
