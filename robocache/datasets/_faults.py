"""Errors that say where in a dataset something is wrong, and extras that are not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, NoReturn

from .._core.errors import BackendError, DataError

Path = str | PathLike[str]

# What an extra of pyproject.toml brings, by the module that is imported.
EXTRAS = {
    "google_crc32c": "rlds",
    "array_record": "array-record",
    "pyarrow": "lerobot",
    "av": "video",
    "simplejpeg": "images",
    "PIL": "images",
    "h5py": "hdf5",
    "rosbags": "bags",
    "fsspec": "remote",
}


def fault(message: str, *, file: Path | None = None, episode: Any = None, key: str | None = None) -> DataError:
    """A `DataError` whose message begins with the place; the places are attributes too."""
    places = [str(file)] if file is not None else []
    places += [f"episode {episode}"] if episode is not None else []
    places += [key] if key is not None else []
    error = DataError(f"{', '.join(places)}: {message}" if places else message)
    error.file, error.episode, error.key = (None if file is None else str(file)), episode, key
    return error


@contextmanager
def faults(*kinds: type[BaseException], file: Path | None = None, episode: Any = None, key: str | None = None,
           doing: str = "cannot be read") -> Iterator[None]:  # fmt: skip
    """Turn what a library throws over bad bytes into a `DataError` with the place."""
    try:
        yield
    except kinds as error:
        said = str(error) or type(error).__name__
        raise fault(f"{doing}: {said}", file=file, episode=episode, key=key) from error


def missing(module: str, why: str, error: ImportError) -> NoReturn:
    """Raise what says which extra to install: ``try: import av; except ImportError as e: missing("av", …, e)``."""
    extra = EXTRAS[module]
    raise BackendError(f"{why} needs {module}; install it with: pip install 'robocache[{extra}]'") from error


__all__ = ["EXTRAS", "fault", "faults", "missing"]
