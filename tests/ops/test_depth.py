"""``depth_to_points`` and ``estimate_normals`` against an oracle that takes one pixel at a time: equal bits on both."""

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

DEPTHS = tuple(np.dtype(d) for d in (np.uint16, np.float16, np.float32, np.float64))
LAYOUTS = ("contiguous", "negative", "sliced", "transposed", "broadcast")
PINHOLE = (40.0, 41.0, 3.25, 2.5)


def images(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Depth of one to three metres in thousandths, with holes and every special number."""
    depth = rng.uniform(1, 3, shape)
    if dtype == np.uint16:
        depth = np.where(rng.random(shape) < 0.1, rng.choice((1, 65535), shape), depth * 1000)
    depth = depth.astype(dtype)
    if dtype != np.uint16:
        depth = np.where(rng.random(shape) < 0.2, numbers(rng, shape, dtype), depth)
    depth[rng.random(shape) < 0.2] = 0
    return depth


def lenses(rng: np.random.Generator, lead: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Intrinsics as vectors or as matrices."""
    vectors = rng.uniform(2, 60, (*lead, 4))
    if rng.random() < 0.5:
        return vectors.astype(dtype)
    matrices = np.zeros((*lead, 3, 3))
    matrices[..., 0, 0], matrices[..., 1, 1], matrices[..., 0, 2], matrices[..., 1, 2] = np.moveaxis(vectors, -1, 0)
    matrices[..., 2, 2] = 1
    return matrices.astype(dtype)


def spread(given: np.ndarray, single: tuple[int, ...], scenes: int, views: int) -> list[list[np.ndarray]]:
    """One for each scene and view, of parameters given once, for each view, or for each."""
    lead = given.shape[: given.ndim - len(single)]
    return [
        [given if not lead else given[v] if len(lead) == 1 else given[b, v] for v in range(views)]
        for b in range(scenes)
    ]


@st.composite
def cases(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict[str, Any], Any, Any]:
    """Depth, K, T, options; what the oracle wants in place of K and T."""
    rng, dtype = draw(generators()), draw(st.sampled_from(DEPTHS))
    axes = draw(st.integers(2, 4))
    lead = tuple(draw(st.sampled_from((0, 1, 2, 3))) for _ in range(axes - 2))
    shape = (*lead, draw(st.integers(0, 6)), draw(st.sampled_from((0, 1, 5, 9))))
    depth = images(rng, shape, dtype)
    layout = draw(st.sampled_from(LAYOUTS))
    depth = arranged(depth, layout)
    kind = draw(st.sampled_from((np.float32, np.float64)))
    lens = lenses(rng, lead[draw(st.integers(0, len(lead))) :], kind)
    pose = None
    if draw(st.booleans()):
        ahead = lead[draw(st.integers(0, len(lead))) :]
        pose = rng.standard_normal((*ahead, 3, 4)).astype(kind)
    options: dict[str, Any] = {"stride": draw(st.sampled_from((1, 1, 2, 4))), "depth_range": (0, np.inf)}
    options["depth_scale"] = draw(st.sampled_from((1000, 999.5, 1)))
    options["dtype"] = draw(st.sampled_from((None, np.float32, np.float64)))
    if draw(st.booleans()):
        options["depth_range"] = (0.0011, 2.5)
    if draw(st.booleans()):
        options["bounds"] = ((-0.5, -np.inf, -2), (1.5, 0.75, 2.75))
    scenes, views = ((1,) * (4 - axes) + lead)[:2]
    single = (3, 3) if lens.shape[-1] == 3 else (4,)
    each = spread(lens, single, scenes, views), None if pose is None else spread(pose, (3, 4), scenes, views)
    return depth, lens, pose, options, *each


def wanted(depth: np.ndarray, options: dict[str, Any], lens: Any, pose: Any) -> tuple[np.ndarray, np.ndarray]:
    near, far = options["depth_range"]
    four = depth.reshape((1,) * (4 - depth.ndim) + depth.shape)
    rest = {name: value for name, value in options.items() if name not in ("depth_range", "depth_scale")}
    return oracle.depth_points(four, lens, pose, near=near, far=far, scale=options["depth_scale"], **rest)


def sampled(shape: tuple[int, ...], stride: int) -> np.ndarray:
    """Numbers of the pixels that are used."""
    return np.arange(int(np.prod(shape))).reshape(shape)[..., ::stride, ::stride]


@given(case=cases(), feature=st.sampled_from(FLOATS + INTEGERS), way=st.integers(0, 2))
def test_points_against_the_oracle(backend: Any, case: Any, feature: np.dtype, way: int) -> None:
    depth, lens, pose, options, *each = case
    points, valid = wanted(depth, options, *each)
    color = numbers(np.random.default_rng(0), (*depth.shape, *((), (3,), (0,))[way]), feature)
    there = [backend.to(array) for array in (depth, lens, pose)]
    got = rc.depth_to_points(*there, color=backend.to(color), return_index=True, check="strict", **options)
    index = sampled(depth.shape, options["stride"])[valid.reshape(*depth.shape[:-2], *valid.shape[2:])]
    offsets = np.concatenate([[0], np.cumsum(valid.sum((1, 2, 3)))])
    rows = color.reshape(depth.size, *color.shape[depth.ndim :])[index]
    assert tolerances.same_bits(backend.np(got.points), points[valid])
    assert backend.np(got.index).tolist() == index.tolist()
    assert backend.np(got.offsets).tolist() == offsets.tolist()
    assert tolerances.same_bits(backend.np(got.features), rows)
    assert int(got.num_points) == int(got.found) == len(index)

    most = len(index) + way
    padded = rc.depth_to_points(*there, color=backend.to(color), max_points=most, check="strict", **options)
    assert padded.index is None
    assert len(padded.points) == len(padded.features) == most
    assert tolerances.same_bits(backend.np(padded.points)[: len(index)], points[valid])
    assert tolerances.same_bits(backend.np(padded.features)[: len(index)], rows)
    assert not backend.np(padded.points)[len(index) :].any()
    assert backend.np(padded.offsets).tolist() == offsets.tolist()


@given(case=cases())
def test_organized_points_against_the_oracle(backend: Any, case: Any) -> None:
    depth, lens, pose, options, *each = case
    want, where = wanted(depth, options, *each)
    lead = depth.shape[:-2]
    points, valid = rc.depth_to_points(*(backend.to(a) for a in (depth, lens, pose)), organized=True, **options)
    assert tolerances.same_bits(backend.np(points), want.reshape(*lead, *want.shape[2:]))
    assert tolerances.same_bits(backend.np(valid), where.reshape(*lead, *where.shape[2:]))


@given(
    rng=generators(),
    shape=st.sampled_from([(1, 1), (4, 7), (2, 3, 5), (2, 2, 3, 4), (0, 3), (2, 0)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    jump=st.sampled_from([0.05, 0.4, 1e30]),
    masked=st.booleans(),
)
def test_normals_against_the_oracle(backend: Any, rng: Any, shape: Any, dtype: Any, jump: float, masked: bool) -> None:
    """Rough surfaces, points that coincide, specials; a viewpoint for all, for each view, or for each of all."""
    rows, columns = np.indices(shape[-2:])
    points = np.stack([columns * 0.02, rows * 0.02, 1 + 0.01 * rng.standard_normal(shape[-2:])], -1).astype(dtype)
    points = np.broadcast_to(points, (*shape, 3)) * 10.0 ** rng.integers(-3, 3)
    points = np.where(rng.random((*shape, 1)) < 0.1, numbers(rng, (*shape, 3), np.dtype(dtype)), points).astype(dtype)
    if shape[-1] > 2:
        points[..., 2, :] = points[..., 1, :]
    valid = rng.random(shape) < 0.8 if masked else None
    eye = rng.standard_normal((*shape[: rng.integers(0, len(shape) - 1)], 3))
    if eye.ndim != 1 and eye.shape[:-1] not in (shape[:-2], shape[1:-2]):
        eye = rng.standard_normal(3)
    got, known = rc.estimate_normals(
        backend.to(points), backend.to(valid), viewpoint=backend.to(eye), max_jump=jump
    )  # fmt: skip
    eyes = np.broadcast_to(eye, (*shape[:-2], 3)).reshape(-1, 3)
    flat, mask = points.reshape(len(eyes), *shape[-2:], 3), np.ones(shape, bool) if valid is None else valid
    pairs = [oracle.normals(p, m, e, jump) for p, m, e in zip(flat, mask.reshape(flat.shape[:-1]), eyes)]
    assert tolerances.same_bits(backend.np(got), np.array([p[0] for p in pairs], dtype).reshape(points.shape))
    assert tolerances.same_bits(backend.np(known), np.array([p[1] for p in pairs], bool).reshape(shape))


def test_views_of_many_blocks_and_calls_after_one_another(backend: Any) -> None:
    """Scenes of several tiles each, with holes as large as one; and the same again in what the last call left."""
    rng = np.random.default_rng(1)
    depth = rng.integers(0, 3000, (3, 2, 61, 83), np.uint16)
    depth[1] = 0
    depth[2, :, 10:40] = 0
    color = rng.integers(0, 255, (*depth.shape, 3), np.uint8)
    for dtype in (np.float32, np.float64):
        for limit in (None, 25_000):
            got = rc.depth_to_points(
                backend.to(depth), PINHOLE, color=backend.to(color), depth_scale=1000, dtype=dtype, return_index=True,
                max_points=limit,
            )  # fmt: skip
            index = np.flatnonzero(depth)
            count = len(index)
            assert (backend.np(got.index)[:count] == index).all()
            assert (backend.np(got.index)[count:] == -1).all()
            assert (backend.np(got.features)[:count] == color.reshape(-1, 3)[index]).all()
            z = depth.reshape(-1)[index].astype(dtype) * dtype(1 / 1000)
            assert (backend.np(got.points)[:count, 2] == z).all()
            each = np.count_nonzero(depth.reshape(3, -1), axis=1)
            assert backend.np(got.offsets).tolist() == [0, *np.cumsum(each).tolist()]


def test_a_limit_that_is_met(backend: Any) -> None:
    depth = backend.to(np.ones((2, 2, 30, 50), np.float32))
    options = {"max_points": 4000, "return_index": True}
    if backend.name == "cpu":
        with pytest.warns(DataWarning, match="6000 points but max_points=4000"):
            got = rc.depth_to_points(depth, PINHOLE, **options)
    else:
        got = rc.depth_to_points(depth, PINHOLE, **options)
        backend.xp.cuda.get_current_stream().synchronize()
        with pytest.warns(DataWarning, match="points than max_points"):
            rc.depth_to_points(depth, PINHOLE)
    assert backend.np(got.index).tolist() == list(range(4000))
    assert backend.np(got.offsets).tolist() == [0, 3000, 4000]
    assert (int(got.num_points), int(got.found)) == (4000, 6000)
    with pytest.raises(DataError, match="max_points"):
        rc.depth_to_points(depth, PINHOLE, check="strict", **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ranges_are_half_open(backend: Any, dtype: Any) -> None:
    near, far = dtype(1), dtype(2)
    depth = np.array([[near, np.nextafter(near, dtype(0)), np.nextafter(far, dtype(0)), far]])
    for how in ({"depth_range": (1, 2)}, {"bounds": (-9, -9, 1, 9, 9, 2)}):
        got = rc.depth_to_points(backend.to(depth), PINHOLE, return_index=True, **how)
        assert backend.np(got.index).tolist() == [0, 2]


def test_a_box_of_points_is_that_of_crop_box(backend: Any) -> None:
    rng = np.random.default_rng(2)
    depth, pose = backend.to(rng.uniform(1, 3, (3, 20, 30)).astype(np.float32)), rng.standard_normal((3, 3, 4))
    whole = rc.depth_to_points(depth, PINHOLE, backend.to(pose))
    box = (-3, -3, -3, 3, 3, 3)
    got = rc.depth_to_points(depth, PINHOLE, backend.to(pose), bounds=box)
    assert 0 < len(got.points) < len(whole.points)
    assert tolerances.same_bits(backend.np(got.points), backend.np(rc.crop_box(whole.points, box).points))


@pytest.mark.parametrize("tilt", [0.0, 0.3, 1.0])
def test_normals_of_a_plane(backend: Any, tilt: float) -> None:
    """Every pixel of a tilted wall, borders included, has the wall's normal, on the camera's side."""
    normal = np.array([np.sin(tilt), 0, -np.cos(tilt)])
    rows, columns = np.indices((40, 50))
    rays = np.stack([(columns - 24.5) / 60, (rows - 19.5) / 60, np.ones((40, 50))], -1)
    depth = -2 / (rays @ normal)  # where they meet the plane n . p = -2
    points, valid = rc.depth_to_points(backend.to(depth), (60.0, 60.0, 24.5, 19.5), organized=True)
    got, known = rc.estimate_normals(points, valid, max_jump=0.2)
    assert backend.np(known).all()
    np.testing.assert_allclose(backend.np(got), np.broadcast_to(normal, (40, 50, 3)), atol=1e-12)
    behind, _ = rc.estimate_normals(points, valid, viewpoint=(0, 0, 100), max_jump=0.2)
    assert (backend.np(behind) == -backend.np(got)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_plane_seen_from_its_edge(backend: Any, dtype: Any) -> None:
    """Neither side is nearer: the normal is the product as it comes, without signs turned."""
    rows, columns = np.indices((4, 5))
    points = np.stack([columns, rows, np.zeros((4, 5))], -1).astype(dtype)
    got, known = rc.estimate_normals(backend.to(points), viewpoint=(100, 0, 0))
    assert backend.np(known).all()
    assert (backend.np(got)[..., 2] == 1).all()
    assert not np.signbit(backend.np(got)).any()


def test_normals_stop_at_jumps(backend: Any) -> None:
    """A step between two walls: both keep their normals up to the step; a lone pixel has none."""
    depth = np.where(np.arange(20) < 10, 1.0, 2.0)[None].repeat(12, 0)
    depth[6, 5] = 1.5
    points, valid = rc.depth_to_points(backend.to(depth), (50.0, 50.0, 10.0, 6.0), organized=True)
    got, known = (backend.np(a) for a in rc.estimate_normals(points, valid))
    assert np.argwhere(~known).tolist() == [[6, 5]]
    np.testing.assert_allclose(got[known], np.broadcast_to((0, 0, -1), (239, 3)), atol=1e-12)


D, T = np.ones((2, 4, 5), np.float32), np.eye(4)
SKEWED = [[40, 1, 3], [0, 40, 2], [0, 0, 1]]
REFUSED = [
    (ArgumentError, "no unit; pass depth_scale", {"depth": D.astype(np.uint16)}),
    (DTypeError, "depth has dtype", {"depth": D.astype(np.int32)}),
    (ShapeError, "depth has shape", {"depth": D[0, 0]}),
    (ShapeError, "K has shape", {"K": np.ones((3, 4))}),
    (ShapeError, "K has shape", {"K": np.ones(3)}),
    (ArgumentError, "skew", {"K": SKEWED}),
    (ShapeError, "T has shape", {"T": np.eye(3)}),
    (ArgumentError, "not affine", {"T": np.ones((4, 4)).tolist()}),
    (ShapeError, "color has shape", {"color": D[0]}),
    (ArgumentError, "depth_scale", {"depth_scale": 0}),
    (ArgumentError, "depth_scale", {"depth_scale": 1e300}),
    (ArgumentError, "depth_range", {"depth_range": (2, 1)}),
    (ArgumentError, "depth_range", {"depth_range": (-1, 1)}),
    (ArgumentError, "depth_range", {"depth_range": 3}),
    (ArgumentError, "stride", {"stride": 0}),
    (ArgumentError, "max_points", {"max_points": -3}),
    (ArgumentError, "organized", {"organized": True, "max_points": 3}),
    (ArgumentError, "organized", {"organized": True, "color": D}),
    (DTypeError, "dtype=float16", {"dtype": np.float16}),
    (DTypeError, "no NumPy dtype", {"dtype": "metres"}),
    (ArgumentError, "check=", {"check": "perhaps"}),
]


@pytest.mark.parametrize("error, message, how", REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"depth": D, "K": PINHOLE} | how
    with pytest.raises(error, match=message):
        rc.depth_to_points(**{name: backend.to(value) for name, value in how.items()})


P = np.ones((4, 5, 3), np.float32)
REFUSED_NORMALS = [
    (ShapeError, "points has shape", {"points": P[0]}),
    (ShapeError, "points has shape", {"points": P[..., :2]}),
    (DTypeError, "points has dtype", {"points": P.astype(np.float16)}),
    (DTypeError, "valid has dtype", {"valid": P[..., 0]}),
    (ShapeError, "valid has shape", {"valid": P[0] > 0}),
    (ShapeError, "viewpoint has shape", {"viewpoint": np.zeros((2, 3))}),
    (ArgumentError, "max_jump", {"max_jump": 0}),
]


@pytest.mark.parametrize("error, message, how", REFUSED_NORMALS, ids=range(len(REFUSED_NORMALS)))
def test_what_normals_refuse(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"points": P} | how
    with pytest.raises(error, match=message):
        rc.estimate_normals(**{name: backend.to(value) for name, value in how.items()})


def test_several_matrices_live_with_the_depth(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="T lives on the CPU"):
        rc.depth_to_points(cupy.asarray(D), PINHOLE, np.eye(4)[None].repeat(2, 0))
