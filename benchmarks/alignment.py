"""Alignment workloads and their judge: float64 over every row of what was timed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from . import scenes
from ._results import WrongResult

# Of values in [-1, 1): the accuracy the library promises (1.75 and 0.501 ulp), and what is lost by a float32 weight.
TOLERANCE = {"float32": 2.5e-7, "float16": 2.6e-4, "bfloat16": 2.1e-3, "float64": 1e-15}
ITEM = {"float32": 4, "float16": 2, "bfloat16": 2, "float64": 8}


@dataclass(frozen=True)
class Case:
    """One row of the results: rows, samples, targets, features, and how."""

    batch: int
    samples: int
    targets: int
    features: int
    dtype: str = "float32"
    method: str = "linear"
    distribution: str = "random"
    stamp: str = "int64"
    seed: int = 0
    period: int = 10 * scenes.MILLISECOND
    shared: bool = False  # one clock for all rows
    goal: tuple[tuple[str, float], ...] = ()
    predecessor_us: float | None = None
    peers: tuple[str, ...] = ("torch",)

    @property
    def shapes(self) -> dict[str, int]:
        """As the results spell it."""
        return {"B": self.batch, "S": self.samples, "T": self.targets, "D": self.features}

    @property
    def outputs(self) -> int:
        """Bytes written."""
        return self.batch * self.targets * self.features * ITEM[self.dtype]

    @property
    def stamps_bytes(self) -> int:
        """Bytes of stamps and targets."""
        return 8 * (self.batch * self.samples + (1 if self.shared else self.batch) * self.targets)

    @property
    def whole(self) -> int:
        """Bytes if every sample is read once, needed or not."""
        return self.batch * self.samples * self.features * ITEM[self.dtype] + self.stamps_bytes + self.outputs


class Problem:
    """Stamps and targets of a case on the host, and which samples each target needs."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.times = scenes.stamps(case.batch, case.samples, case.seed, case.period)
        self.aim(scenes.targets(self.times, case.targets, case.distribution, case.seed + 1))

    def aim(self, targets: np.ndarray) -> None:
        """Take these targets, [T] or [B, T], all inside every row's range."""
        case = self.case
        self.targets = np.broadcast_to(targets, (case.batch, case.targets))
        rows = zip(self.times, self.targets, strict=True)
        before = np.stack([np.searchsorted(t, q, side="right") - 1 for t, q in rows])
        left = np.clip(before, 0, max(case.samples - 2, 0))
        right = np.minimum(left + 1, case.samples - 1)
        start, stop = (np.take_along_axis(self.times, index, 1) for index in (left, right))
        gone, gap = self.targets - start, stop - start
        if case.method == "linear":
            self.left, self.right, self.weight = left, right, gone / gap
        else:
            later = 2 * gone > gap if case.method == "nearest" else self.targets >= stop
            self.left = self.right = np.where(later, right, left)
            self.weight = np.zeros(left.shape)

    @cached_property
    def needed(self) -> int:
        """Least bytes: the samples that some target uses, all stamps and the output, once each."""
        used = np.zeros((self.case.batch, self.case.samples), bool)
        for index in (self.left, self.right):
            np.put_along_axis(used, index, True, axis=1)
        samples = int(used.sum()) * self.case.features * ITEM[self.case.dtype]
        return samples + self.case.stamps_bytes + self.case.outputs

    def times_as(self, xp: Any, shift: int = 0) -> tuple[Any, Any]:
        """Stamps and targets, ``shift`` milliseconds later, in the type of the case."""
        pair = (self.times, self.targets[0] if self.case.shared else self.targets)
        moved = [xp.asarray(np.ascontiguousarray(array)) + shift * scenes.MILLISECOND for array in pair]
        if self.case.stamp == "float64":
            moved = [array / 1e9 for array in moved]
        return moved[0], moved[1]

    @property
    def kind(self) -> np.dtype:
        """NumPy's type of the values."""
        return scenes.narrow(np, np.zeros(1, np.float32), self.case.dtype).dtype

    def values(self, xp: Any, number: int) -> Any:
        """Samples of input set ``number``."""
        case = self.case
        shape = (case.batch, case.samples, case.features)
        return scenes.narrow(xp, scenes.noise(xp, shape, case.seed + 1000 + number), case.dtype)

    def deviation(self, xp: Any, values: Any, out: Any) -> float:
        """Largest error of ``out`` over all rows; infinite where anything is NaN."""
        left, right, weight = (xp.asarray(array) for array in (self.left, self.right, self.weight))
        exact = self.case.method != "linear"
        step = max(1, (1 << 24) // max(1, self.case.targets * self.case.features))
        worst = 0.0
        for start in range(0, self.case.batch, step):
            rows = slice(start, min(start + step, self.case.batch))
            samples = scenes.widen(xp, values[rows])
            line = xp.arange(samples.shape[0])[:, None]
            expected = samples[line, left[rows]].astype(np.float64)
            if not exact:
                other = samples[line, right[rows]].astype(np.float64)
                expected += weight[rows][..., None] * (other - expected)
            error = xp.abs(scenes.widen(xp, out[rows]).astype(np.float64) - expected)
            if bool(xp.isnan(error).any()):
                return float("inf")
            worst = max(worst, float(error.max()))
        return worst

    def judge(self, xp: Any, values: Any, out: Any) -> float:
        """The same; raises where it is more than the library promises."""
        error = self.deviation(xp, values, out)
        least = 0.0 if self.case.method != "linear" else TOLERANCE[self.case.dtype]
        if not error <= least:
            raise WrongResult(f"{self.case}: error {error}, allowed {least}")
        return error


def row_of(case: Case, problem: Problem, backend: str) -> dict[str, Any]:
    """What a row says before anything is timed."""
    row: dict[str, Any] = {
        "op": "resample",
        "backend": backend,
        "method": case.method,
        "shapes": case.shapes,
        "dtypes": {"values": case.dtype, "times": case.stamp},
        "distribution": case.distribution,
        "seed": case.seed,
        "bytes": problem.needed,
        "bytes_whole": case.whole,
    }
    if case.goal:
        row["goal"] = dict(case.goal)
    if case.predecessor_us:
        row["predecessor_us"] = case.predecessor_us
    return row
