"""What a fresh process does for ``benchmarks.bench_datasets``: one library, one dataset; JSON at its end."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import dataset_sizes
from .dataset_access import LIBRARIES, MODULES, Access, prepared

Job = dict[str, Any]
Clock = Callable[[], float]
Windows = list[tuple[int, int, int]]
PARTS = 10  # samples of a time, each a run over its share of the items
BATCH = 256  # windows that are asked for in one call


def windows(access: Access, picks: list[list[float]], steps: int) -> Windows:
    """Episodes, and steps from and to: of numbers in [0, 1), so that they are the same for every library."""
    found = []
    for share, place in picks:
        episode = int(share * access.count)
        length = access.length(episode)
        start = int(place * (max(length - steps, 0) + 1))
        found.append((episode, start, min(start + steps, length)))
    return found


def batches(chosen: Windows) -> list[Windows]:
    """The same windows some at a time, all as long as the shortest."""
    least = min(stop - start for _, start, stop in chosen)
    cut = [(episode, start, start + least) for episode, start, _ in chosen]
    return [cut[at : at + BATCH] for at in range(0, len(cut), BATCH)]


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
    """Bytes resident now, and at most since the last `forget_peak`, of this program alone."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    return {"now": kilobytes["VmRSS"] * 1024, "peak": kilobytes["VmHWM"] * 1024}


def forget_peak() -> None:
    """Let the most that was resident be what is resident now."""
    Path("/proc/self/clear_refs").write_text("5", "ascii")


def start(job: Job) -> tuple[Job, Access]:
    """Microseconds to import, to open, and to the numbers of a first step."""
    marks = [time.perf_counter()]
    __import__(MODULES[job["library"]])
    marks.append(time.perf_counter())
    imported = memory()["now"]
    access: Access = LIBRARIES[job["library"]](job["path"], job["split"])
    marks.append(time.perf_counter())
    if access.random:
        access.window(0, 0, 1, job["low"])
    else:
        next(access.everything(1, job["low"], []))
    marks.append(time.perf_counter())
    spent = [(after - before) * 1e6 for before, after in zip(marks[:-1], marks[1:], strict=True)]
    done = {name: {"samples": [took]} for name, took in zip(("import", "open", "first"), spent, strict=True)}
    return done | {"resident_bytes": {"import": imported}}, access


def check(job: Job, access: Access) -> Job:
    """The values of the items that are timed, into a file; what the library has."""
    arrays: dict[str, Any] = {}
    chosen = windows(access, job["picks"], job["steps"])
    found = [access.window(*one, access.vectors) for one in chosen]
    arrays |= {f"windows|{name}": np.concatenate([one[name] for one in found]) for name in access.vectors}
    if access.random:
        found = [access.batch(one, access.vectors) for one in batches(chosen)]
        arrays |= {f"batches|{name}": np.concatenate([one[name] for one in found]) for name in access.vectors}
    shown = windows(access, job["picks"][: job["shown"]], 1)
    for name in access.pictures:
        for number, (episode, at, _) in enumerate(shown):
            arrays[f"{number}|{name}"] = access.as_bytes(access.picture(episode, at, name))
    np.savez(job["values"], **arrays)
    has = {"episodes": access.count, "vectors": access.vectors, "pictures": access.pictures}
    return has | {"bytes_too": access.bytes_too, "random": access.random, "decoder": access.decoder}


def first_windows(job: Job, access: Access, clock: Clock = time.perf_counter) -> Job:
    """A window of every episode (but the one that was opened first), none of which was touched before."""
    rng = np.random.default_rng(job["seed"])
    order = [int(k) for k in rng.permutation(access.count) if k][: len(job["picks"])] or [0]
    begin = clock()
    steps = 0
    for episode in order:
        stop = min(job["steps"], access.length(episode))
        access.window(episode, 0, stop, job["low"])
        steps += stop
    took = (clock() - begin) / len(order) * 1e6
    return {"samples": [took], "items": steps / len(order)}


def random_windows(job: Job, access: Access) -> Job:
    """Low-dimensional windows, one in a call."""
    chosen = windows(access, job["picks"], job["steps"])
    samples = timed([partial(access.window, *one, job["low"]) for one in chosen])
    return {"samples": samples, "items": sum(end - begin for _, begin, end in chosen) / len(chosen)}


def random_batches(job: Job, access: Access) -> Job:
    """Low-dimensional windows, many in a call."""
    chosen = batches(windows(access, job["picks"], job["steps"]))
    chosen = [one for one in chosen if len(one) == len(chosen[0])]
    samples = timed([partial(access.batch, one, job["low"]) for one in chosen])
    return {"samples": samples, "items": sum(end - begin for _, begin, end in chosen[0])}


def random_pictures(job: Job, access: Access, encoded: bool = False) -> Job:
    """Single pictures, the cameras in turn."""
    chosen = windows(access, job["picks"][: job["shown"]], 1)
    read = access.encoded if encoded else access.picture
    names = job["pictures"]
    return {"samples": timed([partial(read, e, at, names[k % len(names)]) for k, (e, at, _) in enumerate(chosen)])}


def whole_pass(job: Job, access: Access, clock: Clock = time.perf_counter) -> Job:
    """The numbers and pictures of up to so many episodes, in order; a sample for every so many bytes of arrays."""
    samples, total, size = [], 0, 0
    begin = clock()
    for array in access.everything(min(access.count, job["episodes"]), job["low"], job["pictures"]):
        size, total = size + array.nbytes, total + array.nbytes
        if size >= job["sample_bytes"]:
            samples.append((clock() - begin) / size * 1e12)  # microseconds a megabyte
            begin, size = clock(), 0
    return {"samples": samples or [(clock() - begin) / max(size, 1) * 1e12], "bytes": total}


TASKS: dict[str, Callable[[Job, Access], Job]] = {
    "first_windows": first_windows,
    "windows": random_windows,
    "batches": random_batches,
    "pictures": random_pictures,
    "encoded": partial(random_pictures, encoded=True),
    "pass": whole_pass,
}


def run(job: Job, access: Access) -> Job:
    """The tasks of a job in their order, and the most memory that each had."""
    done: Job = {"resident_bytes": {}}
    for what in job["tasks"]:
        forget_peak()
        done[what] = TASKS[what](job, access)
        done["resident_bytes"][what] = memory()["peak"]
    return done


def picks(seed: int, count: int) -> Iterator[list[float]]:
    """Pairs of numbers in [0, 1)."""
    yield from np.random.default_rng(seed).random((count, 2)).tolist()


def main(text: str) -> None:
    """Do what the job says."""
    job = json.loads(text)
    if job["what"] == "sizes":
        done = dataset_sizes.told(job["packages"])
    elif job["what"] == "prepare":
        done = {"path": prepared(job["library"], job["path"], job["folder"])}
    elif job["what"] == "check":
        done = check(job, LIBRARIES[job["library"]](job["path"], job["split"]))
    else:
        done, access = start(job)
        more = run(job, access)
        more["resident_bytes"] = done["resident_bytes"] | more["resident_bytes"]
        done |= more
    sys.stdout.write("\n" + json.dumps(done) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
