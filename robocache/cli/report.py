"""What every subcommand returns: text for a person, fields for a program, and whether all went well."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass
class Report:
    """Outcome of a subcommand; ``main`` prints the text or the fields and turns ``ok`` into the exit status."""

    ok: bool
    fields: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    status: int = 1  # of a run that is not ok


@dataclass(frozen=True)
class Finding:
    """One thing looked at: ``level`` is ok, warn (works, but look) or fail (broken); ``remedy`` is what to do."""

    topic: str
    level: str
    text: str
    remedy: str = ""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns padded to their widest cell."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def first_line(error: BaseException) -> str:
    """What an error says, without the essay that follows."""
    lines = [line.strip(" =") for line in str(error).splitlines() if line.strip(" =")]
    return lines[0] if lines else type(error).__name__
