"""What is written beside the panels of a figure."""

import textwrap

import numpy as np

from .panels import Panel
from .scenes import Scene
from .wording import counted, cut, duration, moment, printable, shape

LINE = 165  # letters of the footer


def about(panel: Panel, notes: list[str]) -> str:
    """How often, by whose clock, and what is not shown."""
    stream, found = panel.stream, panel.pace
    told = [stream.kind] if stream.kind != "vector" else []
    told += [shape(stream.shape)] if panel.shows in ("frames", "sizes") else []
    if not stream.timing.stamped:
        told.append(f"stamps made: {float(stream.timing.rate or 0):g} Hz")
    elif found.rate is None:
        told.append(f"{stream.clock} clock, {counted(found.samples, 'sample')}")
    else:
        told.append(f"{found.rate:.4g} Hz by the {stream.clock} clock, jitter {duration(found.jitter)}")
        told.append(f"{counted(found.gaps, 'gap')}, longest {duration(found.longest)}" if found.gaps else "")
        told.append(f"{counted(found.duplicates, 'stamp')} twice" if found.duplicates else "")
    told.append(panel.curve.method if panel.curve else "")
    return printable(" · ".join(filter(None, (*told, *panel.notes, *notes))))


def zeros(scene: Scene) -> str:
    """What second 0 is, of each clock."""
    told = [f"{moment(zero)} ({clock})" if zero else f"the start ({clock})" for clock, zero in scene.zeros.items()]
    return printable(", ".join(told))


def titles(scene: Scene) -> tuple[str, str]:
    """What it is, and what was said."""
    low, top = scene.span
    shown = f"{top:.4g} s" if not low else f"{low:.4g} to {top:.4g} s"
    title = f"{cut(scene.name, 60)} · episode {cut(str(scene.episode.id), 40)} · {shown}"
    said = list(dict.fromkeys(span.text for span in scene.episode.language))
    more = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return printable(title), f"“{cut(printable(said[0]), 110)}”{more}" if said else ""


def footer(scene: Scene) -> list[str]:
    """What is not in the picture, and by what the clock was chosen."""
    if scene.rate is None:
        lines = [scene.rate_from]
    else:
        lines = [f"The even clock has {scene.rate:.6g} Hz ({scene.rate_from})."]
    if max(float(np.ptp(panel.times)) if len(panel.times) else 0 for panel in scene.panels) < np.ptp(scene.span) / 2:
        lines.append("Streams lie far apart in time: fewer of them, or a part of the time, can be shown larger.")
    why: dict[str, list[str]] = {}
    for name, reason in scene.left_out.items():
        why.setdefault(reason, []).append(name)
    lines += [f"Not shown, {reason}: {', '.join(names)}" for reason, names in why.items()]
    return [part for line in lines for part in textwrap.wrap(printable(line), LINE)]


__all__ = ["about", "footer", "titles", "zeros"]
