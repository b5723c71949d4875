"""Another process fills memory that a GPU copies from."""

from typing import Any

import numpy as np
import pytest
from loaders.arrays import Arrays, numbers
from loaders.test_loader_cuda import bytes_of, options
from loaders.test_loader_pictures import pictured

import robocache as rc

pytestmark = pytest.mark.cuda


@pytest.mark.usefixtures("cupy")
def test_the_bits_of_the_host() -> None:
    source, _ = pictured("png")
    source = Arrays([5, 6], source.values | numbers(0, [5, 6]).values, shapes={"cam": (12, 20, 3)})
    with rc.DataLoader(source, **options()) as host:
        expected = [(one.item.tolist(), bytes_of(one)) for one in host]
    with rc.DataLoader(source, device=0, workers="process", **options()) as device:
        assert [(one.item.tolist(), bytes_of(one)) for one in device] == expected


def test_slots_are_pinned_as_long_as_somebody_has_one(cupy: Any) -> None:
    source = Arrays([60], {"x": np.zeros((60, 1000), np.float32)})
    with rc.DataLoader(source, batch_size=4, device=0, workers="process") as loader:
        next(iter(loader))
        kept = list(loader._engine._ring.memory.values())
        kinds = {cupy.cuda.runtime.pointerGetAttributes(slot.ctypes.data).type for slot in kept}
        assert kinds == {1}  # cudaMemoryTypeHost
    address = kept[0].ctypes.data
    assert cupy.cuda.runtime.pointerGetAttributes(address).type == 1
    segment = kept[0].base.base._memory  # the memory itself, which outlives its registration here
    del kept
    assert cupy.cuda.runtime.pointerGetAttributes(address).type != 1
    del segment
