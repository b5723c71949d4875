"""Errors that say where in a dataset something is wrong, and extras that are not installed."""

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
    "zarr": "zarr",
    "ray": "ray",
    "matplotlib": "plot",
    "rerun": "viz",
}


def fault(message: str, *, file: Path | None = None, episode: Any = None, key: str | None = None) -> DataError:
    """A `DataError` whose message begins with the place; the places are attributes too."""
    places = [str(file)] if file is not None else []
    places += [f"episode {episode}"] if episode is not None else []
    places += [key] if key is not None else []
    error = DataError(f"{', '.join(places)}: {message}" if places else message)
    error.file, error.episode, error.key = (None if file is None else str(file)), episode, key
    return error


class faults:
    """Turn what a library throws over bad bytes into a `DataError` with the place."""

    __slots__ = ("_kinds", "_place", "_said")  # no generator: it is entered for every sample

    def __init__(
        self, *kinds: type[BaseException], file: Path | None = None, episode: Any = None, key: str | None = None,
        doing: str = "cannot be read",
    ) -> None:  # fmt: skip
        self._kinds, self._said, self._place = kinds, doing, (file, episode, key)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, self._kinds):
            file, episode, key = self._place
            said = str(error) or type(error).__name__
            raise fault(f"{self._said}: {said}", file=file, episode=episode, key=key) from error


def missing(module: str, why: str, error: ImportError) -> NoReturn:
    """Raise what says which extra to install: ``try: import av; except ImportError as e: missing("av", …, e)``."""
    extra = EXTRAS[module]
    raise BackendError(f"{why} needs {module}; install it with: pip install 'robocache[{extra}]'") from error


__all__ = ["EXTRAS", "fault", "faults", "missing"]
