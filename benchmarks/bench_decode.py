"""JPEG and video decoded on the GPU beside the CPU, checked before anything is timed.

``python3 -m benchmarks.bench_decode --out decode.json [--video FILE …]``

Pictures come out of the first video, or are made up. Without ``--video`` an H.264 clip is made and read. A decoder that
cannot be used here is told as absent with the reason.
"""

import argparse
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import robocache.datasets as rd
from robocache.datasets import _gpu_images
from robocache.datasets._container import Container
from robocache.datasets._video import Videos, VideoSource

from . import _results, _timing

Row = dict[str, Any]
SIZES, BATCH, WINDOW, PICKS = ((256, 256), (480, 640)), 64, 16, 24
# Ways in which nvImageCodec may decode: the first is the library's own.
WAYS = {
    "": (_gpu_images.KINDS, _gpu_images.OPTIONS),
    "plain": (_gpu_images.KINDS, ""),
    "engine": (("HW_GPU_ONLY",), ""),
    "any": (("HW_GPU_ONLY", *_gpu_images.KINDS), _gpu_images.OPTIONS),
}
LEVELS, MEAN = 24, 1.5  # by which pictures of a camera may be apart
SEED = 1


def settle() -> None:
    """Wait for the device."""
    import cupy

    cupy.cuda.Device().synchronize()


def attempt(what: Callable[[], Row]) -> Row:
    """What it gives, or why it cannot be had here; a wrong result is no absence."""
    try:
        return what()
    except _results.WrongResult:
        raise
    except Exception as error:  # noqa: BLE001 - told in the file
        return {"absent": _results.reason(error)}


# ---- pictures -------------------------------------------------------------------------------------------------------


def photographs(video: str | None) -> list[np.ndarray]:
    """Frames of 480 x 640 of a video, or noise that is blurred."""
    rng = np.random.default_rng(SEED)
    if video is not None:
        frames = source(video).take(np.arange(0, count_of(video), max(1, count_of(video) // BATCH))[:BATCH])
        if frames.shape[1] >= 480 and frames.shape[2] >= 640:
            return list(frames[:, :480, :640])
    coarse = rng.integers(0, 256, (BATCH, 31, 41, 3)).astype(np.float32)
    rows, columns = np.arange(480) / 16, np.arange(640) / 16
    low, part = rows.astype(int), (rows % 1)[:, None, None]
    tall = coarse[:, low] * (1 - part) + coarse[:, low + 1] * part
    low, part = columns.astype(int), (columns % 1)[None, :, None]
    return list((tall[:, :, low] * (1 - part) + tall[:, :, low + 1] * part).astype(np.uint8))


def encoded(pictures: list[np.ndarray], size: tuple[int, int]) -> list[bytes]:
    """JPEG of the size, with half the chroma each way, as cameras give it."""
    import simplejpeg

    height, width = size
    cut = [np.ascontiguousarray(pictures[k % len(pictures)][:height, :width]) for k in range(BATCH)]
    return [simplejpeg.encode_jpeg(picture, 90, colorsubsampling="420") for picture in cut]


def by_gpu(given: list[bytes], way: str) -> Any:
    """A batch by one of the ways, as the library would do it."""
    key = (0, _gpu_images.KINDS, _gpu_images.OPTIONS)
    kinds, options = WAYS[way]
    _gpu_images._decoders[key] = _gpu_images._decoder(0, kinds, options) if way else made[key]
    try:
        return rd.decode_images(given, device=0, decoder="nvimgcodec")
    finally:
        _gpu_images._decoders[key] = made[key]


made: dict[Any, tuple[Any, threading.Lock]] = {}


def pictures_row(size: tuple[int, int], pictures: list[np.ndarray]) -> Row:
    """Differences, then times, of a batch of one size."""
    given = encoded(pictures, size)
    fast, accurate = (rd.decode_images(given, dct=dct) for dct in ("fast", "accurate"))
    row: Row = {
        "op": "decode_images", "method": "jpeg", "backend": "cpu", "distribution": "batch", "seed": SEED,
        "shapes": {"B": BATCH, "H": size[0], "W": size[1]}, "dtypes": {"out": "uint8"},
        "bytes": sum(map(len, given)) + fast.nbytes, "peers": {},
    }  # fmt: skip
    row["apart"] = {"fast_accurate": apart(fast, accurate)}
    functions = {"": partial(rd.decode_images, given), "one": lambda: [rd.decode_images([d]) for d in given]}
    for way in WAYS:
        peer = f"nvimgcodec {way}".strip()
        row["peers"][peer] = attempt(partial(compared, given, way, fast, accurate))
        if "absent" not in row["peers"][peer]:
            functions[peer] = partial(by_gpu, given, way)
    if len(functions) > 2:
        functions["cpu and copy"] = partial(rd.decode_images, given, device=0, decoder="cpu")
        row["peers"]["cpu and copy"] = {}
    row["peers"]["one thread"] = {}
    took = _timing.wall_times(functions, settle if len(functions) > 2 else lambda: None, runs=7)
    row["wall_us"], row["per_second"] = took[""], BATCH * 1e6 / took[""]["median"]
    for name, spread in took.items():
        if name:
            told = row["peers"]["one thread" if name == "one" else name]
            told |= {"wall_us": spread, "per_second": BATCH * 1e6 / spread["median"]}
    return row


def compared(given: list[bytes], way: str, fast: np.ndarray, accurate: np.ndarray) -> Row:
    """How far one way is from the CPU, and whether a picture's place in a batch matters to it."""
    key = (0, _gpu_images.KINDS, _gpu_images.OPTIONS)
    if key not in made:
        made[key] = _gpu_images._decoder(0)
    found = by_gpu(given, way).get()
    alone = np.concatenate([by_gpu([data], way).get() for data in given[:8]])
    told = {"apart": {"fast": apart(found, fast), "accurate": apart(found, accurate)}}
    told["same_alone"] = bool(np.array_equal(alone, found[:8]))
    told["same_again"] = bool(np.array_equal(by_gpu(given, way).get(), found))
    worst = told["apart"]["accurate"]
    if worst["most"] > LEVELS or worst["mean"] > MEAN:
        raise _results.WrongResult(f"nvimgcodec {way}: {worst} from the CPU")
    if not way and not told["same_again"]:
        raise _results.WrongResult("nvimgcodec: another result the second time")
    return told


def apart(one: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Levels between two batches."""
    levels = np.abs(one.astype(np.int16) - other)
    return {"most": int(levels.max()), "mean": float(levels.mean()), "equal": float((levels == 0).mean())}


# ---- videos ---------------------------------------------------------------------------------------------------------


def count_of(path: str) -> int:
    """Frames of a file."""
    container = Container(Path(path), 1)
    try:
        return len(container.survey().pts)
    finally:
        container.close()


def source(path: str, threads: int = 1) -> VideoSource:
    """A whole file, with files of its own kept open."""
    count = count_of(path)
    return VideoSource(Path(path), 0, count, total=count, videos=Videos(threads=threads))


def clip(folder: str) -> str:
    """Half a minute of H.264 with B frames and a key frame every second."""
    import av

    path, rng = f"{folder}/clip.mp4", np.random.default_rng(SEED)
    base = photographs(None)[0].astype(np.int16)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "30", "bf": "2", "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = 480, 640, "yuv420p"
        for k in range(600):
            picture = np.roll(base, (k, 3 * k), (0, 1)) + rng.integers(-6, 7, (480, 640, 1))
            picture[8:24, 8:168] = np.repeat([(k >> bit & 1) * 200 + 20 for bit in range(10)], 16)[None, :, None]
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def checked(path: str) -> Row:
    """Every frame of a file, and some at random, against the CPU: equal to the bit, or the run fails."""
    one, count = source(path), count_of(path)
    if why := one.refusal(0):
        return {"absent": why}
    worst = {"most": 0, "mean": 0.0, "equal": 1.0}
    for start in range(0, count, BATCH):
        part = slice(start, min(count, start + BATCH), 1)
        told = apart(one.take_on(part, 0).get(), one.take(part))
        worst = {"most": max(worst["most"], told["most"]), "mean": max(worst["mean"], told["mean"]),
                 "equal": min(worst["equal"], told["equal"])}  # fmt: skip
    rng = np.random.default_rng(SEED)
    for _ in range(PICKS):
        at = rng.integers(0, count, 5)
        told = apart(one.take_on(at, 0).get(), one.take(at))
        worst |= {"most": max(worst["most"], told["most"])}
    if worst["most"]:
        raise _results.WrongResult(f"frames of {Path(path).name} by NVDEC are {worst} from the CPU's")
    return {"apart": worst, "frames": count}


def video_row(path: str, many: int) -> Row:
    """Times of random single frames, or of windows, with files open and decoders made."""
    count, rng = count_of(path), np.random.default_rng(SEED)
    starts = rng.integers(0, count - many, PICKS)
    picks = [slice(int(s), int(s) + many, 1) for s in starts]
    threads = {"": source(path), "threads": source(path, threads=4)}
    row: Row = {
        "op": "read_video", "method": "frame" if many == 1 else "window", "backend": "cpu", "seed": SEED,
        "distribution": Path(path).name, "shapes": {"F": many, "N": count}, "dtypes": {"out": "uint8"}, "peers": {},
    }  # fmt: skip
    functions: dict[str, Callable[[], Any]] = {name: partial(each, picks, one.take) for name, one in threads.items()}
    row["peers"]["threads"] = {}
    row["peers"]["pynvvideocodec"] = attempt(partial(checked, path))
    on_device = "absent" not in row["peers"]["pynvvideocodec"]
    if on_device:
        functions["pynvvideocodec"] = partial(each, picks, lambda at: threads[""].take_on(at, 0))
    took = _timing.wall_times(functions, settle if on_device else lambda: None, runs=3)
    for name, spread in took.items():
        told = row["peers"][name] if name else row
        one = {key: value if key == "runs" else value / PICKS for key, value in spread.items()}
        told |= {"wall_us": one, "per_second": many * 1e6 / one["median"]}
    return row


def each(picks: list[slice], take: Callable[[Any], Any]) -> Any:
    """The last of several reads."""
    return [take(at) for at in picks][-1]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--video", nargs="*", default=[], help="files to read beside the clip that is made")
    options = parser.parse_args()
    _results.require_commit()
    with tempfile.TemporaryDirectory() as folder:
        pictures = photographs(options.video[0] if options.video else None)
        todo = [partial(pictures_row, size, pictures) for size in SIZES]
        for path in [clip(folder), *options.video]:
            todo += [partial(video_row, path, many) for many in (1, WINDOW)]
        _results.finish(options.out, "decode", todo, seed=SEED)


if __name__ == "__main__":
    main()
