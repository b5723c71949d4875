"""Windows, gathering and deltas beside plain indexing, checked in the same run.

``python3 -m benchmarks.bench_windows [--backend cpu|cuda] [--quick] --out result.json``
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

import robocache as rc

from . import _results, _timing, baselines

DTYPES = {"bfloat16": np.dtype(ml_dtypes.bfloat16), "float32": np.dtype(np.float32), "uint8": np.dtype(np.uint8)}
EPISODE = 250  # steps
SMALL = 64 << 20  # bytes up to which the time of a call says something
OBS = [-1 / 30, 0.0]


@dataclass(frozen=True)
class Case:
    """Some windows of W steps over N samples of D features, at random or one after another."""

    op: str
    windows: int
    samples: int
    features: int = 0
    dtype: str = "float32"
    steps: int = 16
    random: bool = True
    pad: str = "edge"
    share: float = 0.0  # goal

    def row(self, backend: str, seed: int, nbytes: int) -> dict[str, Any]:
        """What a result says of the case."""
        shapes = {"W": self.windows, "N": self.samples, "T": self.steps}
        shapes |= {"D": self.features} if self.features else {}
        how = "random" if self.random else "in order"
        return {
            "op": self.op, "method": self.pad if self.op == "gather_windows" else "", "backend": backend,
            "shapes": shapes, "dtypes": {"values": self.dtype}, "distribution": how, "seed": seed, "bytes": nbytes,
            "goal": {"share": self.share} if self.share else {},
        }  # fmt: skip


MILLION = 1_000_000


def cases(backend: str, quick: bool) -> list[Case]:
    """A batch, and as much as fills the card: rows wide, odd, of images."""
    small = [
        Case("windows", 256, MILLION),
        Case("gather_windows", 256, MILLION, 7),
        Case("gather_windows", 256, MILLION, 7, pad="zero"),
        Case("delta_timestamps", 256, MILLION),
    ]
    if quick:
        return small
    many, share = (MILLION, 0.7) if backend == "cuda" else (MILLION // 10, 0.0)
    rows = ((7, "float32"), (14, "bfloat16"), (26, "float32"), (64, "float32"), (256, "bfloat16"))
    large = [Case("gather_windows", many, many, d, dtype, random=False, share=share) for d, dtype in rows]
    large += [Case("gather_windows", many, many, d, dtype, share=share) for d, dtype in rows[:4]]
    large += [
        Case("gather_windows", many, many, 64, random=False, pad="zero", share=share),
        Case("gather_windows", 512, 4096, 128 * 128 * 3, "uint8", 2, share=share),
        Case("windows", many, many, random=False, share=share),
        Case("windows", many, 100 * MILLION),
        Case("delta_timestamps", many, many, random=False),
        Case("delta_timestamps", many, many),
    ]
    return small + large


class Problem:
    """Inputs of a case, in several sets, and the judge."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.seed, self.offsets = case, seed, np.arange(0, case.samples + 1, EPISODE)
        self.rule = rc.windows(self.offsets, 2, case.steps, pad_before=1, pad_after=case.steps - 1)
        self.sets = (
            16 if case.windows < MILLION // 10 else 2
        )  # small ones go round, though the samples stay in the cache
        self.positions = [self._positions(k) for k in range(self.sets)]

    def _positions(self, number: int) -> np.ndarray:
        if not self.case.random:
            return np.arange(self.case.windows)
        return np.random.default_rng(self.seed + number).integers(0, len(self.rule), self.case.windows)

    def steps(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Index and validity of the action chunks, by arithmetic on equal episodes."""
        steps = self.positions[number % self.sets][:, None] + np.arange(self.case.steps)
        last = self.positions[number % self.sets][:, None] // EPISODE * EPISODE + EPISODE - 1
        return np.minimum(steps, last), steps <= last

    def expect(self, number: int, index: Any, valid: Any) -> None:
        """Raise unless these are the action chunks."""
        for got, want in zip((index, valid), self.steps(number), strict=True):
            if not np.array_equal(got.get() if hasattr(got, "get") else got, want):
                raise _results.WrongResult(f"{self.case}: index or validity")

    def prepare(self, xp: Any) -> tuple[list[Callable[[], Any]], Callable[[Any], list[Any]], Callable[..., None], int]:
        """Calls to time, the arrays of a result, its judge, and the bytes of a call."""
        return {"windows": self._windows, "gather_windows": self._gather, "delta_timestamps": self._deltas}[
            self.case.op
        ](xp)

    def _windows(self, xp: Any) -> Any:
        there = [xp.asarray(p) for p in self.positions]
        nbytes = self.case.windows * (9 * (self.case.steps + 2) + 24)

        def judge(number: int, batch: Any) -> None:
            self.expect(number, batch.action_index, batch.action_valid)

        return [partial(self.rule.take, p) for p in there], lambda b: list(vars(b).values()), judge, nbytes

    def _deltas(self, xp: Any) -> Any:
        jitter = np.random.default_rng(self.seed).uniform(-4e-5, 4e-5, self.case.samples)
        times = xp.asarray(np.arange(self.case.samples) % EPISODE / 30 + jitter)
        keys = {"action": [k / 30 for k in range(self.case.steps)], "obs": OBS}
        found = rc.delta_timestamps(times, keys, offsets=self.offsets)
        there = [xp.asarray(p) for p in self.positions]
        nbytes = self.case.windows * (9 * (self.case.steps + len(OBS)) + 8 + 8)

        def judge(number: int, batch: Any) -> None:
            self.expect(number, batch.index["action"], batch.valid["action"])

        return [partial(found.take, p) for p in there], lambda b: [*b.index.values(), *b.valid.values()], judge, nbytes

    def _gather(self, xp: Any) -> Any:
        case, kind = self.case, DTYPES[self.case.dtype]
        rng = xp.random.default_rng(self.seed)
        raw = rng.integers(
            0,
            2**15 if kind.itemsize > 1 else 2**8,
            case.samples * case.features * kind.itemsize // min(2, kind.itemsize),
        )
        values = (
            raw.astype(np.uint16 if kind.itemsize > 1 else np.uint8).view(kind).reshape(case.samples, case.features)
        )
        index, valid = ([xp.asarray(self.steps(k)[part]) for k in range(self.sets)] for part in (0, 1))
        outs = [xp.empty((case.windows, case.steps, case.features), kind) for _ in range(self.sets)]
        calls = [
            partial(rc.gather_windows, values, i, v if case.pad == "zero" else None, pad=case.pad, out=o)
            for i, v, o in zip(index, valid, outs, strict=True)
        ]
        row = case.features * kind.itemsize
        touched = len(np.unique(self.steps(0)[0]))
        nbytes = (case.windows * case.steps + touched) * row + index[0].nbytes
        nbytes += valid[0].nbytes if case.pad == "zero" else 0
        self.peer = values, index, outs

        def judge(number: int, out: Any) -> None:
            unit = np.dtype(f"u{kind.itemsize}")
            for part in range(0, case.windows, 65536):
                cut = slice(part, part + 65536)
                want = values.view(unit)[index[number % self.sets][cut]]
                if case.pad == "zero":
                    want = xp.where(valid[number % self.sets][cut][..., None], want, unit.type(0))
                if not bool((out[cut].view(unit) == want).all()):
                    raise _results.WrongResult(f"{case}: values")

        return calls, lambda out: [out], judge, nbytes


def run_cuda(case: Case, seed: int) -> dict[str, Any]:
    """One row on the GPU."""
    import cupy

    problem = Problem(case, seed)
    calls, outputs, judge, nbytes = problem.prepare(cupy)
    row = case.row("cuda", seed, nbytes)
    row["device_us"], results = _timing.device_time(calls, outputs)
    for number in range(problem.sets):
        judge(number, results[number])
    row["judge"] = "arithmetic on equal episodes; cupy indexing"
    del results
    if nbytes < SMALL:
        row["call_us"] = _timing.call_time(calls[0], cupy.cuda.Device().synchronize)
    row["copy_us"] = _timing.copy_time(nbytes)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = {}
    if case.op == "gather_windows" and case.pad == "edge":
        row["peers"]["torch"] = baselines.attempt("torch", lambda: by_torch(problem, nbytes))
    return row


def by_torch(problem: Problem, nbytes: int) -> dict[str, Any]:
    """torch.index_select into the same output."""
    import torch

    values, index, outs = problem.peer
    rows = [torch.from_dlpack(i.reshape(-1)) for i in index]
    source = torch.from_dlpack(values.view(f"u{values.itemsize}").view(f"i{values.itemsize}"))
    flat = [torch.from_dlpack(o.reshape(-1, o.shape[2]).view(f"i{o.itemsize}")) for o in outs]
    calls = [lambda r=r, o=o: torch.index_select(source, 0, r, out=o) for r, o in zip(rows, flat, strict=True)]
    took, _ = _timing.torch_graph_time(calls, 1 if nbytes > SMALL else 8)
    return {"device_us": took, "by": "graph"}


def run_cpu(case: Case, seed: int) -> dict[str, Any]:
    """One row on the CPU, in turn with memcpy and NumPy's indexing."""
    problem = Problem(case, seed)
    calls, outputs, judge, nbytes = problem.prepare(np)
    row, copy = case.row("cpu", seed, nbytes), _timing.HostCopy(nbytes)
    functions = {"": calls[0], "alone": copy.alone, "together": copy.together}
    if case.op == "gather_windows" and case.pad == "edge":
        values, index, outs = problem.peer
        functions["numpy"] = lambda: np.take(values, index[0], axis=0, out=outs[1], mode="clip")
    took = _timing.wall_times(functions)
    result = calls[0]()
    for array in outputs(result):
        _timing.poison(array)
    judge(0, calls[0]())
    row["judge"] = "arithmetic on equal episodes; numpy indexing"
    row["wall_us"] = took[""]
    row["copy_us"] = min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
    row["peers"] = {"numpy": {"wall_us": took["numpy"]}} if "numpy" in took else {}
    return row


def tidy(run: Any, case: Case, seed: int) -> dict[str, Any]:
    """One row, and memory given back."""
    try:
        return run(case, seed)
    finally:
        _timing.free()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="batches only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    todo = [
        partial(tidy, run, case, options.seed + 1000 * k)
        for k, case in enumerate(cases(options.backend, options.quick))
    ]
    _results.finish(options.out, "windows", todo, seed=options.seed)


if __name__ == "__main__":
    main()
