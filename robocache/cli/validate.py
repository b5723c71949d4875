"""``robocache validate``: read a dataset and say all that is wrong with it; made for the gate that data must pass."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError, DataError
from ..datasets import Dataset, Finding, open_dataset
from ..datasets._registry import choose, readers
from ..datasets._remote import arrive
from ..datasets.facts import finding_of
from ..datasets.inspection import inspect_dataset
from ..view.wording import printable
from .info import add_opening, opening, plain
from .report import Report

EXAMPLE = """example: robocache validate pick_and_place --deep --strict

exit status: 0 nothing wrong, 1 errors (with --strict also warnings), 2 nothing there, or no reader for it"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache validate``."""
    add_opening(parser)
    parser.add_argument(
        "--deep", action="store_true", help="read and decode every sample, not the first and last alone"
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="findings to print (default: 50)")
    parser.epilog, parser.formatter_class = EXAMPLE, argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> Report:
    """Print findings as they come; ok if there is no error."""
    if args.limit < 0:
        raise ArgumentError(f"--limit: expected 0 or more, got {args.limit}")
    path = arrive(args.path, args.format)[0] if "://" in args.path else Path(args.path)
    known_to_a_reader(path, args.format)
    found: list[Finding] = []
    facts: dict[str, Any] = {"format": args.format, "episodes": None}
    for finding in findings(args, facts):
        if not args.json and len(found) < args.limit:
            print(line(finding), flush=True)
        found.append(finding)
    counts = {level: sum(finding.level == level for finding in found) for level in ("error", "warning")}
    ok = not counts["error"] and not (args.strict and counts["warning"])
    fields = {"ok": ok, "path": args.path, **facts, "deep": args.deep, "strict": args.strict}
    fields |= {"errors": counts["error"], "warnings": counts["warning"]}
    fields["findings"] = [plain(finding._asdict()) for finding in found]
    return Report(ok, fields, summary(fields, args.limit))


def known_to_a_reader(path: Path, name: str | None) -> None:
    """Raise unless a reader takes what is there for its own: else it is the call that is wrong, not the data."""
    if not path.exists():
        raise ArgumentError(f"{path}: there is nothing")
    known = readers()
    if name is None and choose(path, known) is None:
        raise ArgumentError(
            f"{path}: is no dataset that a reader knows ({', '.join(known)}); say --format if it is one"
        )


def findings(args: argparse.Namespace, facts: dict[str, Any]) -> Iterator[Finding]:
    """What the format's own reader finds, then what holds for all formats; nothing twice."""
    try:
        dataset = open_dataset(args.path, **opening(args))
    except DataError as error:
        yield finding_of(error)
        return
    with dataset:
        facts |= {"format": dataset.format, "episodes": len(dataset)}
        said = set()
        for finding in every(dataset, args.deep):
            key = (finding.level, finding.message, str(finding.episode), finding.key)
            if key not in said:
                said.add(key)
                yield finding


def every(dataset: Dataset, deep: bool) -> Iterator[Finding]:
    """Both kinds."""
    try:
        yield from dataset.validate()
    except DataError as error:
        yield finding_of(error)
    yield from inspect_dataset(dataset, deep=deep)


def line(finding: Finding) -> str:
    """Level, place and message; a message that begins with its place does not get it twice."""
    places = [str(finding.file)] if finding.file is not None else []
    places += [f"episode {finding.episode}"] if finding.episode is not None else []
    places += [str(finding.key)] if finding.key is not None else []
    new = [place for place in places if place not in finding.message]
    return printable(f"{finding.level:<7}  {', '.join(new)}{': ' if new else ''}{finding.message}")


def summary(fields: dict[str, Any], limit: int) -> str:
    """The last line."""
    shown = min(limit, len(fields["findings"]))
    hidden = len(fields["findings"]) - shown
    more = f" ({hidden} not shown; --limit shows more)" if hidden else ""
    of = (
        "could not be opened" if fields["episodes"] is None else f"{fields['episodes']:,} episodes ({fields['format']})"
    )
    depth = "every sample" if fields["deep"] else "the first and last sample of every stream; --deep reads all"
    read = "" if fields["episodes"] is None else f", {depth}"
    return f"{of}{read}\n{fields['errors']:,} errors, {fields['warnings']:,} warnings{more}"
