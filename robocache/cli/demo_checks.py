"""What the demo's results must be, worked out here from the simulator's truth with NumPy alone."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .simulate import Sensor

EPS = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Check:
    """One comparison: what it was about, whether it held, and its figures in words and as numbers."""

    name: str
    ok: bool
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"name": self.name, "ok": self.ok, "text": self.text, **self.numbers}


def aligned(sensor: Sensor, times: np.ndarray, values: np.ndarray, valid: np.ndarray) -> Check:
    """Values at ``times`` against the signal itself, and validity against the samples that were really lost.

    A held sample may differ from the truth by age times the steepest slope; it must also be the recorded one, bit for
    bit. Linear interpolation over a gap may differ by gap squared over eight times the strongest curvature. To both
    comes the rounding of float32: half an ulp in the sample, less than four in the interpolation.
    """
    captured = sensor.captured
    left = np.clip(np.searchsorted(captured, times, side="right") - 1, 0, len(captured) - 1)
    right = np.minimum(left + 1, len(captured) - 1)
    past, gap = times - captured[left], captured[right] - captured[left]
    inside = (times >= captured[0]) & (times <= captured[-1])
    rounding = 4 * EPS * sensor.signal.bound(0)
    if sensor.method == "linear":
        expected = inside & ((past == 0) | (gap <= (sensor.max_gap or 0)))
        allowed = (gap[:, None] / 1e9) ** 2 / 8 * sensor.signal.bound(2) + rounding
        copied = True
    else:
        expected = inside & (past <= (sensor.tolerance or 0))
        allowed = (past[:, None] / 1e9) * sensor.signal.bound(1) + rounding
        copied = bool((values[expected] == sensor.values[left[expected]]).all())
    error = np.abs(values - sensor.signal.at(times))[expected]
    share = float((error / allowed[expected]).max(initial=0))
    masks = bool((valid == expected).all())
    flagged = int((~expected).sum())
    text = f"error {error.max(initial=0):.2g}, {share:.1%} of the bound; {flagged} of {len(times)} flagged"
    text += "" if masks else f", but {int((valid != expected).sum())} flags are wrong"
    text += "" if copied else ", but some are not the recorded samples"
    numbers = {"max_error": float(error.max(initial=0)), "share_of_bound": share, "flagged": flagged}
    return Check(f"{sensor.name} ({sensor.method})", masks and copied and share <= 1, text, numbers)


def _cells(points: np.ndarray, origin: np.ndarray, size: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.floor((points - origin) / np.float32(size)))


def grid(points: np.ndarray, counts: np.ndarray, bounds: Any, size: float) -> Check:
    """Every count of the dense grid."""
    lower, upper = (np.asarray(corner, np.float32) for corner in bounds)
    cells = _cells(points, lower, size)
    with np.errstate(invalid="ignore"):
        kept = ((points >= lower) & (points < upper) & (cells >= 0) & (cells < counts.shape)).all(axis=1)
    where = np.ravel_multi_index(tuple(cells[kept].astype(np.int64).T), counts.shape)
    expected = np.bincount(where, minlength=counts.size).reshape(counts.shape)
    wrong = int((counts != expected).sum())
    filled, dropped = int((expected > 0).sum()), len(points) - int(kept.sum())
    text = f"{filled} cells filled, {dropped} points without depth or outside; " + (
        f"{wrong} counts are WRONG" if wrong else "all counts equal"
    )
    return Check("grid counts", wrong == 0, text, {"filled": filled, "dropped": dropped, "wrong": wrong})


def voxel_set(points: np.ndarray, coords: np.ndarray, means: np.ndarray, counts: np.ndarray, size: float) -> Check:
    """Coordinates and counts of the voxel set exactly, means to the rounding of float32."""
    seen = points[np.isfinite(points).all(axis=1)]
    cells = _cells(seen, np.zeros(3, np.float32), size).astype(np.int64)
    expected, inverse, number = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    same = bool(np.array_equal(coords, expected) and np.array_equal(counts, number))
    error = np.inf
    if same:
        sums = np.stack([np.bincount(inverse, column, len(expected)) for column in seen.T.astype(np.float64)], axis=1)
        error = float(np.abs(means - sums / number[:, None]).max(initial=0))
    allowed = EPS * float(np.abs(seen).max(initial=0))
    text = f"{len(expected)} voxels; coordinates and counts {'equal' if same else 'WRONG'}; means within {error:.1e} m"
    return Check("voxel set", same and error <= allowed, text, {"voxels": len(expected), "mean_error": error})


def float32_stamps(sensors: list[Sensor]) -> dict[str, Any]:
    """What becomes of this recording when stamps are kept as float32 seconds since 1970, which many pipelines do."""
    by_name = {sensor.name: sensor for sensor in sensors}
    force, joints = by_name["force"], by_name["joints"]
    coarse = (force.stamps / 1e9).astype(np.float32)
    gaps = np.diff(joints.captured)
    between = (joints.captured[:-1] + gaps // 2)[gaps <= (joints.max_gap or 0)]
    truth = joints.signal.at(between)
    narrow = [(times / 1e9).astype(np.float32) for times in (between, joints.captured)]
    exact = [(times - joints.captured[0]).astype(np.float64) for times in (between, joints.captured)]
    off = [
        max(float(np.abs(np.interp(at, known, joints.values[:, j]) - truth[:, j]).max()) for j in range(truth.shape[1]))
        for at, known in (narrow, exact)
    ]
    return {
        "sensor": "force",
        "stamps": len(coarse),
        "distinct": len(np.unique(coarse)),
        "step_seconds": float(np.spacing(coarse[0])),
        "joint_error": off[0],
        "joint_error_int64": off[1],
    }
