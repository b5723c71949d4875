"""Pictures of a batch: decoded, brought to one size, laid out and scaled."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError
from ..datasets import StreamSpec
from ..datasets._faults import fault, missing
from ..datasets._images import decode_image
from ..ops.scaling import normalize

CODECS = ("jpeg", "png")
LAYOUTS = ("hwc", "chw")
FILTERS = ("bilinear", "box", "nearest")
PIXELS = 1 << 15  # of a side
FULL = 255.0  # what 1.0 is in uint8


@dataclass(frozen=True)
class ImageOptions:
    """How a stream of pictures comes out of a `DataLoader`.

    Parameters
    ----------
    resize : (height, width), optional
        The size to bring every picture to, without regard to its aspect.
    layout : {"hwc", "chw"}
        Channels last, as decoded, or first.
    dtype : str or dtype, optional
        The type of the stream by default. float16, bfloat16 and float32 make 0 … 1 of uint8, and keep the numbers of
        other types.
    mean, std : float or sequence of float, one a channel, optional
        ``(x - mean) / std`` after that; both or neither, with a floating dtype.
    filter : {"bilinear", "box", "nearest"}, optional
        How `resize` finds pixels. By default "bilinear" for uint8, with all pixels that lie below a new one taken into
        account, as Pillow does it (alpha as a weight); for other types, such as depth in millimetres, "nearest",
        the only one for them.
    scaled_decode : bool
        Whether JPEG may be decoded at 1/2, 1/4 or 1/8 of its size where that is still at least `resize`: several times
        faster, and a few grey levels apart from decoding everything and then averaging.
    """

    resize: tuple[int, int] | None = None
    layout: str = "hwc"
    dtype: Any = None
    mean: Any = None
    std: Any = None
    filter: str | None = None
    scaled_decode: bool = True


class Pictures:
    """The options of one stream, checked against what it holds."""

    def __init__(self, key: str, spec: StreamSpec, options: ImageOptions) -> None:
        self.key, self._options = key, options
        checks.choice(f"images[{key!r}].layout", options.layout, LAYOUTS)
        own = np.dtype(spec.dtype)
        self.size = self._size(spec, options)
        self.channels = self._channels(spec)
        if options.layout == "chw" and self.channels is None:
            raise ArgumentError(f"images[{key!r}]: layout='chw', but its samples have no channels: {spec.shape}")
        default = "bilinear" if own == np.uint8 else "nearest"
        self._filter = checks.choice(f"images[{key!r}].filter", options.filter or default, FILTERS)
        if own != np.uint8 and self._filter != "nearest":
            raise ArgumentError(f"images[{key!r}]: filter={self._filter!r} is for uint8; {own} takes 'nearest'")
        self.dtype = own
        self.shape = (*self.size, *(() if self.channels is None else (self.channels,)))
        self.final_dtype = own if options.dtype is None else np.dtype(options.dtype)
        self.final_shape = self.shape if options.layout == "hwc" else (self.shape[2], *self.size)
        self._stats = self._scaling(own)
        self.finish: Callable[[Any, Any], None] | None = None
        if self._stats is not None or options.layout == "chw":
            self.finish = self._finish

    def _size(self, spec: StreamSpec, options: ImageOptions) -> tuple[int, int]:
        if len(spec.shape) not in (2, 3):
            raise ArgumentError(f"images[{self.key!r}]: samples have shape {spec.shape}, which no picture has")
        if options.resize is None:
            height, width = spec.shape[:2]
            if height is None or width is None:
                raise ArgumentError(f"images[{self.key!r}]: its pictures differ in size; give resize=(height, width)")
            return height, width
        try:
            height, width = options.resize
        except (TypeError, ValueError):
            raise ArgumentError(f"images[{self.key!r}]: resize={options.resize!r} must be (height, width)") from None
        name = f"images[{self.key!r}].resize"
        return checks.whole(name, height, 1, PIXELS), checks.whole(name, width, 1, PIXELS)

    def _channels(self, spec: StreamSpec) -> int | None:
        if len(spec.shape) == 2:
            return None
        if spec.shape[2] is None:
            raise ArgumentError(f"images[{self.key!r}]: the number of channels is not known")
        return spec.shape[2]

    def _scaling(self, own: np.dtype[Any]) -> dict[str, Any] | None:
        """The map from stored numbers, as statistics: ``(x / 255 - mean) / std`` with one rounding less."""
        mean, std, wanted = self._options.mean, self._options.std, self.final_dtype
        if (mean is None) != (std is None):
            raise ArgumentError(f"images[{self.key!r}]: give both mean and std, or neither")
        if wanted == own and mean is None:
            return None
        if wanted not in dtypes.FLOATING or wanted == dtypes.float64:
            raise ArgumentError(
                f"images[{self.key!r}]: dtype {wanted}; expected {own}, float16, bfloat16 or float32"
                + (", which mean and std need" if mean is not None else "")
            )
        shape = () if self.channels is None else (self.channels,)
        full = FULL if own == np.uint8 else 1.0
        try:
            center = np.broadcast_to(np.asarray(0 if mean is None else mean, np.float64), shape) * full
            scale = np.broadcast_to(np.asarray(1 if std is None else std, np.float64), shape) * full
        except (TypeError, ValueError):
            raise ArgumentError(f"images[{self.key!r}]: mean and std must be one number, or {shape} numbers") from None
        if not (np.isfinite(center).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ArgumentError(f"images[{self.key!r}]: mean must be finite, std finite and above zero")
        if self._options.layout == "chw":
            center, scale = center[:, None, None], scale[:, None, None]
        return {"mean": center, "std": scale}

    def _finish(self, raw: Any, out: Any) -> None:
        """Layout, type and scale, of NumPy or CuPy arrays (..., *shape)."""
        if self._options.layout == "chw":
            raw = raw.swapaxes(-1, -2).swapaxes(-2, -3)
        if self._stats is None:
            out[...] = raw
        elif out.dtype == dtypes.scaled(raw.dtype):
            normalize(raw, self._stats, out=out)
        else:
            out[...] = normalize(raw, self._stats).astype(out.dtype)

    def place(self, data: Any, codec: str | None, out: Any) -> None:
        """Write one stored picture, encoded or an array, to ``out`` of the shape after resizing."""
        if codec is not None:
            least = self.size if self._options.resize and self._options.scaled_decode else None
            data = decode_image(data, self.channels or 1, least=least, out=out, key=self.key)
            if data is out:
                return
            if self.channels is None:
                data = data[..., 0]
        if data.dtype != self.dtype or data.ndim != len(self.shape) or data.shape[2:] != self.shape[2:]:
            raise fault(f"is a picture of {data.shape} {data.dtype}; the stream has {self.shape[2:]} {self.dtype}",
                        key=self.key)  # fmt: skip
        if data.shape[:2] == self.size:
            out[...] = data
        elif self._options.resize is None:
            raise fault(f"is a picture of {data.shape[:2]}, announced as {self.size}; give resize=", key=self.key)
        elif self._filter == "nearest":
            rows, columns = (
                (2 * np.arange(n) + 1) * have // (2 * n) for n, have in zip(self.size, data.shape[:2], strict=True)
            )
            out[...] = data[rows[:, None], columns]
        else:
            out[...] = resized(data, self.size, self._filter)


def resized(picture: Any, size: tuple[int, int], filter: str) -> Any:
    """A uint8 picture in another size, by Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        missing("PIL", "resizing pictures", error)
    flat = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    image = Image.fromarray(np.ascontiguousarray(flat))
    found = np.asarray(image.resize(size[::-1], Image.Resampling[filter.upper()]))
    return found.reshape(*size, *picture.shape[2:])


__all__ = ["ImageOptions", "Pictures"]
