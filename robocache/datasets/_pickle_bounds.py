"""Whether what a pickle made can be walked through by others."""

from typing import Any

import numpy as np

from ._pickle_values import UNBUILT, refuse

DEPTH = 48
CONTAINERS = (dict, list, tuple)


def _holds(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == object and value.size > 0
    return isinstance(value, CONTAINERS) and len(value) > 0


def _children(value: Any) -> Any:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, np.ndarray):
        return value.reshape(-1).tolist() if value.dtype == object else []
    return value if isinstance(value, list | tuple) else []


def measure(value: Any, most: int) -> None:
    """Refuse what a walk from ``value`` on would not come out of: cycles, great depth, much met again and again."""
    if isinstance(value, UNBUILT):
        refuse("a NumPy type or an unfinished array in place of values")
    sizes: dict[int, tuple[int, int]] = {}  # of containers: things met on a walk, levels
    path: set[int] = set()
    work: list[tuple[Any, bool]] = [(value, False)]
    while work:
        thing, whole = work.pop()
        inner = _children(thing)
        nested = [child for child in inner if _holds(child)]
        if whole:
            path.discard(id(thing))
            below = [sizes[id(child)] for child in nested if id(child) in sizes]
            met = 1 + len(inner) + sum(size for size, _ in below)
            sizes[id(thing)] = met, 1 + max((level for _, level in below), default=0)
            if sizes[id(thing)][0] > most or sizes[id(thing)][1] > DEPTH:
                refuse("its values are nested too deep, or share too much")
        elif id(thing) in path:
            refuse("it holds itself")
        elif len(inner) and id(thing) not in sizes:
            path.add(id(thing))
            if len(path) > DEPTH:
                refuse("its values are nested too deep")
            work.append((thing, True))
            work.extend((child, False) for child in nested)
            if any(isinstance(child, UNBUILT) for child in inner):
                refuse("a NumPy type or an unfinished array among the values")


__all__ = ["measure"]
