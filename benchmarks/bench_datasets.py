"""Datasets: import, opening, random windows and pictures, a whole pass, memory, and what has to be installed.

``python3 -m benchmarks.bench_datasets --out datasets.json bridge_dataset/1.0.0 so101_lowdim``

Every figure is of a fresh process. tensorflow_datasets and lerobot run beside it where they are installed and take the
path; both are given the same items, and what they read is compared before anything is timed.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from . import _results, _timing, dataset_process

PEERS = {"tensorflow_datasets": "tensorflow-datasets", "lerobot": "lerobot"}
WINDOW, EXTRAS = 16, ("rlds", "array-record", "lerobot", "hdf5", "bags", "datasets")
PIXELS_APART = 4.0  # levels on average: decoders of JPEG and video round differently
Row = dict[str, Any]
Ask = Callable[..., Row]


class Refused(Exception):
    """A process that did not answer; the message is the last line of what it said."""


def ask(library: str, path: str, what: str, **job: Any) -> Row:
    """One thing, in a fresh process."""
    text = json.dumps({"library": library, "path": path, "what": what} | job)
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.dataset_process", text],
        capture_output=True, text=True, check=False, cwd=_results.ROOT,
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


def measure(path: str, options: argparse.Namespace, ask: Ask = ask) -> list[Row]:
    """All rows of one dataset."""
    with tempfile.TemporaryDirectory() as folder:
        base = {"split": options.split, "steps": WINDOW, "compared": options.compared, "episodes": options.episodes}
        base["picks"] = list(dataset_process.picks(options.seed, options.items))
        has = {"robocache": ask("robocache", path, "check", values=f"{folder}/robocache.npz", **base)}
        peers = {name: beside(name, package, path, folder, has, base, ask) for name, package in PEERS.items()}
        whole = {"vectors": has["robocache"]["vectors"], "pictures": has["robocache"]["pictures"]}
        rows = [figures("robocache", path, has["robocache"], whole, options, base, ask)]
        for name in [name for name, peer in peers.items() if "absent" not in peer]:
            shared = {key: [n for n in whole[key] if n in has[name][key]] for key in whole}
            try:
                rows.append(figures(name, has[name]["path"], has[name], shared, options, base, ask))
            except Refused as error:
                peers[name] = {"absent": f"failed: {_results.reason(error)}"}
                continue
            if shared != whole:  # beside a peer that lacks some names, the same fewer names
                rows.append(figures("robocache", path, has["robocache"], shared, options, base, ask))
    return assemble(path, rows, peers)


def beside(name: str, package: str, path: str, folder: str, has: Row, base: Row, ask: Ask) -> Row:
    """What a peer read, compared with ours; or why it is absent. A value that differs is no absence: it raises."""
    if not installed(package):
        return {"absent": "not installed"}
    file = f"{folder}/{name}.npz"
    try:
        own = ask(name, path, "prepare", folder=folder)["path"]
        has[name] = ask(name, own, "check", values=file, **base) | {"path": own}
    except Refused as error:
        return {"absent": f"cannot read it: {_results.reason(error)}"}
    ours = has["robocache"]
    with np.load(f"{folder}/robocache.npz") as mine, np.load(file) as theirs:
        return compare(mine, theirs, ours["vectors"], ours["pictures"]) | {"copied": own != path}


def figures(library: str, path: str, has: Row, names: Row, options: argparse.Namespace, base: Row, ask: Ask) -> Row:
    """Times and memory of one library on one dataset."""
    row: Row = {"library": library, "names": names}
    starts = [ask(library, path, "start", **base) for _ in range(options.runs + 1)][1:]  # the first fills caches
    for key in ("import_us", "open_us", "first_us"):
        row[key] = _timing.spread([one[key] for one in starts])
    row["resident_bytes"] = {"import": max(one["resident"] for one in starts)}
    tasks = [("windows", bool(names["vectors"])), ("pictures", bool(names["pictures"]))]
    tasks += [("encoded", bool(names["pictures"]) and has["bytes_too"]), ("pass", True)]
    for what, possible in tasks:
        if not possible:
            row[what] = {"absent": "it has none, or no call for them"}
            continue
        done = ask(library, path, what, **base, **names)
        row[what] = rate(done)
        row["resident_bytes"][what] = done["memory"]["peak"]
    return row


def rate(done: Row) -> Row:
    """The time of a window, picture or megabyte, and how many steps (of windows), pictures or megabytes a second."""
    samples = done["samples"]
    took = _timing.spread(samples if len(samples) > 1 else samples * 2)
    return {"wall_us": took, "per_second": done.get("steps", 1) * 1e6 / took["median"]} | {
        key: done[key] for key in ("bytes", "steps") if key in done
    }


def assemble(path: str, found: list[Row], peers: dict[str, Row]) -> list[Row]:
    """As the other result files have it: a row a figure, ours with the peers in it."""
    rows = []
    name = "/".join(Path(path).parts[-2:])
    for what in ("import_us", "open_us", "first_us", "windows", "pictures", "encoded", "pass"):
        ours, others = found[0], {peer: {"absent": told["absent"]} for peer, told in peers.items() if "absent" in told}
        for k, one in enumerate(found[1:], 1):
            if one["library"] == "robocache":
                continue
            told = one[what] if "wall_us" in one[what] or "absent" in one[what] else {"wall_us": one[what]}
            others[one["library"]] = told | {"compared": peers[one["library"]], "names": one["names"]}
            after = found[k + 1] if k + 1 < len(found) and found[k + 1]["library"] == "robocache" else None
            if after is not None:
                others[one["library"]]["robocache_same_names"] = after[what]
        row: Row = {"op": what.removesuffix("_us"), "method": "datasets", "backend": "cpu", "distribution": name}
        row |= {"shapes": {"steps": WINDOW} if what == "windows" else {}, "dtypes": {}}
        mine = ours[what] if "wall_us" in ours[what] or "absent" in ours[what] else {"wall_us": ours[what]}
        rows.append(row | mine | {"names": ours["names"], "peers": others})
    memory = {one["library"]: one["resident_bytes"] for one in reversed(found)}
    row = {"op": "memory", "method": "datasets", "backend": "cpu", "distribution": name, "shapes": {}, "dtypes": {}}
    others = {
        n: {"resident_bytes": memory[n]} if n in memory else {"absent": told["absent"]} for n, told in peers.items()
    }
    return [*rows, row | {"resident_bytes": memory["robocache"], "peers": others}]


# ---- what has to be installed --------------------------------------------------------------------------------------


def installed(package: str) -> bool:
    """Whether a distribution is here."""
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def closure(packages: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """Bytes on disk of packages and of all that they need, by name; and those that are not here."""
    sizes: dict[str, int] = {}
    absent, waiting = set(), list(packages)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in sizes or name in absent:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            absent.add(name)
            continue
        paths = (Path(str(file.locate())) for file in found.files or ())
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        needs = [need for need in found.requires or () if "extra ==" not in need]
        waiting += [need_name(need) for need in needs]
    return sizes, sorted(absent)


def need_name(need: str) -> str:
    """The package that a requirement is of."""
    return re.split(r"[^-.\w]", need.strip(), maxsplit=1)[0]


def sizes() -> list[Row]:
    """A row an extra, and one a peer."""
    project = tomllib.loads((_results.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    base = [need_name(need) for need in project["dependencies"]]
    wanted = {f"robocache[{name}]": [*base, *unfolded(name, extras)] for name in EXTRAS}
    rows, own = [], closure(base)[0]
    for name, packages in (wanted | {package: [package] for package in PEERS.values()}).items():
        row: Row = {"op": "installed", "method": name, "backend": "cpu", "shapes": {}, "dtypes": {}, "peers": {}}
        if name in PEERS.values() and not installed(name):
            rows.append(row | {"absent": "not installed"})
            continue
        found, missing = closure(packages)
        row |= {"bytes": sum(found.values()), "packages": found, "not_here": missing}
        row["bytes_beyond_robocache"] = sum(size for package, size in found.items() if package not in own)
        rows.append(row | {"versions": {package: metadata.version(package) for package in found}})
    return rows


def unfolded(name: str, extras: dict[str, list[str]]) -> list[str]:
    """Packages of an extra, and of the extras of this project that it names."""
    found = []
    for need in extras[name]:
        inner = re.match(r"robocache\[([^\]]*)\]", need)
        found += (
            [p for part in inner[1].split(",") for p in unfolded(part.strip(), extras)] if inner else [need_name(need)]
        )
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", help="folders of datasets")
    parser.add_argument("--out", required=True)
    parser.add_argument("--split", help="of datasets with several")
    parser.add_argument("--items", type=int, default=1000, help="windows and pictures that are timed")
    parser.add_argument("--compared", type=int, default=40, help="of them, compared with each peer")
    parser.add_argument("--episodes", type=int, default=100, help="of the whole pass, at most")
    parser.add_argument("--runs", type=int, default=5, help="of fresh processes that open it")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    rows, failed = [], []
    for one in [partial(measure, str(Path(path).resolve()), options) for path in options.paths] + [sizes]:
        try:
            rows += one()
        except Exception as error:  # noqa: BLE001 - named in the file, which then does not count
            failed.append(_results.reason(error))
            _results.say(f"FAILED {failed[-1]}")
    for row in rows:
        _results.say(_results.brief(row) + (f" {row['per_second']:,.0f}/s" if "per_second" in row else ""))
    _results.write(options.out, "datasets", rows, failed=failed, seed=options.seed)
    if failed:
        raise SystemExit(f"{len(failed)} failed; {options.out} does not count")


if __name__ == "__main__":
    main()
