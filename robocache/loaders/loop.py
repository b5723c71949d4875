"""One loop over a loader: what the consumer calls."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .batch import Batch
from .engine import Engine, Run
from .meter import Meter

if TYPE_CHECKING:
    from .loader import DataLoader


class Loop(Iterator[Batch]):
    """One loop over a loader."""

    def __init__(self, loader: "DataLoader", engine: Engine, run: Run, meter: Meter) -> None:
        self._loader, self._engine, self._run, self._meter = loader, engine, run, meter
        self._count, self._over = 0, False  # batches that came by, empty ones too
        engine.begin(run)
        meter.begin()

    def __next__(self) -> Batch:
        engine, meter = self._engine, self._meter
        while not self._over and self._count != self._run.count:
            start, depth = time.perf_counter(), len(engine.ready)
            slot, found, error = engine.next(self._run)
            meter.waited(start, depth)
            if found is None:
                self._end(slot)
                try:
                    raise error or RuntimeError
                finally:
                    del error  # its traceback holds this frame
            self._count += 1
            self._loader._advance()
            if found.skipped:
                meter.left_out(found)
            if len(found.item):
                batch = engine.place.batch(slot, found)
                meter.delivered(found)
                return batch
            engine.give_back(slot)
        raise StopIteration

    def _end(self, slot: int | None) -> None:
        """Stop at an error. The loader stays where it is: at the batch that could not be read."""
        self._over = True
        self._engine.give_back(slot)
        self._engine.begin(None)


__all__ = ["Loop"]
