"""What ``resample_trajectories`` refuses, and how: typed errors at once; on the GPU invalid rows, later a warning."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tolerances
from oracles import trajectory as oracle
from strategies import INTEGERS, METHODS

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DTypeError, ShapeError

NAT = np.iinfo(np.int64).min
V = np.arange(12, dtype=np.float32).reshape(4, 3)
T = np.arange(4) * 10
Q = np.array([5, 15])


@pytest.fixture(autouse=True)
def quiet_status(request: pytest.FixtureRequest) -> Iterator[None]:
    """No fault of one test reaches the next."""
    yield
    backend = request.node.funcargs.get("backend")
    if backend is not None and backend.name == "cuda":
        drain(backend)


def drain(backend: Any) -> list[str]:
    """Messages of the warnings that waited for the next call."""
    backend.xp.cuda.Device().synchronize()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        rc.resample_trajectories(*map(backend.to, (V, T, Q)))
    return [str(w.message) for w in found if w.category is DataWarning]


def call(backend: Any, values: Any = V, times: Any = T, targets: Any = Q, **more: Any) -> Any:
    arrays = {"lengths", "offsets", "out"}
    more = {name: backend.to(value) if name in arrays else value for name, value in more.items()}
    return rc.resample_trajectories(backend.to(values), backend.to(times), backend.to(targets), **more)


BAD_ROWS = {
    "unsorted": (np.int64, [0, 20, 10, 30]),
    "falling": (np.int64, [30, 20, 10, 0]),
    "nat": (np.int64, [NAT, 10, 20, 30]),
    "unsorted floats": (np.float64, [0.0, 2.0, 1.0, 3.0]),
    "nan": (np.float64, [0.0, 1.0, np.nan, 3.0]),
    "inf": (np.float64, [0.0, 1.0, 2.0, np.inf]),
    "minus inf": (np.float32, [-np.inf, 1.0, 2.0, 3.0]),
    "nan first": (np.float32, [np.nan, 1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("fault", BAD_ROWS)
@pytest.mark.parametrize("layout", ["padded", "packed", "long"])
def test_a_bad_row(backend: Any, fault: str, layout: str) -> None:
    """CPU: an error that names the row. GPU: it is filled and invalid, the others are right, a warning follows."""
    clock, bad = BAD_ROWS[fault]
    good = [0, 10, 20, 30] if clock is np.int64 else [0.0, 1.0, 2.0, 3.0]
    if layout == "long":  # too long to stage: checked by a launch of its own
        middle = [bad[2]] * 20000 if np.isnan(bad[2]) or fault in ("inf", "falling") else [good[2]] * 20000
        bad, good = bad[:2] + middle + bad[2:], good[:2] + [good[2]] * 20000 + good[2:]
    times, samples = np.array([good, bad, good], clock), len(good)
    values = np.arange(3 * samples * 2, dtype=np.float32).reshape(3, samples, 2)
    goals = np.array([good[0], good[1], good[-1]], clock)
    options = {"offsets": np.arange(4) * samples} if layout == "packed" else {}
    given = (values.reshape(-1, 2), times.reshape(-1)) if layout == "packed" else (values, times)
    for check in ("auto", "strict"):
        if backend.name == "cpu" or check == "strict":
            with pytest.raises(DataError, match="unsorted" if backend.name == "cuda" else "row 1 .*unsorted"):
                call(backend, *given, goals, check=check, **options)
    if backend.name == "cpu":
        return
    got, valid, age = call(backend, *given, goals, return_valid=True, return_age=True, **options)
    assert any("unsorted" in text for text in drain(backend))
    got, valid, age = map(backend.np, (got, valid, age))
    assert np.isnan(got[1]).all()
    assert not valid[1].any()
    assert (np.isnan(age[1]) | (age[1] == NAT)).all()
    for row in (0, 2):
        expected = oracle.resample_row(values[row], times[row], goals)
        assert tolerances.same_bits(got[row].astype(np.float64), expected.values)
        assert valid[row].all()
    assert drain(backend) == []


@pytest.mark.parametrize("fault", BAD_ROWS)
@pytest.mark.parametrize("method", METHODS)
def test_trusted_stamps_never_crash(backend: Any, fault: str, method: str) -> None:
    clock, bad = BAD_ROWS[fault]
    goals = np.array([0, 5, 10, 25, 99, -5], clock)
    for outside in ("hold", "extrapolate", "nan"):
        got = call(backend, V, np.array(bad, clock), goals, check="none", method=method, outside=outside)
        assert got.shape == (6, 3)


@pytest.mark.parametrize("fault, message", [
    ({"lengths": np.array([2, 5])}, "lengths"),
    ({"lengths": np.array([-1, 2])}, "lengths"),
    ({"lengths": np.array([2**62, 2])}, "lengths"),
    ({"offsets": np.array([0, 2, 5])}, "offsets"),
    ({"offsets": np.array([0, 3, 2])}, "offsets"),
    ({"offsets": np.array([-2, 2, 4])}, "offsets"),
    ({"offsets": np.array([NAT, 0, 2**62])}, "offsets"),
])  # fmt: skip
@pytest.mark.parametrize("check", ["auto", "strict", "none"])
def test_extents_past_the_end(backend: Any, fault: dict[str, Any], message: str, check: str) -> None:
    values = V if "offsets" in fault else np.stack([V, V])
    if backend.name == "cpu" or check == "strict":
        with pytest.raises(DataError, match=message):
            call(backend, values, check=check, return_valid=True, **fault)
        return
    got, valid = call(backend, values, check=check, return_valid=True, **fault)
    assert any("lengths or offsets" in text for text in drain(backend))
    got, valid = backend.np(got), backend.np(valid)
    extents = fault.get("offsets", fault.get("lengths"))
    for row in range(2):
        begin, end = (extents[row], extents[row + 1]) if "offsets" in fault else (0, extents[row])
        if not 0 <= begin <= end <= 4:
            assert np.isnan(got[row]).all()
            assert not valid[row].any()
        else:
            expected = oracle.resample_row(V[begin:end], T[begin:end], Q)
            assert tolerances.same_bits(got[row].astype(np.float64), expected.values)
            assert tolerances.same_bits(valid[row], expected.valid)


def test_outside_raise(backend: Any) -> None:
    with pytest.raises(DataError, match="outside"):
        call(backend, targets=np.array([5, 31]), outside="raise")
    with pytest.raises(DataError, match="outside"):
        call(backend, targets=np.array([-1]), outside="raise", method="next")
    got = backend.np(call(backend, targets=np.array([0, 5, 30]), outside="raise"))
    assert got[:, 0].tolist() == [0.0, 1.5, 9.0]


def test_coarse_float32_stamps_warn(backend: Any) -> None:
    times, goals = np.array([1e6, 1e6 + 0.5, 1e6 + 1], np.float32), np.array([1e6], np.float32)
    if backend.name == "cpu":
        with pytest.warns(DataWarning, match="float32"):
            got = call(backend, V[:3, :2], times, goals)
    else:
        got = call(backend, V[:3, :2], times, goals)
        assert any("float32" in text for text in drain(backend))
    assert tolerances.same_bits(backend.np(got), V[:1, :2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(backend, V[:3, :2], times, goals, check="none")
        call(backend, V[:3, :2], np.array([100.0, 100.1, 100.2], np.float32), np.array([100.05], np.float32))
        call(backend, V[:3, :2], times.astype(np.float64), goals.astype(np.float64))
    if backend.name == "cuda":
        assert drain(backend) == []


I8, M = np.zeros((4, 3), np.int8), ArgumentError
MISFITS = [
    (DTypeError, "target_times.*float64.*source_times.*int64", {"targets": Q.astype(float)}),
    (DTypeError, "float32", {"times": T.astype(np.float32), "targets": Q.astype(float)}),
    (DTypeError, "source_times has dtype int32", {"times": T.astype(np.int32)}),
    (DTypeError, "target_times has dtype uint64", {"targets": Q.astype(np.uint64)}),
    (DTypeError, "lengths has dtype uint8", {"values": V[None], "lengths": np.array([2], np.uint8)}),
    (DTypeError, "offsets has dtype float64", {"offsets": np.array([0.0, 4.0])}),
    (M, "'method'|method=", {"method": "quintic"}),
    (M, "outside=", {"outside": "wrap"}),
    (M, "check=", {"check": "maybe"}),
    (M, "tolerance", {"tolerance": -1}),
    (M, "max_gap", {"max_gap": -3}),
    (M, "tolerance", {"tolerance": 0.5}),
    (M, "tolerance", {"tolerance": 2**63}),
    (M, "tolerance", {"tolerance": np.timedelta64("NaT", "ns")}),
    (M, "max_gap", {"max_gap": "5 ms"}),
    (M, "finite|number", {"times": T * 1.0, "targets": Q * 1.0, "max_gap": np.nan}),
    (M, "outside=", {"outside": None}),
    (M, "outside=", {"outside": 1j}),
    (M, "outside=", {"outside": [1.0, 2.0]}),
    (M, "outside=", {"values": V.astype(np.float16), "outside": 1e6}),
    (M, "outside=", {"values": I8, "method": "next", "outside": 128}),
    (M, "outside=", {"values": I8, "method": "next", "outside": 0.5}),
    (M, "outside=", {"values": I8, "method": "next", "outside": np.nan}),
    (M, "outside='nan'", {"values": I8, "method": "next", "outside": "nan"}),
    (M, "outside=", {"values": I8.astype(np.uint64), "method": "next", "outside": -1}),
    (M, "outside=", {"values": I8.astype(bool), "method": "next", "outside": 2}),
    (M, "exclude", {"lengths": np.array([4]), "offsets": np.array([0, 4])}),
    (ShapeError, "stamps", {"values": V[:3]}),
    (ShapeError, "two ways", {"values": np.zeros((4, 4, 2))}),
    (ShapeError, r"source_times\[None\]", {"values": np.zeros((2, 4))}),
    (ShapeError, "no axes", {"values": np.zeros(())}),
    (ShapeError, "source_times", {"times": np.zeros((1, 1, 4), np.int64)}),
    (ShapeError, "target_times", {"targets": np.zeros((), np.int64)}),
    (ShapeError, "batch", {"values": np.zeros((2, 4, 3)), "times": np.tile(T, (3, 1))}),
    (ShapeError, "batch", {"values": np.zeros((2, 4, 3)), "targets": np.tile(Q, (3, 1))}),
    (ShapeError, "lengths", {"values": np.zeros((2, 4, 3)), "lengths": np.array([1, 2, 3])}),
    (ShapeError, "lengths", {"values": np.zeros((2, 4, 3)), "lengths": np.array([[1, 2]])}),
    (ShapeError, "offsets", {"offsets": np.zeros(0, np.int64)}),
    (ShapeError, "packed", {"times": np.tile(T, (2, 1)), "offsets": np.array([0, 4])}),
    (ShapeError, "offsets", {"offsets": np.array([0, 4]), "targets": np.tile(Q, (3, 1))}),
    (ShapeError, "batch", {"times": np.tile(T, (2, 1)), "values": np.zeros(4)}),
]


@pytest.mark.parametrize("error, message, given", MISFITS, ids=[f"{i}-{m[1][:20]}" for i, m in enumerate(MISFITS)])
def test_misfits_are_typed_and_name_the_argument(
    backend: Any, error: type, message: str, given: dict[str, Any]
) -> None:
    with pytest.raises(error) as caught:
        call(backend, **given)
    assert type(caught.value) is error
    assert re.search(message, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_have_nothing_between_them(backend: Any, dtype: np.dtype) -> None:
    with pytest.raises(DTypeError, match="method='nearest'"):
        call(backend, V.astype(dtype))


@pytest.mark.parametrize("values", [
    np.zeros((4, 3), np.complex64), np.zeros((4, 3), object), np.full((4, 3), "a"), np.zeros((4, 3), ">f4"),
    np.zeros((4, 3), "M8[s]"), np.zeros((4, 3), np.longdouble), np.zeros(4, [("x", "f4")]),
], ids=lambda a: str(a.dtype))  # fmt: skip
def test_types_that_cannot_be_resampled(values: np.ndarray) -> None:
    with pytest.raises(DTypeError, match="values has dtype"):
        rc.resample_trajectories(values, T, Q)


@pytest.mark.parametrize("times", [T.astype(">i8"), T.astype("O"), T.astype("m8[s]"), T.astype("U"), T.astype(bool)],
                         ids=lambda a: str(a.dtype))  # fmt: skip
def test_types_that_are_no_stamps(times: np.ndarray) -> None:
    with pytest.raises(DTypeError, match="source_times has dtype"):
        rc.resample_trajectories(V, times, Q)
    with pytest.raises(DTypeError, match="target_times has dtype"):
        rc.resample_trajectories(V, T, times)
