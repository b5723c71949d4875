"""``gather_windows`` against an oracle that moves one row at a time: equal bits for every type, width and layout."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import windows as oracle
from strategies import FLOATS, INTEGERS, arranged, bfloat16, generators, numbers

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DTypeError, ShapeError

FEATURES = ((), (1,), (3,), (4,), (7,), (16,), (2, 3), (3, 5, 2), (0,), (257,))
LAYOUTS = ("contiguous", "negative", "broadcast", "sliced", "transposed")


def bits(array: np.ndarray) -> np.ndarray:
    """Raw bits: samples are moved, so that even a NaN keeps its own."""
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def expect(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert (bits(got) == bits(want)).all()


def pads(dtype: np.dtype) -> list[Any]:
    return ["edge", "zero", 1] + (["nan", -2.5, 1e-3] if dtype in FLOATS else [])


@st.composite
def cases(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Any]:
    """Values, index, validity, pad."""
    rng, dtype = draw(generators()), draw(st.sampled_from(FLOATS + INTEGERS))
    feature, samples = draw(st.sampled_from(FEATURES)), draw(st.integers(1, 20))
    values = numbers(rng, (samples, *feature), dtype)
    values = arranged(values, draw(st.sampled_from(LAYOUTS)) if feature else "contiguous")
    shape = draw(st.sampled_from(((), (5,), (4, 6), (2, 3, 4), (0, 3), (70,))))
    start = (
        rng.integers(0, samples, shape[:-1] or shape)[..., None] if len(shape) > 1 else rng.integers(0, samples, shape)
    )
    index = (np.minimum(start + np.arange(shape[-1]), samples - 1) if len(shape) > 1 else np.asarray(start)).astype(
        draw(st.sampled_from((np.int64, np.int32)))
    )
    pad = draw(st.sampled_from(pads(dtype)))
    valid = None if pad == "edge" and draw(st.booleans()) else rng.random(shape) < 0.7
    if pad != "edge":
        index = np.where(valid, index, index.dtype.type(draw(st.sampled_from((-1, 10**6, 0)))))
    return values, index, None if valid is None else np.asarray(valid), pad


def filler(pad: Any) -> Any:
    return {"edge": None, "zero": 0, "nan": np.nan}.get(pad, pad)


@given(case=cases())
def test_against_the_oracle(backend: Any, case: Any) -> None:
    values, index, valid, pad = case
    want = oracle.gather(values, index, valid, filler(pad))
    given = [backend.to(array) for array in (values, index, valid)]
    for check in ("auto", "strict"):
        expect(backend.np(rc.gather_windows(*given, pad=pad, check=check)), want)
    out = backend.to(np.ones_like(want, order="C"))
    assert rc.gather_windows(*given, pad=pad, out=out) is out
    expect(backend.np(out), want)


@pytest.mark.parametrize(
    "width", [1, 2, 3, 4, 6, 8, 12, 16, 24, 28, 48, 100, 1000, 4096, 32752, 32768, 40_000, 100_001]
)
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_rows_of_every_width(backend: Any, width: int, shift: int) -> None:
    """In bytes, with addresses that allow wide accesses or do not; windows longer than a block's tile."""
    rng = np.random.default_rng(width)
    count = max(3, min(5000, 300_000 // width))
    memory = rng.integers(0, 255, shift + width * 17, np.uint8)
    index = np.sort(rng.integers(0, 17, count))
    valid = rng.random(count) < 0.8
    want = oracle.gather(memory[shift:].reshape(17, width), index, valid, 7)
    values = backend.to(memory)[shift:].reshape(17, width)
    room = backend.to(np.full(count * width + shift + 1, 99, np.uint8))
    for start in (0, shift):
        out = room[start : start + count * width].reshape(count, width)
        rc.gather_windows(values, backend.to(index), backend.to(valid), pad=7, out=out)
        expect(backend.np(out), want)
        assert backend.np(room)[start + count * width :].tolist() == [99] * (shift + 1 - start)
        room[...] = 99


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_nan_and_the_rest_are_moved_bit_for_bit(backend: Any, dtype: np.dtype) -> None:
    values = np.arange(1 << 16, dtype=np.uint16)
    values = (values if dtype.itemsize == 2 else np.repeat(values, dtype.itemsize // 2)).view(dtype)
    index = np.random.default_rng(0).permutation(len(values))
    expect(backend.np(rc.gather_windows(backend.to(values), backend.to(index))), values[index])


def test_windows_of_an_episode(backend: Any) -> None:
    rng = np.random.default_rng(1)
    offsets, values = np.array([0, 30, 31, 80]), rng.standard_normal((80, 7)).astype(np.float32)
    w = rc.windows(backend.to(offsets), 2, 16, pad_before=1, pad_after=15)
    batch = w[:]
    got = rc.gather_windows(backend.to(values), batch.action_index, batch.action_valid, pad="nan")
    for i, t in enumerate(range(80)):
        end = offsets[np.searchsorted(offsets, t, "right")]
        want = np.full((16, 7), np.nan, np.float32)
        want[: min(16, end - t)] = values[t : min(t + 16, end)]
        assert tolerances.same_bits(backend.np(got)[i], want)


@pytest.mark.parametrize("bad", [-1, 5, 2**40, -(2**63)])
def test_an_index_outside(backend: Any, bad: int) -> None:
    values, index = backend.to(np.arange(10.0).reshape(5, 2)), backend.to(np.array([[0, 4], [bad, 1]]))
    with pytest.raises(DataError, match="index" if backend.name == "cpu" else "indices lie outside"):
        rc.gather_windows(values, index, check="strict")
    if backend.name == "cpu":
        with pytest.raises(DataError, match=rf"index\[2\] = {bad} .* the 5 samples"):
            rc.gather_windows(values, index)
        return
    got = backend.np(rc.gather_windows(values, index))
    with pytest.warns(DataWarning, match="indices lie outside"):
        rc.gather_windows(values, index[:1])
    assert got.tolist() == [[[0, 1], [8, 9]], [[0, 0], [2, 3]]]


def test_no_samples_at_all(backend: Any) -> None:
    values = backend.to(np.zeros((0, 3), np.float32))
    nothing = backend.to(np.zeros((2, 0), np.int64))
    assert backend.np(rc.gather_windows(values, nothing)).shape == (2, 0, 3)
    index, valid = backend.to(np.array([-1, 0])), backend.to(np.zeros(2, bool))
    assert backend.np(rc.gather_windows(values, index, valid, pad=4)).tolist() == [[4.0] * 3] * 2
    with pytest.raises(DataError):
        rc.gather_windows(values, index, check="strict")


VALUES, INDEX = np.zeros((4, 2), np.float32), np.array([0, 1])
REAL = np.array([True, False])
WRONG = [
    (ArgumentError, "pad='wrap'", {"pad": "wrap"}),
    (ArgumentError, "pad=1e[+]?300", {"pad": 1e300, "valid": REAL}),
    (ArgumentError, "pad='nan' needs float", {"pad": "nan", "valid": REAL, "values": VALUES.astype(int)}),
    (ArgumentError, "pad=0.5", {"pad": 0.5, "valid": REAL, "values": VALUES.astype(int)}),
    (ArgumentError, "pad=300", {"pad": 300, "valid": REAL, "values": VALUES.astype(np.uint8)}),
    (ArgumentError, "pad=2 ", {"pad": 2, "valid": REAL, "values": VALUES.astype(bool)}),
    (ArgumentError, "pad=None", {"pad": None, "valid": REAL}),
    (ArgumentError, "needs valid", {"pad": "zero"}),
    (ArgumentError, "check='none'", {"check": "none"}),
    (ShapeError, "no axes", {"values": np.zeros(())}),
    (DTypeError, "values has dtype", {"values": VALUES.astype(complex)}),
    (DTypeError, "index has dtype", {"index": INDEX * 1.0}),
    (DTypeError, "index has dtype", {"index": INDEX.astype(np.uint64)}),
    (DTypeError, "valid has dtype", {"valid": REAL.astype(np.uint8)}),
    (ShapeError, "valid has dtype bool and shape", {"valid": REAL[:1]}),
    (ShapeError, "^out ", {"out": np.zeros((2, 3), np.float32)}),
    (DTypeError, "^out ", {"out": np.zeros((2, 2))}),
    (ArgumentError, "^out ", {"out": np.zeros((2, 4), np.float32)[:, ::2]}),
]


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"values": VALUES, "index": INDEX} | how
    with pytest.raises(error, match=message) as caught:
        rc.gather_windows(**{name: backend.to(value) for name, value in how.items()})
    assert type(caught.value) is error


def test_an_output_that_overlaps_the_values(backend: Any) -> None:
    memory = backend.to(np.zeros(32, np.float32))
    with pytest.raises(ArgumentError, match="out overlaps values"):
        rc.gather_windows(memory[:16].reshape(8, 2), backend.to(INDEX), out=memory[14:18].reshape(2, 2))


def test_torch_in_torch_out(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    values = torch.arange(12, device=device).reshape(4, 3).to(torch.bfloat16)
    index = torch.tensor([[3, 0]], device=device)
    got = rc.gather_windows(values, index, index > 0, pad="zero")
    assert got.dtype == torch.bfloat16
    assert got.tolist() == [[[9, 10, 11], [0, 0, 0]]]
    out = torch.empty(1, 2, 3, dtype=torch.bfloat16, device=device)
    assert rc.gather_windows(values, index, out=out) is out
    assert out.tolist() == [[[9, 10, 11], [0, 1, 2]]]


def test_jax_in_jax_out() -> None:
    jax = pytest.importorskip("jax")
    got = rc.gather_windows(jax.numpy.arange(8.0).reshape(4, 2), jax.numpy.array([3, 1]))  # int32, as JAX has it
    assert isinstance(got, jax.Array)
    assert got.tolist() == [[6, 7], [2, 3]]


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    values, index = rng.standard_normal((500, 30)).astype(bfloat16), rng.integers(0, 500, (3000, 16))
    valid = rng.random(index.shape) < 0.5
    want = np.where(valid[..., None], values[index], bfloat16.type(2))
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        expect(rc.gather_windows(values, index, valid, pad=2), want)
    index[7, 3] = 500
    with pytest.raises(DataError, match=r"index\[115\] = 500"):
        rc.gather_windows(values, index)
