"""``robocache info``: what a dataset holds, and how regular its stamps are, measured from them."""

import argparse
import math
from typing import Any

from .._core.errors import ArgumentError, DataError
from ..datasets import Dataset, open_dataset
from ..datasets.measure import Measured, measure, size_on_disk
from .info_text import layout
from .report import Report

EXAMPLE = "example: robocache info bridge_dataset/1.0.0 --episodes 20"
COUNTED = 256  # episodes whose steps are counted without being asked to: some formats must open every one
EXAMPLES = 3  # instructions that are shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache info``."""
    add_opening(parser)
    parser.add_argument("--episodes", type=int, default=10, metavar="N", help="how many to measure (default: 10)")
    parser.add_argument("--deep", action="store_true", help="count the steps, however many episodes there are")
    parser.epilog = EXAMPLE


def add_opening(parser: argparse.ArgumentParser) -> None:
    """Options of every subcommand that opens a dataset."""
    parser.add_argument("path", help="folder, file or URL of the dataset")
    parser.add_argument("--format", help="take it for this format instead of looking")
    parser.add_argument("--split", metavar="NAME", help="only this split")
    parser.add_argument("--control-hz", type=float, metavar="HZ", help="the rate of steps that were not stamped")


def opening(args: argparse.Namespace) -> dict[str, Any]:
    """Those options, as `open_dataset` takes them."""
    return {"format": args.format, "split": args.split, "control_hz": args.control_hz}


def run(args: argparse.Namespace) -> Report:
    """Open, measure, describe."""
    with open_dataset(args.path, **opening(args)) as dataset:
        fields = describe(dataset, args.episodes, args.deep)
    return Report(not fields["problems"], fields, layout(fields))


def describe(dataset: Dataset, episodes: int, deep: bool = False) -> dict[str, Any]:
    """Everything that is known of a dataset, in plain JSON types."""
    measured, opened, problems = measure(dataset, episodes)
    files, size = size_on_disk(dataset.path)
    steps, note, said = None, None, dict[str, None]()
    try:
        if deep or len(dataset) <= COUNTED:
            steps = len(dataset.index)
        else:
            note = "not counted; --deep counts them"
    except DataError as error:
        problems.append(str(error))
        note = "cannot be counted"
    except ArgumentError:  # a log, whose streams have stamps of their own
        note = "none: its streams have clocks of their own"
    for episode in opened:
        try:
            said |= dict.fromkeys(span.text for span in episode.language)
        except DataError as error:
            problems.append(str(error))
    fields = {"format": dataset.format, "name": dataset.name, "path": str(dataset.path), "episodes": len(dataset)}
    fields |= {"steps": steps, "steps_note": note, "splits": {name: len(part) for name, part in dataset.splits.items()}}
    fields |= {"control_hz": dataset.control_hz, "control_hz_origin": dataset.control_hz_origin}
    fields |= {"files": files, "bytes": size, "looked_at": len(opened)}
    fields |= {"action": None if dataset.action is None else vars(dataset.action), "meta": dict(dataset.meta)}
    fields["language"] = {"distinct": len(said), "examples": list(said)[:EXAMPLES]}
    fields["streams"] = [stream_fields(one, dataset) for one in measured]
    fields["problems"] = [*problems, *(text for one in measured for text in one.problems)]
    plain_fields: dict[str, Any] = plain(fields)
    return plain_fields


def stream_fields(one: Measured, dataset: Dataset) -> dict[str, Any]:
    """One stream. Rates that were declared and rates that were measured have names of their own."""
    spec = one.spec
    fields: dict[str, Any] = {"name": spec.name, "kind": spec.kind, "shape": spec.shape, "dtype": str(spec.dtype)}
    fields |= {"unit": spec.unit, "names": spec.names, "codec": spec.codec, "clock": ", ".join(one.clocks) or None}
    fields |= {"episodes": one.episodes, "samples": one.samples, "declared_hz": None, "declared_hz_origin": None}
    if one.rates:
        known = one.rates == (dataset.control_hz,)
        fields["declared_hz"] = one.rates[0] if len(one.rates) == 1 else list(one.rates)
        fields["declared_hz_origin"] = dataset.control_hz_origin if known else "file"
    if one.pace is None:
        return {**fields, "measured": None}
    kept = ("samples", "start", "end", "period", "jitter", "deviation", "gaps", "longest", "duplicates", "unsorted")
    names = {key: f"{key}_ns" for key in ("start", "end", "period", "jitter", "deviation", "longest")}
    stamps = {names.get(key, key): getattr(one.pace, key) for key in kept}
    return {**fields, "measured": {"hz": one.pace.rate, **stamps}}


def plain(value: Any, depth: int = 32) -> Any:
    """As JSON can hold it: NumPy's numbers as Python's, None for what is not finite, text for the rest."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    many = isinstance(value, list | tuple | set | frozenset | range)
    if not depth and (many or hasattr(value, "items")):
        return "…"
    if hasattr(value, "items"):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    return [plain(item, depth - 1) for item in value] if many else str(value)
