"""Statistics that LeRobot keeps of every feature, by episode and of the whole dataset."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
LEVELS = np.arange(256) / 255

Stats = dict[str, Any]  # arrays by name of the statistic
# Squares of numbers past 1e154 are infinite, and so is their standard deviation, or NaN: LeRobot stores that too.
_beyond = np.errstate(over="ignore", invalid="ignore")


@_beyond
def of_numbers(values: Any) -> Stats:
    r"""Of an array (step, \*sample), of at least one step; scalars count as vectors of one."""
    values = values.reshape(len(values), -1) if values.ndim == 1 else values
    wide = values.astype(np.float64)
    kept = np.int64 if values.dtype.kind in "iu" else values.dtype if values.dtype.kind == "b" else np.float64
    quantiles = np.quantile(wide, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0).astype(kept),
        "max": values.max(axis=0).astype(kept),
        "mean": wide.mean(axis=0),
        "std": wide.std(axis=0),
        "count": np.array([len(values)], np.int64),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class Pixels:
    """How often each level of each channel occurs: all statistics of pictures follow from that, exactly."""

    def __init__(self, channels: int) -> None:
        self.frames, self.counts = 0, np.zeros((channels, 256), np.int64)

    def add(self, images: NDArray[np.uint8]) -> None:
        """Count pictures (frame, height, width, channel)."""
        self.frames += len(images)
        for channel in range(len(self.counts)):
            self.counts[channel] += np.bincount(images[..., channel].ravel(), minlength=256)

    def stats(self) -> Stats:
        """Of levels from 0 to 1, shaped (channel, 1, 1)."""
        total = self.counts.sum(axis=1, keepdims=True)
        mean = (self.counts * LEVELS).sum(axis=1, keepdims=True) / total
        variance = (self.counts * (LEVELS - mean) ** 2).sum(axis=1, keepdims=True) / total
        below = np.cumsum(self.counts, axis=1)
        found = {
            "min": LEVELS[(self.counts > 0).argmax(axis=1)],
            "max": LEVELS[255 - (self.counts[:, ::-1] > 0).argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt(variance),
            **{name: LEVELS[(below >= part * total).argmax(axis=1)] for name, part in QUANTILES.items()},
        }
        shaped = {name: np.asarray(value, np.float64).reshape(-1, 1, 1) for name, value in found.items()}
        return {**shaped, "count": np.array([self.frames], np.int64)}


class Total:
    """Statistics of all episodes, from those of each.

    Quantiles are means of the episodes' quantiles, weighted by steps, as LeRobot has them: near the true ones only.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}

    @_beyond
    def add(self, stats: Stats) -> None:
        """Take in an episode."""
        count = int(stats["count"][0])
        square = stats["std"] ** 2
        if not self._sums:
            self._sums = {**stats, "square": square, "count": count}
            return
        old, both = self._sums, self._sums["count"] + count
        share = count / both
        shift = stats["mean"] - old["mean"]
        old["square"] = old["square"] + (square - old["square"]) * share + shift**2 * share * (1 - share)
        for name in ("mean", *QUANTILES):
            old[name] = old[name] + (stats[name] - old[name]) * share
        old["min"], old["max"] = np.minimum(old["min"], stats["min"]), np.maximum(old["max"], stats["max"])
        old["count"] = both

    @_beyond
    def stats(self) -> dict[str, Any]:
        """As lists, for JSON."""
        found = {**self._sums, "std": np.sqrt(self._sums["square"]), "count": np.array([self._sums["count"]])}
        return {name: value.tolist() for name, value in found.items() if name != "square"}


__all__ = ["QUANTILES", "Pixels", "Stats", "Total", "of_numbers"]
