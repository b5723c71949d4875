"""``transform_points`` and ``crop_box`` against an oracle that takes one point at a time: equal bits on both."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import clouds as oracle
from strategies import FLOATS, INTEGERS, arranged, generators, numbers

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

UNIT = (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)
INF = np.inf
BOXES = (UNIT, ((0, -0.5, -2), (1.5, 0.5, 2)), (-INF, -INF, 0, INF, INF, INF), (-1e-40, -1e-40, -1e-40, 1, 1, 1e-39))


def poses(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Rotations, scales and shears; now and then of large translation."""
    matrix = np.zeros((*shape, 4, 4))
    matrix[..., :3, :] = rng.standard_normal((*shape, 3, 4))
    matrix[..., :3, 3] *= 10.0 ** rng.integers(-2, 3)
    matrix[..., 3, 3] = 1
    return matrix[..., : rng.choice((3, 4)), :].astype(dtype)


def coordinates(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Numbers near the unit cube, on its faces and beside them, and every special one."""
    points = numbers(rng, shape, dtype)
    near = (rng.standard_normal(shape)).astype(dtype)
    points = np.where(rng.random(shape) < 0.7, near, points)
    faces = np.array([0, -0.0, 1, -1, 0.5, 1e-40, -1e-40, -5e-324], np.float64)
    faces = np.concatenate([faces, np.nextafter(np.float32([1, -1, 1.5]), np.float32(0)).astype(np.float64)])
    return np.where(rng.random(shape) < 0.3, faces[rng.integers(0, len(faces), shape)].astype(dtype), points)


@st.composite
def cases(draw: Any) -> tuple[np.ndarray, dict[str, Any], int, np.random.Generator]:
    """Points, their extents, the number of clouds, and a generator."""
    rng, dtype = draw(generators()), draw(st.sampled_from(FLOATS))
    channels, shape = draw(st.sampled_from((3, 4, 6))), draw(st.sampled_from(("one", "padded", "ragged", "packed")))
    clouds, many = draw(st.integers(0, 4)), draw(st.sampled_from((0, 1, 7, 33)))
    whole = draw(st.sampled_from((np.int64, np.int32)))
    if shape == "packed":
        offsets = np.concatenate([[draw(st.integers(0, 2))], rng.integers(0, many + 1, clouds)]).cumsum().astype(whole)
        points = coordinates(rng, (int(offsets[-1]) + 2, channels), dtype)
        return points, {"offsets": offsets}, clouds, rng
    if shape == "one":
        points, clouds = coordinates(rng, (many, channels), dtype), 1
    else:
        points = coordinates(rng, (clouds, many, channels), dtype)
    layout = draw(st.sampled_from(("contiguous", "negative", "broadcast", "sliced", "transposed")))
    extents = {"lengths": rng.integers(0, many + 1, clouds).astype(whole)} if shape == "ragged" else {}
    return arranged(points, layout), extents, clouds, rng


def run(backend: Any, function: Any, points: Any, *rest: Any, **options: Any) -> Any:
    there = {name: value if name == "out" else backend.to(value) for name, value in options.items()}
    return function(backend.to(points), *(backend.to(value) for value in rest), **there)


@given(case=cases(), one=st.booleans(), wide=st.booleans())
def test_transforms_against_the_oracle(backend: Any, case: Any, one: bool, wide: bool) -> None:
    points, extents, clouds, rng = case
    matrix = poses(rng, () if one else (clouds,), np.float64 if wide else np.float32)
    want = oracle.transform(points, matrix, **extents)
    got = run(backend, rc.transform_points, points, matrix, check="strict", **extents)
    assert tolerances.same_bits(backend.np(got), want)
    out = backend.to(np.ones(points.shape, points.dtype))
    assert run(backend, rc.transform_points, points, matrix, out=out, **extents) is out
    assert tolerances.same_bits(backend.np(out), want)
    if one:  # a list, or an array of the host, goes with points anywhere
        listed = rc.transform_points(
            backend.to(points), matrix.tolist(), **{k: backend.to(v) for k, v in extents.items()}
        )
        assert tolerances.same_bits(backend.np(listed), want)


def expect(backend: Any, got: rc.PackedPoints, want: Any, limit: int | None = None) -> None:
    points, features, index, offsets = want
    found, kept = len(points), len(points) if limit is None else min(limit, len(points))
    assert int(got.found) == found
    assert int(got.num_points) == kept
    assert backend.np(got.offsets).tolist() == np.minimum(offsets, kept).tolist()
    parts = ((got.points, points, 0), (got.features, features, 0), (got.index, index, -1))
    for array, whole, fill in (part for part in parts if part[0] is not None):
        rows = backend.np(array)
        assert len(rows) == (found if limit is None else limit)
        assert tolerances.same_bits(rows[:kept], whole[:kept])
        assert (rows[kept:] == np.asarray(fill, rows.dtype)).all()


@given(case=cases(), bounds=st.sampled_from(BOXES), how=st.integers(0, 3), feature=st.sampled_from(FLOATS + INTEGERS))
def test_boxes_against_the_oracle(backend: Any, case: Any, bounds: Any, how: int, feature: np.dtype) -> None:
    points, extents, clouds, rng = case
    if np.dtype(points.dtype).itemsize == 2 and bounds is BOXES[3]:
        bounds = UNIT
    matrix = poses(rng, () if how == 1 else (clouds,), np.float64) if how in (1, 2) else None
    features = numbers(rng, (*points.shape[:-1], *((3,) if how else ())), feature)
    want = oracle.crop(points, bounds, features, matrix, **extents)
    options = {"T": matrix, "return_index": True, "check": "strict", **extents}
    expect(backend, run(backend, rc.crop_box, points, bounds, features, **options), want)
    enough = len(want[0]) + how
    padded = run(backend, rc.crop_box, points, bounds, features, max_points=enough, **options)
    expect(backend, padded, want, enough)
    plain = run(backend, rc.crop_box, points, bounds, T=matrix, **extents)
    assert plain.features is None
    assert plain.index is None
    assert tolerances.same_bits(backend.np(plain.points), want[0])


@given(case=cases())
def test_a_box_of_moved_points_is_that_of_the_moved(backend: Any, case: Any) -> None:
    points, extents, clouds, rng = case
    matrix = poses(rng, (clouds,), np.float32)
    moved = run(backend, rc.transform_points, points, matrix, **extents)
    there = {name: backend.to(value) for name, value in extents.items()}
    two = rc.crop_box(moved, UNIT, return_index=True, **there)
    one = run(backend, rc.crop_box, points, UNIT, T=matrix, return_index=True, **extents)
    for name in ("points", "index", "offsets"):
        assert tolerances.same_bits(backend.np(getattr(one, name)), backend.np(getattr(two, name)))


def test_halves_are_rounded_before_they_are_cropped(backend: Any) -> None:
    """2047 / 2048 + 2**-12 is below one, and one in float16."""
    points = np.array([[2047 / 2048, 0, 0], [2046 / 2048, 0, 0]], np.float16)
    shift = [[1, 0, 0, 2.0**-12], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert backend.np(rc.transform_points(backend.to(points), shift))[0, 0] == 1
    kept = rc.crop_box(backend.to(points), UNIT, T=shift, return_index=True)
    assert backend.np(kept.index).tolist() == [1]


def test_rows_of_no_points(backend: Any) -> None:
    points = np.zeros((3, 5, 3), np.float32)
    lengths = np.array([0, 2, 0])
    got = run(backend, rc.crop_box, points, UNIT, lengths=lengths)
    assert (len(got.points), backend.np(got.offsets).tolist()) == (2, [0, 0, 2, 2])
    moved = run(backend, rc.transform_points, points, np.eye(4)[:3] + 1, lengths=lengths)
    assert backend.np(moved)[..., 0].tolist() == [[0] * 5, [1, 1, 0, 0, 0], [0] * 5]


@pytest.mark.parametrize("edges", [[0], [0, 2], [1, 1, 3]])
def test_packed_clouds_of_which_nothing_is_kept(backend: Any, edges: list[int]) -> None:
    """Arrays of no rows have no address on a GPU; the offsets are written all the same."""
    points = np.full((3, 3), 9, np.float32)
    for _ in range(2):
        got = run(backend, rc.crop_box, points, UNIT, offsets=np.array(edges))
        assert (len(got.points), backend.np(got.offsets).tolist()) == (0, [0] * len(edges))


def test_many_points_over_many_blocks(backend: Any) -> None:
    """Runs kept, runs dropped, and clouds that begin anywhere; twice, for what a call must leave as it was."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-2, 2, (70_001, 6))
    points[20_000:31_000] = 9
    points[31_000:40_000] /= 4
    edges = np.sort(rng.integers(0, 70_001, 40))
    inside = (np.abs(points[:, :3]) < 1).all(1)
    inside[: edges[0]] = inside[edges[-1] :] = False
    for dtype in (np.float32, np.float64):
        given = points.astype(dtype)
        for _ in range(2):
            got = run(backend, rc.crop_box, given, UNIT, np.arange(70_001), offsets=edges, return_index=True)
            want = np.flatnonzero(inside)
            assert (backend.np(got.index) == want).all()
            assert (backend.np(got.features) == want).all()
            assert (backend.np(got.points) == given[want]).all()
            assert (backend.np(got.offsets) == np.searchsorted(want, edges)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_voxels_of_the_same_bounds(backend: Any, dtype: Any) -> None:
    """2 cm voxels of a map in UTM coordinates: what is cropped is what has a voxel, to the last point."""
    rng = np.random.default_rng(4)
    corner = np.array([4_000_000.0, 500_000.0, 128.0])
    points = (corner + rng.integers(-64, 192, (4000, 3)) / 64).astype(dtype)  # of float32 every 0.25 m is left
    bounds = (*corner, *(corner + 2))
    box = run(backend, rc.crop_box, points, bounds, return_index=True)
    voxels = run(backend, rc.voxelize, points, bounds=bounds, voxel_size=1 / 64)
    assert 0 < len(box.points) < 4000
    assert backend.np(box.index).tolist() == np.flatnonzero(backend.np(voxels.inverse) >= 0).tolist()


def test_a_limit_that_is_met(backend: Any) -> None:
    points = np.linspace(-1, 1, 3000, endpoint=False).repeat(3).reshape(2, 500, 9)[:, :, :3].astype(np.float32)
    want = oracle.crop(points, UNIT)
    options = {"max_points": 700, "return_index": True}
    if backend.name == "cpu":
        with pytest.warns(DataWarning, match="1000 points but max_points=700"):
            got = rc.crop_box(points, UNIT, **options)
    else:
        got = rc.crop_box(backend.to(points), UNIT, **options)
        backend.xp.cuda.get_current_stream().synchronize()
        with pytest.warns(DataWarning, match="more voxels than max_voxels, or points than max_points"):
            rc.crop_box(backend.to(points), UNIT)
    expect(backend, got, want, 700)
    with pytest.raises(DataError, match="max_points"):
        rc.crop_box(backend.to(points), UNIT, check="strict", **options)
    none = rc.crop_box(backend.to(points), (5, 5, 5, 6, 6, 6), max_points=0)
    assert (none.points.shape, int(none.found)) == ((0, 3), 0)


def test_a_ragged_result_goes_on_without_its_padding(backend: Any) -> None:
    """The rows past the last point are padding to whatever takes the offsets."""
    points = np.random.default_rng(5).uniform(-2, 2, (2, 300, 3)).astype(np.float32)
    exact = run(backend, rc.crop_box, points, UNIT)
    padded = run(backend, rc.crop_box, points, UNIT, max_points=400)
    results = [rc.voxelize(p.points, offsets=p.offsets, voxel_size=0.25) for p in (exact, padded)]
    for name in ("coords", "features", "counts", "offsets"):
        a, b = (backend.np(getattr(result, name)) for result in results)
        assert tolerances.same_bits(a, b)


@pytest.mark.parametrize("extents", [{"lengths": [3, 9]}, {"lengths": [-1, 2]}])
def test_extents_that_point_outside(backend: Any, extents: dict[str, list[int]]) -> None:
    points = np.zeros((2, 4, 3))
    there = {name: np.array(value) for name, value in extents.items()}
    for call in (lambda: run(backend, rc.crop_box, points, UNIT, check="strict", **there),
                 lambda: run(backend, rc.transform_points, points, np.eye(4), check="strict", **there)):  # fmt: skip
        with pytest.raises(DataError, match="lengths"):
            call()


@pytest.mark.parametrize("offsets", [[0, 9], [-1, 2], [3, 1, 8], [5, 4]])
def test_offsets_that_point_outside(backend: Any, offsets: list[int]) -> None:
    with pytest.raises(DataError, match="offsets"):
        run(backend, rc.crop_box, np.zeros((8, 3)), UNIT, check="strict", offsets=np.array(offsets))


P, EYE = np.zeros((4, 3), np.float32), np.eye(4)
PROJECTIVE = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]])
REFUSED_T = [
    (ShapeError, "T has shape", {"T": np.eye(3)}),
    (ShapeError, "T has shape", {"T": np.eye(4)[None].repeat(3, 0)}),
    (ArgumentError, "not affine", {"T": PROJECTIVE.tolist()}),
    (ArgumentError, "T is neither", {"T": [[1, 2], [3]]}),
    (ArgumentError, "T is neither", {"T": [["a"] * 4] * 3}),
    (DTypeError, "T has dtype", {"T": np.eye(4, dtype=int)}),
    (DTypeError, "points has dtype", {"points": P.astype(int)}),
    (ShapeError, "points has shape", {"points": P[:, :2]}),
    (ShapeError, "points has shape", {"points": P[0]}),
    (ArgumentError, "check=", {"check": "maybe"}),
    (ShapeError, "^out ", {"out": np.zeros((4, 4), np.float32)}),
    (DTypeError, "^out ", {"out": np.zeros((4, 3))}),
]


@pytest.mark.parametrize("error, message, how", REFUSED_T, ids=range(len(REFUSED_T)))
def test_what_a_transform_refuses(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"points": P, "T": EYE} | how
    with pytest.raises(error, match=message):
        rc.transform_points(**{name: backend.to(value) for name, value in how.items()})


REFUSED_BOX = [
    (ArgumentError, "six numbers", {"bounds": (0, 0, 0, 1, 1)}),
    (ArgumentError, "six numbers", {"bounds": "everything"}),
    (ArgumentError, "below the last", {"bounds": (0, 0, 0, 1, 0, 1)}),
    (ArgumentError, "below the last", {"bounds": (0, 0, np.nan, 1, 1, 1)}),
    (ArgumentError, "overflow", {"bounds": (0, 0, 0, 1e300, 1, 1)}),
    (ArgumentError, "max_points", {"max_points": -1}),
    (ArgumentError, "max_points", {"max_points": 2.5}),
    (ShapeError, "features has shape", {"features": P[:2]}),
    (DTypeError, "features has dtype", {"features": P.astype(complex)}),
]


@pytest.mark.parametrize("error, message, how", REFUSED_BOX, ids=range(len(REFUSED_BOX)))
def test_what_a_box_refuses(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"points": P, "bounds": UNIT} | how
    with pytest.raises(error, match=message):
        rc.crop_box(**{name: backend.to(value) for name, value in how.items()})


def test_outputs_apart_and_devices_alike(backend: Any) -> None:
    points = backend.to(np.zeros((4, 3)))
    with pytest.raises(ArgumentError, match="out overlaps points"):
        rc.transform_points(points, EYE, out=points)
    if backend.name == "cuda":
        with pytest.raises(DeviceError, match="T lives on the CPU"):
            rc.transform_points(points[None], np.eye(4)[None])


def test_torch_in_torch_out(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    points = torch.linspace(-2, 2, 12, device=device).reshape(4, 3).to(torch.bfloat16)
    kept = rc.crop_box(points, UNIT, points, T=EYE)
    assert kept.points.dtype == kept.features.dtype == torch.bfloat16
    assert (kept.points == points[1:3]).all()
    assert rc.transform_points(points, torch.eye(4, device=device)).device == points.device


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    points = rng.uniform(-2, 2, (200_000, 3)).astype(np.float32)
    results = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        got = rc.crop_box(points, UNIT, T=np.eye(4), return_index=True)
        results.append((got.points, got.index, rc.transform_points(points, 2 * np.eye(4)[:3])))
    assert all((a == b).all() for a, b in zip(*results))
    assert (results[0][1] == np.flatnonzero((np.abs(points) <= 1).all(1) & (points < 1).all(1))).all()
