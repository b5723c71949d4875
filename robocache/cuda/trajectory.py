"""Alignment of streams to target times on the GPU: packs the streams into one kernel argument, launches once."""

from collections.abc import Iterator, Sequence
from typing import Any

from .._core import dtypes
from .._core.jobs import REFUSE, Aligned, Job
from . import _launch
from ._module import Macros
from ._work import CAPACITIES, Launch, address, macros


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    for time in sorted(dtypes.TIMES, key=str):
        for capacity in CAPACITIES:
            yield "trajectory", macros(time, capacity)


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> Aligned:
    """See robocache.ops.trajectory.resample_trajectories."""
    most = CAPACITIES[-1]
    launches = [
        Launch(jobs[start : start + most], start, len(jobs), targets, check) for start in range(0, len(jobs), most)
    ]
    wait = check == "strict" or any(job.outside == REFUSE for job in jobs)

    def replay(head: Sequence[int], sources: Sequence[int], outs: Sequence[int], loose: tuple[Any, ...] = ()) -> None:
        status = _launch.begin()
        if loose:
            _launch.hold(*loose)
        if len(launches) == 1:
            launches[0].fire(status, head, sources, outs)
        else:
            for i, launch in enumerate(launches):
                launch.fire(status, head, sources[4 * most * i : 4 * most * (i + 1)], outs[most * i : most * (i + 1)])
        if wait:
            _launch.finish()

    sources = [address(array) for job in jobs for array in job[:4]]
    loose = () if valid is None and age is None else (valid, age)
    replay((targets.data.ptr, address(valid), address(age)), sources, [job.out.data.ptr for job in jobs], loose)
    return Aligned(False, replay)
