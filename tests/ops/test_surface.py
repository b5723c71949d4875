"""``tsdf_to_points`` against an oracle that goes voxel by voxel; ``tsdf_to_mesh`` against the points."""

import sys
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import tsdf as oracle
from strategies import generators

import robocache as rc
from robocache._core.errors import (
    ArgumentError,
    BackendError,
    DataError,
    DataWarning,
    DeviceError,
    DTypeError,
    ShapeError,
)

SHAPES = ((1, 1, 1), (4, 5, 6), (2, 3, 33), (1, 2, 130), (3, 7, 64), (1, 9, 1), (2, 0, 3), (17, 16, 2))
PLACES = ((0.0, 0.0, 0.0), (4.0e6, -5.0e5, 120.0))
NAMES = ("points", "normals", "colors")


@st.composite
def volumes(draw: Any) -> tuple[np.ndarray, ...]:
    """Distances with some cut off, NaN, zeros of both signs and subnormal; weights; perhaps colours."""
    rng, shape = draw(generators()), draw(st.sampled_from(SHAPES))
    grid = np.cumsum(rng.normal(size=shape) * draw(st.sampled_from((0.05, 0.3, 1.0))), axis=-1).astype(np.float32)
    grid = np.clip(grid, -1, 1)
    odd = np.array([np.nan, np.inf, 0.0, -0.0, 1e-42, -1e-42, 1.0, -1.0, 2.0], np.float32)
    where = rng.random(shape) < draw(st.sampled_from((0.0, 0.1, 0.6)))
    grid[where] = odd[rng.integers(0, len(odd), int(where.sum()))]
    weight = rng.choice(np.array([0, 1, 1, 1, 1, 3, 1e-42, np.nan], np.float32), shape)
    tint = rng.uniform(0, 255, (*shape, 3)).astype(np.float32) if draw(st.booleans()) else None
    return grid, weight, tint


def placed(rng: np.random.Generator, place: tuple[float, ...]) -> dict[str, Any]:
    return {"origin": place, "voxel_size": tuple(rng.uniform(0.01, 0.3, 3))}


@given(
    volume=volumes(), rng=generators(), place=st.sampled_from(PLACES), real=st.sampled_from((np.float32, np.float64))
)
def test_against_the_oracle(backend: Any, volume: Any, rng: Any, place: Any, real: Any) -> None:
    where, least = placed(rng, place), float(rng.choice([1, 2, 1e-3]))
    want = oracle.surface(*volume, where["origin"], where["voxel_size"], least, real)
    given = [backend.to(a) for a in volume]
    how = where | {"min_weight": least, "dtype": real, "grid_color": given[2]}
    found = rc.tsdf_to_points(*given[:2], **how)
    for name, expected in zip(NAMES, want):
        got = getattr(found, name)
        assert got is expected is None or tolerances.same_bits(backend.np(got), expected), name
    assert int(found.num_points) == int(found.found) == len(want[0])
    plain = rc.tsdf_to_points(*given[:2], **(how | {"normals": False, "grid_color": None}))
    assert plain.normals is plain.colors is None
    assert tolerances.same_bits(backend.np(plain.points), want[0])


@given(volume=volumes(), rng=generators(), share=st.sampled_from((0.0, 0.5, 1.0, 2.0)))
def test_room_for_so_many_points(backend: Any, volume: Any, rng: Any, share: float) -> None:
    """The same points as far as they go, then NaN and zeros."""
    where = placed(rng, PLACES[0])
    want = oracle.surface(*volume, where["origin"], where["voxel_size"], 1.0, np.float32)
    total = len(want[0])
    room = int(total * share) + (share == 2)
    kept = min(room, total)
    given = [backend.to(a) for a in volume]
    how = where | {"grid_color": given[2], "max_points": room}
    if kept < total:
        with pytest.raises(DataError, match="max_points"):
            rc.tsdf_to_points(*given[:2], check="strict", **how)
        if backend.name == "cpu":
            with pytest.warns(DataWarning, match=f"there are {total} points but max_points={room}"):
                found = rc.tsdf_to_points(*given[:2], **how)
        else:
            found = rc.tsdf_to_points(*given[:2], **how)
            backend.xp.cuda.get_current_stream().synchronize()
            with pytest.warns(DataWarning, match="max_points"):
                rc.tsdf_to_points(*given[:2], **(how | {"max_points": total}))
    else:
        found = rc.tsdf_to_points(*given[:2], **how)
    assert (int(found.num_points), int(found.found)) == (kept, total)
    for name, expected, filler in zip(NAMES, want, (np.nan, 0, 0)):
        if expected is None:
            assert getattr(found, name) is None
            continue
        got = backend.np(getattr(found, name))
        padded = np.full((room, 3), filler, np.float32)
        padded[:kept] = expected[:kept]
        assert tolerances.same_bits(got, padded), name


def ball(size: int = 40, radius: float = 0.37) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """True distances to a sphere in the middle of the unit cube, in tenths of it, as a volume; and where it lies."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    distance = np.sqrt(sum(np.meshgrid(axis**2, axis**2, axis**2, indexing="ij"))) - radius
    grid = np.clip(distance / 0.1, -1, 1).astype(np.float32)
    return grid, np.ones_like(grid), {"bounds": (-0.5, -0.5, -0.5, 0.5, 0.5, 0.5)}


def test_true_distances_give_the_true_surface(backend: Any) -> None:
    """A sphere to a hundredth of a voxel, its normals to a hundredth."""
    grid, weight, where = ball()
    found = rc.tsdf_to_points(backend.to(grid), backend.to(weight), dtype=np.float64, **where)
    points, normals = backend.np(found.points), backend.np(found.normals)
    out = points / np.linalg.norm(points, axis=1, keepdims=True)
    assert len(points) > 4000
    assert np.abs(np.linalg.norm(points, axis=1) - 0.37).max() < 0.01 / 40
    assert np.abs(normals - out).max() < 0.01


def test_several_blocks_keep_the_order(backend: Any) -> None:
    """Sign changes almost everywhere, more than a block's worth in every column."""
    grid = np.random.default_rng(0).uniform(-0.9, 0.9, (9, 11, 70)).astype(np.float32)
    where = {"voxel_size": 0.1}
    want = oracle.surface(grid, np.ones_like(grid), None, (0, 0, 0), (0.1,) * 3, 1.0, np.float32)
    found = rc.tsdf_to_points(backend.to(grid), backend.to(np.ones_like(grid)), **where)
    assert all(tolerances.same_bits(backend.np(a), b) for a, b in zip(found[:2], want))


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = np.random.default_rng(1).uniform(-0.9, 0.9, (64, 70, 40)).astype(np.float32)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        found.append(rc.tsdf_to_points(grid, np.ones_like(grid), voxel_size=0.1))
    assert all(tolerances.same_bits(a, b) for a, b in zip(found[0][:2], found[1][:2]))


def test_arrays_of_any_layout(backend: Any) -> None:
    grid, weight, where = ball(12)
    flipped = backend.to(grid[::-1, :, ::-1].copy())[::-1, :, ::-1]
    same = backend.to(np.broadcast_to(np.float32(1), grid.shape))
    a = rc.tsdf_to_points(flipped, same, **where)
    b = rc.tsdf_to_points(backend.to(grid), backend.to(weight), **where)
    assert all(tolerances.same_bits(backend.np(x), backend.np(y)) for x, y in zip(a[:2], b[:2]))


@pytest.mark.cuda
def test_a_graph_finds_other_points(cupy: Any) -> None:
    grid, weight, where = ball(24)
    field, mass = cupy.zeros(grid.shape, np.float32), cupy.asarray(weight)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        rc.tsdf_to_points(field, mass, max_points=9000, **where)
        stream.begin_capture()
        found = rc.tsdf_to_points(field, mass, max_points=9000, **where)
        graph = stream.end_capture()
        for sign in (1, -1):
            field.set(sign * grid)
            graph.launch()
            stream.synchronize()
            want = rc.tsdf_to_points(sign * grid, weight, max_points=9000, **where)
            assert all(tolerances.same_bits(a.get(), b) for a, b in zip(found[:2], want[:2]))
            assert int(found.num_points.get()) == int(want.num_points)


# ---- meshes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def marching() -> Any:
    return pytest.importorskip("skimage.measure")


@pytest.mark.usefixtures("marching")
def test_a_mesh_is_closed_and_faces_outward() -> None:
    grid, weight, where = ball()
    tint = np.stack(np.meshgrid(*[np.arange(40, dtype=np.float32)] * 3, indexing="ij"), -1)
    mesh = rc.tsdf_to_mesh(grid, weight, grid_color=tint, dtype=np.float64, **where)
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(1)
    assert ((across * middle).sum(1)[(across != 0).any(1)] > 0).all()
    assert (corners[:, 0] * across).sum() / 6 == pytest.approx(4 / 3 * np.pi * 0.37**3, rel=0.01)  # its volume
    edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
    assert ((mesh.normals * mesh.vertices).sum(1) / 0.37 > 0.95).all()
    flat = rc.tsdf_to_mesh(grid, weight, voxel_size=(0.1, 0.1, 0.01))
    away = (flat.vertices - flat.vertices.mean(0)) / np.array([0.1, 0.1, 0.01]) ** 2  # of an ellipsoid
    assert ((flat.normals * away).sum(1) / np.linalg.norm(away, axis=1) > 0.95).all()
    assert np.abs(mesh.colors - (mesh.vertices + 0.5) * 40 + 0.5).max() < 1e-3  # a colour that is the place


@pytest.mark.usefixtures("marching")
def test_vertices_are_the_points() -> None:
    """Of a smooth surface, without two vertices in one place: the same ones, in another order."""
    grid, weight, where = ball(31, 0.361)
    weight[:9], weight[12, 20:] = 0, 0
    grid[20:] = np.nan
    mesh = rc.tsdf_to_mesh(grid, weight, dtype=np.float64, **where)
    points = rc.tsdf_to_points(grid, weight, dtype=np.float64, **where).points
    apart = np.abs(mesh.vertices[:, None] - points[None]).max(-1).min(1)
    assert len(mesh.vertices) > 500
    assert apart.max() < 1e-6
    assert len(points) - len(mesh.vertices) < 0.2 * len(points)  # the points of edges that no whole cube has


@pytest.mark.usefixtures("marching")
def test_no_triangles_where_the_field_was_cut_off() -> None:
    grid, weight, where = ball(16)
    jump = np.where(np.arange(16) < 8, 1, -1).astype(np.float32) * np.ones((16, 16, 1), np.float32)
    for field, mass in ((jump, weight), (grid, 0 * weight), (np.abs(grid) + 0.01, weight), (grid[:1], weight[:1])):
        mesh = rc.tsdf_to_mesh(field, mass, grid_color=np.zeros((*field.shape, 3), np.float32), **where)
        assert [array.shape for array in mesh] == [(0, 3)] * 4
        assert [array.dtype for array in mesh] == [np.float32, np.int32, np.float32, np.float32]


def test_a_mesh_needs_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.measure", None)
    with pytest.raises(BackendError, match=r"robocache\[mesh\]"):
        rc.tsdf_to_mesh(*ball(4)[:2], voxel_size=1)


@pytest.mark.cuda
def test_a_mesh_of_a_gpu_is_refused(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="to the host first"):
        rc.tsdf_to_mesh(*(cupy.asarray(a) for a in ball(4)[:2]), voxel_size=1)


# ---- what is refused ------------------------------------------------------------------------------------------------

GRID = np.ones((2, 2, 2), np.float32)
WRONG = [
    (ShapeError, "^grid has shape", {"grid": GRID[0]}),
    (DTypeError, "^grid has dtype", {"grid": GRID.astype(np.float64)}),
    (ShapeError, "^weight has shape", {"weight": GRID[:1]}),
    (DTypeError, "^weight has dtype", {"weight": GRID > 0}),
    (ShapeError, "^grid_color has shape", {"grid_color": GRID}),
    (ArgumentError, "exactly one of bounds", {"voxel_size": None}),
    (ArgumentError, "leave float32", {"voxel_size": 1e-60}),
    (ArgumentError, "min_weight=0", {"min_weight": 0}),
    (ArgumentError, "least normal", {"min_weight": 1e-40}),
    (ArgumentError, "max_points=-1", {"max_points": -1}),
    (ArgumentError, "max_points=True", {"max_points": True}),
    (ArgumentError, "check='loud'", {"check": "loud"}),
    (DTypeError, "float32 or float64", {"dtype": np.float16}),
    (DTypeError, "is no NumPy dtype", {"dtype": "metre"}),
]


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"grid": GRID, "weight": GRID, "voxel_size": 1.0} | how
    with pytest.raises(error, match=message) as caught:
        rc.tsdf_to_points(**{name: backend.to(value) for name, value in how.items()})
    assert type(caught.value) is error


def test_torch_in_torch_out(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    grid, weight, where = ball(12)
    there = [torch.from_numpy(a).to("cpu" if backend.name == "cpu" else "cuda") for a in (grid, weight)]
    found = rc.tsdf_to_points(*there, **where)
    assert isinstance(found.points, torch.Tensor)
    assert tolerances.same_bits(found.points.cpu().numpy(), rc.tsdf_to_points(grid, weight, **where).points)
