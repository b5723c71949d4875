"""The points of each voxel in order, and the label most of them have, on the GPU."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from .._core import dtypes
from . import _launch, reduce
from ._module import Macros, function
from ._points import GRID_THREADS, flat, resident

_MEMBERS = Struct("12Q7q")  # struct Members of members.cu
LABELS = [dtype for dtype in dtypes.CUDA_NAME if dtype not in dtypes.FLOATING]
_LIST = reduce.MACROS[dtypes.uint8]  # its labels are not looked at


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(reduce.MACROS[dtype] for dtype in LABELS):
        yield "members", macros


def room(total: int) -> dict[str, int]:
    """Bytes of scratch memory."""
    return {"here": 4 * total, "there": 4 * total, "most": 4, "best": 8 * total}


class Members:
    """The launches of one call; ``at`` are addresses of scratch memory, ``state`` that of struct Plan."""

    def __init__(self, at: dict[str, int], state: int, voxels: Any, total: int, limit: int) -> None:
        self._device, self._total, self._limit = _launch.device_id(voxels), total, limit
        names = ("starts", "order", "here", "there", "most", "best")
        self._shared = (voxels.data.ptr, *(at[name] for name in names), state)
        self._blocks = (min(resident(self._device), _launch.blocks(max(total, limit), GRID_THREADS)),)

    def _fire(self, name: str, macros: Macros, results: tuple[int, ...], layout: tuple[int, ...]) -> None:
        packed = _MEMBERS.pack(*self._shared, *results, *layout, self._limit)
        kernel = function(self._device, "members", name, macros)
        kernel(self._blocks, (GRID_THREADS,), (_launch.argument(packed),), enable_cooperative_groups=True)

    def list(self, listed: Any, splits: Any) -> None:
        """Points by voxel and then by their number, and where those of each voxel begin."""
        self._fire("members_list", _LIST, (0, 0, listed.data.ptr, splits.data.ptr), (1, 0, 0, self._total, 1, 0))

    def mode(self, labels: Any, out: Any) -> None:
        """The most frequent label [rows, channels]; of equally frequent ones the smallest."""
        flattened, *layout = flat(labels)
        _launch.hold(flattened, out)
        for channel in range(labels.shape[2]):
            results = (flattened.data.ptr, out.data.ptr, 0, 0)
            self._fire(
                "members_mode", reduce.MACROS[labels.dtype], results,
                (*layout, self._total, labels.shape[2], channel),
            )  # fmt: skip
