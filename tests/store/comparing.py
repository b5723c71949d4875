"""Whether what a store gives is what its source gives, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np

from robocache import store
from robocache.datasets import open_dataset


def same(one: Any, other: Any) -> bool:
    """Equal to the bit, and of one type and shape."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.tolist() == other.tolist() if one.dtype == object else one.tobytes() == other.tobytes()


def assert_same(source: Any, path: Path, names: Any = None, left_out: int = 0) -> None:
    """Every stream of every episode, read both ways, against the source."""
    cached, mine = store.open_store(path, "full"), open_dataset(path)
    assert len(mine) == len(source) == len(cached.lengths)
    for at, (episode, found) in enumerate(zip(source, mine, strict=True)):
        assert found.id == episode.id == cached.episode(at)
        assert found.length == len(next(iter(found.values()))) == cached.lengths[at]
        assert list(found.language) == list(episode.language)
        wanted = list(episode) if names is None else list(names)
        assert len(found) == len(wanted) - left_out
        rows = np.arange(cached.offsets[at], cached.offsets[at + 1])
        for name, stream in found.items():
            theirs = episode[name]
            read = theirs.read()
            assert same(stream.read(), read), name
            assert (stream.kind, stream.unit, stream.names) == (theirs.kind, theirs.unit, theirs.names)
            if stream.codec is None:
                assert same(cached.gather(name, rows), np.ascontiguousarray(read)), name
            elif stream.codec != "utf-8":
                kept = [bytes(data) for data in cached.encoded(name, rows)]
                assert kept == theirs.read(decode=False) == stream.read(decode=False)
            if theirs.timing.stamped or theirs.timing.rate is not None:
                assert np.array_equal(stream.times, theirs.times)
                assert np.array_equal(cached.times(rows), theirs.times)


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a folder, but for the lock."""
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name != ".lock"}
