"""Plots as SVG text, the same bytes for the same figures: no dates, no random ids, no package needed."""

import math
from dataclasses import dataclass, field
from html import escape

COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#8d5a97", "#e08e0b", "#3d3d3d", "#00a6a6", "#a05c2c", "#c77dff", "#7a9e00")
WIDTH, HEIGHT = 790, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 40, 55


@dataclass
class Series:
    """Points with one name; joined by a line if they are samples of one curve."""

    name: str
    points: list[tuple[float, float]] = field(default_factory=list)
    joined: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows, its ends, and whether a decade is a step."""

    label: str
    low: float
    high: float
    log: bool = True

    def place(self, value: float) -> float:
        """From 0 to 1."""
        if self.log:
            span = math.log10(self.high) - math.log10(self.low)
            return (math.log10(max(value, self.low)) - math.log10(self.low)) / span
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Values to mark, and what to write there."""
        if not self.log:
            rough = (self.high - self.low) / 6
            unit = 10.0 ** math.floor(math.log10(rough))
            step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= rough)
            first, last = math.ceil(self.low / step), math.floor(self.high / step + 1e-9)
            return [(k * step, f"{k * step:.4g}") for k in range(first, last + 1)]
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [(10.0**k, _short(10.0**k)) for k in range(first, last + 1)]


def log_axis(label: str, values: list[float]) -> Axis:
    """Whole decades around the values."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Axis(label, 10.0**low, 10.0 ** max(high, low + 1))


def chart(title: str, x: Axis, y: Axis, series: list[Series], mark: tuple[float, str] | None = None) -> str:
    """The plot; ``mark`` is a horizontal line that means something."""
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
        *_grid(x, y),
    ]
    if mark:
        at = _down(y, mark[0])
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="#000" stroke-dasharray="6 4"/>')
        out.append(f'<text x="{WIDTH - RIGHT - 4}" y="{at - 4}" text-anchor="end">{escape(mark[1])}</text>')
    for number, one in enumerate(series):
        out += _draw(one, x, y, COLOURS[number % len(COLOURS)])
        top = TOP + 14 + 18 * number
        colour = COLOURS[number % len(COLOURS)]
        out.append(f'<circle cx="{WIDTH - RIGHT + 16}" cy="{top - 4}" r="4" fill="{colour}"/>')
        out.append(f'<text x="{WIDTH - RIGHT + 26}" y="{top}">{escape(one.name)}</text>')
    return "\n".join([*out, "</svg>", ""])


def _grid(x: Axis, y: Axis) -> list[str]:
    out, bottom = [], HEIGHT - BOTTOM
    for value, text in x.ticks():
        at = _across(x, value)
        out.append(f'<line x1="{at}" x2="{at}" y1="{TOP}" y2="{bottom}" stroke="#ddd"/>')
        out.append(f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for value, text in y.ticks():
        at = _down(y, value)
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{text}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x.label)}</text>')
    turn = f"rotate(-90 16 {(TOP + bottom) / 2})"
    out.append(
        f'<text x="16" y="{(TOP + bottom) / 2}" text-anchor="middle" transform="{turn}">{escape(y.label)}</text>'
    )
    return out


def _draw(one: Series, x: Axis, y: Axis, colour: str) -> list[str]:
    places = [(_across(x, a), _down(y, b)) for a, b in sorted(one.points)]
    out = [f'<circle cx="{a}" cy="{b}" r="3.5" fill="{colour}" fill-opacity="0.75"/>' for a, b in places]
    if one.joined and len(places) > 1:
        path = " ".join(f"{a},{b}" for a, b in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    return out


def _across(x: Axis, value: float) -> float:
    return round(LEFT + x.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _down(y: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"
