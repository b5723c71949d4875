"""What lies in the folder of a Bridge trajectory: pictures by number, pickles, text."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import DataError
from ._faults import fault, faults
from ._files import Root
from ._images import codec_of, decode_image
from ._walks import names_in
from .facts import Finding, finding_of
from .streams import Picked, Range, Source, listed

IMAGE = re.compile(r"im_(\d{1,7})\.(jpe?g|png)")
IMAGE_BYTES = 1 << 26
IMAGES = 1_000_000
TEXT_BYTES = 1 << 20
CONFIDENCE = re.compile(r"\s*confidence\s*:?\s*([-+0-9.eE]+)\s*")


class Pictures(Source):
    """Encoded pictures, one a file, numbered from 0 on."""

    def __init__(self, root: Root, folder: str, episode: str, key: str, dct: str, depth: bool) -> None:
        self.root, self.folder, self.episode, self.key, self.dct = root, folder, episode, key, dct
        self.channels = None if depth else 3
        self.names: dict[int, str] = {}
        for name in names_in(root.at(folder), most=IMAGES):
            match = IMAGE.fullmatch(name)
            if match and self.names.setdefault(int(match[1]), name) != name:
                raise fault(f"has {name} and {self.names[int(match[1])]}", file=root.path / folder, episode=episode)
        self.count = max(self.names, default=-1) + 1
        if self.count > 2 * len(self.names) + 1000:
            raise fault(f"has {len(self.names)} pictures of {self.count}", file=root.path / folder, episode=episode)

    def _file(self, step: int) -> Path:
        name = self.names.get(step)
        if name is None:
            raise fault(
                f"picture {step} is missing", file=self.root.path / self.folder, episode=self.episode, key=self.key
            )
        return self.root.at(f"{self.folder}/{name}")

    def _bytes(self, step: int) -> bytes:
        file = self._file(step)
        with faults(OSError, file=file, episode=self.episode, key=self.key):
            if file.stat().st_size > IMAGE_BYTES:
                raise OSError(f"it is longer than {IMAGE_BYTES} bytes")
            return file.read_bytes()

    def encoded(self, at: Picked) -> list[bytes]:
        """The bytes of whole files."""
        return [self._bytes(int(step)) for step in listed(at)]

    def ranges(self, at: Picked) -> list[Range] | None:
        """Whole files."""
        found = []
        for step in listed(at).tolist():
            file = self._file(step)
            with faults(OSError, file=file, episode=self.episode, key=self.key):
                size = os.stat(file).st_size
            found.append(Range(str(file), 0, size, "png" if file.suffix == ".png" else "jpeg"))
        return found

    def take(self, at: Picked) -> Any:
        """Decoded pictures, which all have one size."""
        made: list[Any] = []
        for step in listed(at).tolist():
            place = {"file": str(self._file(step)), "episode": self.episode, "key": self.key}
            data = self._bytes(step)
            if codec_of(data) is None:
                raise fault("is neither JPEG nor PNG", **place)
            picture = decode_image(data, self.channels, dct=self.dct, **place)
            if made and picture.shape != made[0].shape:
                raise fault(f"has shape {picture.shape}, the others {made[0].shape}", **place)
            made.append(picture)
        return np.stack(made) if made else np.empty((0, 0, 0, 1 if self.channels is None else 3), np.uint8)

    def first_shape(self) -> tuple[tuple[int | None, ...], np.dtype[Any]]:
        """Shape and type of the pictures, by the header of the first."""
        channels = 1 if self.channels is None else 3
        dtype = np.dtype(np.uint16 if self.channels is None else np.uint8)
        return (None, None, channels), dtype

    def findings(self) -> Iterator[Finding]:
        """Pictures that are missing or cannot be decoded."""
        for step in range(self.count):
            try:
                self.take(slice(step, step + 1, 1))
            except DataError as error:
                yield finding_of(error, self.episode)._replace(key=self.key)


def language(path: Path) -> tuple[list[str], list[float]]:
    """Instructions of ``lang.txt``, and how sure the annotators were, where lines say so."""
    if not path.is_file():
        return [], []
    with faults(OSError, ValueError, file=path):
        if path.stat().st_size > TEXT_BYTES:
            raise ValueError(f"it is longer than {TEXT_BYTES} bytes")
        lines = path.read_text("utf-8").splitlines()
    texts, sure = [], []
    for line in (line.strip() for line in lines):
        if match := CONFIDENCE.fullmatch(line):
            with faults(ValueError, file=path):
                sure.append(float(match[1]))
        elif line:
            texts.append(line)
    return texts, sure


def numbers(value: Any) -> NDArray[Any] | None:
    """An array of numbers out of an array, or a list of numbers or of arrays of one shape; else None."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "iufb" and value.ndim else None
    if not isinstance(value, list | tuple) or not value:
        return None
    if all(type(item) in (int, float, bool) for item in value):
        small = all(-(2**63) <= item < 2**63 for item in value if type(item) is int)
        return np.asarray(value) if small else None
    arrays = all(isinstance(item, np.ndarray | np.generic) for item in value)
    if not arrays or len({(item.shape, item.dtype) for item in value}) != 1 or value[0].dtype.kind not in "iufb":
        return None
    return np.stack(value)


def actions(policy: Any, path: Path, episode: str) -> dict[str, NDArray[Any]]:
    """What ``policy_out.pkl`` holds one of a step: a list of dicts, or of arrays, or a dict of arrays."""
    if isinstance(policy, list) and policy and all(isinstance(step, dict) for step in policy):
        keys = {key: None for step in policy for key in step if isinstance(key, str)}
        rows = {key: [step[key] for step in policy if key in step] for key in keys}
        return {
            key: found
            for key, value in rows.items()
            if len(value) == len(policy) and (found := numbers(value)) is not None
        }
    if isinstance(policy, dict):
        return {str(key): found for key, value in policy.items() if (found := numbers(value)) is not None}
    found = numbers(policy)
    if found is None:
        raise fault("holds no actions that are known", file=path, episode=episode, key="policy_out")
    return {"actions": found}


def nanoseconds(seconds: NDArray[Any], **place: Any) -> NDArray[np.int64]:
    """Float seconds as integers of nanoseconds, to the last bit that the float has."""
    values = seconds.astype(np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (len(values) and float(np.abs(values).max()) > 9.2e9):
        raise fault("has stamps that no clock shows", **place)
    whole = np.floor(values)
    return whole.astype(np.int64) * 10**9 + np.rint((values - whole) * 1e9).astype(np.int64)


__all__ = ["Pictures", "actions", "language", "nanoseconds", "numbers"]
