"""Resampling and fusion beside their peers, checked in the same run.

``python3 -m benchmarks.bench_trajectory [--backend cpu|cuda] --out result.json``
"""

import argparse
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines, bench_fusion
from .alignment import Case, Problem, row_of

ALL = ("torch", "torch.compile", "jax", "cupy")
SMALL = 64 << 20  # bytes up to which the time of a call says something
SHARE = {"float32": 0.95, "bfloat16": 0.92, "float16": 0.92}

# The predecessor's shipped kernels, device time by graph, measured earlier on the same kind of GPU.
PREDECESSOR = {
    (32, 500, 256, 256): 26.2,
    (64, 4096, 1024, 32): 36.0,
    (256, 500, 250, 32): 27.4,
    (64, 1000, 500, 512): 195.0,
    (64, 4000, 2000, 1024): 1654.0,
}


def cuda_cases(quick: bool) -> list[Case]:
    """Small ones for the call, the goals' large ones, odd widths, and the predecessor's shapes."""
    call = (("call_us", 20.0), ("plan_call_us", 12.0))
    cases = [
        Case(1, 20, 15, 7, goal=call, peers=ALL),
        Case(8, 100, 50, 14, goal=call, peers=ALL),
        Case(8, 100, 50, 14, stamp="float64", goal=call),
        Case(8, 100, 50, 14, method="previous", goal=call),
    ]
    if quick:
        return [*cases, Case(32, 500, 256, 256, "bfloat16", peers=ALL)]
    cases += [
        Case(4096, 50, 16, 6, peers=("torch", "cupy")),
        Case(1024, 100, 20, 588, "bfloat16"),
        Case(1, 1_000_000, 100_000, 6, peers=("torch", "jax", "cupy")),
        Case(64, 4096, 1024, 32, peers=ALL),
        Case(64, 4096, 1024, 32, stamp="float64"),
        Case(256, 2048, 2048, 64, peers=ALL, goal=(("share", 0.95),)),
        Case(256, 2048, 2048, 64, "bfloat16", peers=("torch", "torch.compile")),
        Case(256, 2048, 2048, 256, "bfloat16", peers=("torch", "torch.compile"), goal=(("share", 0.92),)),
    ]
    cases += [
        Case(
            *shape, "bfloat16", predecessor_us=took, goal=(("over_predecessor", 4.0),), peers=("torch", "torch.compile")
        )
        for shape, took in PREDECESSOR.items()
    ]
    for dtype, share in SHARE.items():
        for method in ("linear", "nearest", "previous"):
            cases.append(Case(256, 2048, 2048, 128, dtype, method, "clock", goal=(("share", share),)))
        cases.append(Case(256, 2048, 2048, 128, dtype, goal=(("share", share),)))
    cases += [Case(256, 2048, 2048, 128, method=m, goal=(("share", 0.95),)) for m in ("nearest", "previous")]
    odd = [(2048, 7, "float32"), (2048, 7, "bfloat16"), (2048, 14, "bfloat16"), (128, 588, "bfloat16")]
    cases += [Case(b, 2048, 2048, d, dtype, distribution="clock", goal=(("share", 0.75),)) for b, d, dtype in odd]
    return cases


def cpu_cases(quick: bool) -> list[Case]:
    """What fits a CPU run of a minute or two."""
    small = (("wall_us", 10.0),)
    large = (("share", 0.87), ("over_torch", 3.0), ("over_scipy", 12.0), ("over_numpy", 50.0))
    host = ("torch", "jax", "scipy", "numpy")
    cases = [
        Case(1, 20, 15, 7, peers=host, goal=small),
        Case(8, 100, 50, 14, peers=host, goal=small),
        Case(8, 100, 50, 14, "bfloat16", goal=small),
    ]
    if quick:
        return cases
    return [
        *cases,
        Case(4096, 50, 16, 6, peers=("torch", "jax")),
        Case(1024, 100, 20, 588, goal=large[:2]),
        Case(1, 1_000_000, 100_000, 6, peers=host),
        Case(32, 500, 256, 256, peers=host, goal=large),
        Case(32, 500, 256, 256, "bfloat16"),
        Case(64, 4096, 1024, 32, peers=host, goal=large),
        Case(64, 4096, 1024, 32, method="previous", goal=large[:2]),
        Case(256, 2048, 2048, 64, distribution="clock", goal=large[:2]),
    ]


def run_cuda(case: Case) -> dict[str, Any]:
    """One row on the GPU."""
    import cupy

    problem = Problem(case)
    row, count = row_of(case, problem, "cuda"), _timing.rotation(case.whole)
    sets = [(problem.values(cupy, i), *problem.times_as(cupy, i)) for i in range(count)]
    outs = [cupy.empty((case.batch, case.targets, case.features), problem.kind) for _ in sets]
    how = {"method": case.method}
    calls = [lambda s=s, o=o: rc.resample_trajectories(*s, out=o, **how) for s, o in zip(sets, outs, strict=True)]
    row["device_us"], _ = _timing.device_time(calls)
    checked = range(count) if case.whole < SMALL else (0, count - 1)
    row["error"] = max(problem.judge(cupy, sets[i][0], outs[i]) for i in checked)
    row["checked_sets"], row["sets"] = len(set(checked)), count
    bare = [lambda s=s, o=o: rc.resample_trajectories(*s, out=o, check="none", **how) for s, o in zip(sets, outs)]
    row["device_unchecked_us"], _ = _timing.device_time(bare)
    if case.whole < SMALL:
        wait = cupy.cuda.Device().synchronize
        row["call_us"] = _timing.call_time(lambda: rc.resample_trajectories(*sets[0], **how), wait)
        row["call_out_us"] = _timing.call_time(calls[0], wait)
        row["call_valid_us"] = _timing.call_time(
            lambda: rc.resample_trajectories(*sets[0], return_valid=True, **how), wait
        )
    plan(row, problem, sets, outs, cupy)
    row["copy_us"] = _timing.copy_time(problem.needed)
    row["copy_whole_us"] = _timing.copy_time(case.whole)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["share_whole"] = _timing.ratio(row["copy_whole_us"], row["device_us"])
    row["peers"] = cuda_peers(case, problem, sets, row["device_us"]["median"])
    return row


def plan(row: dict[str, Any], problem: Problem, sets: list[Any], outs: list[Any], xp: Any) -> None:
    """The same through ``rc.Plan``, where there is one: indices found before the clock starts."""
    if not hasattr(rc, "Plan"):
        row["plan"] = {"absent": "this version has no rc.Plan"}
        return
    try:
        plans = [rc.Plan(times, goals, method=problem.case.method) for _, times, goals in sets]
        calls = [lambda p=p, s=s, o=o: p.apply(s[0], out=o) for p, s, o in zip(plans, sets, outs, strict=True)]
        took, _ = _timing.device_time(calls)
        row["plan"] = {"device_us": took, "error": problem.judge(xp, sets[0][0], outs[0])}
        if problem.case.whole < SMALL:
            row["plan_call_us"] = _timing.call_time(calls[0], xp.cuda.Device().synchronize)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        row["plan"] = {"absent": f"failed: {_results.reason(error)}"}


def cuda_peers(case: Case, problem: Problem, sets: list[Any], took: float) -> dict[str, Any]:
    """Every peer of this row, on the same inputs."""
    import cupy

    few = sets[: max(1, min(len(sets), (8 << 30) // case.whole))]

    def tensors() -> list[Any]:
        import torch

        return [tuple(torch.from_dlpack(array) for array in s) for s in few]

    def eager() -> dict[str, Any]:
        given = tensors()
        took, first = _timing.torch_graph_time(
            [lambda s=s: baselines.torch_resample(*s, case.method) for s in given], 1 if case.whole > SMALL else 8
        )
        peer = {"device_us": took, "by": "graph", "error": problem.deviation(cupy, few[0][0], cupy.from_dlpack(first))}
        if case.whole < SMALL:
            import torch

            peer["call_us"] = _timing.call_time(
                lambda: baselines.torch_resample(*given[0], case.method), torch.cuda.synchronize
            )
        return peer

    def by_cupy() -> dict[str, Any]:
        result = baselines.cupy_linear(*few[0])
        return {
            "device_us": _timing.event_time([lambda s=s: baselines.cupy_linear(*s) for s in few]),
            "by": "events",
            "error": problem.deviation(cupy, few[0][0], result),
        }

    measures = {
        "torch": ("torch", eager),
        "torch.compile": ("torch", lambda: baselines.torch_compiled(tensors())),
        "jax": ("jax", lambda: baselines.jax_time(few, baselines.jax_linear(), took)),
        "cupy": ("cupy", by_cupy),
    }
    peers = {}
    for name, (package, measure) in measures.items():
        peers[name] = baselines.attempt(package, measure) if name in case.peers else baselines.absent("not tried here")
        _timing.free()
    return peers


def run_cpu(case: Case) -> dict[str, Any]:
    """One row on the CPU: RoboCache and memcpy in turn, then the peers."""
    problem = Problem(case)
    row = row_of(case, problem, "cpu")
    values, (times, goals) = problem.values(np, 0), problem.times_as(np)
    out = np.empty((case.batch, case.targets, case.features), values.dtype)
    _timing.poison(out)
    copy = _timing.HostCopy(problem.needed)
    how = {"method": case.method}
    functions = {
        "out": lambda: rc.resample_trajectories(values, times, goals, out=out, **how),
        "fresh": lambda: rc.resample_trajectories(values, times, goals, **how),
        "alone": copy.alone,
        "together": copy.together,
    }
    peers: dict[str, Any] = dict.fromkeys(("torch", "jax", "scipy", "numpy"), baselines.absent("not tried here"))
    if hasattr(rc, "Plan"):
        found, planned = rc.Plan(times, goals, **how), np.empty_like(out)
        functions["plan"] = lambda: found.apply(values, out=planned)
    took = _timing.wall_times(functions)
    row["wall_us"], row["wall_fresh_us"] = took["out"], took["fresh"]
    if hasattr(rc, "Plan"):
        row["plan"] = {"wall_us": took["plan"], "error": problem.judge(np, values, planned)}
    row["copy_us"] = min(took["alone"], took["together"], key=lambda t: t["median"])
    row["copy_threads"], row["threads"] = 1 if row["copy_us"] is took["alone"] else copy.threads, copy.threads
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
    row["error"] = problem.judge(np, values, out)
    three = (values, times, goals)
    if "torch" in case.peers:
        peers["torch"] = baselines.attempt("torch", lambda: torch_on_host(three, problem))
    if "scipy" in case.peers:
        peers["scipy"] = host_peer("scipy", baselines.scipy_linear, three, problem)
    if "numpy" in case.peers:
        peers["numpy"] = host_peer("numpy", baselines.numpy_linear, three, problem)
    if "jax" in case.peers:
        peers["jax"] = baselines.attempt("jax", lambda: jax_on_host(three, row["wall_us"]["median"]))
    row["peers"] = peers
    return row


def torch_on_host(given: Any, problem: Problem) -> dict[str, Any]:
    """Torch, after our own calls: its threads spin on for a while, which costs whoever comes next."""
    tensors, method = [as_torch(array) for array in given], problem.case.method
    return {"wall_us": _timing.wall_time(lambda: baselines.torch_resample(*tensors, method), runs=7)}


def as_torch(array: np.ndarray) -> Any:
    """Tensor on the same memory."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def host_peer(package: str, function: Any, given: Any, problem: Problem) -> dict[str, Any]:
    """A peer that only knows the CPU."""

    def measure() -> dict[str, Any]:
        error = problem.deviation(np, given[0], function(*given))
        return {"wall_us": _timing.wall_time(lambda: function(*given), runs=3), "error": error}

    return baselines.attempt(package, measure)


def jax_on_host(given: Any, least: float) -> dict[str, Any]:
    """JAX where its own default device is the CPU; on a GPU machine it would answer for the GPU."""
    import jax

    if jax.default_backend() != "cpu":
        return baselines.absent("JAX runs on the GPU here")
    peer = baselines.jax_time([given], baselines.jax_linear(), least)
    return {"wall_us": peer["device_us"], "by": peer["by"]}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    cases = (cuda_cases if options.backend == "cuda" else cpu_cases)(options.quick)
    run = run_cuda if options.backend == "cuda" else run_cpu
    seeded = [replace(case, seed=options.seed + 10_000 * number) for number, case in enumerate(cases)]
    todo = [partial(tidy, run, case) for case in seeded]
    more = bench_fusion.rows(options.backend, options.quick, options.seed)
    _results.finish(options.out, "trajectory", chain(todo, more), seed=options.seed)


def tidy(run: Any, case: Case) -> dict[str, Any]:
    """One row, and memory given back."""
    try:
        return run(case)
    finally:
        _timing.free()


if __name__ == "__main__":
    main()
