"""Repeated launches go to the driver with arguments that were packed before: nothing may leak from call to call."""

import threading
from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda

TIMES, GOALS = np.arange(40) * 10, np.arange(70) * 5


def test_the_first_call_of_a_thread_may_be_a_repeated_one(cupy: Any) -> None:
    """A new thread has no context yet, and with out= and a plan nothing but the launch would give it one."""
    times, goals = cupy.asarray(TIMES), cupy.asarray(GOALS)
    values = cupy.asarray(np.random.default_rng(0).standard_normal((40, 9)).astype(np.float32))
    plan, wanted = rc.Plan(times, goals), rc.resample_trajectories(values, times, goals).get()
    outs = [cupy.full((70, 9), 77, np.float32) for _ in range(2)]
    plan(values, out=outs[0])
    rc.resample_trajectories(values, times, goals, out=outs[1])
    for out in outs:
        out[...] = 77
    done: list[bool] = []

    def work() -> None:
        plan(values, out=outs[0])
        rc.resample_trajectories(values, times, goals, out=outs[1])
        cupy.cuda.get_current_stream().synchronize()
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
    assert all(tolerances.same_bits(out.get(), wanted) for out in outs)


def test_calls_under_way_do_not_share_arguments(cupy: Any) -> None:
    from robocache.cuda import _launch, _module
    from robocache.cuda.plan import INDEX

    kernel = _module.function(0, "plan", "plan_apply", INDEX[np.dtype(np.int32)])
    shot = _launch.Shot(0, kernel, ((1,), (32,)), bytes(64), (0, 8))
    first, second = shot.take(), shot.take()
    assert first[0] is not second[0]
    assert first[2] != second[2]
    first[0][0] = b"\x01"
    assert second[0][0] == b"\x00"
