"""How sure each format is that a path is its own, by names of files and small text; no reader is imported for it."""

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ._walks import folders_with

LOOKED_AT = 2000  # entries of a folder, to see what it is

BAGS = (".mcap", ".bag", ".db3")
BAG_HEAD = 4096  # of metadata.yaml, to see whose it is
BRIDGE_FILE, DROID_FILE = "obs_dict.pkl", "trajectory.h5"
CALVIN_FILE, CALVIN_SPLITS = "ep_start_end_ids.npy", ("training", "validation")
LEROBOT_FILE, LEROBOT_BYTES = "meta/info.json", 16 << 20
TEXT = (".csv", ".txt", ".tum", ".tsv", ".log", ".dat")
ARRAYS = (".npy", ".npz")
INFO, TREE = "dataset_info.json", "features.json"
SHARD = re.compile(r"(?P<name>.+)-(?P<split>\w+)\.(?P<form>tfrecord|array_record|parquet)-\d{5,}-of-\d{5,}")
DEEP = 3  # levels of folders: data_dir/name/config/version
LOOKS = 5000  # entries of folders that are looked at for a dataset of TFDS
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
HDF5 = b"\x89HDF\r\n\x1a\n"
STORE_FILE, STORE_MARK = "store.json", "robocache store"


def bags(path: Path) -> float:
    """A bag, or a folder of bags."""
    found = bags_in(path, LOOKED_AT)
    return 0.0 if not found else 0.95 if found == [path] else 0.8


def bags_in(path: Path, most: int | None = None) -> list[Path]:
    """The bags that a path is or holds; of a folder only the first entries if ``most`` says how many."""
    if path.is_file():
        return [path] if path.suffix in BAGS else []
    if _is_bag(path):
        return [path]
    with suppress(OSError):
        with os.scandir(path) as entries:
            inside = [entry for entry in islice(entries, most) if entry.is_dir() or entry.name.endswith(BAGS)]
        return sorted(Path(entry) for entry in inside if entry.is_file() or _is_bag(Path(entry)))
    return []


def _is_bag(folder: Path) -> bool:
    with suppress(OSError), open(folder / "metadata.yaml", "rb") as file:
        return b"rosbag2_bagfile_information" in file.read(BAG_HEAD)
    return False


def bridge(path: Path) -> float:
    """Bridge, as recorded."""
    return _folders(path, BRIDGE_FILE)


def calvin(path: Path) -> float:
    """A folder of CALVIN, or a split of it."""
    with suppress(OSError):
        return 0.9 if any((path / name / CALVIN_FILE).is_file() for name in (".", *CALVIN_SPLITS)) else 0.0
    return 0.0


def droid(path: Path) -> float:
    """Folders of DROID."""
    return _folders(path, DROID_FILE)


def _folders(path: Path, file: str) -> float:
    with suppress(OSError, ValueError):
        inside = folders_with(path, file, entries=LOOKED_AT, quiet=True)
        return 0.9 if path.is_dir() and next(inside, None) is not None else 0.0
    return 0.0


def lerobot(path: Path) -> float:
    """A folder whose ``meta/info.json`` has a ``codebase_version``."""
    with suppress(OSError, ValueError, RecursionError):
        file = path / LEROBOT_FILE
        if path.is_dir() and file.is_file() and file.stat().st_size <= LEROBOT_BYTES:
            text = file.read_bytes()
            return 0.95 if b'"codebase_version"' in text and isinstance(json.loads(text), dict) else 0.0
    return 0.0


def logs(path: Path) -> float:
    """A file of rows or arrays, or a folder of them."""
    with suppress(OSError):
        if path.is_file():
            return 0.3 if log_files(path) else 0.0
        if (path / "mav0").is_dir() and sensors(path):
            return 0.9
        if sensors(path, LOOKED_AT):
            return 0.5
        found = log_files(path, LOOKED_AT)
        return 0.0 if not found else 0.05 if all(plain_suffix(one) in ARRAYS for one in found) else 0.1
    return 0.0


def plain_suffix(path: Path) -> str:
    """Of a file, without ``.gz``."""
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def sensors(path: Path, most: int | None = None) -> list[Path]:
    """The ``data.csv`` files of an EuRoC folder, or of the one above it."""
    inner = path / "mav0" if (path / "mav0").is_dir() else path
    with os.scandir(inner) as entries:
        inside = [Path(entry) / "data.csv" for entry in islice(entries, most) if entry.is_dir()]
    return sorted(one for one in inside if one.is_file())


def log_files(path: Path, most: int | None = None) -> list[Path]:
    """The files of a log; of a folder only the first entries if ``most`` says how many."""
    if path.is_file():
        return [path] if plain_suffix(path) in (*TEXT, *ARRAYS) else []
    if found := sensors(path, most):
        return found
    with os.scandir(path) as entries:
        inside = [Path(entry) for entry in islice(entries, most) if entry.is_file()]
    return sorted(one for one in inside if plain_suffix(one) in (*TEXT, *ARRAYS))


def rlds(path: Path) -> float:
    """The two JSON files of TFDS, and steps; or shards that are named as those of TFDS are."""
    with suppress(OSError):
        try:
            folder = rlds_folder(path)
        except ValueError:
            return 0.6
        if folder is None:
            return 0.0
        if not (folder / TREE).is_file():
            return 0.6
        with open(folder / TREE, "rb") as file:
            return 0.95 if b'"steps"' in file.read(1 << 22) else 0.0
    return 0.0


def rlds_folder(path: Path) -> Path | None:
    """The version folder that a path means: itself, its newest version, or the only dataset in it.

    A folder of shards without both JSON files counts where there is no other. ValueError names the datasets if there
    are several.
    """
    bare: set[Path] = set()
    found = _described(path.parent if path.is_file() and path.name in (INFO, TREE) else path, DEEP, [LOOKS], bare)
    if found is None and len({folder.parent for folder in bare}) == 1 and all(_version(f.name) for f in bare):
        return max(bare, key=lambda folder: _version(folder.name))
    return found or _only(sorted(bare))


def _described(path: Path, depth: int, left: list[int], bare: set[Path]) -> Path | None:
    """The folder with both JSON files; ``bare`` gathers those with shards alone."""
    if (path / INFO).is_file() and (path / TREE).is_file():
        return path
    if not path.is_dir():
        return None
    folders = []
    with os.scandir(path) as entries:
        for entry in entries:
            left[0] -= 1
            if left[0] < 0:  # a folder of millions of files is something else, and must not take seconds
                return None
            if SHARD.fullmatch(entry.name):
                bare.add(path)
                return None
            if depth and entry.is_dir() and not entry.name.startswith("."):
                folders.append(entry.name)
    versions = [name for name in folders if _version(name) and _described(path / name, 0, left, bare)]
    if versions:
        return path / max(versions, key=_version)
    return _only([at for name in sorted(folders) if (at := _described(path / name, depth - 1, left, bare)) is not None])


def _version(name: str) -> tuple[int, ...]:
    return tuple(map(int, name.split("."))) if VERSION.fullmatch(name) else ()


def _only(found: list[Path]) -> Path | None:
    if len(found) > 1:
        raise ValueError(f"holds {len(found)} datasets; open one of {', '.join(str(p) for p in found[:20])}")
    return found[0] if found else None


def robomimic(path: Path) -> float:
    """An HDF5 file with a group of demonstrations."""
    head = b""
    with suppress(OSError):
        if path.suffix in (".hdf5", ".h5") and path.name != DROID_FILE and path.is_file():
            with open(path, "rb") as file:
                head = file.read(1 << 14)
    blocks = (0, *(512 << k for k in range(6)))  # a block of the user's may come first
    known = any(head.startswith(HDF5, start) for start in blocks)
    return 0.0 if not known else 0.8 if b"data\0" in head else 0.3


def store(path: Path) -> float:
    """A folder whose ``store.json`` says that it is ours."""
    with suppress(OSError), open(path / STORE_FILE, "rb") as file:
        return 1.0 if STORE_MARK.encode() in file.read(64) else 0.0
    return 0.0


SNIFFS: dict[str, Callable[[Path], float]] = {
    "bags": bags, "bridge": bridge, "calvin": calvin, "droid": droid,
    "lerobot": lerobot, "logs": logs, "rlds": rlds, "robomimic": robomimic, "store": store,
}  # fmt: skip

__all__ = [
    "ARRAYS", "BAGS", "BRIDGE_FILE", "CALVIN_FILE", "CALVIN_SPLITS", "DROID_FILE", "HDF5", "INFO", "LEROBOT_FILE",
    "SHARD", "SNIFFS", "STORE_FILE", "STORE_MARK", "TREE", "bags_in", "log_files", "plain_suffix",
    "rlds_folder", "sensors",
]  # fmt: skip
