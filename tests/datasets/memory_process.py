"""Run in a process of its own: opens a dataset, reads all of it, and prints by how many bytes its memory grew.

The caches are made small beside the dataset, since a test must be quick; that they keep to their limits is what counts.
"""

import sys
from pathlib import Path
from typing import Any

import robocache.datasets as rd
from robocache.datasets import _hdf5
from robocache.datasets.bags import _mcap, _topics

CACHE = 4 << 20
AT_ONCE = 4  # samples


def memory(key: str) -> int:
    """Bytes that the system counts for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))


def main(path: str, way: str) -> None:
    """Way is "read", which validates before, or "keep", which drops nothing of what it reads."""
    _hdf5.CHUNK_BYTES = _mcap.CACHE_BYTES = _topics.BLOCK_BYTES = CACHE
    told = [bytes_ for name, bytes_ in (("meta", CACHE), ("dataset_info.json", 2 * CACHE)) if Path(path, name).exists()]
    options: dict[str, Any] = {"cache_bytes": told[0]} if told else {}
    with rd.open_dataset(path, **options) as dataset:
        for stream in dataset[0].values():
            stream.read(0)  # imports what decodes
        before, size, kept = memory("VmRSS"), 0, []
        if way == "read":
            errors = [finding for finding in dataset.validate() if finding.level == "error"]
            if errors:
                raise RuntimeError(str(errors[:3]))
        for episode in dataset:
            for stream in episode.values():
                for start in range(0, len(stream), AT_ONCE):
                    found = stream.read(slice(start, start + AT_ONCE))
                    size += found.nbytes
                    if way == "keep":
                        kept.append(found)
        sys.stdout.write(f"{memory('VmHWM') - before} {size}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
