"""Order in stamps: what is missing, falls, repeats or is reset, and what remains of them."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import DataError
from . import _stamps


class Rules(NamedTuple):
    """What is done about each fault."""

    order: str
    duplicates: str
    nonfinite: str
    resets: str
    max_gap: Any


@dataclass(frozen=True, eq=False)
class TimesReport:
    """What `sanitize_times` found. Positions are those in the array that was given, as NumPy arrays of int64.

    Parameters
    ----------
    samples, kept : int
        Stamps given, and stamps left.
    nonfinite : array
        Positions of NaN, Inf and NaT.
    disordered : array
        Positions of stamps below one before them in their row.
    duplicates : array
        Positions of stamps that repeat one in their row: all but the first of each (all but the last with
        ``duplicates="last"``), among those that were left by then.
    resets : array
        Positions at which the clock starts anew.
    gaps : array
        Positions of stamps further than ``max_gap`` from the one before, after cleaning.
    rows : array
        Rows that hold any of these but gaps.
    period : int, float or None
        Median difference of neighbours that are not equal, after cleaning, in the unit of the stamps. None if there are
        no two.
    jitter : int, float or None
        Median distance of those differences from the period.
    largest_gap : int, float or None
        The largest of them.
    """

    samples: int
    kept: int
    nonfinite: np.ndarray = field(repr=False)
    disordered: np.ndarray = field(repr=False)
    duplicates: np.ndarray = field(repr=False)
    resets: np.ndarray = field(repr=False)
    gaps: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    period: Any
    jitter: Any
    largest_gap: Any

    @property
    def clean(self) -> bool:
        """Whether nothing but gaps was found."""
        return not len(self.rows)

    def __str__(self) -> str:
        found = ("nonfinite", "disordered", "duplicates", "resets", "gaps")
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in found)
        return (
            f"{self.kept} of {self.samples} stamps kept: {counts}; "
            f"period {self.period}, jitter {self.jitter}, largest gap {self.largest_gap}"
        )


@dataclass(frozen=True, eq=False)
class CleanTimes:
    """Stamps in order, as `sanitize_times` leaves them.

    Parameters
    ----------
    times : array, shape (kept,)
        In the type, framework and device of the times given.
    index : array of int64, shape (kept,)
        Which samples these are: ``values[index]`` are their values, of whatever array.
    offsets : array of int64, shape (row + 1,), or None
        Where each row begins; None if there is one row and no offsets were given.
    values : array or None
        ``values[index]``, if values were given.
    report : TimesReport
        What was found.
    """

    times: Any
    index: Any
    offsets: Any
    values: Any
    report: TimesReport


class Ordered(NamedTuple):
    """Which samples remain, in their order; where the rows they make begin; and what was found."""

    index: Any
    edges: Any
    report: TimesReport


def ordered(times: Any, edges: np.ndarray, rules: Rules, xp: Any) -> Ordered:
    """Clean ``[n]`` stamps of packed rows. # synchronizes"""
    index = xp.arange(times.size)
    row = xp.searchsorted(xp.asarray(edges), index, side="right") - 1 if len(edges) > 2 else xp.zeros_like(index)
    gone = _stamps.missing(times, xp)
    nonfinite = _positions(gone, index, xp)
    if nonfinite.size:
        _refuse(rules.nonfinite, nonfinite, edges, "missing (NaN, Inf or NaT)", "give nonfinite='drop'")
        index = index[~gone]

    resets = _positions(_anew(times[index], row[index], xp), index, xp)
    rows = len(edges) - 1
    if resets.size:
        remedy = "give resets='split', which makes rows of the parts, or resets='ignore' if it is disorder"
        _refuse(rules.resets, resets, edges, "far below the one before: the clock was reset", remedy)
        if rules.resets == "split":
            begins = xp.zeros(times.size, np.int64)
            begins[xp.asarray(resets)] = 1
            row, rows = row + xp.cumsum(begins), rows + len(resets)

    late = _late(times[index], row[index], xp)
    disordered = _positions(late, index, xp)
    if disordered.size:
        _refuse(rules.order, disordered, edges, "lower than one before", "give order='sort' or 'drop'")
        if rules.order == "drop":
            index = index[~late]
        else:
            index = index[xp.argsort(times[index], kind="stable")]
            index = index[xp.argsort(row[index], kind="stable")]

    again = _repeats(times[index], row[index], rules.duplicates == "last", xp)
    duplicates = _positions(again, index, xp)
    if duplicates.size:
        _refuse(rules.duplicates, duplicates, edges, "equal to another", "give duplicates='first', 'last' or 'keep'")
        if rules.duplicates in ("first", "last"):
            index = index[~again]

    disordered, duplicates = np.sort(disordered), np.sort(duplicates)
    found = np.concatenate([nonfinite, disordered, duplicates, resets])
    touched = np.unique(np.searchsorted(edges, found, side="right") - 1)
    gaps, period, jitter, largest = _spacing(times[index], row[index], index, rules.max_gap, xp)
    report = TimesReport(
        times.size, index.size, nonfinite, disordered, duplicates, resets, gaps, touched, period, jitter, largest
    )
    return Ordered(index, xp.searchsorted(row[index], xp.arange(rows + 1)), report)


def _positions(mask: Any, index: Any, xp: Any) -> np.ndarray:
    """Positions in the input of the samples in a mask, on the host. # synchronizes"""
    return _stamps.host(index[xp.nonzero(mask)[0]])


def _refuse(rule: str, positions: np.ndarray, edges: np.ndarray, what: str, remedy: str) -> None:
    if rule == "raise":
        first = int(positions.min())
        row = int(np.searchsorted(edges, first, side="right")) - 1
        raise DataError(f"{len(positions)} of times are {what}, first times[{first}] in row {row}; {remedy}")


def _anew(t: Any, row: Any, xp: Any) -> Any:
    """Where the clock was reset: a long way down from both stamps before, and the next one stays below as well.

    One stamp that came late is followed by higher ones, and one that was too high by a fall to above those before it.
    """
    mask = xp.zeros(t.size, np.bool_)
    if t.size < 2:
        return mask
    inside = row[1:] == row[:-1]
    up = inside & (t[1:] > t[:-1])
    period = _stamps.middle(_stamps.steps(t[1:], t[:-1])[up], xp) or 0
    down = _stamps.steps(t[:-1], t[1:])
    mask[1:] = inside & (t[1:] < t[:-1]) & (down > down.dtype.type(min(_stamps.FAR * period, 2**63)))
    stays = (row[2:] != row[:-2]) | (t[2:] < t[:-2])
    mask[2:] &= stays
    mask[1:-1] &= stays
    return mask


def _late(t: Any, row: Any, xp: Any) -> Any:
    """Where a stamp is below one before it in its row."""
    if not bool(((row[1:] == row[:-1]) & (t[1:] < t[:-1])).any()):  # synchronizes
        return xp.zeros(t.size, np.bool_)
    highest, reach = t.copy(), 1
    while reach < t.size:  # CuPy accumulates no maximum; after each pass a stamp knows twice as many before it
        inside = row[reach:] == row[:-reach]
        highest[reach:] = xp.where(inside, xp.maximum(highest[reach:], highest[:-reach]), highest[reach:])
        reach *= 2
    return t < highest


def _repeats(t: Any, row: Any, last: bool, xp: Any) -> Any:
    """Where a stamp of a sorted row repeats the one before, or with ``last`` the one after."""
    mask = xp.zeros(t.size, np.bool_)
    mask[slice(None, -1) if last else slice(1, None)] = (t[1:] == t[:-1]) & (row[1:] == row[:-1])
    return mask


def _spacing(t: Any, row: Any, index: Any, max_gap: Any, xp: Any) -> tuple[np.ndarray, Any, Any, Any]:
    """Positions after a gap; period, jitter and the largest gap."""
    apart = (row[1:] == row[:-1]) & (t[1:] > t[:-1])
    gaps, after = _stamps.steps(t[1:], t[:-1])[apart], index[1:][apart]
    period = _stamps.middle(gaps, xp)
    if period is None:
        return np.zeros(0, np.int64), None, None, None
    number = gaps.dtype.type  # a difference of int64 may need all 64 bits
    limit = number(min(_stamps.FAR * period, 2**63) if max_gap is None else max_gap)
    off = xp.where(gaps > number(period), gaps - number(period), number(period) - gaps)
    return np.sort(_positions(gaps > limit, after, xp)), period, _stamps.middle(off, xp), gaps.max().item()
