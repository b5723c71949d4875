"""``tsdf_integrate`` against an oracle that goes voxel by voxel, and what holds of any views."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from ops.tsdf_cases import Case, H, K, W, cases, same, scene

import robocache as rc


@given(case=cases(), on_device=st.booleans())
def test_against_the_oracle(backend: Any, case: Case, on_device: bool) -> None:
    assert same(case.run(backend, on_device), case.expected())


@pytest.mark.parametrize("views", [2, 16, 17, 33])
def test_views_together_give_what_they_give_one_by_one(backend: Any, views: int) -> None:
    case = scene(np.random.default_rng(views), views)
    arrays = [backend.to(a) for a in case.copies()]
    for view in range(views):
        rc.tsdf_integrate(
            arrays[0], arrays[1], backend.to(case.depth[view]), K, case.t[view], color=backend.to(case.shades[view]),
            grid_color=arrays[2], **case.options,
        )  # fmt: skip
    single = [backend.np(a) for a in arrays]
    assert (single[1] > 0).any()
    for on_device in (False, True):
        assert same(case.run(backend, on_device), single)


def test_the_order_of_views_is_kept(backend: Any) -> None:
    """With weights that stop at once, each view counts half of what there is, so the order shows."""
    case = scene(np.random.default_rng(0), 5)
    case.options["max_weight"] = 1.0
    forward = case.run(backend)
    assert same(forward, case.expected())
    case.depth, case.shades, case.t = case.depth[::-1], case.shades[::-1], case.t[::-1]
    assert not tolerances.same_bits(case.run(backend)[0], forward[0])


def test_what_no_view_sees_keeps_every_bit(backend: Any) -> None:
    case = scene(np.random.default_rng(1), 3)
    noise = np.random.default_rng(2).integers(0, 2**32, (3, *case.grid.shape), np.uint32)
    marks = noise.view(np.float32)
    case.grid, case.weight = marks[0].copy(), np.abs(marks[1])
    case.tint = np.random.default_rng(3).integers(0, 2**32, case.tint.shape, np.uint32).view(np.float32)
    probe = scene(np.random.default_rng(1), 3)
    unseen = probe.run(backend)[1] == 0
    assert 0.2 < unseen.mean() < 0.98
    got = case.run(backend)
    for after, before in zip(got, (case.grid, case.weight, case.tint)):
        assert (after.view(np.uint32)[unseen] == before.view(np.uint32)[unseen]).all()


def test_weights_count_views_and_stop(backend: Any) -> None:
    """One view again and again: the distance stays, the weight counts up to its limit."""
    case = scene(np.random.default_rng(4), 1)
    arrays = [backend.to(a) for a in case.copies()]
    history = []
    for _ in range(12):
        rc.tsdf_integrate(arrays[0], arrays[1], backend.to(case.depth), K, case.t, **case.options)
        history.append([backend.np(a).copy() for a in arrays[:2]])
    touched = history[0][1] == 1
    assert [float(weight[touched].max()) for _, weight in history] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]
    assert all((weight[~touched] == 0).all() for _, weight in history)
    assert all(tolerances.same_bits(grid, history[0][0]) for grid, _ in history)


def test_the_average_of_views(backend: Any) -> None:
    """A wall at noisy distances: the field is the mean of the distances, to float32's rounding."""
    depths = 1 + np.random.default_rng(5).normal(size=50) * 0.02
    pictures = np.broadcast_to(depths[:, None, None], (50, 9, 9)).astype(np.float32)
    grid, weight = np.zeros((1, 1, 10), np.float32), np.zeros((1, 1, 10), np.float32)
    there = [backend.to(a) for a in (grid, weight)]
    where = {"origin": (-0.01, -0.01, 0.9), "voxel_size": 0.02, "truncation": 1.0}
    rc.tsdf_integrate(*there, backend.to(pictures), (9, 9, 4, 4), np.eye(4), **where)
    want = pictures[:, 0, 0].astype(np.float64).mean() - (0.91 + 0.02 * np.arange(10))
    assert np.abs(backend.np(there[0])[0, 0] - want).max() < 1e-6
    assert (backend.np(there[1]) == 50).all()


def test_far_from_the_origin(backend: Any) -> None:
    """At UTM coordinates, with sizes that float64 holds exactly there: the bits of the same scene at the origin."""
    case = scene(np.random.default_rng(6), 4)
    case.t = np.round(case.t * 2**20) / 2**20
    case.options |= {"origin": (-0.5, -0.5, -1.0), "voxel_size": (1 / 32,) * 3}
    near = case.run(backend)
    shift = np.array([4.0e6, -5.0e5, 128.0])
    case.t[:, :3, 3] += shift
    case.options["origin"] = tuple(shift + (-0.5, -0.5, -1.0))
    assert (near[1] > 0).any()
    assert same(case.run(backend), near)


def test_edges_of_the_picture_and_the_plane_of_the_camera(backend: Any) -> None:
    """Voxel centres on the very borders of pixels, at depth zero, behind, and where float32 overflows."""
    weight = np.zeros((9, 3, 5), np.float32)
    depth = np.full((1, 4, 8), 1.0, np.float32)
    for k, origin, size in (
        ((4.0, 4.0, -0.5, -0.5), (-0.5, -0.25, -0.25), (0.25, 0.25, 0.25)),
        ((4.0, 4.0, 3.5, 1.5), (-1.125, -0.5, 0.875), (0.25, 0.25, 0.25)),
        ((1e30, 1e30, 3.5, 1.5), (-1e9, -1e9, -1e9), (1e8, 1e9, 1e9)),
        ((1e-30, 1e-30, 1e-35, 1e-39), (-1.0, 0.0, -1e-38), (0.5, 1e-38, 1e-38)),
    ):
        options = {
            "origin": origin, "voxel_size": size, "truncation": 4.0, "depth_scale": 1.0, "max_weight": 5.0,
        }  # fmt: skip
        case = Case(np.zeros_like(weight), weight, None, depth, None, np.array(k), np.eye(4), options)
        assert same(case.run(backend), case.expected())


def test_nothing_to_do(backend: Any) -> None:
    for shape, picture in (
        ((0, 4, 4), (1, 3, 3)),
        ((4, 4, 0), (1, 3, 3)),
        ((2, 2, 2), (0, 3, 3)),
        ((2, 2, 2), (1, 0, 3)),
    ):
        grid, weight = backend.to(np.full(shape, 7, np.float32)), backend.to(np.zeros(shape, np.float32))
        rc.tsdf_integrate(grid, weight, backend.to(np.ones(picture, np.float32)), K, np.eye(4), voxel_size=0.1)
        assert (backend.np(grid) == 7).all()
        assert (backend.np(weight) == 0).all()


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    case = scene(np.random.default_rng(7), 6, (64, 48, 40))
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        found.append(case.run(type("Cpu", (), {"to": lambda self, a: a, "np": lambda self, a: a})()))
    assert same(*found)


def test_pictures_of_any_layout(backend: Any) -> None:
    case = scene(np.random.default_rng(8), 4)
    wide = np.zeros((4, H, 2 * W), np.float32)
    wide[:, :, ::2] = case.depth
    flipped = case.shades[:, :, ::-1].copy()
    expected = case.run(backend)
    case.depth, case.shades = wide[:, :, ::2], flipped[:, :, ::-1]
    assert same(case.run(backend), expected)


GRID, TINT, EYE = np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2, 3), np.float32), np.eye(4)
