"""Fusion of streams onto one clock; its rows go into the results of ``bench_trajectory``."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _timing, baselines
from ._results import WrongResult
from .alignment import Case, Problem

ARM = ((30, 512), (100, 64), (200, 12))  # samples and features of each stream
PLANT = ((100, 512), (200, 128), (300, 64))
# batch, targets, streams, dtype, the predecessor's µs (of no stated type, so beside float32 only), goal
CUDA = [
    (4, 50, ARM, "float32", 5.7, {"over_predecessor": 3.0}),
    (4, 50, ARM, "bfloat16", None, {}),
    (256, 128, PLANT, "float32", 198.0, {"over_predecessor": 3.0}),
    (256, 128, PLANT, "bfloat16", None, {}),
    (1024, 128, PLANT, "float32", None, {"share": 0.91}),
    (1024, 128, PLANT, "bfloat16", None, {"share": 0.91}),
    (128, 256, ((512, 64),) * 12, "float32", None, {"share": 0.91}),
]
CPU = [(4, 50, ARM, "float32", None, {}), (64, 128, PLANT, "float32", None, {})]


class Fusion:
    """The problems of one row, one a stream, and the clock they share."""

    def __init__(self, batch: int, targets: int, streams: Any, dtype: str, seed: int) -> None:
        self.problems = [
            Problem(Case(batch, s, targets, d, dtype, period=10**9 // s, shared=True, seed=seed + 100 * k))
            for k, (s, d) in enumerate(streams)
        ]
        first = max(int(p.times[:, 0].max()) for p in self.problems)
        last = min(int(p.times[:, -1].min()) for p in self.problems)
        self.clock = np.linspace(first, last, targets + 2)[1:-1].astype(np.int64)
        for problem in self.problems:
            problem.aim(self.clock)
        self.edges = np.cumsum([0, *(d for _, d in streams)]).tolist()
        more = 9 * batch * targets * len(streams) - 8 * targets * (len(streams) - 1)  # validity, age; one clock
        self.needed = sum(p.needed for p in self.problems) + more
        self.whole = sum(p.case.whole for p in self.problems) + more

    def inputs(self, xp: Any, number: int) -> tuple[dict[str, Any], Any]:
        """Streams and clock of input set ``number``."""
        streams = {}
        for k, problem in enumerate(self.problems):
            times, clock = problem.times_as(xp, number)
            streams[f"s{k}"] = rc.Stream(problem.values(xp, number), times)
        return streams, clock

    def judge(self, xp: Any, streams: dict[str, Any], fused: Any) -> float:
        """Largest error; raises where values, validity or age are wrong."""
        worst = 0.0
        for k, problem in enumerate(self.problems):
            part = fused.values[..., self.edges[k] : self.edges[k + 1]]
            worst = max(worst, problem.judge(xp, streams[f"s{k}"].values, part))
            age = xp.asarray(problem.targets - np.take_along_axis(problem.times, problem.left, 1))
            if not bool((fused.age[..., k] == age).all()) or not bool((fused.valid.view(np.uint8)[..., k] == 1).all()):
                raise WrongResult(f"validity or age of stream {k} of {len(self.problems)}")
        return worst


def rows(backend: str, quick: bool, seed: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """What measures each row of this backend."""
    for number, spec in enumerate((CUDA if backend == "cuda" else CPU)[: 1 if quick else None]):
        yield partial(one, backend, seed + 500_000 + 10_000 * number, *spec)
        _timing.free()


def one(
    backend: str, seed: int, batch: int, targets: int, streams: Any, dtype: str, predecessor: Any, goal: Any
) -> dict[str, Any]:
    """One row."""
    fusion = Fusion(batch, targets, streams, dtype, seed)
    row: dict[str, Any] = {
        "op": "fuse",
        "backend": backend,
        "method": "linear",
        "shapes": {"B": batch, "K": len(streams), "T": targets, "D": fusion.edges[-1]},
        "streams": [list(stream) for stream in streams],
        "dtypes": {"values": dtype, "times": "int64"},
        "distribution": "clock",
        "seed": seed,
        "bytes": fusion.needed,
        "bytes_whole": fusion.whole,
        "goal": goal,
    }
    if predecessor:
        row["predecessor_us"] = predecessor
    return (on_cuda if backend == "cuda" else on_cpu)(row, fusion)


def on_cuda(row: dict[str, Any], fusion: Fusion) -> dict[str, Any]:
    """Device time as a graph, call time, torch beside it."""
    import cupy

    sets = [fusion.inputs(cupy, i) for i in range(_timing.rotation(fusion.whole))]
    row["device_us"], results = _timing.device_time(
        [lambda s=s: rc.fuse_multimodal(*s) for s in sets], lambda fused: [fused.values, fused.valid, fused.age]
    )
    row["error"] = max(fusion.judge(cupy, sets[i][0], results[i]) for i in (0, len(sets) - 1))
    del results
    if fusion.whole < 64 << 20:
        wait = cupy.cuda.Device().synchronize
        row["call_us"] = _timing.call_time(lambda: rc.fuse_multimodal(*sets[0]), wait)
    row["copy_us"] = _timing.copy_time(fusion.needed)
    row["copy_whole_us"] = _timing.copy_time(fusion.whole)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["share_whole"] = _timing.ratio(row["copy_whole_us"], row["device_us"])

    def eager() -> dict[str, Any]:
        import torch

        given = []
        for streams, clock in sets[:8]:
            pairs = [(torch.from_dlpack(s.values), torch.from_dlpack(s.times)) for s in streams.values()]
            given.append((pairs, torch.from_dlpack(clock)))
        calls = [lambda g=g: baselines.torch_fuse(*g) for g in given]
        took, first = _timing.torch_graph_time(calls, 8 if fusion.whole < 64 << 20 else 1)
        parts = zip(fusion.problems, fusion.edges, fusion.edges[1:], strict=False)
        values = [s.values for s in sets[0][0].values()]
        mine = cupy.from_dlpack(first)
        error = max(p.deviation(cupy, v, mine[..., a:b]) for v, (p, a, b) in zip(values, parts, strict=True))
        return {"device_us": took, "by": "graph", "error": error}

    row["peers"] = {"torch": baselines.attempt("torch", eager)}
    return row


def on_cpu(row: dict[str, Any], fusion: Fusion) -> dict[str, Any]:
    """Wall time and memcpy in turn, then torch."""
    streams, clock = fusion.inputs(np, 0)
    copy = _timing.HostCopy(fusion.needed)
    functions = {
        "mine": lambda: rc.fuse_multimodal(streams, clock),
        "alone": copy.alone,
        "together": copy.together,
    }
    took = _timing.wall_times(functions)
    row["wall_us"] = took["mine"]
    row["copy_us"] = min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
    row["error"] = fusion.judge(np, streams, rc.fuse_multimodal(streams, clock))
    row["peers"] = {"torch": baselines.attempt("torch", lambda: torch_on_host(streams, clock))}
    return row


def torch_on_host(streams: dict[str, Any], clock: np.ndarray) -> dict[str, Any]:
    """Torch, after our own calls: its threads spin on for a while."""
    import torch

    pairs = [(torch.from_numpy(s.values), torch.from_numpy(s.times)) for s in streams.values()]
    goals = torch.from_numpy(clock)
    return {"wall_us": _timing.wall_time(lambda: baselines.torch_fuse(pairs, goals), runs=7)}
