"""Reading one batch into memory. Called by several threads at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import DataError, MemoryLimitError, RoboCacheError
from ..datasets._faults import fault
from ._slices import joined
from .fields import Field
from .layout import Layout
from .sampler import Picked
from .selection import Selection

SKIPPED = (DataError, OSError, EOFError)  # what on_error="skip" passes over: bad or missing data, not mistakes


@dataclass(frozen=True)
class Skip:
    """A sample that was left out: its source, item and episode there, the stream that failed, and what was said."""

    source: str
    item: int
    episode: str | int
    stream: str
    message: str


@dataclass(frozen=True)
class Filled:
    """What a batch that was read consists of, beside the memory it lies in."""

    source: NDArray[np.int32]
    item: NDArray[np.int64]
    episode: NDArray[np.int64]
    anchor: NDArray[np.int64]
    lead: dict[str, tuple[int, ...]]
    offsets: NDArray[np.int64] | None = None
    skipped: list[Skip] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)


class ReadError(Exception):
    """A stream of a source could not be read; the cause says why."""

    def __init__(self, source: int, stream: str) -> None:
        super().__init__(source, stream)
        self.source, self.stream = source, stream


class Filler:
    """Reads batches: which samples, from which sources, to which cells of the memory."""

    def __init__(self, sources: Sequence[Any], sampler: Any, items: Any, fields: Sequence[Field], layout: Layout, *,
                 finish: bool, skip: bool) -> None:  # fmt: skip
        self.sources, self.sampler, self._items = sources, sampler, items
        self._fields, self._layout = fields, layout
        self._finish, self._skip = finish, skip

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which needs nothing of what is done on a GPU."""
        fields = self._fields if self._finish else [replace(one, finish=None) for one in self._fields]
        return self.__dict__ | {"_fields": fields}

    def fill(self, memory: Any, epoch: int, step: int) -> Filled:
        """Read the batch of a step into memory.

        A sample that fails raises with its source, episode and stream, or is left out if that was asked for.
        """
        picked = self.sampler.batch(epoch, step)
        try:
            return self._read(memory, picked)
        except ReadError as error:
            good, skipped = self._one_by_one(memory, picked, error)
        if not good:
            empty = np.zeros(0, np.int64)
            return Filled(picked.source[:0], empty, empty, empty, {}, None, skipped)
        try:
            return self._read(memory, Picked(picked.source[good], picked.item[good]), skipped)
        except ReadError as error:  # each can be read alone, but not all together
            raise self._placed(error) from error.__cause__

    def _read(self, memory: Any, picked: Picked, skipped: Sequence[Skip] = ()) -> Filled:
        found, texts = self._items.select(picked), {}
        lead = dict(found.lead)
        for one in self._fields:
            if one.text:
                texts[one.key] = self._said(one, picked, found)
                continue
            if one.made:
                self._layout.values[one.key].view(memory, lead)[...] = found.made[one.key]
                continue
            valid = self._layout.masks[one.key].view(memory, lead)
            valid[...] = found.valid[one.role]
            if one.resampling is not None:
                lead |= self._around(one, memory, found)
                continue
            values = self._layout.values[one.key].view(memory, lead)
            for number, where in found.parts:
                self._part(one, number, found, where[one.role], values, valid)
        return Filled(picked.source, picked.item, found.episode, found.anchor, lead, found.offsets,
                      list(skipped), texts)  # fmt: skip

    def _around(self, one: Field, memory: Any, found: Selection) -> dict[str, tuple[int, ...]]:
        """The samples that a stream will be resampled from, in their cells; how many there are."""
        parts, places = [], []
        for number, where in found.parts:
            at = where[one.role]
            steps = found.index[one.role][at]
            try:
                lines = steps if steps.ndim == 2 else steps[:, None]  # flat steps are of several episodes
                part = self.sources[number].slices(one.stream, lines)
                if one.resampling is not None and len(part.times) > steps.size * one.resampling.most:
                    raise DataError("there are more samples of one time than when the source was made; make it anew")
            except Exception as error:
                raise ReadError(number, one.stream) from error
            parts.append(part)
            places.append(at)
        lead = {}
        for cell, array in zip(self._layout.packed[one.key], joined(parts, places), strict=True):
            lead[cell.role] = array.shape[: array.ndim - len(cell.shape)]
            cell.view(memory, lead)[...] = array
        return lead

    def _said(self, one: Field, picked: Picked, found: Selection) -> list[str]:
        """The text of every sample, at its anchor."""
        said = [""] * len(picked.item)
        for number, _ in found.parts:
            at = np.flatnonzero(picked.source == number)
            try:
                texts = self.sources[number].texts(one.stream, found.anchor[at])
                for place, text in zip(at.tolist(), texts, strict=True):
                    said[place] = text
            except Exception as error:
                raise ReadError(number, one.stream) from error
        return said

    def _part(self, one: Field, number: int, found: Selection, at: Any, values: Any, valid: Any) -> None:
        """What one source has of one stream."""
        source, rows = self.sources[number], found.index[one.role][at]
        whole = isinstance(at, slice)
        target = values if whole else np.empty((*rows.shape, *values.shape[rows.ndim :]), values.dtype)
        try:
            if self._finish and one.finish is not None:
                raw = np.empty((*rows.shape, *one.shape), one.dtype)
                self._samples(one, source, rows, raw)
                one.finish(raw, target)
            else:
                self._samples(one, source, rows, target)
            marks = source.valid(one.stream, rows)  # in the thread that has just read them: some sources remember
        except Exception as error:
            raise ReadError(number, one.stream) from error
        if marks is not None:
            valid[at] &= marks
        if not whole:
            values[at] = target

    def _samples(self, one: Field, source: Any, rows: Any, out: Any) -> None:
        if one.pictures is None:
            source.gather(one.stream, rows, out=out)
            return
        codec = source.streams[one.stream].codec
        flat = rows.reshape(-1)
        pictures = out.reshape(-1, *one.shape)
        # Padding repeats steps, and so do windows that overlap: each picture is decoded once.
        distinct, first, back = np.unique(flat, return_index=True, return_inverse=True)
        stored = source.gather(one.stream, distinct) if codec is None else source.encoded(one.stream, distinct)
        for data, place in zip(stored, first, strict=True):
            one.pictures.place(data, codec, pictures[place])
        again = np.flatnonzero(first[back] != np.arange(flat.size))
        if again.size:
            pictures[again] = pictures[first[back[again]]]

    def _one_by_one(self, memory: Any, picked: Picked, whole: ReadError) -> tuple[list[int], list[Skip]]:
        """Positions of the samples that can be read, and the others; raises the first unless those are skipped."""
        if isinstance(whole.__cause__, (MemoryError, ImportError)):
            raise self._placed(whole) from whole.__cause__
        good, skipped = [], []
        for i in range(len(picked.item)):
            sample = Picked(picked.source[i : i + 1], picked.item[i : i + 1])
            try:
                self._read(memory, sample)
            except ReadError as error:
                episode = self._episode(sample)
                if not self._skip or not isinstance(error.__cause__, SKIPPED):
                    raise self._placed(error, episode) from error.__cause__
                name = self.sources[error.source].name
                skipped.append(Skip(name, int(sample.item[0]), episode, error.stream, str(error.__cause__)))
            else:
                good.append(i)
        if not skipped:
            raise self._placed(whole) from whole.__cause__
        return good, skipped

    def _episode(self, sample: Picked) -> str | int:
        number = int(self._items.select(sample).episode[0])
        name: str | int = self.sources[int(sample.source[0])].episode(number)
        return name

    def _placed(self, error: ReadError, episode: Any = None) -> Exception:
        """The error of the typed kind that says where it happened."""
        cause, source = error.__cause__, self.sources[error.source]
        said = f"{type(cause).__name__}: {cause}" if not isinstance(cause, RoboCacheError) else str(cause)
        made = fault(f"cannot be read: {said}", file=source.name, episode=episode, key=error.stream)
        if isinstance(cause, RoboCacheError) and not isinstance(cause, DataError):
            return type(cause)(str(made))
        return MemoryLimitError(str(made)) if isinstance(cause, MemoryError) else made


__all__ = ["Filled", "Filler", "Skip"]
