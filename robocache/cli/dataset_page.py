"""``robocache report``: a dataset as one page of HTML."""

import argparse
import re
from pathlib import Path

from .._core.errors import ArgumentError
from ..datasets import open_dataset
from ..view import page, survey
from ..view.summaries import MEASURES
from ..view.wording import counted, octets, printable
from .info import add_opening, describe, opening, plain
from .info_text import facts
from .report import Report
from .view import writable

EXAMPLE = """example: robocache report pick_and_place --episodes 20 --out pick_and_place.html

exit status: 0 written, 1 written but something could not be read, 2 the call could not be carried out"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache report``."""
    add_opening(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="page to write: .html (default: NAME.html here)")
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="how many to read (default: 10)")
    parser.add_argument("--deep", action="store_true", help="count the steps, however many episodes there are")
    parser.epilog, parser.formatter_class = EXAMPLE, argparse.RawDescriptionHelpFormatter


def run(args: argparse.Namespace) -> Report:
    """Read, write the page, say what is on it."""
    if args.out is not None:
        writable(args.out, "--out", (".html", ".htm"))
    with open_dataset(args.path, **opening(args)) as dataset:
        fields = describe(dataset, args.episodes, args.deep)
        summaries, problems = survey(dataset, args.episodes)
        fields["problems"] = list(dict.fromkeys([*fields["problems"], *problems]))
        lengths = None if fields["steps"] is None else dataset.index.lengths
    out = args.out or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '_', fields['name'])}.html")
    try:
        out.write_text(page(fields, facts(fields), lengths, summaries), "utf-8")
    except OSError as error:
        raise ArgumentError(f"--out: {out} cannot be written ({error})") from None
    by_name = {summary.name: summary for summary in summaries}
    for one in fields["streams"]:
        summary = by_name[one["name"]]
        one["read"], one["notes"] = summary.read, summary.notes
        rows = zip(summary.labels, summary.table, strict=True)
        one["statistics"] = [{"feature": label, **dict(zip(MEASURES, row, strict=True))} for label, row in rows]
    size = out.stat().st_size
    fields |= {"out": str(out), "out_bytes": size, "ok": not fields["problems"]}
    read = f"{fields['looked_at']} of {counted(fields['episodes'], 'episode')}"
    lines = [f"written    {out}, {octets(size)}", f"read       {read}, {counted(len(summaries), 'stream')}"]
    lines += [f"PROBLEM    {problem}" for problem in fields["problems"]]
    return Report(not fields["problems"], plain(fields), "\n".join(map(printable, lines)))
