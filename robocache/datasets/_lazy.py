"""A mapping whose values are made when they are asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Lazy(Mapping[str, Any]):
    """Values by name, some of them functions that make the value; each is called once, when it is wanted.

    Parameters
    ----------
    known : mapping
        Values that are there.
    made : mapping of str to function
        Or a function that returns one, for names that are not known yet.
    """

    def __init__(self, known: Mapping[str, Any], made: Mapping[str, Callable[[], Any]]) -> None:
        self._known, self._made = dict(known), dict(made)

    def __getitem__(self, name: str) -> Any:
        if name not in self._known and name in self._made:
            self._known[name] = self._made[name]()
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **self._made})

    def __len__(self) -> int:
        return len({**self._known, **self._made})

    def __repr__(self) -> str:
        return f"Lazy({', '.join(self)})"


__all__ = ["Lazy"]
