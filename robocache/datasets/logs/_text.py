"""Text files, plain or gzipped, read within bounds; what their first lines say of the rest."""

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .._faults import fault, faults
from ._stamps import NUMBER

HEAD_BYTES, HEAD_ROWS = 1 << 16, 200
COLUMNS = 4096
PIECE = 1 << 20  # bytes that are read at once
SPECIAL = re.compile(r"[+-]?(nan|inf|infinity)$", re.IGNORECASE)


def read(path: Path, most: int, *, all: bool = True) -> bytes:
    """The bytes of a file, inflated if it ends in ``.gz``; more than ``most`` of them are an error, or left unread."""
    wanted, parts, found = most + 1 if all else most, [], 0
    kinds = OSError, EOFError, zlib.error, ValueError
    with faults(*kinds, file=path), gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        while part := file.read(min(PIECE, wanted - found)):  # all at once would set `most` aside
            parts.append(part)
            found += len(part)
    if all and found > most:
        raise fault(f"holds more than {most} bytes of text; say max_bytes= if it is what you want", file=path)
    return b"".join(parts)


def is_number(cell: str) -> bool:
    """Whether a cell is a number as these files spell them."""
    return NUMBER.match(cell) is not None or SPECIAL.match(cell) is not None


def rows_of(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are neither empty nor a comment, counted from one."""
    for number, line in enumerate(text.split("\n"), 1):
        start = line.lstrip()
        if start and start[0] not in "#%":
            yield number, line.rstrip("\r")


def cells_of(line: str, delimiter: str | None) -> list[str]:
    """The cells of a line; None splits at white space."""
    if delimiter is None:
        return line.split()
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    return [cell.strip() for cell in line.split(delimiter)]


class Head(NamedTuple):
    """What the first lines say."""

    delimiter: str | None
    names: tuple[str, ...] | None
    kinds: tuple[str, ...]  # of each column: "number", "text", or "blank" as far as was seen
    first: tuple[str, ...]  # cells of the first row
    skip: int  # rows that are a header


def head_of(path: Path, most: int) -> Head:
    """Look at the first lines of a file."""
    with faults(UnicodeDecodeError, file=path, doing="is no text"):
        raw = read(path, min(HEAD_BYTES, most), all=False)
        cut = len(raw) == HEAD_BYTES
        text = (raw[: raw.rfind(b"\n") + 1] if cut else raw).decode("utf-8-sig")
    rows = [row for row, _ in zip(rows_of(text), range(HEAD_ROWS + 1), strict=False)]
    if not rows:
        raise fault("has no rows", file=path)
    delimiter = _delimiter([line for _, line in rows])
    with faults(csv.Error, file=path):
        return _looked_at(path, text, rows, delimiter)


def _looked_at(path: Path, text: str, rows: list[tuple[int, str]], delimiter: str | None) -> Head:
    comments = [line.strip().lstrip("#% ") for line in text.split("\n", rows[0][0])[: rows[0][0] - 1]]
    return described([(number, cells_of(line, delimiter)) for number, line in rows], delimiter, comments, path)


def _delimiter(lines: Sequence[str]) -> str | None:
    for mark in (",", ";"):
        if mark in lines[0]:
            return mark
    spaced = [cell for cell in lines[0].strip().split("\t") if " " in cell.strip()]
    return "\t" if "\t" in lines[0].strip() and spaced else None


def described(
    rows: Sequence[tuple[int, list[str]]],
    delimiter: str | None,
    comments: Sequence[str],
    path: Path,
    mixed: bool = False,
) -> Head:
    """What rows of cells say of their columns; see `kind_of` for ``mixed``."""
    top = rows[0][1]
    names: tuple[str, ...] | None = None
    if not any(is_number(cell) for cell in top) and all(top[:-1]):
        names, rows = tuple(top), rows[1:]
    elif comments and len(told := cells_of(comments[-1], delimiter)) == len(top):
        names = tuple(told)
    if not rows:
        raise fault("has a header and no rows", file=path)
    skip, width = int(names == tuple(top)), len(rows[0][1])
    if width > COLUMNS:
        raise fault(f"has {width} columns", file=path)
    for number, cells in rows:
        if len(cells) != (len(names) if names else width):
            raise fault(f"line {number} has {len(cells)} columns, expected {len(names or top)}", file=path)
    columns = [[cells[k] for _, cells in rows] for k in range(width)]
    return Head(delimiter, names, tuple(kind_of(column, mixed) for column in columns), tuple(rows[0][1]), skip)


def kind_of(column: Sequence[str], mixed: bool = False) -> str:
    """``"number"``, ``"text"`` or ``"blank"``.

    A column of numbers with a few other words is one of numbers that is damaged, unless it may be ``mixed``.
    """
    told = [is_number(cell) for cell in column if cell]
    few = mixed or sum(told) * 2 < len(told)
    return "blank" if not told else "text" if few and not all(told) else "number"


__all__ = ["HEAD_ROWS", "Head", "cells_of", "described", "head_of", "is_number", "kind_of", "read", "rows_of"]
