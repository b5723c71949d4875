"""Plots as SVG in HTML: readable without a script, and value by value with the one of the page."""

import json
from collections.abc import Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any

import numpy as np

from .wording import printable

WIDTH, HEIGHT = 480, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 8, 40
X_TICKS, Y_TICKS = 6, 5
HUGE = 1e300  # differences of larger numbers may be more than floats hold


def text(value: Any) -> str:
    """Anything as HTML, on one line; nothing in it is markup."""
    return escape(printable(str(value)))


def number(value: float) -> str:
    """Five digits of it."""
    return f"{value:.5g}" if isfinite(value) else "-"


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within, up to ``most`` of them, steps of 1, 2 or 5 times a power of ten."""
    step = (high - low) / most
    size = 10.0 ** floor(log10(step))
    step = next(size * k for k in (1, 2, 5, 10) if size * k >= step * (1 - 1e-9))
    return [k * step for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def plot(
    title: str, note: str, x: Any, ys: Any, labels: Sequence[str], x_label: str, *, bins: Any = None,
    whole: bool = False,
) -> str:  # fmt: skip
    """A figure of lines over x.

    Parameters
    ----------
    title, note : str
    x : array (n,)
    ys : array (n, series)
        Where one is not finite, or past 1e300, the line is broken.
    labels : sequence of str
        Of the series; one that is empty has no key.
    x_label : str
    bins : array (n + 1,), optional
        Edges: y is a count from one to the next, and ``x`` their middles.
    whole : bool
        Name whole numbers alone on the axis of x.

    Returns
    -------
    str
        HTML; the script of the page makes the keys and the slider work.
    """
    x, ys = np.asarray(x, np.float64), np.asarray(ys, np.float64)
    known = np.abs(ys) < HUGE
    across = x if bins is None else np.asarray(bins)
    left, right = _room(float(across.min()), float(across.max()))
    low, high = _room(float(ys[known].min()), float(ys[known].max())) if known.any() else (0.0, 1.0)
    low = low if bins is None else 0.0
    px = LEFT + (across - left) / (right - left) * (WIDTH - LEFT - RIGHT)
    py = TOP + (high - np.where(known, ys, np.nan)) / (high - low) * (HEIGHT - TOP - BOTTOM)
    draw = _line if bins is None else _bars
    series = [f'<g class="f{k}" data-series="{k}"><path d="{draw(px, py[:, k])}"/></g>' for k in range(ys.shape[1])]
    keys = "".join(
        f'<button type="button" class="f{k}" aria-pressed="true" data-key="{k}">{text(label)}</button>'
        for k, label in enumerate(labels)
        if label
    )
    keys = f'<div class="keys" role="group" aria-label="{text(title)}: show or hide">{keys}</div>' if keys else ""
    middles = px if bins is None else (px[:-1] + px[1:]) / 2
    data = {"px": np.round(middles, 1).tolist(), "x": [number(v) for v in x], "label": printable(x_label),
            "names": list(map(printable, labels)), "series": [[number(v) for v in row] for row in ys.T]}  # fmt: skip
    held = json.dumps(data).replace("<", "\\u003c")  # no text can end the script
    said = f"{title}: from {number(low)} to {number(high)}, {x_label} from {number(left)} to {number(right)}"
    return (
        f'<figure class="plot"><figcaption>{text(title)} <span class="note">{text(note)}</span></figcaption>{keys}'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(said)}">'
        f"{_axes(left, right, low, high, x_label, whole)}"
        f'<g class="{"lines" if bins is None else "bars"}">{"".join(series)}</g>'
        f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="-9" x2="-9"/></svg>'
        f'<label class="reader">Read values <input type="range" min="0" max="{len(x) - 1}" value="0" '
        f'aria-label="{text(title)}: position"></label><output></output>'
        f'<script type="application/json">{held}</script></figure>'
    )


def _room(low: float, high: float) -> tuple[float, float]:
    """A range that is not empty."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    wide = max(abs(low), abs(high)) * 0.1 or 0.5
    return low - wide, high + wide


def _axes(left: float, right: float, low: float, high: float, x_label: str, whole: bool) -> str:
    floor_y, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{floor_y}H{end}"/>']
    for tick in ticks(left, right, X_TICKS):
        if whole and tick != round(tick):
            continue
        at = LEFT + (tick - left) / (right - left) * (end - LEFT)
        parts.append(f'<text class="x" x="{at:.1f}" y="{floor_y + 15}">{number(tick)}</text>')
    for tick in ticks(low, high, Y_TICKS):
        at = TOP + (high - tick) / (high - low) * (floor_y - TOP)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{end}"/>')
        parts.append(f'<text class="y" x="{LEFT - 6}" y="{at + 4:.1f}">{number(tick)}</text>')
    parts.append(f'<text class="x" x="{(LEFT + end) / 2}" y="{HEIGHT - 6}">{text(x_label)}</text>')
    return "".join(parts)


def _line(px: Any, py: Any) -> str:
    """A sample that has no neighbour is a dot."""
    parts = []
    there = np.isfinite(py)
    for k in np.flatnonzero(there).tolist():
        begins, ends = k == 0 or not there[k - 1], k + 1 == len(py) or not there[k + 1]
        parts.append(f"{'M' if begins else 'L'}{px[k]:.1f} {py[k]:.1f}{'h.1' if begins and ends else ''}")
    return "".join(parts)


def _bars(px: Any, py: Any) -> str:
    """Closed along the ground, so that it can be filled."""
    ground = HEIGHT - BOTTOM
    steps = [f"V{y:.1f}H{end:.1f}" for end, y in zip(px[1:], py, strict=True)]
    return f"M{px[0]:.1f} {ground}{''.join(steps)}V{ground}Z"


__all__ = ["number", "plot", "text", "ticks"]
