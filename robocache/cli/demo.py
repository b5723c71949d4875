"""``robocache demo``: a simulated robot's log, aligned and voxelized here and checked against the truth."""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from .._core.errors import ArgumentError
from . import backends, demo_checks, demo_picture, simulate
from .backends import Backend
from .demo_checks import Check
from .report import Report, table
from .simulate import Sensor

RATE = 50.0  # Hz, of the policy that would consume the result
BOUNDS = ((-0.6, -0.4, -0.02), (0.6, 0.4, 0.22))
GRID, FINE = 0.02, 0.01  # voxel edges in metres


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache demo``."""
    parser.add_argument("--backend", choices=("auto", "cpu", "cuda"), default="auto", help="default: the GPU if usable")
    parser.add_argument("--seconds", type=_seconds, default=10.0, help="length of the recording (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the simulation (default: 0)")
    parser.add_argument("--picture", type=Path, metavar="PATH", help="write a picture of the result (needs matplotlib)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 600")
    return seconds


def run(args: argparse.Namespace) -> Report:
    """Simulate, run each operation, check it, describe it."""
    if args.picture is not None and not args.picture.parent.is_dir():
        raise ArgumentError(f"--picture {args.picture}: there is no folder {args.picture.parent}")
    backend, why = backends.pick(args.backend)
    if sys.stderr.isatty():
        print("The first run on a machine compiles the kernels; later ones are quick.", file=sys.stderr)
    sensors = simulate.record(args.seconds, args.seed)
    points = simulate.unproject(simulate.depth_image(args.seed))
    stages: list[dict[str, Any]] = []
    checks: list[Check] = []
    fused = _align(backend, sensors, stages, checks)
    _follow(backend, sensors, stages, checks)
    counts = _voxels(backend, points, stages, checks)
    naive = demo_checks.float32_stamps(sensors)
    ok = all(check.ok for check in checks)
    fields = {
        "ok": ok,
        "backend": backend.name,
        "device": backend.label,
        "gpu_not_used": why,
        "seconds": args.seconds,
        "seed": args.seed,
        "sensors": [_describe(sensor) for sensor in sensors],
        "stages": stages,
        "checks": [check.fields() for check in checks],
        "float32_stamps": naive,
        "picture": None,
    }
    lines = [_text(fields, checks)]
    if args.picture is not None:
        try:
            written = demo_picture.draw(args.picture, sensors, fused, counts, BOUNDS, GRID)
        except (OSError, ValueError) as error:  # a folder that cannot be written, a format that is not known
            raise ArgumentError(f"--picture {args.picture}: {error}") from error
        fields["picture"] = str(args.picture) if written else None
        lines.append(f"Picture: {args.picture}" if written else f"No picture: {demo_picture.MISSING}")
    return Report(ok, fields, "\n".join(lines))


def _align(backend: Backend, sensors: list[Sensor], stages: list[dict[str, Any]], checks: list[Check]) -> Any:
    """All streams at one rate, each on its own clock."""
    streams = {
        s.name: rc.Stream(
            backend.put(s.values),
            backend.put(s.stamps),
            method=s.method,
            latency=s.latency,
            tolerance=s.tolerance,
            max_gap=s.max_gap,
        )
        for s in sensors
    }
    fused, seconds = backend.median(lambda: rc.fuse_multimodal(streams, rate=RATE))
    times, values, valid = (backend.get(array) for array in (fused.times, fused.values, fused.valid))
    stages.append(_stage("fuse_multimodal", f"{len(sensors)} streams at {RATE:g} Hz", values.shape, seconds))
    for k, sensor in enumerate(sensors):
        checks.append(demo_checks.aligned(sensor, times, values[:, fused.slices[sensor.name]], valid[:, k]))
    return {"times": times, "values": values, "valid": valid, "slices": fused.slices}


def _follow(backend: Backend, sensors: list[Sensor], stages: list[dict[str, Any]], checks: list[Check]) -> None:
    """Joint positions at the instants of the camera frames, one row for each frame."""
    camera, joints = (next(s for s in sensors if s.name == name) for name in ("camera", "joints"))
    given = [backend.put(a) for a in (joints.values, joints.stamps - joints.latency, camera.captured)]
    options: dict[str, Any] = {"max_gap": joints.max_gap, "return_valid": True}
    (values, valid), seconds = backend.median(lambda: rc.resample_trajectories(*given, **options))
    stages.append(_stage("resample_trajectories", "joints at camera frames", values.shape, seconds))
    found = demo_checks.aligned(joints, camera.captured, backend.get(values), backend.get(valid))
    checks.append(Check("joints at camera frames", found.ok, found.text, found.numbers))


def _voxels(backend: Backend, points: np.ndarray, stages: list[dict[str, Any]], checks: list[Check]) -> np.ndarray:
    """The depth camera's cloud as a dense grid and as a set of voxels."""
    cloud = backend.put(points)
    counts, seconds = backend.median(
        lambda: rc.voxel_grid(cloud, bounds=BOUNDS, voxel_size=GRID, reduce="count"), repeats=3
    )
    stages.append(_stage("voxel_grid", f"{len(points)} points, {GRID * 100:g} cm", counts.shape, seconds))
    dense = backend.get(counts)
    checks.append(demo_checks.grid(points, dense, BOUNDS, GRID))
    voxels, seconds = backend.median(lambda: rc.voxelize(cloud, voxel_size=FINE), repeats=3)
    stages.append(_stage("voxelize", f"{len(points)} points, {FINE * 100:g} cm", voxels.features.shape, seconds))
    coords, features, number = (backend.get(a) for a in (voxels.coords, voxels.features, voxels.counts))
    checks.append(demo_checks.voxel_set(points, coords, features, number, FINE))
    return dense


def _stage(operation: str, what: str, shape: tuple[int, ...], seconds: float) -> dict[str, Any]:
    return {"operation": operation, "what": what, "shape": list(shape), "median_seconds": seconds}


def _describe(sensor: Sensor) -> dict[str, Any]:
    return {
        "name": sensor.name,
        "rate_hz": sensor.rate,
        "channels": sensor.values.shape[1],
        "samples": len(sensor.stamps),
        "lost": sensor.lost,
        "latency_ns": sensor.latency,
        "method": sensor.method,
    }


def _text(fields: dict[str, Any], checks: list[Check]) -> str:
    """What a person reads."""
    lines = [f"A simulated robot, {fields['seconds']:g} s, seed {fields['seed']}; running on {fields['device']}."]
    if fields["gpu_not_used"]:
        lines.append(f"The GPU is not used: {fields['gpu_not_used']}.")
    sensors = [
        (s["name"], f"{s['rate_hz']:g} Hz", s["channels"], s["samples"], s["lost"], f"{s['latency_ns'] / 1e6:g} ms")
        for s in fields["sensors"]
    ]
    lines += ["", table(("sensor", "rate", "channels", "samples", "lost", "clock late by"), sensors)]
    stages = [
        (s["operation"], s["what"], "x".join(map(str, s["shape"])), f"{s['median_seconds'] * 1e3:.3g} ms")
        for s in fields["stages"]
    ]
    lines += ["", table(("operation", "what", "result", "median time"), stages)]
    lines += [
        "",
        table(("check against the truth", "", ""), [(c.name, "ok" if c.ok else "FAILED", c.text) for c in checks]),
    ]
    naive = fields["float32_stamps"]
    lines += [
        "",
        f"With stamps kept as float32 seconds instead: {naive['stamps']} stamps of the {naive['sensor']} sensor become "
        f"{naive['distinct']} distinct",
        f"(one step is {naive['step_seconds']:g} s at this date), and joints interpolated on them are wrong by up to "
        f"{naive['joint_error']:.2g} rad; with int64 ns, {naive['joint_error_int64']:.2g} rad.",
    ]
    lines += ["", "All checks passed." if fields["ok"] else "SOME CHECKS FAILED."]
    return "\n".join(lines)
