"""The ``robocache`` command line: reads arguments, runs one subcommand, prints its report."""

import argparse
import json
import sys
from collections.abc import Sequence

from .. import __version__
from .._core.errors import RoboCacheError
from . import bench, convert, dataset_page, demo, distributed, doctor, info, selftest, validate, view

COMMANDS = {
    "demo": (demo, "simulate a robot, align and voxelize what it records, and check the result against the truth"),
    "doctor": (doctor, "look at this machine: versions, CuPy, driver, compiler, caches; say what to do"),
    "selftest": (selftest, "run every operation here and compare with stored answers"),
    "bench": (bench, "time the operations here beside a copy of the same bytes, and check what they give"),
    "info": (info, "say what a dataset holds and how regular its stamps are"),
    "validate": (validate, "read a dataset and say all that is wrong with it"),
    "view": (view, "draw an episode: every stream on one time axis, with its stamps, gaps and pictures"),
    "report": (dataset_page, "write a page of HTML about a dataset: rates, gaps, statistics, pictures"),
    "convert": (convert, "decode, align and resample a dataset once, into a store or another format"),
    "distributed": (distributed, "do the same in shards, on any number of machines"),
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="robocache", description="Robot logs to aligned arrays and voxels.")
    top.add_argument("--version", action="version", version=f"robocache {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="{" + ",".join(COMMANDS) + "}")
    for name, (module, text) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(one)
        one.epilog = one.epilog or f"example: robocache {name} --json"
        one.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all well, 1 a check failed, 2 the call could not be carried out, 3 it was in part."""
    args = parser().parse_args(argv)
    module, _ = COMMANDS[args.command]
    status = 1  # of a run that no one reads to its end
    try:
        report = module.run(args)
        status = 0 if report.ok else report.status
        print(json.dumps(report.fields, indent=2) if args.json else report.text, flush=True)
    except RoboCacheError as error:
        print(f"robocache {args.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `robocache doctor | head`
        sys.stderr.close()
    return status
