"""What handing out shards costs beside the work: many small episodes, by one and two workers, with and without Ray.

``python3 -m benchmarks.bench_distributed --out distributed.json``

The work is what nobody can save: shards and statistics of the same plan, made in one process with the source open. The
rest is that of ``plan``, of starting workers and handing out, and of ``merge``. Every way begins in a new folder, and
gives the same bytes, which are compared. Inputs are in the page cache.
"""

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from robocache import distributed
from robocache.distributed.making import Maker

from . import _results, _timing

FEATURES = {"actions": 7, "states": 32}
Row = dict[str, Any]


def make(path: Path, episodes: int, steps: int, seed: int) -> None:
    """A file of demonstrations as robomimic has them."""
    import h5py

    rng = np.random.default_rng(seed)
    with h5py.File(path, "w", libver="latest") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = '{"env_name": "Lift", "env_type": 1, "env_kwargs": {"control_freq": 20}}'
        data.attrs["total"] = episodes * steps
        for number in range(episodes):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            for name, size in FEATURES.items():
                demo.create_dataset(name, data=rng.standard_normal((steps, size)))


class Ways:
    """Each plans into a folder of its own, does what is timed, and leaves the folder to be compared."""

    def __init__(self, source: Path, below: Path, shard: str) -> None:
        self.source, self.below, self.shard, self.number = source, below, shard, count()
        self.folders: dict[str, Path] = {}

    def plan(self, hashes: bool = True) -> distributed.Manifest:
        return distributed.plan(self.source, self.below / str(next(self.number)), shard=self.shard, hashes=hashes)

    def timed(self, name: str, function: Callable[[distributed.Manifest], Any]) -> float:
        """Microseconds; the plan before it is not among them."""
        manifest = self.plan()
        start = time.perf_counter()
        function(manifest)
        took = time.perf_counter() - start
        self.folders[name] = manifest.folder
        return took * 1e6

    def all(self, functions: dict[str, Callable[[distributed.Manifest], Any]]) -> dict[str, float]:
        """Every way in turn, and then what is done once with what it made. Raises unless all gave the same bytes."""
        took = {name: self.timed(name, function) for name, function in functions.items()}
        made = self.folders["work"]
        steps: dict[str, Callable[[], Any]] = {
            "plan": self.plan, "plan without hashes": partial(self.plan, hashes=False),
            "run again": partial(distributed.run, made, workers=1), "status": partial(distributed.status, made),
            "merge": partial(distributed.merge, made),
        }  # fmt: skip
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            took[name] = (time.perf_counter() - start) * 1e6
        for name, folder in self.folders.items():
            distributed.merge(folder)
            if bytes_of(folder) != bytes_of(made):
                raise _results.WrongResult(f"{name} gives other bytes than one process")
        return took


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Of all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def work(manifest: distributed.Manifest) -> None:
    """Every shard, in this process, with the source open from the start."""
    maker = Maker(manifest)
    for number in range(len(manifest.shards)):
        maker.make(number)
    maker.close()


def measure(folder: Path, options: argparse.Namespace) -> list[Row]:
    """One row: the work, and everything else beside it."""
    make(folder / "demos.hdf5", options.episodes, options.steps, options.seed)
    functions: dict[str, Callable[[Any], Any]] = {"work": work}
    for workers in (1, 2):
        functions[f"local {workers}"] = partial(distributed.run, workers=workers)
        if importlib.util.find_spec("ray") is not None:
            functions[f"ray {workers}"] = partial(distributed.run, engine="ray", workers=workers)
    few = distributed.plan(folder / "demos.hdf5", folder / "few", episodes=[0, 1])
    work(few)  # compiles
    samples = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(dir=folder) as below:
            ways = Ways(folder / "demos.hdf5", Path(below), options.shard)
            samples.append(ways.all(functions))
            found = distributed.status(ways.folders["work"])
    took = {name: _timing.spread([one[name] for one in samples]) for name in samples[0]}
    base = took.pop("work")
    shapes = {"E": found.episodes, "T": options.steps, "D": sum(FEATURES.values()), "shards": found.shards}
    row: Row = {"op": "distributed", "method": "robomimic to store", "backend": "cpu", "shapes": shapes}
    row |= {"dtypes": {"values": "float64"}, "distribution": f"shards of {options.shard}", "bytes": found.bytes}
    row |= {"wall_us": base, "peers": {name: {"wall_us": one} for name, one in took.items()}}
    extra = {name: took[name]["median"] for name in ("plan", "merge")}
    for name in functions:
        if name != "work":  # beside the work of as many workers, had they nothing else to do
            alone = base["median"] / int(name.split()[1])
            row["peers"][name]["share"] = (sum(extra.values()) + took[name]["median"] - alone) / alone
    return [row]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=200, help="of an episode")
    parser.add_argument("--shard", default="64MB")
    parser.add_argument("--runs", type=int, default=3, help="at least 2")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("--runs: at least 2, for their spread")
    _results.require_commit()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options)
    for row in rows:
        _results.say(_results.brief(row))
        for name, peer in row["peers"].items():
            _results.say(f"  {name}: {peer['wall_us']['median'] / 1e6:.2f} s"
                         + (f", {100 * peer['share']:.0f} % beside the work" if "share" in peer else ""))  # fmt: skip
    _results.write(options.out, "distributed", rows, failed=[], seed=options.seed)


if __name__ == "__main__":
    main()
