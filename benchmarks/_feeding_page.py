"""The parts of ``docs/performance.md`` on decoding, on training from a store, and on making stores in shards."""

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
Number = Callable[[float], str]
TRAINING = """A step's time with one batch that stays on the GPU, and with the loader's batches from the store: warm,
and cold, with the files taken out of the page cache first. Stall is the share of the time that the loader costs: 1 less
the first over the second. NVML's utilisation says in what share of samples some kernel ran, GPM how many of the cycles
the multiprocessors had work. "PyTorch's" is its `DataLoader` over single items of the RLDS files, with as many
processes as there are cores, warm. Every 100th batch was compared with the RLDS files, sample by sample."""
LOADING = """Whole items in batches as PyTorch tensors, in random order: state, a chunk of actions, and all pictures of
the dataset as float32. `lerobot` is PyTorch's `DataLoader` over its `LeRobotDataset`, with as many worker processes as
`DataLoader.from_lerobot` has threads. The first batches in order were compared: keys, types, numbers and flags are the
same to the bit. Medians of fresh processes that took turns; the first batch counts from before anything is imported but
Python and NumPy."""
SHARDS = """Episodes of robomimic into shards of a store, with their statistics. "Beside the work" is what planning,
starting workers, handing out and merging add to the time that the shards themselves take, shared by the workers; below
zero where workers do more side by side than the one process did. All ways gave the same bytes."""
SWEEP = """Steps of a fixed length on the GPU instead of a policy, each of which reads every array of its batch by
CuPy:"""
KINDS = {"synthetic": "synthetic", "warm": "warm", "cold": "cold", "theirs": "PyTorch's"}


def apart(result: Row) -> list[str]:
    """How far decoders are from the CPU's values."""
    lines = []
    for row in result["rows"]:
        size = " x ".join(f"{n}" for n in row["shapes"].values())
        for name, peer in row["peers"].items():
            told = peer.get("apart")
            if not told:
                continue
            if "most" in told:
                said = "equal to the CPU's to the bit" if not told["most"] else f"{told['most']} levels apart at most"
                lines.append(f"- {name}, {row['distribution']}: {peer['frames']} frames, {said}.")
                continue
            parts = [f"{k} {v['mean']:.3f} on average, {v['most']} at most" for k, v in told.items()]
            lines.append(f"- {name}, {size}: levels from the CPU's JPEG: {'; '.join(parts)}.")
    return [*dict.fromkeys(lines), ""]


def training(result: Row, number: Number, table: Any) -> list[str]:
    """Policies, sweeps and throughput."""
    data, rows = result["data"], result["rows"]
    lines = [TRAINING, ""]
    lines += [
        f"{data['episodes']} episodes of RLDS, {data['steps']:,} steps with two pictures of 256 x 256, "
        f"{data['bytes'] / 1e9:.1f} GB; converted in {number(data['convert_s'])} s by {data['workers']} processes. "
        f"The loader has {data['threads']} threads for pictures and 2 for numbers alone. Decoded beforehand were "
        f"{data['decoded_episodes']} of the episodes, {data['decoded_bytes'] / 1e9:.1f} GB.", "",
    ]  # fmt: skip
    head = ["policy", "batch", "data", "ms a step", "slowest twentieth", "stall %", "NVML %", "GPM SM %", "host CPU %",
            "wait p95, ms"]  # fmt: skip
    cells = []
    for row in (r for r in rows if r["op"] == "train"):
        for kind in (kind for kind in KINDS if kind in row):
            one = row[kind]
            cells.append([
                row["method"] if kind == "synthetic" else "", f"{row['shapes']['B']}" if kind == "synthetic" else "",
                KINDS[kind], number(one["step_ms"]["median"]), number(one["step_ms"]["p95"]),
                "" if kind == "synthetic" else f"{100 * row['stall'][kind]:.1f}",
                "" if one["nvml_utilization"] is None else number(one["nvml_utilization"]),
                number(one["gpm"]["sm"]) if "sm" in one["gpm"] else "", number(100 * one["host_cpu_share"]),
                number(one["loader"]["wait_ms_p95"]) if "loader" in one else "",
            ])  # fmt: skip
    lines += [*table(head, cells), ""]
    for row in (r for r in rows if r["op"] == "train"):
        loss = row["held_out_loss"]
        lines.append(
            f"- {row['method']}: loss on held-out episodes {loss['before']:.3f} before, {loss['after']:.3f} after"
            f"{'' if loss['after'] < loss['before'] else ', **which is no better**'}."
        )
    lines += ["", SWEEP, ""]
    sweeps = [r for r in rows if r["op"] == "sweep"]
    steps = list(sweeps[0]["steps_ms"]) if sweeps else []
    cells = [
        [row["method"], f"{row['shapes']['B']}", *(f"{100 * row['steps_ms'][ms]['stall']:.1f}" for ms in steps),
         "" if row["smallest_ms"] is None else f"{row['smallest_ms']} ms"]
        for row in sweeps
    ]  # fmt: skip
    lines += [*table(["data", "batch", *(f"{ms} ms: stall %" for ms in steps), "below 5 % from"], cells), ""]
    cells = []
    for row in (r for r in rows if r["op"] == "load"):
        told = row["samples_per_second"]
        theirs = f"{number(told['torch'])} ({told['torch_workers']} processes)" if "torch" in told else told["absent"]
        ratio = f"{told['robocache'] / told['torch']:.1f}x" if "torch" in told else ""
        cells.append([row["method"], f"{row['shapes']['B']}", number(told["robocache"]), theirs, ratio])
    head = ["data", "batch", "robocache, samples/s to the GPU", "PyTorch DataLoader, an item at a time", "times"]
    return [*lines, *table(head, cells), ""]


def loading(result: Row, number: Number, table: Any) -> list[str]:
    """Batches of LeRobot datasets."""
    cells = []
    for row in result["rows"]:
        mine, theirs = row["robocache"], row["lerobot"]
        ratio = mine["samples_per_second"] / theirs["samples_per_second"]
        cells.append([
            row["method"], f"{row['pictures']}", f"{row['workers']}", number(mine["samples_per_second"]),
            number(theirs["samples_per_second"]), f"{ratio:.1f}x" if ratio >= 1 else f"**{ratio:.2f}x**",
            number(mine["first_s"]), number(theirs["first_s"]), f"{row['compared']['levels_apart']}",
        ])  # fmt: skip
    head = ["dataset", "pictures", "threads", "robocache, samples/s", "lerobot, samples/s", "times", "first batch, s",
            "lerobot's, s", "levels apart"]  # fmt: skip
    return [LOADING, "", *table(head, cells), ""]


def distributed(result: Row, number: Number, table: Any) -> list[str]:
    """Shards by several engines."""
    lines = [SHARDS, ""]
    for row in result["rows"]:
        shapes, work = row["shapes"], row["wall_us"]["median"]
        lines += [
            f"{shapes['E']:,} episodes of {shapes['T']} steps and {shapes['D']} numbers, {row['bytes'] / 1e6:.0f} MB "
            f"in {shapes['shards']} shards; the work alone takes {number(work / 1e6)} s in one process.", "",
        ]  # fmt: skip
        cells = [
            [name, number(one["wall_us"]["median"] / 1e6), f"{100 * one['share']:.0f}" if "share" in one else ""]
            for name, one in row["peers"].items()
        ]
        lines += [*table(["step, or engine and workers", "s", "beside the work, %"], cells), ""]
    return lines
