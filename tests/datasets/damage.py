"""Damage the files of a dataset at seeded random places, and see that a reader answers with `DataError` or values.

A format's test needs a good dataset (a folder, or a function that writes one) and a function at the top level of its
test file that reads it::

    from tests.datasets.damage import everything, survey

    def read(folder):
        return everything(folder / "set", format="rlds")

    def test_damage(tmp_path):
        tally = survey(FIXTURE, read, tmp_path, attempts=300, exact=("*.tfrecord*",))
        assert not tally.failures, "\\n".join(tally.failures)
        assert tally.refused and tally.read  # the damage was met, and did not always stop the reader

``survey`` takes each file in turn, damages a copy of it, puts it beside links to the others, and calls ``read`` with
the folder, in a process of its own whose memory and time are bounded. It counts as a failure if that process dies,
hangs or asks for more memory, if anything but DataError comes out, if a DataError does not name its file, and, for the
files named by ``exact`` (those whose bytes have checksums), if what was read is not what was written. The function is
found again by its file and name, so it can be no lambda and no closure; ``good`` may be. An attempt is named by its
number: the same seed repeats it.

``read`` may return anything made of mappings, sequences, arrays, bytes, text and numbers. A mapping of places to values
may hold a DataError in place of a value: then other places are still compared. `everything` reads a dataset so, and
asks it to validate itself, which must not raise.

Kinds of damage: ``flip`` (one bit), ``noise``, ``zero`` and ``ones`` (a short range overwritten), ``digits`` (a number
in text made another), ``truncate``, ``extend``, ``empty`` and ``remove``. Half of the places are within 256 bytes of
either end, where headers and footers are.
"""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from robocache.datasets import open_dataset
from robocache.datasets._faults import fault
from robocache.datasets.inspection import inspect_dataset
from robocache.errors import ArgumentError, DataError

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("flip", "flip", "noise", "zero", "ones", "digits", "truncate", "extend", "empty", "remove")


@dataclass
class Tally:
    """What came of the attempts: a read may be refused, give what was written (same), or something else."""

    refused: int = 0
    same: int = 0
    other: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Attempts that gave values."""
        return self.same + self.other


def everything(path: Path, **options: Any) -> dict[str, Any]:
    """Every value of a dataset by the id of its episode, with the DataError where one came.

    `validate` and `inspect_dataset` run to their ends. What `validate` finds counts as a refusal, of the place
    ``"validate"``: episodes that are left out, as those of a shard that is not there, were then spoken of.
    """
    found: dict[str, Any] = {}
    with open_dataset(path, **options) as dataset:
        for position in range(len(dataset)):
            episode = _try(lambda position=position: dataset[position])
            if isinstance(episode, DataError):
                found[f"position {position}"] = episode
            else:
                _episode(episode, str(episode.id), found)
        said = list(dataset.validate())
        for finding in [*said, *inspect_dataset(dataset)]:
            if finding.level not in ("error", "warning") or not finding.message:
                raise AssertionError(f"{finding} says nothing")
        found["validate"] = fault(said[0].message, file=said[0].file or path) if said else "nothing found"
    return found


def _episode(episode: Any, name: str, found: dict[str, Any]) -> None:
    while name in found:
        name += " again"
    found[name] = episode.length
    found[f"{name} language"] = _try(lambda: episode.language)
    found[f"{name} meta"] = _try(lambda: dict(episode.meta))
    for key, stream in episode.items():
        place = f"{name} {key}"
        found[place] = _try(stream.read)
        if stream.timing.stamped or stream.timing.rate is not None:
            found[f"{place} times"] = _try(lambda stream=stream: stream.times)
        if stream.codec is not None:
            encoded = partial(stream.read, decode=False)
            found[f"{place} encoded"] = _try(lambda encoded=encoded: _offered(encoded))


def _try(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError as error:
        return error


def _offered(read: Callable[[], Any]) -> Any:
    """A frame of a video has no bytes of its own."""
    try:
        return read()
    except ArgumentError:
        return "not offered"


def survey(
    good: Path | Callable[[Path], Any], read: Callable[[Path], Any], work: Path, *, attempts: int = 200, seed: int = 0,
    exact: Sequence[str] = (), only: Sequence[str] = ("*",), kinds: Sequence[str] = KINDS, memory: int = 1 << 30,
    seconds: float = 30.0, most: int = 10,
) -> Tally:  # fmt: skip
    """Damage, read, and count; see the module.

    Parameters
    ----------
    good : folder of a good dataset, or function that writes one into the folder it is given
    read : function of a folder, at the top level of its file
    work : an empty folder to work in
    attempts, seed : int
    exact, only : patterns of names below the folder
        Files whose damage must not change a value; files to damage.
    kinds : sequence of str
    memory : int
        Bytes that an attempt may take beyond what reading the good dataset took.
    seconds : float
        That an attempt may take.
    most : int
        Failures after which it ends.
    """
    folder = work / "good"
    if isinstance(good, Path):
        shutil.copytree(good, folder)
    else:
        folder.mkdir(parents=True)
        good(folder)
    job: dict[str, Any] = {"work": str(work), "file": inspect.getsourcefile(read), "name": read.__name__, "seed": seed}
    job |= {"attempts": attempts, "exact": list(exact), "only": list(only), "kinds": list(kinds)}
    job |= {"memory": memory, "seconds": seconds, "most": most, "start": 0}
    tally = Tally()
    while job["start"] < attempts and len(tally.failures) < most:
        job["start"] = _process(job, tally)
    return tally


def _process(job: dict[str, Any], tally: Tally) -> int:
    """Attempts in a process until it has done them or dies; the number of the next."""
    work = Path(job["work"])
    (work / "job.json").write_text(json.dumps(job), "utf-8")
    log = work / "log.jsonl"
    log.unlink(missing_ok=True)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    single = dict.fromkeys(("MALLOC_ARENA_MAX", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    program = Path(__file__).with_name("damage_process.py")
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(program), str(work / "job.json")],
        env=os.environ | single | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False, errors="replace",
    )  # fmt: skip
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    if not lines:
        raise RuntimeError(f"the good dataset was not read:\n{ran.stderr}")
    begun = ""
    for line in lines:
        if "begun" in line:
            begun = line["begun"]
        elif line["outcome"] == "failure":
            tally.failures.append(f"{begun}: {line['why']}")
        else:
            setattr(tally, line["outcome"], getattr(tally, line["outcome"]) + 1)
    if ran.returncode:
        tally.failures.append(f"{begun}: the process ended with {ran.returncode}: {ran.stderr[-1500:]}")
    return int(lines[-1]["number"]) + 1
