"""Point clouds and depth images captured in a CUDA graph, and calls of several streams and threads."""

import threading
from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda

K, BOX = (60.0, 60.0, 31.5, 23.5), (-1, -1, 0, 1, 1, 2.5)


def test_from_depth_to_voxels_in_a_graph(cupy: Any) -> None:
    """Depth, colours and poses change from replay to replay; a call that waited could not be captured."""
    rng = np.random.default_rng(0)
    depth, color = cupy.zeros((2, 3, 48, 64), np.uint16), cupy.zeros((2, 3, 48, 64, 3), np.uint8)
    poses = cupy.zeros((3, 3, 4))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()

    def call(depth: Any, color: Any, poses: Any) -> tuple[Any, ...]:
        cloud = rc.depth_to_points(depth, K, poses, color=color, depth_scale=1000, bounds=BOX, max_points=20_000)
        part = rc.crop_box(
            cloud.points, (0, -1, 0, 1, 1, 2.5), cloud.features, offsets=cloud.offsets, max_points=20_000
        )
        voxels = rc.voxelize(part.points, offsets=part.offsets, voxel_size=0.1, max_voxels=20_000)
        points, valid = rc.depth_to_points(depth, K, poses, depth_scale=1000, organized=True)
        normals, known = rc.estimate_normals(points, valid)
        moved = rc.transform_points(part.points, np.eye(4)[:3] + 1)
        found = (cloud.points, cloud.features, cloud.offsets, cloud.found, part.points, part.features, part.offsets)
        return (*found, voxels.coords, voxels.counts, normals, known, moved)

    with stream:
        call(depth, color, poses)
        stream.synchronize()
        stream.begin_capture()
        results = call(depth, color, poses)
        graph = stream.end_capture()
        for _ in range(3):
            depth[...] = cupy.asarray(rng.integers(0, 3000, depth.shape, np.uint16))
            color[...] = cupy.asarray(rng.integers(0, 255, color.shape, np.uint8))
            poses[...] = cupy.asarray(rng.standard_normal(poses.shape))
            other = [cupy.full(4096 << k, 7.0) for k in range(4)]  # the graph's memory must not be handed out
            graph.launch(stream)
            stream.synchronize()
            want = call(depth.get(), color.get(), poses.get())
            for got, expected in zip(results, want, strict=True):
                assert tolerances.same_bits(got.get(), expected)
            assert all(bool((o == 7).all()) for o in other)


def test_threads_and_streams_of_their_own(cupy: Any) -> None:
    rng = np.random.default_rng(1)
    clouds = [rng.uniform(-2, 2, (50_000 + 1000 * k, 3)).astype(np.float32) for k in range(4)]
    want = [rc.crop_box(cloud, (-1, -1, -1, 1, 1, 1)).points for cloud in clouds]
    start, wrong = threading.Barrier(4), []

    def work(k: int) -> None:
        with cupy.cuda.Device(0), cupy.cuda.Stream(non_blocking=True) as stream:
            points = cupy.asarray(clouds[k])
            start.wait()
            for _ in range(20):
                got = rc.crop_box(points, (-1, -1, -1, 1, 1, 1), max_points=60_000)
                stream.synchronize()
                if not tolerances.same_bits(got.points[: int(got.found)].get(), want[k]):
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_more_pixels_than_the_scratch_that_is_kept(cupy: Any) -> None:
    """So many tiles that their words are more than what is kept between calls."""
    if cupy.cuda.runtime.memGetInfo()[0] < 12 << 30:
        pytest.skip("needs 12 GiB of free memory")
    depth = cupy.zeros((1 << 10, 3 << 19), np.float16)
    depth[:, :: 1 << 10] = 1
    got = rc.depth_to_points(depth, (1.0, 1.0, 0.0, 0.0), return_index=True)
    assert int(got.found) == 3 << 19
    assert bool((got.index == cupy.arange(3 << 19) * (1 << 10)).all())
