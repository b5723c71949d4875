"""Align a recorded multi-rate log at one rate, and check the result against np.interp.

    python examples/align_real_log.py FOLDER --dataset euroc|eqvio|kitti|plaza|legged

FOLDER holds the files of one recording: EuRoC's imu0, cam0 and ground truth (the published mav0 layout, or imu0.csv,
cam0_timestamps_ns.txt and state_groundtruth.csv in one folder), or logs of gtsam's data folder (eqvio_processed_30s,
KittiEquivBiasedImu and KittiGps_converted, Plaza1_DR and Plaza1_TD, legged_staircase). Any file may be gzipped.
Stamps are read from the text as integer nanoseconds, so none is rounded. Exits non-zero if a number is off.
"""

import argparse
import csv
import gzip
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO

import numpy as np

import robocache as rc

MS = 10**6  # ns


@dataclass
class Log:
    """Streams of one recording and their target times: ``rate`` in Hz from ``start`` to ``stop``, or ``follow``."""

    streams: dict[str, rc.Stream] = field(default_factory=dict)
    rate: float | None = None
    follow: str | None = None
    start: int | None = None
    stop: int | None = None


@dataclass
class Row:
    """What one stream came to."""

    name: str
    samples: int
    hertz: float
    widest: float  # ms between samples
    valid: float  # fraction of targets
    oldest: float  # ms, greatest |age| among valid targets
    difference: float  # to NumPy, among valid targets
    tolerance: float
    masks_equal: bool

    @property
    def ok(self) -> bool:
        """All as NumPy says."""
        return self.masks_equal and self.difference <= self.tolerance


# ---- reading ------------------------------------------------------------------------------------------------------


def find(folder: Path, *names: str) -> Path:
    """The first of these files that is there, plain or gzipped."""
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise SystemExit(f"{folder} holds none of: {', '.join(names)}")


def read(path: Path) -> IO[str]:
    """The file as text, gzipped or not."""
    return gzip.open(path, "rt") if path.suffix == ".gz" else path.open()


def lines(path: Path, separator: str | None = ",", skip: int = 0) -> Iterator[list[str]]:
    """Cells of each line; comments, empty lines and the first ``skip`` are left out."""
    with read(path) as file:
        for number, line in enumerate(file):
            if number >= skip and line.strip() and not line.startswith("#"):
                yield line.strip().split(separator)


def nanoseconds(text: str) -> int:
    """Decimal seconds as integer nanoseconds, without passing through a float."""
    return int(Decimal(text).scaleb(9).to_integral_value())


def columns(rows: list[list[str]], which: slice) -> np.ndarray:
    """Columns as float64."""
    return np.array([row[which] for row in rows], np.float64)


def load_euroc(folder: Path) -> Log:
    """IMU, camera frames as indices (a video stays on disk), and ground truth, at 50 Hz over the span of the IMU."""
    imu = list(lines(find(folder, "imu0.csv", "mav0/imu0/data.csv")))
    frames = list(lines(find(folder, "cam0_timestamps_ns.txt", "mav0/cam0/data.csv")))
    truth = list(lines(find(folder, "state_groundtruth.csv", "mav0/state_groundtruth_estimate0/data.csv")))
    stamps = {name: np.array([int(r[0]) for r in rows]) for name, rows in (("i", imu), ("f", frames), ("t", truth))}
    streams = {
        "imu": rc.Stream(columns(imu, slice(1, 7)), stamps["i"], max_gap=20 * MS),
        "frame": rc.Stream(np.arange(len(frames)), stamps["f"], method="previous", tolerance=60 * MS),
        "nearest frame": rc.Stream(np.arange(len(frames)), stamps["f"], method="nearest", tolerance=30 * MS),
        "position": rc.Stream(columns(truth, slice(1, 4)), stamps["t"], max_gap=20 * MS),
        "velocity": rc.Stream(columns(truth, slice(8, 11)), stamps["t"], max_gap=20 * MS),
    }
    start = int(stamps["i"][0]) + 1_700_000  # between the samples, so that there is something to interpolate
    return Log(streams, rate=50, start=start, stop=int(stamps["i"][-1]))


def load_eqvio(folder: Path) -> Log:
    """IMU and the number of features seen in each vision frame, at 100 Hz."""
    path = find(folder, "eqvio_processed_30s.csv")
    imu: list[list[str]] = []
    seen: dict[str, int] = {}
    with read(path) as file:
        for row in csv.DictReader(file):
            if row["row_type"] == "imu":
                imu.append([row[key] for key in ("t_abs", "gx", "gy", "gz", "ax", "ay", "az")])
            elif row["row_type"] == "vision_feature":
                seen[row["t_abs"]] = seen.get(row["t_abs"], 0) + 1
    times = np.array([nanoseconds(text) for text in seen])
    streams = {
        "imu": rc.Stream(columns(imu, slice(1, 7)), np.array([nanoseconds(r[0]) for r in imu]), max_gap=20 * MS),
        "features": rc.Stream(np.array(list(seen.values())), times, method="previous", tolerance=60 * MS),
    }
    return Log(streams, rate=100)


def load_kitti(folder: Path) -> Log:
    """IMU with a hole of 1.9 s after its first sample, and GPS near 1 Hz, at 50 Hz."""
    imu = list(lines(find(folder, "KittiEquivBiasedImu.txt"), None, skip=1))
    gps = list(lines(find(folder, "KittiGps_converted.txt"), ",", skip=1))
    streams = {
        "imu": rc.Stream(columns(imu, slice(2, 8)), np.array([nanoseconds(r[0]) for r in imu]), max_gap=50 * MS),
        "gps": rc.Stream(columns(gps, slice(1, 4)), np.array([nanoseconds(r[0]) for r in gps]), max_gap=1500 * MS),
    }
    return Log(streams, rate=50)


def load_plaza(folder: Path) -> Log:
    """Wheel odometry, and the newest range to each radio beacon; the targets are the odometry's own stamps."""
    odometry = list(lines(find(folder, "Plaza1_DR.txt"), None))
    ranges = list(lines(find(folder, "Plaza1_TD.txt"), None))
    times = np.array([nanoseconds(r[0]) for r in odometry])
    streams = {"odometry": rc.Stream(columns(odometry, slice(1, 3)), times, method="nearest", tolerance=0)}
    for beacon in sorted({int(float(r[2])) for r in ranges}):
        own = [r for r in ranges if int(float(r[2])) == beacon]
        own.sort(key=lambda r: nanoseconds(r[0]))  # the file is not in order of time, and RoboCache refuses that
        stamps = np.array([nanoseconds(r[0]) for r in own])
        streams[f"beacon {beacon}"] = rc.Stream(
            columns(own, slice(3, 4)), stamps, method="previous", tolerance=2000 * MS
        )
    return Log(streams, follow="odometry")


def load_legged(folder: Path) -> Log:
    """IMU near 100 Hz with jitter, and the contact of each foot as the last event said, at 200 Hz."""
    inner = folder / "legged_staircase" if (folder / "legged_staircase").is_dir() else folder
    imu = list(lines(find(inner, "imu.csv"), ",", skip=1))
    events = list(lines(find(inner, "contacts.csv"), ",", skip=1))
    streams = {"imu": rc.Stream(columns(imu, slice(2, 8)), np.array([nanoseconds(r[1]) for r in imu]), max_gap=25 * MS)}
    for foot in sorted({r[3] for r in events}):
        own = [r for r in events if r[3] == foot]
        stamps = np.array([nanoseconds(r[1]) for r in own])
        streams[foot] = rc.Stream(np.array([r[4] == "1" for r in own]), stamps, method="previous")
    return Log(streams, rate=200)


LOADERS = {"euroc": load_euroc, "eqvio": load_eqvio, "kitti": load_kitti, "plaza": load_plaza, "legged": load_legged}


# ---- checking -----------------------------------------------------------------------------------------------------


def reference(stream: rc.Stream, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity by NumPy alone: integer search, np.interp in float64 on nanoseconds since the first stamp."""
    times, values = np.asarray(stream.times), np.asarray(stream.values)
    flat = values.reshape(len(values), -1)
    inside = (targets >= times[0]) & (targets <= times[-1])
    left = np.clip(np.searchsorted(times, targets, "right") - 1, 0, len(times) - 1)
    right = np.minimum(left + 1, len(times) - 1)
    if stream.method == "linear":
        since, wanted = (times - times[0]).astype(np.float64), (targets - times[0]).astype(np.float64)
        result = np.stack([np.interp(wanted, since, column) for column in flat.T], axis=1)
        exact = times[left] == targets
        return result, inside & (exact | (times[right] - times[left] <= stream.max_gap))
    use = left
    if stream.method == "nearest":
        use = np.where(np.abs(times[right] - targets) < np.abs(targets - times[left]), right, left)
    near = True if stream.tolerance is None else np.abs(targets - times[use]) <= stream.tolerance
    return flat[use], inside & near


def compare(name: str, stream: rc.Stream, fused: rc.Fused, column: int) -> Row:
    """One stream of the result against NumPy."""
    wanted, real = reference(stream, fused.times)
    values = np.asarray(fused.values[name]).reshape(len(fused.times), -1)
    valid, age = fused.valid[:, column], fused.age[:, column]
    gaps = np.diff(stream.times)
    exact = stream.method != "linear"
    off = np.abs(values[valid].astype(np.float64) - wanted[valid].astype(np.float64))
    scale = np.abs(np.asarray(stream.values, np.float64)).max()
    return Row(
        name,
        len(stream.times),
        1e9 / float(np.median(gaps)),
        float(gaps.max()) / MS,
        float(valid.mean()),
        float(np.abs(age[valid]).max(initial=0)) / MS,
        float(off.max(initial=0)),
        0.0 if exact else float(8 * np.finfo(np.float64).eps * scale),  # both sides round a few times
        bool((valid == real).all()),
    )


def align(log: Log) -> tuple[rc.Fused, list[Row]]:
    """Fuse the log and compare every stream."""
    fused = rc.fuse_multimodal(log.streams, log.follow, rate=log.rate, start=log.start, stop=log.stop, layout="dict")
    return fused, [compare(name, stream, fused, k) for k, (name, stream) in enumerate(log.streams.items())]


def main(argv: list[str] | None = None) -> int:
    """Print the table; 1 if any number differs from NumPy's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dataset", choices=LOADERS, default="euroc")
    args = parser.parse_args(argv)
    fused, rows = align(LOADERS[args.dataset](args.folder))
    span = float(fused.times[-1] - fused.times[0]) / 1e9
    print(f"{args.dataset}: {len(fused.times)} target times over {span:.3f} s, {len(rows)} streams")
    print(f"{'stream':<14}{'samples':>8}{'Hz':>9}{'widest gap':>13}{'valid':>9}{'max |age|':>12}   difference to NumPy")
    for row in rows:
        verdict = "ok" if row.ok else ("WRONG" if row.masks_equal else "WRONG: masks differ")
        print(
            f"{row.name:<14}{row.samples:>8}{row.hertz:>9.2f}{row.widest:>10.2f} ms{row.valid:>9.2%}"
            f"{row.oldest:>9.2f} ms   {row.difference:.1e} (allowed {row.tolerance:.1e}) {verdict}"
        )
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
