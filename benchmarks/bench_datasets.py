"""Datasets: import, opening, random windows and pictures, a whole pass, memory, and what has to be installed.

``python3 -m benchmarks.bench_datasets --out datasets.json --python lerobot=~/lerobot/bin/python made_h264 …``

Every figure is of fresh processes, those of the contenders in turn. tensorflow_datasets and lerobot run where they are
installed (``--python`` names an environment of their own) and take the path. All are given the same items; what they
read of the items that are timed is compared first.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import _results, _timing, dataset_process, dataset_sizes

PEERS = {
    "tensorflow_datasets": "tensorflow-datasets", "tf.data": "tensorflow-datasets",
    "lerobot": "lerobot", "lerobot items": "lerobot",
}  # fmt: skip
WHOLE = {"tensorflow_datasets": ("tensorflow-datasets", "array-record", "opencv-python-headless")}
WHOLE |= {"tf.data": ("tensorflow-datasets", "tensorflow-cpu"), "lerobot": ("lerobot",)}
WINDOW, SAMPLE_BYTES = 16, 16 << 20
PIXELS_APART = 4.0  # levels on average: decoders of JPEG and video round differently
LOW = ("state", "action")
TASKS = tuple(dataset_process.TASKS)
GOALS = {"first_windows": 5, "windows": 5, "batches": 5, "pictures": 1, "pass": 1}
IMPORT_US = 0.3e6
Row = dict[str, Any]
Ask = Callable[..., Row]


class Refused(Exception):
    """A process that did not answer; the message is the last line of what it said."""


def compiled(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Python keeps what it compiles: of the peers pip did so when it installed them."""
    return {name: value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"}


def ask(pythons: dict[str, str], library: str, path: str, what: str, **job: Any) -> Row:
    """One thing, in a fresh process of a library's own environment."""
    text = json.dumps({"library": library, "path": path, "what": what} | job)
    python = pythons.get(PEERS.get(library, ""), sys.executable)
    ran = subprocess.run(
        [python, "-m", "benchmarks.dataset_process", text],
        capture_output=True, text=True, check=False, cwd=_results.ROOT, env=compiled(os.environ),
    )  # fmt: skip
    if ran.returncode:
        raise Refused(next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), "no word"))
    done: Row = json.loads(ran.stdout.splitlines()[-1])
    return done


# ---- are they the same items? --------------------------------------------------------------------------------------


def compare(mine: Any, theirs: Any, vectors: Iterable[str], pictures: Iterable[str]) -> Row:
    """Counts of equal values, and how far pictures are apart; raises WrongResult for anything that is not the same."""
    keys = sorted(mine.keys() & theirs.keys())
    vectors, pictures, cast = set(vectors), set(pictures), set()
    counted, apart = 0, [0.0]
    for key in keys:
        name, one, other = key.split("|", 1)[1], mine[key], theirs[key]
        if name in pictures:
            if one.shape != other.shape:
                raise _results.WrongResult(f"{key}: {one.shape} and {other.shape}")
            apart.append(float(np.abs(one.astype(np.float64) - other).mean()))
            continue
        if name not in vectors:
            continue
        if one.dtype != other.dtype:  # a library may hold float64 as float32: then both as the narrower
            cast.add(f"{name}: {one.dtype} and {other.dtype}")
            narrow = min(one.dtype, other.dtype, key=lambda kind: kind.itemsize)
            one, other = one.astype(narrow), other.astype(narrow)
        if one.size != other.size or one.tobytes() != other.tobytes():
            raise _results.WrongResult(f"{key} differs")
        counted += one.size
    if max(apart) > PIXELS_APART:
        raise _results.WrongResult(f"pictures are {max(apart):.1f} levels apart")
    if not counted and len(apart) == 1:
        raise _results.WrongResult("no name in common")
    names = sorted({key.split("|", 1)[1] for key in keys})
    return {
        "values": counted,
        "pictures": len(apart) - 1,
        "levels_apart": max(apart),
        "names": names,
        "cast": sorted(cast),
    }


# ---- rows ----------------------------------------------------------------------------------------------------------


def measure(path: str, options: argparse.Namespace, ask: Ask) -> list[Row]:
    """All rows of one dataset."""
    with tempfile.TemporaryDirectory() as folder:
        base: Row = {"split": options.split, "steps": WINDOW, "shown": options.shown, "episodes": options.episodes}
        base |= {"seed": options.seed, "picks": list(dataset_process.picks(options.seed, options.items))}
        base["sample_bytes"] = SAMPLE_BYTES
        has = {"robocache": ask("robocache", path, "check", values=f"{folder}/robocache.npz", **base) | {"path": path}}
        told = {name: beside(name, path, folder, has, base, ask) for name in PEERS}
        vectors, pictures = ([n for n in has["robocache"][key] if all(n in one[key] for one in has.values())]
                             for key in ("vectors", "pictures"))  # fmt: skip
        low = [name for name in vectors if re.split(r"[/.]", name)[-1] in LOW] or vectors
        runs: dict[str, list[Row]] = {name: [] for name in has}
        for _ in range(options.runs):  # the comparison has filled the caches of the disk
            for name in list(runs):  # in turn, so that a noisy moment meets all of them
                job = base | {"low": low, "pictures": pictures, "tasks": tasks(has[name], low, pictures)}
                try:
                    runs[name].append(ask(name, has[name]["path"], "time", **job))
                except Refused as error:
                    if name == "robocache":
                        raise
                    told[name] = {"absent": f"failed: {_results.reason(error)}"}
                    del runs[name]
        return assemble(path, runs, told, {"low": low, "pictures": pictures})


def tasks(has: Row, low: list[str], pictures: list[str]) -> list[str]:
    """What a library can be asked for."""
    random = ["first_windows", "windows", "batches"] * bool(low) + ["pictures"] * bool(pictures)
    return random * has["random"] + ["encoded"] * bool(pictures and has["bytes_too"]) + ["pass"]


def beside(name: str, path: str, folder: str, has: Row, base: Row, ask: Ask) -> Row:
    """What a peer read, compared with ours; or why it is absent. A value that differs is no absence: it raises."""
    file = f"{folder}/{name}.npz"
    if name == "lerobot items" and has["robocache"]["pictures"]:
        return {"absent": "decodes a picture with every window"}
    try:
        if not ask(name, path, "sizes", packages=[PEERS[name]])["packages"]:
            return {"absent": "not installed"}
        own = ask(name, path, "prepare", folder=folder)["path"]
        found = ask(name, own, "check", values=file, **base) | {"path": own}
    except Refused as error:
        return {"absent": f"cannot read it: {_results.reason(error)}"}
    ours = has["robocache"]
    with np.load(f"{folder}/robocache.npz") as mine, np.load(file) as theirs:
        same = compare(mine, theirs, ours["vectors"], ours["pictures"])
    has[name] = found
    return same | {"copied": own != path, "decoder": found["decoder"]}


def rate(done: list[Row]) -> Row:
    """The time of a call or megabyte, by the medians of processes; and how many steps, pictures or megabytes a second.

    The range is of all samples of all processes.
    """
    pooled = [sample for one in done for sample in one["samples"]]
    took = _timing.spread(pooled if len(pooled) > 1 else pooled * 2)
    took["median"] = statistics.median(statistics.median(one["samples"]) for one in done)
    return {"wall_us": took, "per_second": done[0].get("items", 1) * 1e6 / took["median"]} | {
        key: done[0][key] for key in ("bytes", "items") if key in done[0]
    }


def assemble(path: str, runs: dict[str, list[Row]], told: dict[str, Row], names: Row) -> list[Row]:
    """As the other result files have it: a row a figure, ours with the peers in it."""
    rows = []
    data = "/".join(Path(path).parts[-2:] if re.fullmatch(r"[\d.]+", Path(path).name) else Path(path).parts[-1:])
    for what in ("import", "open", "first", *TASKS):
        if what not in runs["robocache"][0]:
            continue
        row: Row = {"op": what, "method": "robocache", "backend": "cpu", "distribution": data}
        row |= {"shapes": {"steps": WINDOW} if "windows" in what or what == "batches" else {}, "dtypes": {}}
        row |= rate([one[what] for one in runs["robocache"]]) | {"names": names}
        row["peers"], row["goal"] = {}, {"wall_us": IMPORT_US} if what == "import" else {}
        for name, done in runs.items():
            if name != "robocache" and what in done[0]:
                row["peers"][name] = rate([one[what] for one in done]) | {"compared": told[name]}
                row["goal"] |= {f"over_{name}": GOALS[what]} if what in GOALS else {}
        row["peers"] |= {name: one for name, one in told.items() if "absent" in one}
        rows.append(row)
    row = {"op": "memory", "method": "robocache", "backend": "cpu", "distribution": data, "shapes": {}, "dtypes": {}}
    most = {name: peaks(done) for name, done in runs.items()}
    row |= {"resident_bytes": most["robocache"]}
    return [*rows, row | {"peers": {name: {"resident_bytes": most[name]} for name in most if name != "robocache"}}]


def peaks(done: list[Row]) -> Row:
    """Bytes at most, by task; the median of processes."""
    return {what: int(statistics.median(one["resident_bytes"][what] for one in done)) for what in
            done[0]["resident_bytes"]}  # fmt: skip


# ---- what has to be installed --------------------------------------------------------------------------------------


def sizes(ask: Ask) -> list[Row]:
    """A row an extra, and one a peer."""
    rows, own = [], dataset_sizes.own_bytes()
    for name, packages in dataset_sizes.wanted().items():
        rows.append(_sized(name, ask("robocache", "", "sizes", packages=packages), own))
    for name, packages in WHOLE.items():
        found = ask(name, "", "sizes", packages=list(packages))
        gone = packages[0] not in found["packages"]
        rows.append(_sized(name, {"absent": "not installed"} if gone else found, 0))
    return rows


def _sized(name: str, found: Row, own: int) -> Row:
    row: Row = {"op": "installed", "method": name, "backend": "cpu", "shapes": {}, "dtypes": {}, "peers": {}} | found
    return row if "absent" in found else row | {"bytes": found["bytes"] + own}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="folders of datasets")
    parser.add_argument("--out", required=True)
    parser.add_argument("--python", action="append", default=[], help="PACKAGE=PATH: where a peer is installed")
    parser.add_argument("--split", help="of datasets with several")
    parser.add_argument("--items", type=int, default=1000, help="windows that are timed")
    parser.add_argument("--shown", type=int, default=100, help="pictures that are timed")
    parser.add_argument("--episodes", type=int, default=20, help="of the whole pass, at most")
    parser.add_argument("--runs", type=int, default=5, help="of fresh processes, of each contender in turn")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    pythons = dict(given.split("=", 1) for given in options.python)
    asked = partial(ask, pythons)
    rows, failed, load = [], [], [round(os.getloadavg()[0], 2)]
    todo: list[Callable[[], list[Row]]] = [
        partial(measure, str(Path(path).resolve()), options, asked) for path in options.paths
    ]
    for one in [*todo, partial(sizes, asked)]:
        try:
            rows += one()
        except Exception as error:  # noqa: BLE001 - named in the file, which then does not count
            failed.append(_results.reason(error))
            _results.say(f"FAILED {failed[-1]}")
        load.append(round(os.getloadavg()[0], 2))
    for row in rows:
        _results.say(_results.brief(row) + (f" {row['per_second']:,.0f}/s" if "per_second" in row else ""))
    _results.write(options.out, "datasets", rows, failed=failed, seed=options.seed, load_average=load)
    if failed:
        raise SystemExit(f"{len(failed)} failed; {options.out} does not count")


if __name__ == "__main__":
    main()
