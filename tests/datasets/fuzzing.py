"""Damaged HDF5 files, read in a process of its own: libhdf5 might crash or hang, and take the tests along.

Run as a program: ``fuzzing.py <path of the dataset> <path of the HDF5 file> <seed> <count>``. It prints how many files
were refused, read, and how each of those ended that gave anything but a DataError.
"""

import json
import os
import random
import signal
import sys
from pathlib import Path

import robocache.datasets as rd
from robocache.errors import DataError

PATIENCE = 20


def damaged(base: bytes, rng: random.Random) -> bytes:
    data = bytearray(base)
    for _ in range(rng.choice((1, 1, 2))):
        at = rng.randrange(len(data))
        data[at] = rng.choice((data[at] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 127, 255))
    if rng.random() < 0.15:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


def use(path: Path) -> int:
    """Read everything; 1 if it was refused."""
    try:
        with rd.open_dataset(path) as dataset:
            for episode in dataset:
                dict(episode.meta), episode.language
                for stream in episode.values():
                    if len(stream) < 10**6:
                        _ = stream.times
                    stream.read()
            _ = dataset.index
            for name in dataset.splits:
                _ = dataset.splits[name]
            list(dataset.validate())
    except DataError:
        return 1
    return 0


def main(path: Path, file: Path, seed: int, count: int) -> dict[str, int]:
    base, rng = file.read_bytes(), random.Random(seed)
    ended: dict[str, int] = {}
    use(path)  # what is imported for it is then not imported in every child
    for _ in range(count):
        file.write_bytes(damaged(base, rng))
        child = os.fork()
        if not child:
            signal.alarm(PATIENCE)
            try:
                os._exit(use(path))
            except BaseException as error:  # noqa: BLE001
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(2)
        status = os.waitpid(child, 0)[1]
        signalled = os.WIFSIGNALED(status)
        code = (
            f"signal {os.WTERMSIG(status)}"
            if signalled
            else ("read", "refused", "another error")[os.WEXITSTATUS(status)]
        )
        ended[code] = ended.get(code, 0) + 1
    file.write_bytes(base)
    return ended


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
