"""The loader: batches of windows or of whole episodes, read ahead by threads."""

import math
import weakref
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from .._core import checks
from .._core.errors import ArgumentError, DataError, DeviceError
from . import budget, fields, finishing, layout, lerobot_view
from ._arguments import only_episodes, padding, usual_threads
from .batch import Batch
from .engine import Belongings, Engine, Run, abandon
from .filling import Filler
from .loop import Loop
from .meter import Meter
from .payload import pickled
from .sampler import Sampler
from .segments import Labels, pages
from .selection import ACTION, OBS, STEP, EpisodeItems, WindowItems
from .sources import sources_of
from .starting import WORKERS, start

FORMAT = 1  # of a state
MOST = 1 << 20
MODES = ("windows", "episodes")
ON_ERROR = ("raise", "skip")


class DataLoader:
    """Batches for training, read ahead by threads and handed out in an order that a seed decides.

    Parameters
    ----------
    source : Source, Dataset, path, or list of them
        Where to read: the path of a store, a dataset that `robocache.datasets.open_dataset` gave, an object with the
        methods of `robocache.loaders.Source`. Of several, all must have the chosen streams, in equal shapes and types.
    batch_size : int
        Samples of a batch.
    n_obs, n_act, action_start, stride : int
        The window of a sample, as in `robocache.windows`.
    pad_before, pad_after : int, optional
        As there; by default so much that every step of every episode is an anchor once (every ``stride``-th).
    obs, action : sequence of str, or mapping of str to str, optional
        Streams of observations and of actions; of a mapping, names in the batch and the streams they stand for. By
        default actions are what is called "action", "actions" or begins with that and a slash or dot, and observations
        all others. What cannot be part of a batch then, such as text, is left out and listed in ``left_out``.
    shuffle, seed, weights, epoch_size, keep, rank, world_size, drop_last
        As in `robocache.loaders.Sampler`; ``keep`` chooses among the windows of each source.
    device : int, optional
        GPU that batches are copied to. By default they are NumPy arrays.
    threads : int, optional
        Threads that read and decode. By default half the processors, 8 at most.
    workers : {"thread", "process"}
        Where they run. In this process, which costs its Python little as long as sources and decoders let go of its
        lock, as all of this library do. Or in one other, for sources written in Python: they have that lock to
        themselves, and batches come over shared memory. Sources are then paths, stores, a `MemorySource`, or objects
        that pickle can take.
    prefetch : int
        Batches that wait ready beside the one in use.
    images : mapping of str to ImageOptions, optional
        Size, layout and type of streams of pictures, by their names in the batch.
    normalize : mapping of str to statistics, optional
        By name in the batch, for streams of numbers: what `robocache.normalize` takes as ``stats``, or
        `robocache.loaders.Normalize` with its other options.
    memory : int, optional
        Bytes that batches may take on the host. In any case they take a quarter of the memory at most, and a quarter of
        the GPU's.
    on_error : {"raise", "skip"}
        What becomes of a sample that cannot be read because data is damaged or missing (DataError, OSError, EOFError):
        the loop raises, or goes on with a batch that is shorter by that sample, which is counted and listed in `stats`.
    epochs : int or inf, optional
        Epochs of one loop, without a pause between them. By default a loop ends with its epoch.
    mode : {"windows", "episodes"}
        Whether a sample is a window, or a whole episode.
    pad : None, "max" or int
        Of whole episodes: put one after another, or padded to the longest of the batch, or to so many steps.

    Attributes
    ----------
    left_out : mapping of str to str
        Streams that are not in the batches though nobody said so, and why.
    shapes : mapping of str to (shape, dtype)
        What arrays of a full batch are; None where the length changes.
    memory : MemoryPlan
        Bytes that batches take.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError, BackendError
        Arguments that do not fit; the message names the remedy.
    MemoryLimitError
        The batches would not fit. While looping: the consumer has kept so many that no memory is left to fill.
    DataError
        While looping: a sample cannot be read; it names source, episode and stream.

    Notes
    -----
    *Order.* The batches of a seed are the same for any number of threads, and so is every byte in them.

    *Epochs.* ``for batch in loader`` goes on where the last loop stopped, in the middle of an epoch too; ``len`` is the
    batches of one epoch. There is one loop at a time: a new one ends the one before.

    *State.* `state_dict` counts batches that were handed out, not those that were read ahead. A loader of the same
    sources and arguments, with any number of threads, goes on with exactly the batch that would have come next.

    *Memory.* Batches lie in memory that is used again when nothing refers to it, and never before; see `Batch`.

    *Processes.* A fork inherits no threads: a loop that began before ends with an error, a new one starts its own.
    """

    def __init__(
        self, source: Any, *, batch_size: int, n_obs: int = 1, n_act: int = 1, action_start: int = 0, stride: int = 1,
        pad_before: int | None = None, pad_after: int | None = None, obs: Any = None, action: Any = None,
        shuffle: bool = True, seed: int = 0, weights: Any = None, epoch_size: int | None = None, keep: Any = None,
        rank: int = 0, world_size: int = 1, drop_last: bool = True, device: int | None = None,
        threads: int | None = None, prefetch: int = 2, images: Mapping[str, Any] | None = None,
        normalize: Mapping[str, Any] | None = None, memory: int | None = None, on_error: str = "raise",
        epochs: Any = None, mode: str = "windows", pad: Any = None, workers: str = "thread",
    ) -> None:  # fmt: skip
        checks.choice("mode", mode, MODES)
        checks.choice("on_error", on_error, ON_ERROR)
        self._process = checks.choice("workers", workers, WORKERS) == "process"
        self._labels: Labels | None = None
        batch_size = checks.whole("batch_size", batch_size, 1, MOST)
        self._threads = checks.whole("threads", usual_threads() if threads is None else threads, 1, 1024)
        self._prefetch = checks.whole("prefetch", prefetch, 1, 1024)
        self._device = None if device is None else checks.whole("device", device, 0, 1 << 16)
        self._epochs = (
            1 if epochs is None else epochs if epochs == math.inf else checks.whole("epochs", epochs, 1, MOST)
        )
        limit = budget.host_limit(None if memory is None else checks.whole("memory", memory, 1, 1 << 60))
        self._sources, opened = sources_of(source)
        self._own = Belongings(opened)
        weakref.finalize(self, abandon, self._own)
        self._closed, self._epoch, self._step = False, 0, 0

        offsets = [one.offsets for one in self._sources]
        if mode == "windows":
            if pad is not None:
                raise ArgumentError(f"pad={pad!r} is of mode='episodes'; of windows there are pad_before and pad_after")
            self._items: Any = WindowItems(offsets, n_obs, n_act, stride, (pad_before, pad_after), action_start)
        else:
            only_episodes(n_obs=n_obs, n_act=n_act, action_start=action_start, stride=stride, pad_before=pad_before,
                          pad_after=pad_after)  # fmt: skip
            self._items = EpisodeItems(offsets, padding(pad))
        self._choose(mode, obs, action, n_obs, n_act, images or {}, normalize or {})
        self._sampler = Sampler(self._items.sizes, batch_size, shuffle=shuffle, seed=seed, weights=weights,
                                epoch_size=epoch_size, keep=keep, rank=rank, world_size=world_size,
                                drop_last=drop_last)  # fmt: skip
        if not len(self._sampler):
            raise ArgumentError(
                f"there is no batch: {sum(self._items.sizes)} samples in {world_size} parts, batch_size={batch_size}; "
                "make batches smaller, set drop_last=False, or let windows reach further past the ends of episodes"
            )
        self._lay(batch_size, limit)
        self._filler = Filler(self._sources, self._sampler, self._items, self._fields, self._slot,
                              finish=self._device is None, skip=on_error == "skip")  # fmt: skip
        if self._process:
            pickled(self._filler)  # to refuse now what could not be sent

    def _choose(self, mode: str, obs: Any, action: Any, n_obs: int, n_act: int, images: Mapping[str, Any],
                scales: Mapping[str, Any]) -> None:  # fmt: skip
        """Which streams there are in a batch."""
        if mode == "windows":
            obs, action = obs if n_obs or obs else (), action if n_act or action else ()
            for name, count, given in (("n_obs", n_obs, obs), ("n_act", n_act, action)):
                if not count and given:
                    raise ArgumentError(f"{name}=0 leaves nothing of {list(given)}")
        seen, acts, left = fields.choose(self._sources[0].streams, obs, action)
        roles = [(OBS, seen), (ACTION, acts)] if mode == "windows" else [(STEP, seen | acts)]
        self.left_out: Mapping[str, str] = MappingProxyType(left)
        self._fields = fields.fields_of(self._sources, roles, images, scales)

    def _lay(self, batch_size: int, limit: int) -> None:
        """Where things lie in memory, and how much that takes."""
        capacity = self._items.capacity(batch_size)
        shapes = {
            one.key: ((*self._items.shape(one.role, batch_size), *one.final_shape), one.final_dtype)
            for one in self._fields
        }
        self.shapes: Mapping[str, tuple[Any, np.dtype[Any]]] = MappingProxyType(shapes)
        if self._device is None:
            self._slot = layout.on_host(self._fields, capacity)
            plan = budget.MemoryPlan(self._size(batch_size), self._threads + self._prefetch + 1, limit)
        else:
            from . import cards

            self._fields = finishing.on_device(self._sources, self._fields)
            self._transfer = layout.to_device(self._fields, capacity)
            self._slot, nbytes = self._transfer.slot, self._transfer.batch.nbytes
            most = cards.total(self._device) // budget.SHARE
            slots = self._threads + 2  # one that is copied, one that waits for it
            plan = budget.MemoryPlan(self._size(batch_size), slots, limit, nbytes, self._prefetch + 1, most)
        self.memory = budget.checked(plan)
        self._meter = Meter((self._slot if self._device is None else self._transfer.batch).each())

    def _size(self, batch_size: int) -> int:
        """Bytes of a slot on the host, with what another process has to say."""
        if not self._process:
            return self._slot.nbytes
        self._labels = Labels(self._slot.nbytes, batch_size)
        return pages(self._slot.nbytes + self._labels.nbytes)

    from_lerobot = classmethod(lerobot_view.from_lerobot)

    def __len__(self) -> int:
        return len(self._sampler)

    def __iter__(self) -> Iterator[Batch]:
        if self._closed:
            raise ArgumentError("this loader is closed; make a new one")
        engine = self._engine
        if engine is None or not engine.here:
            engine = self._own.engine = self._start()
        return Loop(self, engine, self._run(), self._meter)

    def _start(self) -> Engine:
        """Take the memory and start the threads. What a fork has left behind is not touched."""
        old = self._engine
        if old is not None:
            if self._device is not None and old.forked:
                raise DeviceError("CUDA does not survive a fork; start the process by spawn, and make the loader there")
            old.close()
        transfer = None if self._device is None else self._transfer
        return start(self._filler, self._fields, self._slot, transfer, self._device, self._threads, self.memory,
                     self._labels)  # fmt: skip

    @property
    def _engine(self) -> Engine | None:
        return self._own.engine

    def _run(self) -> Run:
        """The batches of a loop that begins now."""
        first, steps = self._sampler.steps(self._epoch), len(self._sampler)
        count = None if self._epochs == math.inf else first - self._step + (self._epochs - 1) * steps
        run = Run(self._epoch, self._step, first, steps, count)
        if self._step == first:  # resumed where only other ranks have something left of the epoch
            self._epoch, self._step = self._epoch + 1, 0
        return run

    def _advance(self) -> None:
        self._step += 1
        if self._step == self._sampler.steps(self._epoch):
            self._epoch, self._step = self._epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, as plain numbers and strings: the batch that comes next has not been handed out."""
        return {
            "format": FORMAT,
            "sources": [one.fingerprint for one in self._sources],
            "items": dict(self._items.settings),
            "sampler": self._sampler.state_dict(self._epoch, self._step),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a loader of the same sources and arguments stood. A loop under way ends.

        Raises
        ------
        ArgumentError
            The state is of another format, or of other windows; or the sampler refuses it.
        DataError
            The sources have changed, or are others.
        """
        if state.get("format") != FORMAT:
            raise ArgumentError(f"state has format {state.get('format')!r}; this version reads {FORMAT}")
        prints = [one.fingerprint for one in self._sources]
        if list(state["sources"]) != prints:
            raise DataError(
                f"state is of sources {list(state['sources'])}, this loader of {prints}: their content or order differs"
            )
        if dict(state["items"]) != self._items.settings:
            raise ArgumentError(f"state is of items {dict(state['items'])}, this loader of {self._items.settings}")
        epoch, step = self._sampler.resume(state["sampler"])
        if self._engine is not None and self._engine.here:
            self._engine.begin(None)
        self._epoch, self._step = epoch, step

    def stats(self) -> dict[str, Any]:
        """What was delivered, and how long the consumer waited for it.

        Returns
        -------
        dict
            ``batches``, ``samples``, ``bytes`` handed out; ``samples_per_s`` of the time spent in loops;
            ``wait_ms_p50`` and ``wait_ms_p95`` of the last 4096 batches; ``stall``, the share of the time in loops that
            the consumer waited; ``queue``, batches ready now, and ``queue_mean``, when one was taken; ``skipped``
            samples, ``dropped`` batches of which none was left, and ``ledger``, the first 100 that were skipped.
        """
        return self._meter.report(0 if self._engine is None else len(self._engine.ready))

    def close(self) -> None:
        """End the threads, after what they read just now, and close what was opened here. Batches stay."""
        self._closed = True
        self._own.close()

    def __enter__(self) -> "DataLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self._sources)
        where = "" if self._device is None else f", device={self._device}"
        return f"DataLoader({names}: {sum(self._items.sizes)} samples, {len(self)} batches an epoch{where})"


__all__ = ["DataLoader"]
