"""The threads behind a loader: they fill slots, and hand them over in the order of the sampler."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._core.errors import ArgumentError, BackendError
from .filling import Filled
from .ring import Ring

PATIENCE = 2.0  # seconds that a process waits at its exit for threads that are still reading


@dataclass(frozen=True, eq=False)
class Run:
    """The batches of one loop: where it begins, the steps of its first epoch and of others, and how many there are.

    ``count`` is None where there is no end. The first epoch has fewer steps where it was resumed within a batch.
    """

    epoch: int
    step: int
    first: int
    steps: int
    count: int | None

    def place(self, number: int) -> tuple[int, int]:
        """Epoch and step of a batch."""
        at = self.step + number
        if at < self.first:
            return self.epoch, at
        over, step = divmod(at - self.first, self.steps)
        return self.epoch + 1 + over, step


class Result(NamedTuple):
    """A slot of the ring that is lent from, and what lies in it; without a slot nothing does, or there is an error."""

    slot: int | None
    found: Filled | None
    error: BaseException | None = None


class Order:
    """Results by number, taken in order whoever is done first. What belongs to another run is dropped."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._changed = threading.Condition(threading.Lock())
        self._ready: dict[int, Result] = {}
        self._run: Run | None = None
        self._next, self._closed = 0, False

    def __len__(self) -> int:
        return len(self._ready)

    def begin(self, run: Run | None) -> None:
        """From now on, results of this run count."""
        with self._changed:
            left, self._ready = list(self._ready.values()), {}
            self._run, self._next = run, 0
            self._changed.notify_all()
        for result in left:
            self._drop(result)

    def _drop(self, result: Result) -> None:
        if result.slot is not None:
            self._ring.free.put(result.slot)

    def put(self, run: Run, number: int, result: Result) -> None:
        """Hand in a result."""
        with self._changed:
            current = run is self._run and not self._closed
            if current:
                self._ready[number] = result
                if number == self._next:
                    self._changed.notify_all()
        if not current:
            self._drop(result)

    def get(self, run: Run | None = None) -> tuple[Run, int, Result] | None:
        """The next result, of whatever run there is or of this one; None if it was closed, or the run is over."""
        with self._changed:
            while not self._closed and (run is None or run is self._run):
                if self._run is not None and self._next in self._ready:
                    number, self._next = self._next, self._next + 1
                    return self._run, number, self._ready.pop(number)
                self._changed.wait()
        return None

    def close(self) -> None:
        """Let everyone who waits go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Tickets:
    """Who fills which batch: numbers in order, each given once."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._run: Run | None = None
        self._next, self._closed = 0, False

    def begin(self, run: Run | None) -> None:
        """Give numbers of this run, or of none."""
        with self._changed:
            self._run, self._next = run, 0
            self._changed.notify_all()

    def take(self) -> tuple[Run, int] | None:
        """A number; waits while there is none. None when closed."""
        with self._changed:
            while not self._closed:
                run = self._run
                if run is not None and (run.count is None or self._next < run.count):
                    self._next += 1
                    return run, self._next - 1
                self._changed.wait()
        return None

    def close(self) -> None:
        """Let everyone who waits go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Engine:
    """Threads that fill slots, and one more that carries them where they are handed out, if that is elsewhere.

    ``place`` hands batches out of its ring: a `Host`, whose slots are filled themselves, or a `Card`, which fills its
    own from those of ``ring``. The threads know slots by number only. With a `Child` they only ask it to fill.
    """

    def __init__(self, fill: Callable[..., Filled], threads: int, place: Any, ring: Ring | None = None,
                 child: Any = None) -> None:  # fmt: skip
        self._pid, self._closed = os.getpid(), False
        self._fill, self.place, self._child = fill, place, child
        self._carries = ring is not None
        self._ring: Ring = place.ring if ring is None else ring
        self._tickets = Tickets()
        self._filled = self.ready = Order(self._ring)
        if ring is not None:
            self.ready = Order(place.ring)
        self._broken: BaseException | None = None
        targets = [self._work] * threads + [self._carry] * self._carries
        self._threads = [
            threading.Thread(target=self._guard, args=(target,), name=f"robocache-loader-{i}", daemon=True)
            for i, target in enumerate(targets)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def forked(self) -> bool:
        """Whether its threads live in another process, of which this one is a fork."""
        return self._pid != os.getpid()

    @property
    def here(self) -> bool:
        """Whether its threads live in this process, and all is alive that they need."""
        return not (self.forked or self._closed) and (self._child is None or self._child.alive)

    @property
    def reading(self) -> bool:
        """Whether a thread of this process is still at work."""
        return any(thread.is_alive() for thread in self._threads)

    def begin(self, run: Run | None) -> None:
        """Begin a run, or none, and drop the results of the one before. Those who fill are the last to hear of it."""
        self.ready.begin(run)
        if self._carries:
            self._filled.begin(run)
        self._tickets.begin(run)

    def next(self, run: Run) -> Result:
        """The next result of a run, waiting for it."""
        if self.forked and not self._closed:
            raise BackendError("this loop began before the process was forked; its threads stayed behind. Begin anew")
        if not self._closed:
            if self._carries:
                self.place.settle()
            self.place.ring.make_room()
        found = self.ready.get(run)
        if self._broken is not None:
            raise BackendError(f"a thread of the loader died: {self._broken}. Make a new loader") from self._broken
        if found is None:
            raise ArgumentError(
                "this loop is over: another one began, a state was loaded, or the loader was closed. One loop at a time"
            )
        return found[2]

    def give_back(self, slot: int | None) -> None:
        """Take back a slot that nothing came of."""
        if slot is not None:
            self.place.ring.free.put(slot)

    def _guard(self, target: Callable[[], None]) -> None:
        """Let nobody wait for a thread that is gone."""
        try:
            target()
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread of the consumer
            self._broken = error
            for one in (self._tickets, self._filled, self.ready):
                one.close()

    def _work(self) -> None:
        while (slot := self._ring.take()) is not None:
            ticket = self._tickets.take()
            if ticket is None:
                return
            run, number = ticket
            try:
                result = Result(slot, self._fill(self._ring.memory[slot], *run.place(number)))
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread of the consumer
                result = Result(slot, None, error)
            self._filled.put(run, number, result)
            del ticket, run, result  # what it read must not live as long as this thread waits

    def _carry(self) -> None:
        while (taken := self._filled.get()) is not None:
            run, number, (slot, found, error) = taken
            carried = Result(None, found, error)
            if slot is not None and found is not None and len(found.item):
                buffer = self.place.ring.take()
                if buffer is None:
                    return
                try:
                    self.place.carry(self._ring.memory[slot], buffer, found)
                    carried = Result(buffer, found)
                except BaseException as problem:  # noqa: BLE001 - it is raised again in the thread of the consumer
                    self.place.ring.free.put(buffer)
                    carried = Result(None, None, problem)
            self.ready.put(run, number, carried)
            self.place.wait()  # for the copy, not for what is computed from it
            self._ring.free.put(slot)
            del taken, found, error, carried

    def close(self, patience: float | None = None) -> None:
        """End the threads, waiting for what they read just now, or for so many seconds."""
        if self.forked or self._closed:
            return
        self._closed = True
        for one in (self._tickets, self._filled, self.ready):
            one.close()
        self._ring.close(len(self._threads))
        if self._carries:
            self.place.ring.close(1)
        if self._child is not None:
            self._child.close(patience)
        end = None if patience is None else time.monotonic() + patience
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(None if end is None else max(0.0, end - time.monotonic()))


@dataclass(eq=False)
class Belongings:
    """What a loader has to close: its engine, once it has begun, and the sources that it opened."""

    opened: Sequence[Any]
    engine: Engine | None = None

    def close(self, patience: float | None = None) -> None:
        """Close them; not sources that a thread is still reading when patience is at an end."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close(patience)
        if engine is None or not engine.reading:
            opened, self.opened = self.opened, ()
            for source in opened:
                source.close()


def abandon(own: Belongings) -> None:
    """Close what belonged to a loader that is gone, or to a process that ends."""
    own.close(PATIENCE)


__all__ = ["Belongings", "Engine", "Order", "Result", "Run", "Tickets", "abandon"]
