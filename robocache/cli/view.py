"""``robocache view``: an episode as a figure, or as a recording for the Rerun viewer."""

import argparse
import re
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError
from ..datasets import open_dataset
from ..view import Scene, draw, record, save, scene
from ..view.figure import SUFFIXES
from ..view.wording import counted, printable
from .convert import streams_of
from .info import add_opening, opening, plain
from .report import Report

EXAMPLE = """example: robocache view pick_and_place --episode 3 --streams observation.state,gripper=previous --rate 20

exit status: 0 drawn, 1 a stream could not be read, 2 the call could not be carried out"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache view``."""
    add_opening(parser)
    parser.add_argument("--episode", type=int, default=0, metavar="N", help="position in the dataset (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="picture to write: .png, .svg or .pdf "
                        "(default: NAME_episodeN.png here, unless --rrd is given)")  # fmt: skip
    parser.add_argument("--streams", metavar="A,B=METHOD", help="which, and how they are resampled (default: all)")
    parser.add_argument("--start", type=float, metavar="S", help="first second to show (default: 0, the first stamp)")
    parser.add_argument("--stop", type=float, metavar="S", help="last second to show (default: the last stamp)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="clock of the curves (default: the slowest camera's)")
    parser.add_argument("--features", type=int, default=6, metavar="N", help="of a stream, at most (default: 6)")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="of a camera, at most (default: 8)")
    parser.add_argument("--rrd", type=Path, metavar="FILE", help="write a Rerun recording too (extra viz)")
    parser.add_argument("--voxel", type=float, default=0.05, metavar="M", help="edge of its voxels (default: 0.05)")
    parser.epilog, parser.formatter_class = EXAMPLE, argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> Report:
    """Read an episode, draw it, say what was drawn."""
    if args.out is not None:
        writable(args.out, "--out", SUFFIXES)
    if args.rrd is not None:
        writable(args.rrd, "--rrd", (".rrd",))
    with open_dataset(args.path, **opening(args)) as dataset:
        shown = scene(
            dataset, args.episode, streams=streams_of(args.streams), start=args.start, stop=args.stop, rate=args.rate,
            features=args.features, frames=args.frames,
        )  # fmt: skip
        out = args.out
        if out is None and args.rrd is None:
            out = Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '_', dataset.name)}_episode{args.episode}.png")
        if out is not None:
            save(draw(shown), out)
        rows = None if args.rrd is None else record(shown, args.rrd, voxel=args.voxel)
    fields: dict[str, Any] = {
        "ok": not shown.problems,
        "path": args.path,
        "format": dataset.format,
        "episode": args.episode,
    }
    fields |= {"out": None if out is None else str(out), "rrd": None if rows is None else str(args.rrd), "rows": rows}
    fields |= describe(shown)
    return Report(not shown.problems, plain(fields), text_of(fields))


def writable(path: Path, option: str, suffixes: tuple[str, ...]) -> None:
    """Raise before anything is read, if a file cannot go there."""
    if path.suffix.lower() not in suffixes:
        raise ArgumentError(f"{option}: expected a file of {', '.join(suffixes)}, got {path.name!r}")
    if not path.parent.is_dir() or path.is_dir():
        raise ArgumentError(f"{option}: {path} cannot be written; is {path.parent} a folder, and the name free?")


def describe(shown: Scene) -> dict[str, Any]:
    """Facts of what was drawn."""
    streams = []
    for panel in shown.panels:
        one = {"name": panel.stream.name, "shows": panel.shows, "clock": panel.stream.clock}
        one |= {"stamped": panel.stream.timing.stamped, "samples": len(panel.at), "features": panel.features}
        one |= {"features_shown": panel.shown, "gaps": len(panel.gaps), "items": len(panel.items)}
        one |= {"method": None, "valid": None, "notes": panel.notes}
        if panel.curve is not None:
            one |= {"method": panel.curve.method, "valid": int(panel.curve.valid.sum())}
        streams.append(one)
    fields: dict[str, Any] = {"id": shown.episode.id, "zeros_ns": shown.zeros, "span_s": shown.span, "rate": shown.rate}
    fields |= {"rate_from": shown.rate_from, "streams": streams}
    return fields | {"left_out": shown.left_out, "problems": shown.problems}


def text_of(fields: dict[str, Any]) -> str:
    """For a person: what was written, and what is not in it."""
    lines = [f"written    {name}" for name in (fields["out"], fields["rrd"]) if name is not None]
    low, high = fields["span_s"]
    lines.append(f"episode    {fields['id']}: {counted(len(fields['streams']), 'stream')}, {low:.6g} to {high:.6g} s")
    hertz = "" if fields["rate"] is None else f"{fields['rate']:.6g} Hz: "
    lines.append(f"rate       {hertz}{fields['rate_from']}")
    why: dict[str, list[str]] = {}
    for name, reason in fields["left_out"].items():
        why.setdefault(reason, []).append(name)
    lines += [f"not shown  {reason}: {', '.join(names)}" for reason, names in why.items()]
    lines += [f"PROBLEM    {text}" for text in fields["problems"]]
    return "\n".join(printable(line) for line in lines)
