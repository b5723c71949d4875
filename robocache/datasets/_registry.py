"""Which reader a path is for."""

import importlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError
from ._faults import fault
from ._sniffs import SNIFFS
from .model import Dataset


@dataclass(frozen=True)
class Reader:
    """A format.

    Parameters
    ----------
    name : str
    sniff : function of a Path
        How sure it is that the path is its own, 0 to 1, from names of files and small text alone. It imports no extra
        and raises nothing.
    open : function of a Path and ``control_hz``, ``verify`` and its own options
        Returns a `Dataset`.
    """

    name: str
    sniff: Callable[[Path], float]
    open: Callable[..., Dataset]


def _opener(module: str, function: str) -> Callable[..., Dataset]:
    """A function of a module of ours, which is imported when it is first called."""

    def opened(path: Path, **options: Any) -> Dataset:
        made: Dataset = getattr(importlib.import_module(module, __package__), function)(path, **options)
        return made

    return opened


# Others come by the entry points "robocache.datasets", or by `register`.
_HOMES = {name: (f".{name}", f"open_{name}") for name in SNIFFS} | {"store": ("..store", "open_as_dataset")}
BUILT_IN = tuple(Reader(name, sniff, _opener(*_HOMES[name])) for name, sniff in SNIFFS.items())
ENTRY_POINTS = "robocache.datasets"
SPELLED = ("calvin", "lerobot", "rtx")  # modules with a DataLoader

_registered: dict[str, Reader] = {}


def module_of(package: str, name: str) -> Any:
    """A format whose ``DataLoader`` is asked for by its name, imported then."""
    if name in SPELLED:
        return importlib.import_module(f".{name}", package)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def loader_of(module: str, name: str) -> Any:
    """What ``DataLoader`` means in a module of a format, imported when it is asked for."""
    if name == "DataLoader":
        return getattr(importlib.import_module("..loaders.formats", __package__), module.rpartition(".")[2])
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def register(reader: Reader) -> None:
    """Add a reader; one of the same name is replaced."""
    _registered[reader.name] = reader


def readers() -> dict[str, Reader]:
    """All readers by name."""
    return {reader.name: reader for reader in (*BUILT_IN, *_installed())} | _registered


@cache
def _installed() -> tuple[Reader, ...]:
    """Of other packages; kept, since looking through all that is installed takes longer than opening a dataset."""
    if not _announced():
        return ()
    from importlib.metadata import entry_points

    return tuple(entry.load() for entry in entry_points(group=ENTRY_POINTS))


def _announced() -> bool:
    """Whether an installed package may bring readers: whether the text of its entry points names them.

    To import `importlib.metadata` takes ten times as long as this look. Where packages may lie elsewhere than in
    folders, in zips or with finders of their own, the answer is yes.
    """
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    wanted = f"[{ENTRY_POINTS}]".encode()
    for folder in sys.path:
        try:
            inside = os.listdir(folder or ".")
        except FileNotFoundError:
            continue
        except OSError:  # a zip, or what must not be looked into
            return True
        if "EGG-INFO" in inside:
            return True
        for name in inside:
            if name.endswith((".dist-info", ".egg-info")):
                with suppress(OSError), open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                    if wanted in file.read():
                        return True
    return False


def choose(path: Path, known: dict[str, Reader]) -> Reader | None:
    """The reader that is surest of a path; of equals the first; None if none is sure at all."""
    scores = {name: reader.sniff(path) for name, reader in known.items()}
    best = max(scores, key=lambda name: scores[name], default="")
    return known[best] if scores.get(best, 0) > 0 else None


def open_dataset(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    split: str | None = None,
    control_hz: float | None = None,
    verify: bool = True,
    **options: Any,
) -> Dataset:
    """Open a robot dataset of any format.

    Parameters
    ----------
    path : path or URL
        Its folder or file. A URL is brought into a local folder as `fetch` does: for LeRobot and RLDS only the metadata
        now and each other file when it is asked for, for other formats all of it.
    format : str, optional
        One of ``robocache.datasets.formats()``, in place of looking.
    split : str, optional
        Only the episodes of one split.
    control_hz : float, optional
        The rate of steps that were not stamped, in place of what the files or the registry say.
    verify : bool
        Check checksums when bytes are read, where the format has them.
    **options
        Of the format; see its module. For a URL also ``cache``, ``storage_options`` and ``offline``, of `fetch`.

    Returns
    -------
    Dataset
        No frame was read yet.

    Raises
    ------
    DataError
        Nothing is there, no reader knows it, or its metadata is damaged.
    ArgumentError
        An unknown format, split or option.
    BackendError
        A library is missing; the message names the extra.

    Examples
    --------
    >>> import robocache.datasets as rd
    >>> sorted(rd.formats())[:3]
    ['bags', 'bridge', 'calvin']
    """
    common: dict[str, Any] = {"format": format, "control_hz": control_hz, "verify": verify}
    if isinstance(path, str) and "://" in path:
        from ._remote import open_remote

        where = path
        dataset = open_remote(path, **common, **options)
    else:
        where = os.path.abspath(path)  # the program may go elsewhere
        dataset = _open_local(Path(where), **common, **options)
    dataset.again = open_dataset, {"path": where, **common, **options}
    return dataset if split is None else dataset.split(split)


def _open_local(path: Path, format: str | None, control_hz: float | None, verify: bool, **options: Any) -> Dataset:
    """What is a file or folder here."""
    if not path.exists():
        raise fault("there is nothing", file=path)
    known = readers()
    if format is None:
        best = choose(path, known)
        if best is None:
            raise fault(f"is no dataset that a reader knows ({', '.join(known)}); say format= if it is one", file=path)
    elif format in known:
        best = known[format]
    else:
        raise ArgumentError(f"format: {format!r} is not one of {sorted(known)}")
    if control_hz is not None and not 0 < control_hz < float("inf"):
        raise ArgumentError(f"control_hz: expected hertz, got {control_hz!r}")
    try:
        return best.open(path, control_hz=control_hz, verify=verify, **options)
    except TypeError as error:
        if "keyword argument" in str(error) and any(repr(name) in str(error) for name in options):
            raise ArgumentError(f"{best.name} has no such option: {error}") from None
        raise


def formats() -> tuple[str, ...]:
    """Names of all formats that can be opened."""
    return tuple(readers())


__all__ = ["Reader", "choose", "formats", "loader_of", "module_of", "open_dataset", "readers", "register"]
