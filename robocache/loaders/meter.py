"""What a loader tells of its own work."""

import math
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from .filling import Filled, Skip

REMEMBERED = 4096  # waits that quantiles are taken of
LISTED = 100  # skipped samples that are listed


class Meter:
    """Counts, and the consumer's waits. Costs about a microsecond a batch."""

    def __init__(self, each: Mapping[str, int]) -> None:
        self._each = each  # bytes of a step, by role
        self.batches = self.samples = self.bytes = self.skipped = self.dropped = 0
        self._waits: deque[float] = deque(maxlen=REMEMBERED)
        self._waited = self._looped = 0.0
        self._since: float | None = None
        self._depths = 0
        self.ledger: list[Skip] = []

    def begin(self) -> None:
        """A loop begins; the time between loops does not count."""
        self._since = time.perf_counter()

    def waited(self, start: float, depth: int) -> None:
        """The consumer has come at a time, found so many batches ready, and goes now."""
        now = time.perf_counter()
        self._waits.append(now - start)
        self._waited += now - start
        self._depths += depth
        if self._since is not None:
            self._looped += now - self._since
        self._since = now

    def delivered(self, found: Filled) -> None:
        """Count a batch."""
        self.batches += 1
        self.samples += len(found.item)
        self.bytes += sum(math.prod(found.lead[role]) * each for role, each in self._each.items())

    def left_out(self, found: Filled) -> None:
        """Count samples that were skipped."""
        self.skipped += len(found.skipped)
        self.dropped += not len(found.item)
        self.ledger += found.skipped[: LISTED - len(self.ledger)]

    def report(self, depth: int) -> dict[str, Any]:
        """Numbers for `DataLoader.stats`."""
        waits = np.array(self._waits) * 1e3
        p50, p95 = np.quantile(waits, (0.5, 0.95)).tolist() if waits.size else (0.0, 0.0)
        wall = self._looped
        return {
            "batches": self.batches,
            "samples": self.samples,
            "samples_per_s": self.samples / wall if wall else 0.0,
            "bytes": self.bytes,
            "wait_ms_p50": p50,
            "wait_ms_p95": p95,
            "stall": self._waited / wall if wall else 0.0,
            "queue": depth,
            "queue_mean": self._depths / self.batches if self.batches else 0.0,
            "skipped": self.skipped,
            "dropped": self.dropped,
            "ledger": list(self.ledger),
        }


__all__ = ["Meter"]
