"""Facts in words, the same in a terminal, in a figure and on a page."""

from datetime import UTC, datetime
from typing import Any

SINCE_1970 = (10**18, 4 * 10**18)  # nanoseconds from 2001 to 2096: stamps within are taken for dates
PREFIXES = ((10**9, "s"), (10**6, "ms"), (10**3, "us"), (1, "ns"))


def printable(text: str) -> str:
    """Text from a file for a terminal or a figure: one line, and what would steer a terminal is spelled out."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def moment(nanoseconds: int | None) -> str:
    """A date where it is one, else seconds."""
    if nanoseconds is None:
        return "-"
    if SINCE_1970[0] <= nanoseconds < SINCE_1970[1]:
        return datetime.fromtimestamp(nanoseconds // 10**9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{nanoseconds / 1e9:.3f} s"


def duration(nanoseconds: int | None) -> str:
    """In the unit that suits it."""
    if nanoseconds is None:
        return "-"
    size, unit = next((pair for pair in PREFIXES if abs(nanoseconds) >= pair[0]), PREFIXES[-1])
    return f"{nanoseconds / size:.4g} {unit}"


def octets(count: int) -> str:
    """Bytes in the unit that suits them."""
    size, unit = next(((s, u) for s, u in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")) if count >= s), (1, "bytes"))
    return f"{count / size:.4g} {unit}"


def shape(given: Any) -> str:
    """Of a sample; question marks where it differs."""
    return "x".join("?" if n is None else str(n) for n in given) or "scalar"


def clock(one: dict[str, Any]) -> str:
    """Whose stamps a stream of `robocache info` has; of the index clock the declared rate, and who declared it."""
    if one["clock"] is None:
        return "in none of them"
    if one["measured"]:
        return str(one["clock"])
    rate = one["declared_hz"]
    if rate is None:
        return f"{one['clock']}, no known rate"
    told = "/".join(f"{hertz:g}" for hertz in (rate if isinstance(rate, list) else [rate]))
    return f"{one['clock']}, {told} Hz ({one['declared_hz_origin']})"


def cut(name: str, most: int) -> str:
    """A name, without its middle if it is long: the end tells streams apart."""
    return name if len(name) <= most else name[: most // 3] + "…" + name[len(name) - (most - most // 3 - 1) :]


def counted(count: int, thing: str) -> str:
    """A number and its noun."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


__all__ = ["clock", "counted", "cut", "duration", "moment", "octets", "printable", "shape"]
