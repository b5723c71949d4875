"""Which decoder reads what, and samples that are wanted on a GPU."""

import os
from collections.abc import Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .._core.errors import ArgumentError, BackendError, DeviceError, DTypeError
from ._faults import fault
from ._images import codec_of, decode_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .streams import Picked, Stream

DECODERS = ("auto", "cpu", "nvimgcodec", "pynvvideocodec")
MODULES = {"nvimgcodec": "nvidia.nvimgcodec", "pynvvideocodec": "PyNvVideoCodec"}
PICTURES = ("jpeg", "png")


def decode_images(
    encoded: Sequence[Any], *, channels: int | None = 3, device: int | None = None, decoder: str = "auto",
    dct: str | None = None,
) -> Any:  # fmt: skip
    """Decode pictures, on the CPU or on a GPU.

    Parameters
    ----------
    encoded : sequence of bytes
        JPEG or PNG, each as a file holds it.
    channels : int, optional
        Of the results: 1, or 3 for RGB; of PNG also 2 and 4. None for as many as each picture has.
    device : int, optional
        GPU that the results shall be on; NumPy arrays by default.
    decoder : {"auto", "cpu", "nvimgcodec"}
        As `image_decoder` has it.
    dct : {"fast", "accurate"}, optional
        How the CPU decodes JPEG: as TensorFlow does, which is the default, or as most others do. No GPU decoder has
        either.

    Returns
    -------
    array (n, height, width, channel)
        uint8; uint16 of PNG with 16 bits. A list of arrays where pictures differ in shape or dtype. CuPy arrays are
        ordered on the current stream of the device.

    Raises
    ------
    DataError
        A picture is damaged; it says which.
    BackendError
        A decoder is not installed; it names the extra.
    ArgumentError
        Another decoder, or one that cannot decode these.

    Notes
    -----
    nvImageCodec gives other values than either ``dct``, by a few levels. A damaged JPEG that still has its end may be
    decoded to something by it; the CPU decoder refuses more.
    """
    encoded = list(encoded)
    name = image_decoder(encoded, channels=channels, device=device, decoder=decoder, dct=dct)
    if name == "cpu":
        found = _batched(_in_threads(encoded, channels, dct or "fast"), np)
        return found if device is None else _moved(found, device)
    with on(device) as cupy:
        from ._gpu_images import decode

        return _batched(decode(encoded, channels, cupy.cuda.Device().id, {}), cupy)


def image_decoder(
    encoded: Sequence[Any], *, channels: int | None = 3, device: int | None = None, decoder: str = "auto",
    dct: str | None = None,
) -> str:  # fmt: skip
    """The decoder that `decode_images` uses for these: ``"cpu"`` or ``"nvimgcodec"``. Nothing is decoded.

    Notes
    -----
    ``"auto"`` is ``"nvimgcodec"`` if a device is given, the package is installed, every picture is JPEG, 1 or 3
    channels (or None) are wanted and no ``dct`` is; else ``"cpu"``, and what it gives is copied to the device. What
    goes wrong later changes nothing: no decoder steps in for another. Arguments and errors are those of
    `decode_images`.
    """
    _known(decoder, device)
    if decoder == "pynvvideocodec":
        raise ArgumentError("decoder: 'pynvvideocodec' is for videos; pictures have 'nvimgcodec'")
    why = ""
    if wrong := sorted({codec_of(data) or "unknown" for data in encoded} - {"jpeg"}):
        why = f"it decodes JPEG, not {', '.join(wrong)}"
    elif channels not in (None, 1, 3):
        why = f"it gives 1 or 3 channels, not {channels}"
    elif dct is not None:
        why = "dct says how the CPU decodes"
    return _chosen("nvimgcodec", decoder, device, why)


def _known(decoder: str, device: int | None) -> None:
    if decoder not in DECODERS:
        raise ArgumentError(f"decoder: expected one of {DECODERS}, got {decoder!r}")
    if device is None and decoder not in ("auto", "cpu"):
        raise ArgumentError(f"decoder: {decoder!r} decodes on a GPU; say which by device=")


def _chosen(gpu: str, decoder: str, device: int | None, why: str) -> str:
    """``gpu`` or "cpu", where ``why`` says what stands against the first."""
    if device is None or decoder == "cpu" or (decoder == "auto" and (why or not _installed(gpu))):
        return "cpu"
    if why:
        raise ArgumentError(f"decoder: {gpu!r} cannot read this, {why}; decoder='cpu' can")
    return gpu


def _installed(name: str) -> bool:
    try:
        return find_spec(MODULES[name]) is not None
    except (ImportError, ValueError):  # no package above it; or None in sys.modules
        return False


def absent(module: str, why: str, error: ImportError) -> NoReturn:
    """Raise what names the extra of this CUDA."""
    try:
        import cupy

        version = f"{cupy.cuda.runtime.runtimeGetVersion() // 1000}"
    except (ImportError, RuntimeError):
        version = "12"
    raise BackendError(
        f"{why} needs {module}; install it with: pip install 'robocache[gpu-decode-cuda{version}]', "
        "or say decoder='cpu'"
    ) from error


@contextmanager
def on(device: int | None) -> "Iterator[Any]":
    """CuPy, with that device as the current one."""
    try:
        import cupy
    except ImportError as error:
        raise BackendError(
            "device= needs CuPy; install it with: pip install 'robocache[cuda12]' or 'robocache[cuda13]'"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:
        raise DeviceError(f"device: there is no usable GPU here ({error}); leave device out") from error
    if not isinstance(device, int | np.integer) or not 0 <= device < count:
        raise DeviceError(f"device: expected an int from 0 to {count - 1}, got {device!r}")
    with cupy.cuda.Device(device):
        yield cupy


def _threads() -> int:
    wish = os.environ.get("ROBOCACHE_NUM_THREADS")
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(wish) if wish else min(count, 32))


def _in_threads(encoded: list[Any], channels: int | None, dct: str) -> list[Any]:
    def one(k: int) -> Any:
        return decode_image(encoded[k], channels, dct=dct, key=f"picture {k}")

    from concurrent.futures import ThreadPoolExecutor

    count = min(_threads(), len(encoded))
    if count < 2:
        return [one(k) for k in range(len(encoded))]
    with ThreadPoolExecutor(count) as pool:  # the decoders let go of the interpreter
        return list(pool.map(one, range(len(encoded))))


def _batched(found: list[Any], xp: Any) -> Any:
    """One array of them, or a list of arrays of their own where they differ."""
    if len({(array.shape, array.dtype) for array in found}) > 1:
        return [xp.ascontiguousarray(array) if xp is np else array.copy() for array in found]
    shape, dtype = (found[0].shape, found[0].dtype) if found else ((0, 0, 0), np.dtype(np.uint8))
    out = xp.empty((len(found), *shape), dtype)
    for k, array in enumerate(found):
        out[k] = array
    return out


def _moved(found: Any, device: int) -> Any:
    with on(device) as cupy:
        return [cupy.asarray(array) for array in found] if isinstance(found, list) else cupy.asarray(found)


# ---- streams --------------------------------------------------------------------------------------------------------


def stream_decoder(stream: "Stream", picked: "Picked", device: int | None, decoder: str) -> tuple[str, Any]:
    """See `Stream.decoder`; and the encoded pictures, where they were looked at."""
    _known(decoder, device)
    spec, frames = stream.spec, stream.source.frames()
    if device is None:
        return "cpu", None
    if frames is not None:
        if decoder == "nvimgcodec":
            raise ArgumentError("decoder: 'nvimgcodec' is for pictures; videos have 'pynvvideocodec'")
        looked = decoder != "cpu" and (decoder != "auto" or _installed("pynvvideocodec"))
        return _chosen("pynvvideocodec", decoder, device, frames.refusal(device) if looked else ""), None
    if spec.kind == "image" and spec.codec in PICTURES:
        if decoder == "cpu" or (decoder == "auto" and not _installed("nvimgcodec")):
            return "cpu", None
        encoded = stream.source.encoded(picked)
        channels = spec.shape[2] if len(spec.shape) == 3 else None
        return image_decoder(encoded, channels=channels, device=device, decoder=decoder), encoded
    if decoder not in ("auto", "cpu"):
        raise ArgumentError(f"decoder: {spec.name} is neither JPEG nor video; leave decoder out")
    return "cpu", None


def read(stream: "Stream", picked: "Picked", device: int, decoder: str, where: dict[str, Any]) -> Any:
    """Samples on a GPU, decoded there or copied; ordered on its current stream."""
    spec = stream.spec
    if spec.kind in ("text", "event"):
        raise DTypeError(f"device: {spec.name} is {spec.kind}, which no GPU holds; read it without device=")
    name, encoded = stream_decoder(stream, picked, device, decoder)
    with on(device) as cupy:
        index = cupy.cuda.Device().id
        if name == "pynvvideocodec":
            return stream.source.frames().take_on(picked, index)
        if name == "cpu":
            found = stream.source.take(picked)
            return _moved(list(found) if found.dtype == object else found, index)
        from ._gpu_images import decode

        arrays = decode(encoded, spec.shape[2] if len(spec.shape) == 3 else None, index, where)
        for k, array in enumerate(arrays):
            fits = [want is None or n == want for n, want in zip(array.shape, spec.shape, strict=True)]
            if not all(fits) or spec.dtype not in (array.dtype, object):
                raise fault(f"picture {k} is {array.shape} {array.dtype}, not {spec.shape} {spec.dtype}", **where)
        return _batched(arrays, cupy)


__all__ = ["absent", "decode_images", "image_decoder", "on", "read", "stream_decoder"]
