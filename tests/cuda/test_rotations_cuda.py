"""What only a GPU can show of rotations: graphs, streams, memory that begins anywhere, and the other backend."""

from typing import Any

import numpy as np
import pytest
import tolerances
from ops.rotation_cases import FLOATS, PAIRS, conventions, flat, off, rows_of

from robocache import rotations

pytestmark = pytest.mark.cuda
HOW = {"quat_order": "wxyz", "layout": "columns", "order": "YXZ"}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("source, target", PAIRS)
def test_backends_agree_wherever_rows_begin(cupy: Any, source: str, target: str, dtype: np.dtype) -> None:
    name = f"{source}_to_{target}"
    function, how = getattr(rotations, name), conventions(name, HOW)
    rows = rows_of(np.random.default_rng(8), source, 700, dtype, HOW)
    flat_rows = rows.reshape(-1)
    want = function(rows, **how)
    for start in (0, 1, 3):
        memory = cupy.zeros(flat_rows.size + start, np.float32).astype(dtype)
        memory[start:] = cupy.asarray(flat_rows)
        room = cupy.zeros(want.size + start, np.float32).astype(dtype)
        out = room[start:].reshape(want.shape)
        got = function(memory[start:].reshape(rows.shape), out=out, **how).get()
        assert (off(target, got, flat(want, target), dtype, HOW) <= 4).all()


def test_graphs_use_what_lies_there_when_they_run(cupy: Any) -> None:
    rng = np.random.default_rng(9)
    first, second = (cupy.asarray(rows_of(rng, "pose", 300, FLOATS[2], HOW)).reshape(20, 15, 7) for _ in range(2))
    matrices = cupy.asarray(rows_of(rng, "matrix", 300, FLOATS[2], HOW))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        rotations.relative_pose(first, second[:, :1])
        rotations.matrix_to_quat(matrices.transpose(0, 2, 1))
        stream.synchronize()
        stream.begin_capture()
        got = rotations.relative_pose(first, second[:, :1])
        turned = rotations.matrix_to_quat(matrices.transpose(0, 2, 1))  # makes a copy, which the graph must keep
        graph = stream.end_capture()
        for seed in (1, 2):
            first[...] = cupy.asarray(rows_of(np.random.default_rng(seed), "pose", 300, FLOATS[2], HOW)).reshape(
                20, 15, 7
            )
            matrices[...] = cupy.asarray(rows_of(np.random.default_rng(seed), "matrix", 300, FLOATS[2], HOW))
            got[...], turned[...] = -1, -1
            other = [cupy.full(4096 << k, 7.0) for k in range(4)]
            graph.launch(stream)
            stream.synchronize()
            assert tolerances.same_bits(got.get(), rotations.relative_pose(first, second[:, :1]).get())
            assert tolerances.same_bits(turned.get(), rotations.matrix_to_quat(matrices.transpose(0, 2, 1)).get())
            assert all(bool((array == 7).all()) for array in other)


def test_torch_on_the_gpu(cupy: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    quats = torch.randn(1000, 4, device="cuda")
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        moved = quats * 2
        got = rotations.quat_to_matrix(moved)
    side.synchronize()
    assert got.device == quats.device
    assert tolerances.same_bits(got.cpu().numpy(), rotations.quat_to_matrix(cupy.from_dlpack(quats * 2)).get())
    half = rotations.quat_to_rotvec(quats.bfloat16())
    assert half.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_rows_of_several_blocks(cupy: Any, dtype: np.dtype) -> None:
    """More rows than fill the card: tiles of the largest size, the last of them cut."""
    some = rows_of(np.random.default_rng(10), "pose", 5003, dtype, HOW)
    many = cupy.asarray(np.tile(some, (120, 1)))[:-1]
    one = rotations.compose_poses(cupy.asarray(some), cupy.asarray(some[::-1].copy())).get()
    got = rotations.compose_poses(many, cupy.asarray(np.tile(some[::-1], (120, 1)))[:-1]).get()
    assert tolerances.same_bits(got, np.tile(one, (120, 1))[:-1])
