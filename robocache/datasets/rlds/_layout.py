"""Where the files of a dataset are: its version folder, its splits and the shards that are there."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._faults import fault
from .._files import Root, read_json
from .._sniffs import INFO, SHARD, TREE, rlds_folder
from ._shards import FORMATS

TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_FIELD = re.compile(r"\{(\w+)\}")
_SHARD = re.compile(r"(\d{5,})-of-(\d{5,})")


@dataclass
class Shard:
    """A file of records, and how many it should have (None if nothing says)."""

    name: str
    split: str
    first: int
    count: int | None
    there: bool


@dataclass
class Layout:
    """What ``dataset_info.json`` says, or the names of shards where it is missing; and what is on disk of it."""

    root: Root
    told: bool  # whether there is a dataset_info.json
    info: dict[str, Any]
    name: str
    version: str
    form: str
    shards: list[Shard] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    @property
    def missing(self) -> tuple[str, ...]:
        """Shards that are announced and not there."""
        return tuple(shard.name for shard in self.shards if not shard.there)


def layout(path: Path, files: Root) -> Layout:
    """Read ``dataset_info.json`` and see what is there of ``files``; without it the names of shards say it.

    Raises DataError.
    """
    try:
        folder = rlds_folder(path)
    except (ValueError, OSError) as error:
        raise fault(str(error), file=path) from None
    if folder is None:
        raise fault(f"there is no {INFO} with a {TREE} beside it", file=path)
    root = files.below(folder)
    present = root.sizes()
    if TREE not in present:
        raise fault(f"there is no {TREE}, which says what the records of its shards hold", file=folder)
    told = INFO in present
    info_path = root.file(INFO) if told else folder
    info = read_json(info_path) if told else _named_by(folder, present)
    name, form = info.get("name"), info.get("fileFormat") or "tfrecord"
    if not isinstance(name, str) or not name:
        raise fault("says no name", file=info_path)
    if form not in FORMATS:
        raise fault(f"says the file format {form!r}; {', '.join(FORMATS)} are read", file=info_path)
    made = Layout(root, told, info, name, str(info.get("version", folder.name)), form)
    splits = info.get("splits")
    if not isinstance(splits, list) or not all(isinstance(split, dict) for split in splits):
        raise fault("says no list of splits", file=info_path)
    for split in splits:
        _add(made, info_path, split, present)
    if not any(shard.there for shard in made.shards):
        raise fault(f"none of its {len(made.shards)} shards is there", file=folder)
    known = {shard.name for shard in made.shards}
    made.strays = sorted(n for n in present if n not in known and f".{form}-" in n and _SHARD.search(n))
    return made


def _named_by(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """What the names of shards tell of what ``dataset_info.json`` would say."""
    shards = [match.groupdict() for name in sorted(names) if (match := SHARD.fullmatch(name))]
    kinds = sorted({(shard["name"], shard["form"]) for shard in shards})
    if len(kinds) != 1:
        raise fault(f"has no {INFO}, and shards of {len(kinds)} datasets or formats: {kinds[:4]}", file=folder)
    splits = [{"name": split} for split in dict.fromkeys(shard["split"] for shard in shards)]
    return {"name": kinds[0][0], "fileFormat": kinds[0][1], "splits": splits}


def _add(made: Layout, info: Path, split: dict[str, Any], present: dict[str, int | None]) -> None:
    """One split with its shards."""
    name, template = split.get("name"), split.get("filepathTemplate") or TEMPLATE
    if not isinstance(name, str) or not name or name in made.splits or not isinstance(template, str):
        raise fault(f"says a split of the name {name!r} and the files {template!r}", file=info)
    lengths = split.get("shardLengths")
    if lengths is None:
        counts: list[int | None] = [None] * _total(made, info, name, template, split, present)
    else:
        counts = list(_counts(info, name, lengths))
    made.splits.append(name)
    first = 0
    for k, count in enumerate(counts):
        file = _named(made, name, template, k, len(counts))
        # Its name may have folders, but not lead out.
        size = present[file] if file in present else made.root.size(made.root.at(file))
        if size is not None and count is not None and count > (size // 16 if made.form == "tfrecord" else size * 8):
            raise fault(f"has {size} bytes, and {info.name} says {count} records", file=made.root.path / file)
        made.shards.append(Shard(file, name, first, count, size is not None))
        first += count or 0
    told = split.get("numBytes")
    if isinstance(told, (int, str)) and re.fullmatch(r"\d{1,19}", str(told)):
        made.sizes[name] = int(told)


def _counts(info: Path, name: str, lengths: Any) -> Iterator[int]:
    if not isinstance(lengths, list):
        raise fault(f"says no list of shard lengths for {name!r}", file=info)
    for length in lengths:
        if isinstance(length, bool) or not re.fullmatch(r"\d{1,12}", str(length)):
            raise fault(f"says the shard length {str(length)[:40]!r} for {name!r}", file=info)
        yield int(length)


def _total(made: Layout, info: Path, name: str, template: str, split: Any, present: dict[str, Any]) -> int:
    """How many shards a split has whose lengths nobody says: as many as the names of files say."""
    pattern = re.escape(_named(made, name, template, 0, 1)).replace("00000\\-of\\-00001", r"\d{5,}-of-(\d{5,})")
    totals = {int(m[1]) for m in (re.fullmatch(pattern, n) for n in present) if m and m.lastindex}
    if len(totals) != 1 or max(totals) > 10 * len(present) + 100_000:
        raise fault(f"says no shard lengths for {name!r}, and the files do not tell either", file=info)
    told = split.get("numShards")
    if told is not None and str(told) != str(max(totals)):
        raise fault(f"says {told} shards for {name!r}, and the files say {max(totals)}", file=info)
    return totals.pop()


def _named(made: Layout, split: str, template: str, k: int, total: int) -> str:
    digits = max(5, len(str(total)))
    values = {
        "DATASET": made.name, "SPLIT": split, "FILEFORMAT": made.form,
        "SHARD_X_OF_Y": f"{k:0{digits}d}-of-{total:0{digits}d}", "SHARD_INDEX": f"{k:0{digits}d}",
        "NUM_SHARDS": f"{total:0{digits}d}",
    }  # fmt: skip
    return _FIELD.sub(lambda m: values.get(m[1], m[0]), template)


__all__ = ["INFO", "TEMPLATE", "TREE", "Layout", "Shard", "layout"]
