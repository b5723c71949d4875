"""What a fresh process does for ``benchmarks.bench_datasets``: one library, one dataset, one thing; JSON at its end."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .dataset_access import LIBRARIES, Access, prepared

Job = dict[str, Any]
Clock = Callable[[], float]
PARTS = 10  # samples of a time, each a run over its share of the items


def windows(access: Access, picks: list[list[float]], steps: int) -> list[tuple[int, int, int]]:
    """Episodes, and steps from and to: of numbers in [0, 1), so that they are the same for every library."""
    found = []
    for share, place in picks:
        episode = int(share * access.count)
        length = access.length(episode)
        start = int(place * (max(length - steps, 0) + 1))
        found.append((episode, start, min(start + steps, length)))
    return found


def timed(calls: list[Callable[[], Any]], clock: Clock = time.perf_counter) -> list[float]:
    """Microseconds a call, in up to ten parts. The first part runs once unmeasured."""
    parts = [part for part in (calls[k::PARTS] for k in range(PARTS)) if part]
    for call in parts[0]:
        call()
    samples = []
    for part in parts:
        start = clock()
        for call in part:
            call()
        samples.append((clock() - start) / len(part) * 1e6)
    return samples


def memory() -> dict[str, int]:
    """Bytes resident now and at most, of this program alone."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    return {"now": kilobytes["VmRSS"] * 1024, "peak": kilobytes["VmHWM"] * 1024}


def start(job: Job) -> Job:
    """Seconds to import, to open, and to the numbers of a first step."""
    marks = [time.perf_counter()]
    __import__({"robocache": "robocache.datasets", "lerobot": "lerobot.datasets.lerobot_dataset"}.get(
        job["library"], job["library"]))  # fmt: skip
    marks.append(time.perf_counter())
    imported = memory()["now"]
    access = LIBRARIES[job["library"]](job["path"], job["split"])
    marks.append(time.perf_counter())
    access.window(0, 0, 1, access.vectors)
    marks.append(time.perf_counter())
    spent = [(after - before) * 1e6 for before, after in zip(marks[:-1], marks[1:], strict=True)]
    return dict(zip(("import_us", "open_us", "first_us"), spent, strict=True)) | {"resident": imported}


def check(job: Job, access: Access) -> Job:
    """The values of some items, into a file; what the library has."""
    arrays = {}
    for number, (episode, begin, end) in enumerate(windows(access, job["picks"][: job["compared"]], job["steps"])):
        found = access.window(episode, begin, end, access.vectors)
        arrays |= {f"{number}|{name}": value for name, value in found.items()}
        for name in access.pictures:
            arrays[f"{number}|{name}"] = access.picture(episode, begin, name)
    np.savez(job["values"], **arrays)
    has = {"episodes": access.count, "vectors": access.vectors, "pictures": access.pictures}
    return has | {"bytes_too": access.bytes_too}


def random_windows(job: Job, access: Access) -> Job:
    """Low-dimensional windows."""
    chosen = windows(access, job["picks"], job["steps"])
    samples = timed([partial(access.window, *one, job["vectors"]) for one in chosen])
    return {"samples": samples, "steps": sum(end - begin for _, begin, end in chosen) / len(chosen)}


def random_pictures(job: Job, access: Access, encoded: bool = False) -> Job:
    """Single pictures, the cameras in turn."""
    chosen = windows(access, job["picks"], 1)
    read = access.encoded if encoded else access.picture
    names = job["pictures"]
    calls = [partial(read, episode, at, names[k % len(names)]) for k, (episode, at, _) in enumerate(chosen)]
    return {"samples": timed(calls)}


def whole_pass(job: Job, access: Access, clock: Clock = time.perf_counter) -> Job:
    """Every number and picture of up to so many episodes, in order; bytes as arrays."""
    samples, total = [], 0
    for episode in range(min(access.count, job["episodes"])):
        begin = clock()
        size = sum(array.nbytes for array in access.everything(episode))
        samples.append((clock() - begin) / max(size, 1) * 1e12)  # microseconds a megabyte
        total += size
    return {"samples": samples, "bytes": total}


TASKS: dict[str, Callable[[Job, Access], Job]] = {
    "check": check,
    "windows": random_windows,
    "pictures": random_pictures,
    "encoded": partial(random_pictures, encoded=True),
    "pass": whole_pass,
}


def picks(seed: int, count: int) -> Iterator[list[float]]:
    """Pairs of numbers in [0, 1)."""
    yield from np.random.default_rng(seed).random((count, 2)).tolist()


def main(text: str) -> None:
    """Do what the job says."""
    job = json.loads(text)
    if job["what"] == "start":
        done = start(job)
    elif job["what"] == "prepare":
        done = {"path": prepared(job["library"], job["path"], job["folder"])}
    else:
        done = TASKS[job["what"]](job, LIBRARIES[job["library"]](job["path"], job["split"]))
    sys.stdout.write("\n" + json.dumps(done | {"memory": memory()}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
