"""What updates have left with the backends, and when it is read."""

import threading
from collections.abc import Callable
from typing import Any

from .. import interop
from .._core import tally
from .._core.errors import ArgumentError, MemoryLimitError
from . import _stats_rows, _total
from ._dispatch import twin


class Gathering:
    """The state of ``RunningStats``: a total on the host, and what each device has gathered since it was read."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.shape: tuple[int, ...] | None = None
        self.total: _total.Total | None = None
        self.results: dict[Any, Any] = {}  # of these samples, good until the next update
        self.lock = threading.RLock()
        self._pending: dict[
            Any, list[Any]
        ] = {}  # by backend, device and form: what it gathered, rows since read, since carried

    def begin(self, shape: tuple[int, ...]) -> _total.Total:
        """The total, made when the shape of the features is known."""
        if self.total is None:
            size = 1
            for n in shape:
                size *= n
            self.shape, self.total = shape, _total.empty(size, self.bits)
        return self.total

    def add(self, call: interop.Call, rows: Any, marks: Any) -> None:
        """Hand rows to the backend they live on."""
        form = tally.form_of(rows.dtype)
        backend = twin(call.backend, "stats")
        for part, some in _stats_rows.pieces(rows, marks):
            count = part.shape[0] * part.shape[1]
            pending = self._of(call, backend, rows.shape[2], form)
            if pending[2] + count > tally.MOST_ROWS:
                backend.carry(pending[0])
                pending[2] = 0
            backend.add(part, some, pending[0])
            pending[1] += count
            pending[2] += count
        self.results = {}

    def _of(self, call: interop.Call, backend: Any, features: int, form: tally.Form) -> list[Any]:
        key = call.backend, call.device, form
        pending = self._pending.get(key)
        if pending is None:
            size = 8 * features * form.buckets(self.bits)
            if size > tally.HISTOGRAM_BYTES:
                raise MemoryLimitError(
                    f"quantiles of {features} features would take {size / 2**30:.1f} GiB while updates come in; "
                    "pass quantiles=(), fewer bits, or axis= to go over more axes"
                )
            pending = self._pending[key] = [backend.make(features, self.bits, form), 0, 0]
        return pending

    def read(self) -> _total.Total:
        """The total of all samples so far. # synchronizes"""
        with self.lock:
            total = self.total
            if total is None:
                raise ArgumentError("nothing is known of the features yet; pass shape=, or update first")
            for (name, device, form), pending in self._pending.items():
                if not pending[1]:
                    continue
                with interop.Call(name, device, "numpy" if name == "cpu" else "cupy"):
                    total.absorb(form, *twin(name, "stats").drain(pending[0]))
                pending[1:] = [0, 0]
            return total

    def derived(self, key: Any, find: Callable[[], Any]) -> Any:
        """What ``find`` makes of all samples so far; kept until the next update. # synchronizes"""
        with self.lock:
            self.read()
            found = self.results.get(key)
            if found is None:
                found = self.results[key] = find()
            return found

    def join(self, other: _total.Total) -> None:
        """Take all of another total."""
        total = self.read()
        total.join(other)
        if total.bits != self.bits:
            self.keep(total.bits)
        self.results = {}

    def keep(self, bits: int) -> None:
        """Go on with fewer bits."""
        if self.total is not None:
            self.read().coarsen(bits)
        self.bits, self._pending, self.results = bits, {}, {}
