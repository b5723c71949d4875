"""``robocache distributed``: a dataset in shards, made by any number of machines, restarted at will."""

import argparse
import sys
from contextlib import redirect_stdout
from typing import Any

from ..view.wording import printable
from .convert import add_pipeline, failures_of, pipeline_of
from .info import plain
from .report import Report

EXAMPLE = """example: robocache distributed plan bridge_raw cache --rate 5
and then:
  robocache distributed run cache --workers 8
  robocache distributed run-shard cache $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT
  robocache distributed merge cache

The same call goes on where one that was ended, even by force, has stopped.
exit status: 0 all is there, 1 not all is (status), 2 the call could not be carried out, 3 episodes were left out"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache distributed``."""
    parser.epilog, parser.formatter_class = EXAMPLE, argparse.RawDescriptionHelpFormatter
    steps = parser.add_subparsers(dest="step", required=True, metavar="{plan,run,run-shard,merge,status}")
    add_pipeline(_step(steps, "plan", _plan, "look at a dataset and write down what is to be done"))
    steps.choices["plan"].add_argument("--no-hashes", action="store_true", help="do not read every input beforehand")
    made = {
        "run": _step(steps, "run", _run, "make every shard that is not there"),
        "run-shard": _step(steps, "run-shard", _run_shard, "make the share of one of several processes"),
        "merge": _step(steps, "merge", _merge, "check all shards and make a store of them"),
        "status": _step(steps, "status", _status, "say how far the work is"),
    }
    for one in made.values():
        one.add_argument("folder", help="that plan has written to")
    run = made["run"]
    run.add_argument("--engine", choices=("local", "ray"), default="local", help="default: local")
    run.add_argument("--workers", type=int, metavar="N", help="shards at a time (default: one a core)")
    run.add_argument("--num-gpus", type=float, metavar="N", help="of each worker, for Ray")
    run.add_argument("--retries", type=int, default=2, metavar="N", help="of a shard whose worker died (default: 2)")
    run.add_argument("--address", help="of a Ray cluster, or auto (default: one is started here)")
    made["run-shard"].add_argument("i", type=int, help="which process, from 0 on: it makes shards i, i + n, i + 2n, …")
    made["run-shard"].add_argument("n", type=int, nargs="?", help="of how many (default: as many as there are shards)")
    for name in ("run", "run-shard"):
        made[name].add_argument("--failed", choices=("keep", "again"), default="keep",
                                help="shards in which episodes have failed (default: keep)")  # fmt: skip
    made["merge"].add_argument("--rehash", action="store_true", help="read every input again and compare its hash")


def _step(steps: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = steps.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    one.set_defaults(function=function)
    # Also before the name of the step; what was said there is not unsaid by a default here.
    one.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object")
    return one


def run(args: argparse.Namespace) -> Report:
    """Carry out a step."""
    report: Report = args.function(args)
    return report


def _plan(args: argparse.Namespace) -> Report:
    from .. import distributed

    pipeline, opening = pipeline_of(args)
    made = distributed.plan(
        args.src, args.dst, pipeline, shard=args.shard, opening=opening, hashes=not args.no_hashes
    )  # fmt: skip
    inputs, notes = made.plan.fields["inputs"], made.plan.fields["notes"]
    fields = {"ok": True, "path": str(made.folder), "digest": made.digest, "shards": len(made.shards),
              "episodes": made.episodes, "inputs": inputs, "notes": notes}  # fmt: skip
    lines = [
        f"planned    {printable(str(made.folder))}",
        f"inputs     {inputs['files']:,} files, {inputs['bytes'] / 1e6:,.1f} MB",
        f"shards     {len(made.shards):,}, of {made.episodes:,} episodes",
        *(f"note       {printable(f'{name}: {why}')}" for name, why in notes.items()),
    ]
    return Report(True, fields, "\n".join(lines))


def _run(args: argparse.Namespace) -> Report:
    from .. import distributed

    with redirect_stdout(sys.stderr):  # Ray prints what becomes of its workers
        done = distributed.run(
            args.folder, args.engine, workers=args.workers, num_gpus=args.num_gpus, retries=args.retries,
            failed=args.failed, address=args.address, progress=sys.stderr.isatty(),
        )  # fmt: skip
    return _told(done)


def _run_shard(args: argparse.Namespace) -> Report:
    from .. import distributed

    return _told(distributed.run_shard(args.folder, args.i, args.n, failed=args.failed))


def _status(args: argparse.Namespace) -> Report:
    from .. import distributed

    return _told(distributed.status(args.folder))


def _told(status: Any) -> Report:
    """For a person and for a program."""
    ok = not status.missing and not status.failures
    fields: dict[str, Any] = plain({**vars(status), "path": str(status.path), "ok": ok})
    lines = [
        f"shards     {status.done:,} of {status.shards:,}, {status.bytes / 1e6:,.1f} MB",
        f"episodes   {status.converted:,} of {status.episodes:,}, {status.steps:,} steps",
    ]
    if status.deaths:
        lines.append(f"workers    {status.deaths:,} died, and others went on")
    if not status.missing and not status.merged:
        lines.append(f"next       robocache distributed merge {printable(str(status.path))}")
    lines += failures_of(fields["failures"])
    return Report(ok, fields, "\n".join(lines), status=1 if status.missing else 3)


def _merge(args: argparse.Namespace) -> Report:
    from .. import distributed

    done = distributed.merge(args.folder, rehash=args.rehash)
    told = {name: _summary(stats) for name, stats in done.statistics.items()}
    fields: dict[str, Any] = plain({**vars(done), "path": str(done.path), "ok": not done.failures, "statistics": told})
    lines = [
        f"written    {printable(fields['path'])}",
        f"episodes   {done.episodes:,}, {done.steps:,} steps",
        f"shards     {done.shards:,}, {done.bytes / 1e6:,.1f} MB",
        f"counted    {', '.join(map(printable, told)) or 'nothing'}",
        *failures_of(fields["failures"]),
    ]
    return Report(not done.failures, fields, "\n".join(lines), status=3)


def _summary(stats: Any) -> dict[str, Any]:
    """What a look at statistics shows; stats.json holds all of it."""
    return {"count": stats.count.tolist(), "nonfinite": stats.nonfinite.tolist(), "mean": stats.mean.tolist(),
            "std": stats.std().tolist(), "min": stats.min.tolist(), "max": stats.max.tolist()}  # fmt: skip
