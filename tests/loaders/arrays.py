"""A source of arrays in memory, and what a loader should make of it, the slow way."""

import io
import zlib
from typing import Any

import numpy as np
from PIL import Image

from robocache.datasets import StreamSpec


class Arrays:
    """A source. Streams given as lists of bytes are encoded pictures; ``gaps`` has a mask by stream."""

    def __init__(self, lengths: Any, values: dict[str, Any], *, name: str = "arrays", codec: str = "png",
                 gaps: dict[str, Any] | None = None, shapes: dict[str, Any] | None = None) -> None:  # fmt: skip
        self.name, self.fingerprint, self.rate = name, f"{zlib.crc32(name.encode()):08x}", 10.0
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.values, self.gaps, self.closed = values, gaps or {}, 0
        self.streams = {key: self._spec(key, array, codec, shapes or {}) for key, array in values.items()}

    def _spec(self, key: str, array: Any, codec: str, shapes: dict[str, Any]) -> StreamSpec:
        if isinstance(array, list):
            shape = shapes.get(key, np.asarray(Image.open(io.BytesIO(array[0]))).shape)
            return StreamSpec(key, "image", shape, np.dtype(np.uint8), codec=codec)
        kind = "image" if array.dtype == np.uint8 and array.ndim == 4 else "vector"
        return StreamSpec(key, kind, array.shape[1:], array.dtype)

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        if out is None:
            return self.values[name][rows]
        out[...] = self.values[name][rows]
        return out

    def encoded(self, name: str, rows: Any) -> list[Any]:
        assert rows.ndim == 1
        return [memoryview(self.values[name][row]) for row in rows]

    def valid(self, name: str, rows: Any) -> Any:
        return self.gaps[name][rows] if name in self.gaps else None

    def episode(self, number: int) -> str:
        return f"{self.name}-{number}"

    def close(self) -> None:
        self.closed += 1


def png(picture: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "PNG", compress_level=1)
    return held.getvalue()


def jpeg(picture: Any) -> bytes:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, "JPEG", quality=90)
    return held.getvalue()


def numbers(seed: int, lengths: Any, *, shape: tuple[int, ...] = (3,), name: str = "arrays") -> Arrays:
    """State, action and a gripper of integers, all different from step to step."""
    rng, total = np.random.default_rng(seed), int(np.sum(lengths))
    values = {
        "state": rng.standard_normal((total, *shape)).astype(np.float32),
        "gripper": rng.integers(-100, 100, (total,)).astype(np.int16),
        "action": rng.standard_normal((total, 2)),
    }
    return Arrays(lengths, values, name=name)


def window(source: Arrays, item: int, n_obs: int, n_act: int, start: int, stride: int, pads: Any) -> Any:
    """Episode, anchor, and both lists of (step, whether it is real) of a window, by loops over all anchors."""
    before = max(0, n_obs - 1, -start) if pads[0] is None else pads[0]
    after = max(0, start + n_act - 1) if pads[1] is None else pads[1]
    count = 0
    for e in range(len(source.offsets) - 1):
        low, high = int(source.offsets[e]), int(source.offsets[e + 1])
        first = True
        since = 0
        for anchor in range(low, high):
            steps = [anchor - n_obs + 1 + k for k in range(n_obs)]
            acts = [anchor + start + k for k in range(n_act)]
            shown = steps + acts
            if min(shown) < low - before or max(shown) > high - 1 + after:
                continue
            if not first:
                since += 1
            first = False
            if since % stride:
                continue
            if count == item:
                clamp = [[(min(max(s, low), high - 1), low <= s < high) for s in part] for part in (steps, acts)]
                return e, anchor, *clamp
            count += 1
    raise IndexError(item)
