"""Surfaces of a video decoder to RGB, on the GPU."""

import struct
from collections.abc import Iterator
from typing import Any

from . import _launch
from ._module import Macros, function

ACROSS, DOWN = 32, 8  # threads of a block, each with 2 x 2 pixels
_SURFACE = struct.Struct("3Q10q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    yield "frames", ()


def rgb(planes: tuple[int, int], pitches: tuple[int, int], colour: tuple[int, ...], out: Any) -> None:
    """A surface of 8-bit luma and interleaved chroma of half the size to ``out`` (height, width, 3), both even.

    ``planes`` and ``pitches`` are the addresses of luma and chroma, and the bytes from row to row. ``colour`` is what
    `robocache.datasets._colour.weights` gives. Ordered on the current stream.
    """
    height, width = out.shape[:2]
    work = _SURFACE.pack(*planes, out.data.ptr, *pitches, width, height, *colour)
    kernel = function(_launch.device_id(out), "frames", "nv12_to_rgb")
    grid = _launch.blocks(width, 2 * ACROSS), _launch.blocks(height, 2 * DOWN)
    kernel(grid, (ACROSS, DOWN), (_launch.argument(work),))
