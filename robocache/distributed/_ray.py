"""Shards as tasks of Ray: plain Ray Core, imported where it is asked for."""

import os
from collections.abc import Callable
from typing import Any

from .._core.errors import ArgumentError, BackendError
from ..datasets._faults import missing
from ..store._processes import Ended, attempted


class Tasks:
    """Hands out tasks; of a worker that dies Ray starts another, and whoever gave the task is told.

    Parameters
    ----------
    function : function
        What is called with the arguments of a task, on a node where it can be imported.
    workers : int, optional
        Tasks at a time; by default what the cluster has room for.
    num_gpus : float, optional
        Of a task.
    address : str, optional
        Of a cluster. By default one is started here that listens to this machine alone, unless the process has one.
    """

    def __init__(
        self, function: Callable[..., Any], workers: int | None, num_gpus: float | None, address: str | None
    ) -> None:
        try:
            import ray
        except ImportError as error:
            missing("ray", "engine='ray'", error)
        self._ray, self._function, self._began = ray, function, not ray.is_initialized()
        if not self._began and address is not None:
            raise ArgumentError("address: this process is connected to Ray already; leave it out")
        if self._began:
            try:
                if address is None:
                    _start(ray, workers)
                else:
                    ray.init(address, logging_level="WARNING")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise BackendError(f"Ray cannot be reached or started: {error}") from error
        there = ray.cluster_resources()
        room = there.get("GPU", 0) / num_gpus if num_gpus else there.get("CPU", 0)
        if room < 1:
            self.__exit__()
            wanted = f"num_gpus={num_gpus}" if num_gpus else "a core"
            raise BackendError(f"a worker wants {wanted}, and Ray has {there.get('CPU', 0):.0f} cores and "
                               f"{there.get('GPU', 0):.0f} GPUs")  # fmt: skip
        self.count = workers or int(room)
        # Retried by us, who know which shard it was; and a process that holds a context goes on to the next task.
        self._task = ray.remote(num_cpus=1, num_gpus=num_gpus or 0, max_retries=0, max_calls=0,
                                scheduling_strategy="SPREAD")(attempted)  # fmt: skip
        self._busy: dict[Any, Any] = {}

    def give(self, key: Any, *args: Any) -> None:
        """Begin a task; no more than ``count`` at a time."""
        self._busy[self._task.remote(self._function, *args)] = key

    def ended(self) -> list[tuple[Any, Ended]]:
        """Wait for tasks to end."""
        ready, _ = self._ray.wait(list(self._busy))
        return [(self._busy.pop(one), self._end(one)) for one in ready]

    def _end(self, one: Any) -> Ended:
        raised = self._ray.exceptions
        try:
            found: Ended = self._ray.get(one)
        except raised.RayTaskError as error:  # before our own code: it cannot be imported there
            return Ended(error=BackendError(f"a worker of Ray could not begin: {error}"))
        except (raised.WorkerCrashedError, raised.NodeDiedError, raised.OutOfMemoryError, raised.ObjectLostError):
            return Ended(died=True)
        except raised.RayError as error:
            return Ended(error=BackendError(f"Ray: {error}"))
        return found

    def __enter__(self) -> "Tasks":
        return self

    def __exit__(self, *_: object) -> None:
        """End what is at work; files appear whole or not at all. A Ray that was there before stays."""
        for one in getattr(self, "_busy", {}):
            self._ray.cancel(one, force=True)
        if self._began:
            self._ray.shutdown()


def _start(ray: Any, workers: int | None) -> None:
    """Start Ray for this process, so that no other machine can reach it: whoever does may run anything here."""
    from ray._private import ray_constants  # not _node_ip_address="127.0.0.1", which becomes the address of the host

    kept, variable = ray_constants.ENABLE_RAY_CLUSTER, ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    said = os.environ.get(variable)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[variable] = False, "0"  # here, and in the processes it starts
    try:
        # Not RAY_ADDRESS either, which could be anybody's.
        ray.init("local", num_cpus=workers, include_dashboard=False, logging_level="WARNING")
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = kept
        if said is None:
            del os.environ[variable]
        else:
            os.environ[variable] = said
    if {node["NodeManagerAddress"] for node in ray.nodes()} != {"127.0.0.1"}:
        ray.shutdown()
        raise BackendError("this version of Ray does not keep to the loopback address; start Ray yourself, where the "
                           "network is private, and say address='auto'")  # fmt: skip


__all__ = ["Tasks"]
