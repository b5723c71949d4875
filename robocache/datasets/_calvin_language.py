"""What CALVIN's annotators said, as spans of the episodes."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._faults import fault
from ._npz import read_pickled_npy
from .facts import Finding, Span

SOURCE = "lang_annotations"


class Window(NamedTuple):
    """An annotation: first and last frame, what was said, and the position in the file."""

    first: int
    last: int
    text: str
    task: str | None
    row: int


class Windows:
    """The annotations of one split, read when the first is wanted."""

    def __init__(self, find: Callable[[], Path | None], bounds: NDArray[np.int64]) -> None:
        self._find, self._bounds = find, bounds

    @cached_property
    def path(self) -> Path | None:
        """The file, if there is one."""
        return self._find()

    @cached_property
    def _content(self) -> Any:
        if self.path is None:
            return {}
        value = read_pickled_npy(self.path)
        if not isinstance(value, dict):
            raise fault(f"holds a {type(value).__name__}, expected a dict", file=self.path)
        return value

    @cached_property
    def all(self) -> list[Window]:
        """Every annotation, in the order of the file."""
        if not self._content:
            return []
        language, info = (self._content.get(key) for key in ("language", "info"))
        if not isinstance(language, dict) or not isinstance(info, dict):
            raise fault("has no 'language' and 'info'", file=self.path)
        texts, tasks, where = _list(language.get("ann")), _list(language.get("task", [])), _list(info.get("indx"))
        if texts is None or tasks is None or where is None or len(where) != len(texts):
            raise fault("does not hold as many texts as windows", file=self.path, key="ann")
        if tasks and len(tasks) != len(texts):
            raise fault("does not hold as many tasks as texts", file=self.path, key="task")
        found = []
        for row, (text, window) in enumerate(zip(texts, where, strict=True)):
            pair = _list(window)
            if not isinstance(text, str) or pair is None or len(pair) != 2 or not all(map(_whole, pair)):
                raise fault(f"annotation {row} is no text with a first and a last frame", file=self.path, key="indx")
            task = tasks[row] if tasks else None
            found.append(Window(int(pair[0]), int(pair[1]), text, task if isinstance(task, str) else None, row))
        return found

    @cached_property
    def _by_episode(self) -> tuple[dict[int, list[Window]], list[Window]]:
        starts, stops = self._bounds[:, 0], self._bounds[:, 1]
        order = np.argsort(starts, kind="stable")
        inside: dict[int, list[Window]] = {}
        outside = []
        for window in self.all:
            if not 0 <= window.first <= window.last < 1 << 62:
                outside.append(window)
                continue
            at = int(np.searchsorted(starts[order], window.first, side="right")) - 1
            if at < 0 or window.last > int(stops[order[at]]):
                outside.append(window)
            else:
                inside.setdefault(int(order[at]), []).append(window)
        return inside, outside

    def of(self, episode: int) -> list[Window]:
        """Those of an episode."""
        return self._by_episode[0].get(episode, [])

    def spans(self, episode: int) -> list[Span]:
        """Those of an episode, counted from its first frame; the last frame belongs to the window."""
        first = int(self._bounds[episode, 0])
        return [Span(w.first - first, w.last - first + 1, w.text, w.task, SOURCE) for w in self.of(episode)]

    def embeddings(self, episode: int) -> Any:
        """Rows of ``emb`` for the spans of an episode, or None."""
        language = self._content.get("language")
        rows = language.get("emb") if isinstance(language, dict) else None
        if rows is None:
            return None
        rows = rows if isinstance(rows, np.ndarray) else _stacked(rows)
        if rows is None or rows.dtype.kind != "f" or rows.ndim < 1 or len(rows) != len(self.all):
            raise fault("does not hold as many embeddings as texts", file=self.path, key="emb")
        return rows[[window.row for window in self.of(episode)]]

    def findings(self) -> list[Finding]:
        """Windows that lie in no episode."""
        told = []
        for window in self._by_episode[1]:
            message = f"annotation {window.row} is of frames {window.first} to {window.last}, which no episode holds"
            told.append(Finding("error", message, str(self.path), None, "indx"))
        return told


def _list(value: Any) -> Sequence[Any] | None:
    if isinstance(value, np.ndarray) and value.ndim >= 1:
        return value.tolist() if value.ndim == 1 else list(value)
    return value if isinstance(value, list | tuple) else None


def _whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and abs(int(value)) < 1 << 62


def _stacked(rows: Any) -> Any:
    good = isinstance(rows, list) and rows and all(isinstance(row, np.ndarray) for row in rows)
    if not good or len({(row.shape, row.dtype) for row in rows}) != 1:
        return None
    return np.stack(rows)


__all__ = ["SOURCE", "Windows"]
