"""``robocache convert``: decode, align and resample a dataset once."""

import argparse
import sys
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError
from ..view.wording import printable
from .info import plain
from .report import Report, table
from .validate import known_to_a_reader

EXAMPLE = """example: robocache convert pick_and_place cache --rate 20 --streams observation.state,gripper=previous

The same call goes on where one that was ended, even by force, has stopped.
exit status: 0 all is there, 2 the call could not be carried out, 3 episodes were left out (failures.json names them)"""
SHOWN = 10  # failures that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache convert``."""
    add_pipeline(parser)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--to", choices=("store", "lerobot", "rlds"), default="store", help="default: store")
    parser.add_argument("--on-error", choices=("skip", "raise"), default="skip", help="of an episode (default: skip)")
    parser.epilog, parser.formatter_class = EXAMPLE, argparse.RawDescriptionHelpFormatter


def add_pipeline(parser: argparse.ArgumentParser) -> None:
    """From where to where, and what is done on the way."""
    parser.add_argument("src", help="folder or file of the dataset")
    parser.add_argument("dst", help="folder to write: one that is not there, or holds the same conversion")
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="bring every stream onto one clock (default: as it is)"
    )
    parser.add_argument("--streams", metavar="A,B=METHOD", help="which, and how they are resampled (default: all)")
    parser.add_argument("--images", default="keep", metavar="FORM", help="keep, raw, png or jpeg:95 (default: keep)")
    parser.add_argument("--resize", metavar="HxW", help="bring pictures to this height and width")
    parser.add_argument("--shard", default="64MB", metavar="SIZE", help="of a file, about (default: 64MB)")
    parser.add_argument("--format", help="take it for this format instead of looking")
    parser.add_argument("--split", metavar="NAME", help="only this split")
    parser.add_argument("--control-hz", type=float, metavar="HZ", help="the rate of steps that were not stamped")


def pipeline_of(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is done on the way, and how the source is opened."""
    known_to_a_reader(Path(args.src), args.format)
    opening = {"format": args.format, "split": args.split, "control_hz": args.control_hz}
    pipeline = {"rate": args.rate, "streams": streams_of(args.streams), "images": args.images}
    return pipeline | {"resize": size_of(args.resize)}, {k: v for k, v in opening.items() if v is not None}


def run(args: argparse.Namespace) -> Report:
    """Convert, and say what came of it."""
    from ..store import convert

    pipeline, opening = pipeline_of(args)
    done = convert(
        args.src, args.dst, **pipeline, workers=args.workers, shard=args.shard, on_error=args.on_error, to=args.to,
        progress=sys.stderr.isatty(), opening=opening,
    )  # fmt: skip
    fields: dict[str, Any] = plain({**vars(done), "path": str(done.path), "ok": not done.failures, "to": args.to})
    return Report(not done.failures, fields, text_of(fields), status=3)


def streams_of(text: str | None) -> dict[str, str | None] | None:
    """Names, and the method of those that are given one."""
    if text is None:
        return None
    found: dict[str, str | None] = {}
    for one in text.split(","):
        name, given, method = one.partition("=")
        if not name or name in found or (given and not method):
            raise ArgumentError(f"--streams: expected names, or name=method, with commas between, got {text!r}")
        found[name] = method or None
    return found


def size_of(text: str | None) -> tuple[int, int] | None:
    """Height and width."""
    if text is None:
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal()):
        raise ArgumentError(f"--resize: expected height and width, such as 96x128, got {text!r}")
    return int(height), int(width)


def text_of(fields: dict[str, Any]) -> str:
    """For a person."""
    rows = [
        ("written", fields["path"]), ("episodes", f"{fields['episodes']:,}"), ("steps", f"{fields['steps']:,}"),
        ("size", f"{fields['bytes'] / 1e6:,.1f} MB, from {fields['source_bytes'] / 1e6:,.1f} MB"),
    ]  # fmt: skip
    if fields["shards"]:
        rows.append(("shards", f"{fields['shards']:,}"))
    lines = [f"{name:<10} {printable(str(value))}" for name, value in rows]
    lines += [f"note       {printable(f'{name}: {why}')}" for name, why in fields["notes"].items()]
    return "\n".join(lines + failures_of(fields["failures"]))


def failures_of(failures: list[dict[str, Any]]) -> list[str]:
    """Lines that say which episodes were left out, and why."""
    if not failures:
        return []
    shown = [(f["id"], f["type"], printable(f["message"])) for f in failures[:SHOWN]]
    hidden = len(failures) - len(shown)
    more = f", of which {hidden} are not shown here" if hidden else ""
    said = f"{len(failures):,} episodes were left out; failures.json lists them{more}:"
    return ["", said, table(("episode", "error", "message"), shown)]
