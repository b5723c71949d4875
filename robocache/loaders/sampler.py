"""Which items make up a batch: a function of epoch and step that holds nothing but integers."""

import hashlib
import reprlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError, PositionError, ShapeError
from ._keep import chosen
from ._mixing import Turns

VERSION = 1
MOST = 2**62
FAR = 2**63
GOLDEN = 0x9E3779B97F4A7C15  # between the keys of two epochs, as between those of two walks of a source


class Picked(NamedTuple):
    """The items of a batch."""

    source: NDArray[np.int32]
    item: NDArray[np.int64]


class Sampler:
    """Shuffles items of one source or several, deals them to ranks, and says which make up a batch.

    Parameters
    ----------
    sizes : sequence of int
        Items of each source.
    batch_size : int
        Of one rank.
    shuffle : bool
        Whether each epoch has an order of its own, over all items, or the one in which they lie.
    seed : int
        From 0 to 2**64 - 1.
    weights : sequence of float, optional
        Share of samples that each source gets, in any unit; with 0 it gets none. Without weights an epoch is all items
        of all sources, each once.
    rank, world_size : int
        This process among those that train together.
    drop_last : bool
        Whether to leave out what does not fill a batch on every rank. If not, the last batch is short, nothing is
        padded, ranks may differ by one sample, and so by one batch.
    keep : sequence of (None, array of bool or array of int), optional
        Items of each source to choose from: a mask over them, or their numbers without repeats; None for all.
    epoch_size : int, optional
        Samples of an epoch, of all ranks, if there are weights. By default as many as it takes until every source that
        has a share has been seen whole; the smaller ones then were seen more than once.

    Attributes
    ----------
    sizes : tuple of int
        Items to choose from, of each source.
    samples : int
        Of an epoch, of all ranks, before ``drop_last``.

    Raises
    ------
    ArgumentError, ShapeError, PositionError
        Arguments that do not fit each other.

    Notes
    -----
    Sample g of an epoch goes to rank ``g % world_size``, so the order of all ranks together is that of one, whatever
    the world size. A permutation is computed where it is asked for: nothing is stored, however many items there are.
    With weights, each source is walked by a permutation of its own, and when it has been used up by another; the walks
    go on from epoch to epoch. After any number of samples each source has had its share rounded up or down (weights
    that no 2**20 samples can hold are rounded to that).

    Examples
    --------
    >>> from robocache.loaders import Sampler
    >>> sampler = Sampler([4, 3], 2, shuffle=False, drop_last=False)
    >>> [sampler.batch(0, step).item.tolist() for step in range(len(sampler))]
    [[0, 1], [2, 3], [0, 1], [2]]
    """

    def __init__(
        self, sizes: Sequence[int], batch_size: int, *, shuffle: bool = True, seed: int = 0,
        weights: Sequence[float] | None = None, rank: int = 0, world_size: int = 1, drop_last: bool = True,
        keep: Sequence[Any] | None = None, epoch_size: int | None = None,
    ) -> None:  # fmt: skip
        given = [checks.whole(f"sizes[{at}]", size, 0, MOST) for at, size in enumerate(sizes)]
        if not given:
            raise ArgumentError("sizes is empty; give the number of items of every source")
        self._keep = chosen(given, keep)
        self.sizes = tuple(n if kept is None else kept.size for n, kept in zip(given, self._keep, strict=True))
        if sum(self.sizes) > MOST:
            raise ArgumentError(f"sizes={given} add up to more than 2**62 items")
        self.batch_size = checks.whole("batch_size", batch_size, 1, MOST)
        self.world_size = checks.whole("world_size", world_size, 1, MOST)
        self.rank = checks.whole("rank", rank, 0, self.world_size - 1)
        self.seed = checks.whole("seed", seed, 0, 2**64 - 1)
        self.shuffle, self.drop_last = bool(shuffle), bool(drop_last)
        self._turns = None if weights is None else _turns(weights, self.sizes)
        self.samples = self._epoch(epoch_size)
        self.skipped = (0, 0)  # an epoch that was resumed within a batch, and the samples before its batch 0

    def _epoch(self, wish: Any) -> int:
        """Samples of an epoch."""
        if self._turns is None:
            if wish is not None:
                raise ArgumentError(f"epoch_size={wish!r} is for weights; without them an epoch is every item once")
            return sum(self.sizes)
        if wish is not None:
            return checks.whole("epoch_size", wish, 1, MOST)
        samples = self._turns.until(self.sizes)
        if samples > MOST:
            raise ArgumentError("weights: seeing every source whole takes more than 2**62 samples; give epoch_size")
        return samples

    def __len__(self) -> int:
        """Batches of an epoch on this rank."""
        return self._steps(0)

    def steps(self, epoch: int) -> int:
        """Batches of an epoch on this rank: ``len``, or less by what was left out of the one that was resumed."""
        return self._steps(self._skip(epoch))

    def _skip(self, epoch: int) -> int:
        return self.skipped[1] if epoch == self.skipped[0] else 0

    def _steps(self, skip: int) -> int:
        left = self.samples - skip
        if self.drop_last:
            return left // (self.batch_size * self.world_size)
        own = max(0, -(-(left - self.rank) // self.world_size))
        return -(-own // self.batch_size)

    def batch(self, epoch: int, step: int) -> Picked:
        """The items of one batch.

        Parameters
        ----------
        epoch : int
        step : int
            From 0 to ``steps(epoch) - 1``.

        Returns
        -------
        Picked
            Source (int32) and item within it (int64) of every sample, in order.

        Raises
        ------
        PositionError
            A step or an epoch that is not there.
        """
        epoch = checks.whole("epoch", epoch, 0, FAR)
        skip, steps = self._skip(epoch), self.steps(epoch)
        if not 0 <= step < steps:
            raise PositionError(f"step {step}: epoch {epoch} has {steps} batches on this rank")
        first = skip + int(step) * self.batch_size * self.world_size + self.rank
        count = min(self.batch_size, -(-(self.samples - first) // self.world_size))
        if self._turns is None:
            picked = self._union(epoch, first, count)
        else:
            picked = self._mixture(self._turns, epoch, first, count)
        for source, kept in enumerate(self._keep):
            if kept is not None:
                own = picked.source == source
                picked.item[own] = kept[picked.item[own]]
        return picked

    def _union(self, epoch: int, first: int, count: int) -> Picked:
        """From one order over all items."""
        places = first + np.arange(count, dtype=np.int64) * self.world_size
        if self.shuffle:
            seeds = np.array([(int(self._seeds[0]) + epoch * GOLDEN) % 2**64], np.uint64)
            _permute(np.zeros(count, np.int32), places, (self.samples,), seeds, places)
        if len(self.sizes) == 1:
            return Picked(np.zeros(count, np.int32), places)
        source = np.searchsorted(self._edges, places, side="right").astype(np.int32) - np.int32(1)
        return Picked(source, places - self._edges[source])

    def _mixture(self, turns: Turns, epoch: int, first: int, count: int) -> Picked:
        """From orders of every source, by turns."""
        first += epoch * self.samples
        if first + count * self.world_size >= FAR:
            raise PositionError(f"epoch {epoch} of {self.samples} samples lies past what 63 bits can count")
        source, place = turns.at(first, self.world_size, count)
        if self.shuffle:
            _permute(source, place, self.sizes, self._seeds, place)
        else:
            place %= np.array(self.sizes, np.int64)[source]
        return Picked(source, place)

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(self.sizes, np.int64))])

    @cached_property
    def _seeds(self) -> NDArray[np.uint64]:
        """Of the order of each source; of all, without weights."""
        many = 1 if self._turns is None else len(self.sizes)
        seeds: Any = np.random.SeedSequence(self.seed).generate_state(many, np.uint64)
        return seeds

    def state_dict(self, epoch: int, step: int) -> dict[str, Any]:
        """What `resume` takes, before batch ``step`` of an epoch: numbers, strings and lists only, fit for JSON.

        Every rank says the same. ``step`` counts batches that were delivered, not those made in advance.
        """
        epoch = checks.whole("epoch", epoch, 0, FAR)
        step = checks.whole("step", step, 0, self.steps(epoch))
        delivered = min(self._skip(epoch) + step * self.batch_size * self.world_size, self.samples)
        if self._over(delivered):
            epoch, delivered = epoch + 1, 0
        told = {"version": VERSION, "epoch": epoch, "delivered": delivered, "batch_size": self.batch_size}
        return told | {"world_size": self.world_size} | self._facts

    def _over(self, delivered: int) -> bool:
        """Whether no rank gets another batch after so many samples."""
        return self.samples - delivered < (self.batch_size * self.world_size if self.drop_last else 1)

    @cached_property
    def _facts(self) -> dict[str, Any]:
        """What the order of the samples depends on."""
        digests = [None if kept is None else hashlib.blake2b(kept.astype("<i8").tobytes(), digest_size=16).hexdigest()
                   for kept in self._keep]  # fmt: skip
        shares = None if self._turns is None else self._turns.shares.tolist()
        return {
            "seed": self.seed, "shuffle": self.shuffle, "sizes": list(self.sizes), "weights": shares,
            "epoch_size": self.samples, "keep": digests,
        }  # fmt: skip

    def resume(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Go on where another sampler was, of any batch size and world size.

        Parameters
        ----------
        state : mapping
            From `state_dict`.

        Returns
        -------
        epoch, step : int
            The batch to go on with. Samples come in the order they would have come in, none twice and none left out;
            if what was delivered fills no whole number of these batches, the batches of that epoch are cut anew from
            there on, and `steps` of it may be less by one. ``step`` is ``steps(epoch)`` where only other ranks have
            something left.

        Raises
        ------
        ArgumentError
            A state of other sizes, weights, seed and so on; the message says which.
        """
        if not isinstance(state, Mapping) or state.get("version") != VERSION:
            raise ArgumentError(f"state: expected what state_dict() of version {VERSION} gives, got {state!r:.200}")
        if absent := [name for name in ("epoch", "delivered", *self._facts) if name not in state]:
            raise ArgumentError(f"state: lacks {absent}; give what state_dict() returned")
        differing = [
            f"{name}={reprlib.repr(state[name])} (here {reprlib.repr(own)})"
            for name, own in self._facts.items() if state[name] != own
        ]  # fmt: skip
        if differing:
            raise ArgumentError(
                f"state: comes from a sampler with {', '.join(differing)}; make this one like it, or start anew"
            )
        epoch = checks.whole("state['epoch']", state["epoch"], 0, FAR)
        delivered = checks.whole("state['delivered']", state["delivered"], 0, self.samples)
        if delivered and self._over(delivered):
            epoch, delivered = epoch + 1, 0
        step, skip = divmod(delivered, self.batch_size * self.world_size)
        self.skipped = (epoch, skip)
        return epoch, step


def _permute(source: Any, count: Any, sizes: Sequence[int], seeds: Any, item: Any) -> None:
    from ..cpu._shuffle import permute

    permute(source, count, np.array(sizes, np.int64), seeds, item)


def _turns(weights: Sequence[float], sizes: Sequence[int]) -> Turns:
    if len(weights) != len(sizes):
        raise ShapeError(f"weights has {len(weights)} entries for {len(sizes)} sources; give one for each")
    turns = Turns(weights)
    if empty := [at for at, share in enumerate(turns.shares) if share and not sizes[at]]:
        raise ArgumentError(f"weights: source {empty[0]} has a share but no items; leave it out, or give it weight 0")
    return turns


__all__ = ["Picked", "Sampler"]
