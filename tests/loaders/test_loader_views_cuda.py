"""On a GPU: frames as LeRobot has them, and text beside them, are what the host gives."""

from typing import Any

import numpy as np
import pytest
from loaders.lerobot_items import made

import robocache as rc
from robocache.loaders.frames import FrameLoader

pytestmark = pytest.mark.cuda

DELTAS = {"observation.front": [-1], "observation.still": [0, 3], "action": [-2, 0, 2], "next.done": [1]}


def every_byte() -> Any:
    """Frames among whose pixels is every value of a byte."""
    source = made(0, [7, 4, 15])
    source.values["observation.front"].reshape(-1)[:256] = np.arange(256)
    return source


@pytest.mark.parametrize("image_dtype", ["float32", "float16", "uint8"])
def test_frames_on_the_device_are_those_of_the_host(cupy: Any, image_dtype: str) -> None:
    table = {key: np.array([one]) for key, one in DELTAS.items()}
    options: dict[str, Any] = {"batch_size": 6, "drop_last": False, "seed": 4}
    with (
        FrameLoader([every_byte()], table, [], image_dtype, False, **options) as host,
        FrameLoader([every_byte()], table, [], image_dtype, False, device=0, **options) as device,
    ):
        assert dict(host.shapes) == dict(device.shapes)
        for wanted, found in zip(host, device, strict=True):
            assert list(found) == list(wanted)
            assert found["task"] == wanted["task"]
            for key, values in wanted.items():
                if key != "task":
                    assert isinstance(found[key], cupy.ndarray)
                    assert found[key].dtype == values.dtype
                    assert found[key].get().tobytes() == np.ascontiguousarray(values).tobytes(), key
            plain = found.numpy(valid=True)
            assert plain["task"] == wanted["task"]
            assert (plain["action/valid"] == ~plain["action_is_pad"]).all()


def test_tensors_and_text_of_a_device(cupy: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    table = {"action": np.array([[0, 1]])}
    with FrameLoader([made(1, [9])], table, [], "float32", True, batch_size=3, shuffle=False, device=0) as loader:
        for k, batch in enumerate(loader):
            assert all(value.is_cuda for key, value in batch.items() if key != "task")
            assert batch["task"] == [f"frames {row // 5}" for row in range(3 * k, 3 * k + 3)]
            assert batch["action_is_pad"].cpu().tolist() == [[False, row == 8] for row in range(3 * k, 3 * k + 3)]


def test_text_beside_windows_on_a_device(cupy: Any) -> None:
    source = made(2, [5, 6])
    with rc.DataLoader(source, batch_size=4, obs=["index", "task"], n_obs=2, n_act=0, device=0) as loader:
        for batch in loader:
            assert batch["task"] == [f"frames {row // 5}" for row in batch.anchor]
            assert batch["index"].get()[:, 1].tolist() == batch.anchor.tolist()
