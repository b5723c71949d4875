"""A store as a source, with what was said of its steps beside its streams."""

from types import MappingProxyType
from typing import Any

from .._core.errors import ArgumentError
from ..datasets._faults import fault
from ..store import Store
from ._dataset import LANGUAGE, SAID, said_at
from ._rows import by_episode, checked
from .fields import spoken


class StoreSource:
    """What a store holds, as it reads it itself, and text.

    Parameters
    ----------
    store : Store

    Attributes
    ----------
    streams : mapping of str to StreamSpec
        Those of the store, and ``"language"``, of text, unless a stream is called so.
    """

    def __init__(self, store: Store) -> None:
        self.name, self.fingerprint, self.rate, self.offsets = store.name, store.fingerprint, store.rate, store.offsets
        self.streams = MappingProxyType({LANGUAGE: SAID} | dict(store.streams))
        self.gather, self.encoded, self.valid = store.gather, store.encoded, store.valid
        self.episode, self.close = store.episode, store.close
        self._store = store

    def texts(self, name: str, rows: Any) -> list[str]:
        """Text at global steps: what a stream holds, or of "language" the last instruction that holds there, or ""."""
        spec = self.streams.get(name)
        if spec is None or not spoken(spec):
            raise ArgumentError(f"{name}: its samples are numbers or pictures; use gather or encoded")
        rows = checked(rows, self.offsets, flat=True)
        if spec is not SAID:
            return [
                self._read(name, row, data) for row, data in zip(rows, self._store.encoded(name, rows), strict=True)
            ]
        found = [""] * rows.size
        for share in by_episode(rows, self.offsets):
            said = said_at(self._store.language(share.episode), share.steps)
            for place, which in zip(share.place.tolist(), share.which.tolist(), strict=True):
                found[place] = said[which]
        return found

    def _read(self, name: str, row: Any, data: Any) -> str:
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise fault(f"step {row} of the store is no text: {error}", file=self._store.path, key=name) from None

    def __reduce__(self) -> Any:
        return StoreSource, (self._store,)


__all__ = ["StoreSource"]
