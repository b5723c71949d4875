"""A scene as a figure of matplotlib: one panel a stream, all on one time axis."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ..datasets._faults import missing
from .captions import about, footer, titles, zeros
from .panels import Panel
from .scenes import Scene
from .wording import counted, cut, printable

SUFFIXES = (".png", ".svg", ".pdf")
# Of Okabe and Ito, who chose colours that all kinds of sight tell apart; the yellow is too pale for lines on white.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
INK, GREY, MADE, SHADE, GAP = "#000000", "#5f5f5f", "#9a9a9a", "#e0e0e0", "#d55e00"
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 8, "axes.linewidth": 0.6, "xtick.labelsize": 8, "ytick.labelsize": 7,
    "axes.spines.top": False, "axes.spines.right": False, "text.parse_math": False, "svg.hashsalt": "robocache",
}  # fmt: skip
# Inches.
WIDTH, LEFT, RIGHT, HEAD, SAID, TITLE = 11.0, 0.95, 1.75, 0.45, 0.2, 0.36
AXIS, KEYS, LINE = 0.5, 0.3, 0.16  # below the last panel: time, legend, and each line of the footer
TALL, LOW, STRIP = 1.15, 0.5, 1.0
RUG = 0.16  # of a panel's height, for stamps and gaps
HUGE = 1e300  # differences of larger numbers may be more than floats hold
LETTER, SMALL, BOLD = 0.068, 0.062, 0.092  # the widths of letters: of texts, of notes and of names
DENSE = 2_000  # points of a line from which on it is pixels in a vector file


def draw(scene: Scene) -> Any:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene

    Returns
    -------
    matplotlib.figure.Figure
        Of no window. One axes a panel, in their order.

    Raises
    ------
    BackendError
        matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        missing("matplotlib", "drawing an episode", error)
    sizes = [_height(panel) for panel in scene.panels]
    lines = footer(scene)
    foot = AXIS + KEYS + LINE * len(lines)
    title, said = titles(scene)
    head = HEAD + SAID * bool(said)
    high = head + sum(sizes) + TITLE * len(sizes) + foot
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, high), facecolor="white")
        top, drawn = high - head, None
        for panel, size in zip(scene.panels, sizes, strict=True):
            top -= TITLE + size
            box = (LEFT / WIDTH, top / high, (WIDTH - LEFT - RIGHT) / WIDTH, size / high)
            drawn = axes = figure.add_axes(box, sharex=drawn, autoscale_on=False)
            axes.set_xlim(scene.span)
            _panel(axes, panel, scene, size)
            axes.tick_params(labelbottom=panel is scene.panels[-1], length=2.5, width=0.6)
        axes.set_xlabel(f"seconds since {zeros(scene)}")
        _head(figure, title, said, high)
        _legend(figure, scene, (foot - AXIS) / high)
        for row, line in enumerate(reversed(lines)):
            figure.text(LEFT / WIDTH, (0.08 + LINE * row) / high, line, size=7, color=GREY)
    return figure


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix; the same figure gives the same bytes.

    Raises
    ------
    ArgumentError
        Another suffix, or a file that cannot be written.
    """
    import matplotlib as mpl

    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"path: expected a file of {', '.join(SUFFIXES)}, got {path.name!r}")
    dates = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}, ".pdf": {"CreationDate": None}}
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a box stands where the font lacks a letter
        try:
            figure.savefig(path, dpi=150, metadata=dates[path.suffix.lower()])
        except OSError as error:
            raise ArgumentError(f"path: {path} cannot be written ({error})") from None


def _height(panel: Panel) -> float:
    if panel.shows == "frames" and panel.items:
        widest = max(picture.shape[1] / picture.shape[0] for _, picture in panel.items)
        return max(0.2, min(STRIP, 0.97 * (WIDTH - LEFT - RIGHT) / len(panel.items) / widest)) / (1 - RUG)
    return TALL if panel.values.shape[1] > 1 else LOW + 0.1 * (panel.shows != "text")


def _panel(axes: Any, panel: Panel, scene: Scene, size: float) -> None:
    across = axes.get_xaxis_transform()
    bars = [(begin, end - begin) for begin, end in invalid(panel, scene)]
    if bars:
        axes.broken_barh(bars, (RUG, 1 - RUG), transform=across, color=SHADE, lw=0, zorder=0, gid="invalid")
    if panel.gaps:
        wide = [(begin, end - begin) for begin, end in panel.gaps]
        axes.broken_barh(wide, (0, RUG), transform=across, color=GAP, lw=0.5, zorder=3, gid="gaps")
    dense = {"rasterized": True} if len(panel.times) > DENSE else {}
    stamps = {"color": INK if panel.stream.timing.stamped else MADE, "mew": 0.4, "ms": 72 * RUG * size * 0.6}
    stamps["alpha"] = float(np.clip(800 / max(len(panel.times), 1), 0.15, 1))  # a rug too dense for lines is gray
    axes.plot(panel.times, np.full(len(panel.times), RUG / 2), "|", transform=across, gid="stamps", **stamps, **dense)
    axes.plot([0, 1], [RUG, RUG], transform=axes.transAxes, color="#b0b0b0", lw=0.4)
    notes: list[str] = []
    if panel.shows == "frames" and panel.items:
        _frames(axes, panel.items, scene, size)
    elif panel.shows == "text":
        notes = _texts(axes, panel, scene)
    else:
        _lines(axes, panel, dense)
    name = cut(printable(panel.stream.name), 60)
    title = axes.set_title(name, loc="left", size=8.5, weight="bold", pad=3)
    told = cut(about(panel, notes), max(20, int((WIDTH - LEFT - 0.3 - BOLD * len(name)) / SMALL)))
    place = {"xycoords": title, "xytext": (9, 0), "textcoords": "offset points", "annotation_clip": False}
    axes.annotate(told, (1, 0), **place, size=7, color=GREY, va="bottom")


def _lines(axes: Any, panel: Panel, dense: dict[str, Any]) -> None:
    """Samples as dots, and through them the curve; without one a thin line."""
    stepped = panel.curve is not None and panel.curve.method in ("previous", "nearest", "next")
    for k in range(panel.values.shape[1]):
        colour = COLOURS[k % len(COLOURS)]
        few = len(panel.times) < 400
        raw = {"marker": "o", "ms": 2.6 if few else 1.2, "mew": 0, "alpha": 0.55 if panel.curve else 1.0}
        line = {"ls": "none"} if panel.curve else {"lw": 0.7}
        axes.plot(panel.times, panel.values[:, k], color=colour, gid=f"raw {k}", **raw, **line, **dense)
        if panel.curve is not None:
            shown = np.where(panel.curve.valid, panel.curve.values[:, k], np.nan)
            how = {"drawstyle": "steps-post"} if stepped else {}
            axes.plot(panel.curve.times, shown, color=colour, lw=0.9, gid=f"curve {k}", **how, **dense)
        if panel.labels[k]:
            at = (1.006, 1 - (k + 0.5) / max(len(panel.labels), 3))
            axes.annotate("— " + cut(printable(panel.labels[k]), 19), at, xycoords="axes fraction", color=colour,
                          size=7, va="center", annotation_clip=False, weight="bold")  # fmt: skip
    axes.set_ylabel(printable(panel.stream.spec.unit or ""), size=7.5)
    _ticks(axes, panel)


def _ticks(axes: Any, panel: Panel) -> None:
    """Room for the stamps below, and ticks where values are."""
    from matplotlib.ticker import MaxNLocator

    known = panel.values[np.abs(panel.values) < HUGE]
    if not known.size:
        axes.set_yticks([])
        return
    low, high = float(known.min()), float(known.max())
    room = (high - low) or abs(high) * 0.1 or 1.0
    axes.set_ylim(low - room * (RUG + 0.1) / (1 - RUG - 0.18), high + 0.08 * room)
    whole = panel.stream.spec.dtype.kind in "iub" or panel.shows == "sizes"
    found = MaxNLocator(4 if len(panel.labels) > 1 else 2, integer=whole).tick_values(low, high) if high > low else []
    ticks = [tick for tick in found if low - 0.04 * room <= tick <= high + 0.04 * room]
    axes.set_yticks(ticks if len(ticks) > 1 else sorted({low, high}))


def _frames(axes: Any, strip: list[Any], scene: Scene, size: float) -> None:
    """Each in its order, none upon another, with a line to its stamp."""
    a_second = (WIDTH - LEFT - RIGHT) / (scene.span[1] - scene.span[0])  # inches
    high = size * (1 - RUG)
    widths = np.array([high * p.shape[1] / p.shape[0] for _, p in strip]) / a_second
    stamps = np.array([when for when, _ in strip])
    mirrored = _apart(-stamps[::-1], widths[::-1], (-scene.span[1], -scene.span[0]))
    middles = (_apart(stamps, widths, scene.span) - mirrored[::-1]) / 2  # as far to the left as to the right
    for (when, picture), middle, width in zip(strip, middles, widths, strict=True):
        box = (middle - 0.49 * width, middle + 0.49 * width, RUG + 0.04, 1)
        axes.imshow(picture, extent=box, aspect="auto", interpolation="antialiased", zorder=2)
        axes.plot([when, when, middle], [0, RUG / 2, RUG + 0.04], color=INK, lw=0.8, gid="frame")
    axes.set(xlim=scene.span, ylim=(0, 1), yticks=[])
    axes.spines["left"].set_visible(False)


def _apart(middles: Any, widths: Any, span: tuple[float, float]) -> Any:
    """Pushed to the right until nothing overlaps, then back to the left until all is within."""
    found = np.array(middles, np.float64)
    for k in range(len(found)):
        found[k] = max(found[k], span[0] + widths[0] / 2 if k == 0 else found[k - 1] + widths[k - 1 : k + 1].sum() / 2)
    most = span[1] + widths[-1] / 2
    for k in reversed(range(len(found))):
        following = widths[k + 1] if k + 1 < len(found) else widths[-1]
        found[k] = min(found[k], most - (widths[k] + following) / 2)
        most = found[k]
    return found


def _texts(axes: Any, panel: Panel, scene: Scene) -> list[str]:
    """What was said where it begins, as long as there is room for it; how many had none."""
    second = (WIDTH - LEFT - RIGHT) / (scene.span[1] - scene.span[0])  # inches
    free, hidden = scene.span[0], 0
    for when, text in panel.items:
        begin = max(when, scene.span[0])
        if begin < free:
            hidden += 1
            continue
        room = (scene.span[1] - begin) * second + RIGHT
        said = cut(printable(text), min(90, int(room / LETTER)))
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "xytext": (3, 0)}
        axes.annotate(said, (begin, 0.6), **place, size=7.5, va="center")
        axes.axvline(begin, RUG, 1, color=GREY, lw=0.6)
        free = begin + (len(said) + 2) * LETTER / second
    axes.set(ylim=(0, 1), yticks=[])
    axes.spines["left"].set_visible(False)
    return [f"{counted(hidden, 'text')} without room"] if hidden else []


def invalid(panel: Panel, scene: Scene) -> list[tuple[float, float]]:
    """Where the stream says nothing on the even clock: between instants that are not valid, and outside its samples."""
    if panel.curve is None:
        return []
    times, valid = panel.curve.times, panel.curve.valid
    edges = np.flatnonzero(np.diff(np.concatenate([[True], valid, [True]])))
    found = [(float(times[max(a - 1, 0)]), float(times[min(b, len(times) - 1)])) for a, b in edges.reshape(-1, 2)]
    first, last = (float(panel.times.min()), float(panel.times.max())) if len(panel.times) else scene.span
    before, after = [(scene.span[0], first)] * (first > scene.span[0]), [(last, scene.span[1])] * (last < scene.span[1])
    return before + found + after


def _head(figure: Any, title: str, said: str, high: float) -> None:
    figure.text(LEFT / WIDTH, 1 - 0.3 / high, title, size=12, weight="bold")
    figure.text(LEFT / WIDTH, 1 - 0.52 / high, said, size=9, color=GREY, style="italic")


def _legend(figure: Any, scene: Scene, top: float) -> None:
    """Of what there is."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    stamped = {panel.stream.timing.stamped for panel in scene.panels}
    tick: dict[str, Any] = {"marker": "|", "ls": "none", "ms": 7}
    dot: dict[str, Any] = {"marker": "o", "ls": "none", "ms": 3, "alpha": 0.55}
    keys: list[tuple[bool, Any]] = [
        (True in stamped, Line2D([], [], color=INK, **tick, label="stamp")),
        (False in stamped, Line2D([], [], color=MADE, **tick, label="stamp made from a rate")),
        (any(p.gaps for p in scene.panels), Patch(color=GAP, lw=0, label="gap: longer than 2.5 periods")),
        (any(p.values.size for p in scene.panels), Line2D([], [], color=COLOURS[0], **dot, label="sample")),
    ]
    if any(panel.curve for panel in scene.panels):
        line = Line2D([], [], color=COLOURS[0], lw=1, label=f"resampled to {scene.rate:.6g} Hz")
        shade = Patch(color=SHADE, lw=0, label="not valid on the even clock")
        keys += [(True, line), (any(invalid(panel, scene) for panel in scene.panels), shade)]
    shown = [key for there, key in keys if there]
    figure.legend(handles=shown, loc="upper left", bbox_to_anchor=(LEFT / WIDTH - 0.005, top), ncols=len(shown),
                  frameon=False, fontsize=7.5, borderpad=0, handletextpad=0.5)  # fmt: skip


__all__ = ["SUFFIXES", "draw", "invalid", "save"]
