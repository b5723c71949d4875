"""The process that reads damaged copies for `tests.datasets.damage`, bounded in memory and time."""

import faulthandler
import fnmatch
import hashlib
import importlib.util
import json
import os
import random
import re
import resource
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robocache.errors import DataError

NUMBERS = (b"-1", b"0", b"1", b"7", b"99", b"4294967296", b"9223372036854775807", b"1e309", b"00", b"-0.5")
GOOD, EDGE = "good", 256


def damage(data: bytes, kind: str, rng: random.Random) -> bytes | None:
    """A damaged copy; None if the file is to be removed. Never the same bytes, unless there are none."""
    if kind == "remove":
        return None
    if kind == "empty" or (kind == "truncate" and not data):
        return b""
    if kind == "extend" or not data:
        return data + rng.randbytes(rng.choice((1, 7, 16, 300)))
    at = _place(len(data), rng)
    if kind == "truncate":
        return data[:at]
    if kind == "digits":
        return _digits(data, rng)
    length = 1 if kind == "flip" else rng.choice((1, 2, 4, 8, 32))
    old = data[at : at + length]
    new = {"zero": bytes(len(old)), "ones": b"\xff" * len(old), "noise": rng.randbytes(len(old))}.get(kind, old)
    if new == old:
        new = bytes([old[0] ^ 1 << rng.randrange(8)]) + old[1:]
    return data[:at] + new + data[at + len(old) :]


def _place(size: int, rng: random.Random) -> int:
    edge = min(size, EDGE)
    return rng.choice((rng.randrange(size), rng.randrange(size), rng.randrange(edge), size - 1 - rng.randrange(edge)))


def _digits(data: bytes, rng: random.Random) -> bytes | None:
    found = list(re.finditer(rb"\d+", data[: 1 << 20]))
    if not found:
        return damage(data, "flip", rng)
    spot = rng.choice(found)
    number = rng.choice([n for n in NUMBERS if n != spot[0]])
    return data[: spot.start()] + number + data[spot.end() :]


def digest(value: Any, root: str = "\0") -> str:
    """Equal for equal values, and only for them; ``root`` in text does not count."""
    hashed = hashlib.sha256()
    for part in _parts(value, root):
        hashed.update(len(part).to_bytes(8, "little") + part)
    return hashed.hexdigest()


def _parts(value: Any, root: str) -> Iterator[bytes]:
    if isinstance(value, np.ndarray):
        yield f"array {value.dtype} {value.shape}".encode()
        if value.dtype != object:
            yield np.ascontiguousarray(value).tobytes()
            return
        value = value.ravel().tolist()
    if isinstance(value, Mapping):
        yield f"mapping {len(value)}".encode()
        for key in sorted(value, key=str):
            yield from _parts(key, root)
            yield from _parts(value[key], root)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        yield f"sequence {len(value)}".encode()
        for item in value:
            yield from _parts(item, root)
    else:
        yield f"{type(value).__name__} {value!r}".replace(root, "").encode()


def main(path: str) -> None:
    """Read damaged copies, and log before and after each."""
    job = json.loads(Path(path).read_text("utf-8"))
    work, read = Path(job["work"]), _load(job["file"], job["name"])
    names = sorted(p.relative_to(work / GOOD).as_posix() for p in (work / GOOD).rglob("*") if p.is_file())
    chosen = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in job["only"])]
    expected = _digests(read(work / GOOD), work / GOOD)
    _limit(job["memory"])
    failures = 0
    with open(work / "log.jsonl", "w", encoding="utf-8", buffering=1) as log:
        for number in range(job["start"], job["attempts"]):
            rng = random.Random(f"{job['seed']} {number}")
            name, kind = chosen[number % len(chosen)], rng.choice(job["kinds"])
            log.write(json.dumps({"number": number, "begun": f"attempt {number}, {kind} {name}"}) + "\n")
            folder = _copy(work, names, name, kind, rng)
            faulthandler.dump_traceback_later(job["seconds"], exit=True)
            outcome, why = _attempt(read, folder, expected, any(fnmatch.fnmatch(name, p) for p in job["exact"]))
            faulthandler.cancel_dump_traceback_later()
            log.write(json.dumps({"number": number, "outcome": outcome, "why": why}) + "\n")
            failures += outcome == "failure"
            if failures == job["most"]:
                return


def _load(file: str, name: str) -> Callable[[Path], Any]:
    spec = importlib.util.spec_from_file_location("read_damaged", file)
    if spec is None or spec.loader is None:
        raise ImportError(file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return getattr(module, name)


def _limit(memory: int) -> None:
    """Address space: what is taken now, and so much more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _copy(work: Path, names: list[str], damaged: str, kind: str, rng: random.Random) -> Path:
    """A folder of links to the good files, but for one: what is mapped from an earlier attempt is left alone."""
    folder = work / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name != damaged:
            os.link(work / GOOD / name, folder / name)
        elif (data := damage((work / GOOD / name).read_bytes(), kind, rng)) is not None:
            (folder / name).write_bytes(data)
    return folder


def _digests(found: Any, folder: Path) -> dict[str, str | None]:
    """By place; None where a DataError stands. Raises AssertionError for one that names no file."""
    places = found if isinstance(found, Mapping) else {"": found}
    for place, value in places.items():
        if isinstance(value, DataError) and not value.file:
            raise AssertionError(f"{place}: a DataError names no file: {value}")
    return {
        str(place): None if isinstance(value, DataError) else digest(value, str(folder))
        for place, value in places.items()
    }


def _attempt(read: Callable[[Path], Any], folder: Path, good: Mapping[str, Any], exact: bool) -> tuple[str, str]:
    """The name of a count of `Tally`, or ``"failure"`` and why."""
    try:
        found = _digests(read(folder), folder)
    except DataError as error:
        return ("refused", "") if error.file else ("failure", f"a DataError names no file: {error}")
    except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
        return "failure", traceback.format_exc(limit=-6)
    refused = None in found.values()
    altered = sorted(place for place, value in found.items() if value is not None and value != good.get(place))
    lost = sorted(good.keys() - found.keys())
    if exact and (altered or (lost and not refused)):
        return "failure", f"read what was not written: {altered[:5]}; left out without a word: {lost[:5]}"
    return ("refused" if refused else "other" if altered or lost else "same"), ""


if __name__ == "__main__":
    main(sys.argv[1])
