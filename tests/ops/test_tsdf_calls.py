"""What ``tsdf_integrate`` refuses, cameras on the device, graphs, and other frameworks."""

from typing import Any

import numpy as np
import pytest
from ops.tsdf_cases import H, K, W, same, scene

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

GRID, TINT, EYE = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2, 3), np.float32), np.eye(4)
LEFT = np.diag([-1.0, 1, 1, 1])
WRONG = [
    (ShapeError, "^grid has shape", {"grid": GRID[0]}),
    (DTypeError, "^grid has dtype", {"grid": GRID.astype(np.float64)}),
    (ShapeError, "^weight has shape", {"weight": GRID[:1]}),
    (ArgumentError, "^weight is not C-contiguous", {"weight": np.zeros((2, 2, 4), np.float32)[..., ::2]}),
    (DTypeError, "^depth has dtype int32", {"depth": np.ones((3, 3), np.int32)}),
    (ShapeError, "^depth has shape", {"depth": np.ones(3, np.float32)}),
    (ArgumentError, "depth_scale=None.*1000", {"depth": np.ones((3, 3), np.uint16)}),
    (ArgumentError, "depth_scale=0", {"depth_scale": 0}),
    (ArgumentError, "truncation=-1", {"truncation": -1}),
    (ArgumentError, "leaves float32", {"truncation": 1e-40}),
    (ArgumentError, "max_depth", {"max_depth": np.nan}),
    (ArgumentError, "max_weight=0", {"max_weight": 0}),
    (ArgumentError, "exactly one of bounds", {"bounds": (0, 0, 0, 1, 1, 1)}),
    (ArgumentError, "exactly one of bounds", {"voxel_size": None}),
    (ArgumentError, "origin=1 has no say", {"voxel_size": None, "bounds": (0, 0, 0, 1, 1, 1), "origin": 1}),
    (ArgumentError, "voxel_size=-1", {"voxel_size": -1}),
    (ArgumentError, "check='none'", {"check": "none"}),
    (ArgumentError, "go together", {"grid_color": TINT}),
    (ShapeError, "^color has shape", {"color": np.zeros((3, 3), np.uint8), "grid_color": TINT}),
    (DTypeError, "^color has dtype", {"color": np.zeros((3, 3, 3), np.int8), "grid_color": TINT}),
    (ShapeError, "^grid_color has shape", {"color": np.zeros((3, 3, 3), np.uint8), "grid_color": GRID.copy()}),
    (ShapeError, "^K has shape", {"K": np.eye(5)}),
    (ShapeError, "^K is of 2 views", {"K": np.ones((2, 4))}),
    (DataError, "^K of view 0", {"K": (0, 1, 1, 1)}),
    (DataError, "^K of view 0", {"K": (1, np.inf, 1, 1)}),
    (DataError, "^K of view 0", {"K": [[1, 0.1, 1], [0, 1, 1], [0, 0, 1]]}),
    (ArgumentError, "^K is no array", {"K": "fx"}),
    (ShapeError, "^T has shape", {"T": np.eye(3)}),
    (DataError, "^T of view 0", {"T": EYE * 2}),
    (DataError, "^T of view 0", {"T": LEFT}),
    (DataError, "^T of view 0", {"T": EYE + [[0, 0, 0, np.nan]] * 4}),
    (DataError, "^T of view 0", {"T": np.vstack([EYE[:3], [[0, 0, 1, 1]]])}),
]  # fmt: skip


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {
        "grid": GRID.copy(), "weight": GRID.copy(), "depth": np.ones((3, 3), np.float32), "K": (1, 1, 1, 1), "T": EYE,
        "voxel_size": 1.0,
    } | how  # fmt: skip
    moved = ("grid", "weight", "depth", "color", "grid_color")
    with pytest.raises(error, match=message) as caught:
        rc.tsdf_integrate(**{name: backend.to(value) if name in moved else value for name, value in how.items()})
    assert type(caught.value) is error


def test_arrays_that_overlap(backend: Any) -> None:
    memory = backend.to(np.zeros(64, np.float32))
    grid = memory[:27].reshape(3, 3, 3)
    with pytest.raises(ArgumentError, match="overlaps"):
        rc.tsdf_integrate(grid, memory[20:47].reshape(3, 3, 3), grid[0] * 1, K, EYE, voxel_size=1)
    with pytest.raises(ArgumentError, match="overlaps depth"):
        rc.tsdf_integrate(grid, memory[30:57].reshape(3, 3, 3), grid[0], K, EYE, voxel_size=1)


def test_a_read_only_volume() -> None:
    grid = GRID.copy()
    grid.flags.writeable = False
    with pytest.raises(ArgumentError, match="grid is read-only"):
        rc.tsdf_integrate(grid, GRID.copy(), np.ones((3, 3), np.float32), K, EYE, voxel_size=1)


@pytest.mark.cuda
@pytest.mark.parametrize("bad", ["nan", "stretched", "mirrored", "focal", "skew"])
def test_a_bad_camera_on_the_device_is_left_out_and_reported(cupy: Any, bad: str) -> None:
    case = scene(np.random.default_rng(9), 3)
    k = np.array([[[60, 0, 15.3], [0, 58, 11.6], [0, 0, 1.0]]] * 3)
    t = case.t.copy()
    if bad in ("focal", "skew"):
        k[1, 0, 0 if bad == "focal" else 1] = -1
    else:
        t[1, :3] = {"nan": np.nan, "stretched": t[1, :3] * 1.1, "mirrored": t[1, :3] * [-1, 1, 1, 1]}[bad]
    arrays = [cupy.asarray(a) for a in case.copies()[:2]]
    depth = cupy.asarray(case.depth)
    rc.tsdf_integrate(*arrays, depth, cupy.asarray(k), cupy.asarray(t), **case.options)
    cupy.cuda.get_current_stream().synchronize()
    case.tint = case.shades = None
    case.depth, case.t = case.depth[[0, 2]], case.t[[0, 2]]
    with pytest.warns(DataWarning, match="no camera"):
        rc.tsdf_integrate(*(cupy.asarray(a) for a in case.copies()[:2]), depth, K, EYE, **case.options)
    assert same([a.get() for a in arrays], case.expected()[:2])
    with pytest.raises(DataError, match="no camera"):
        rc.tsdf_integrate(*arrays, depth, cupy.asarray(k), cupy.asarray(t), check="strict", **case.options)


@pytest.mark.cuda
def test_a_graph_reads_cameras_and_pictures_anew(cupy: Any) -> None:
    case = scene(np.random.default_rng(10), 3)
    case.tint = case.shades = None
    arrays = [cupy.asarray(a) for a in case.copies()[:2]]
    depth, poses = cupy.zeros((3, H, W), np.float32), cupy.asarray(np.stack([np.eye(4)] * 3))
    k = cupy.asarray(np.array(K))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        rc.tsdf_integrate(*arrays, depth, k, poses, **case.options)
        stream.begin_capture()
        rc.tsdf_integrate(*arrays, depth, k, poses, **case.options)
        graph = stream.end_capture()
        depth.set(case.depth)
        poses.set(case.t)
        graph.launch()
        stream.synchronize()
    assert same([a.get() for a in arrays], case.expected()[:2])


def test_torch_volumes_are_written_in_place(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    case = scene(np.random.default_rng(11), 2)
    case.tint = case.shades = None
    grid, weight = (torch.from_numpy(a).to(device) for a in case.copies()[:2])
    found = rc.tsdf_integrate(grid, weight, torch.from_numpy(case.depth).to(device), K, case.t, **case.options)
    assert found[0] is grid
    assert same([a.cpu().numpy() for a in (grid, weight)], case.expected()[:2])


@pytest.mark.cuda
def test_a_picture_elsewhere_is_refused(cupy: Any) -> None:
    grid = cupy.zeros((2, 2, 2), np.float32)
    with pytest.raises(DeviceError, match="depth lives on the CPU"):
        rc.tsdf_integrate(grid, grid.copy(), np.ones((3, 3), np.float32), K, EYE, voxel_size=1)
