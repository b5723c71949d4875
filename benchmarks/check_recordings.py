"""Real recordings through both backends: against NumPy and small_gicp, and the GPU against the CPU bit for bit.

``python3 -m benchmarks.check_recordings FOLDER --out result.json``, where FOLDER holds euroc_v1_02_medium, gtsam_logs,
ouster_os1_128 and lidar_small_gicp (what is absent is left out and named).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import _results

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
import align_real_log
import voxelize_scan

LOGS = {"euroc": "euroc_v1_02_medium", "eqvio": "gtsam_logs", "kitti": "gtsam_logs", "plaza": "gtsam_logs"}
LOGS["legged"] = "gtsam_logs"
SCANS = ("ouster_os1_128/decoded.npz", "lidar_small_gicp/source.ply", "lidar_small_gicp/target.ply")


def cupy_or_none() -> Any:
    """CuPy where a device answers."""
    try:
        import cupy

        cupy.zeros(1)
    except (ImportError, RuntimeError):
        return None
    return cupy


def same(host: np.ndarray, device: Any) -> bool:
    """Equal shape, type and bits; NaN equals NaN."""
    got = device.get()
    return got.dtype == host.dtype and np.array_equal(got, host, equal_nan=host.dtype.kind == "f")


def check_log(name: str, folder: Path, cupy: Any) -> dict[str, Any]:
    """One log."""
    log = align_real_log.LOADERS[name](folder)
    fused, rows = align_real_log.align(log)
    result: dict[str, Any] = {"log": name, "targets": len(fused.times), "ok": all(row.ok for row in rows)}
    result["streams"] = {
        row.name: {"samples": row.samples, "valid": row.valid, "difference": row.difference, "masks": row.masks_equal}
        for row in rows
    }
    if cupy is not None:
        streams = {
            key: replace(s, values=cupy.asarray(s.values), times=cupy.asarray(s.times))
            for key, s in log.streams.items()
        }
        there = rc.fuse_multimodal(
            streams, log.follow, rate=log.rate, start=log.start, stop=log.stop, layout="dict", check="strict"
        )
        pairs = [(fused.valid, there.valid), (fused.age, there.age), (fused.times, there.times)]
        pairs += [(fused.values[key], there.values[key]) for key in fused.names]
        result["gpu_equals_cpu"] = all(same(a, b) for a, b in pairs)
    return result


def check_scan(path: Path, size: float, cupy: Any) -> dict[str, Any]:
    """One scan."""
    points = voxelize_scan.load(path)
    voxels = rc.voxelize(points, voxel_size=size)
    result: dict[str, Any] = {"scan": path.name, "points": len(points), "voxel_size": size}
    result["voxels"] = len(voxels.counts)
    try:
        import small_gicp
    except ImportError:
        result["small_gicp"] = "not installed"
    else:
        finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
        cloud = small_gicp.voxelgrid_sampling(small_gicp.PointCloud(finite), size, num_threads=1)
        theirs = np.asarray(cloud.points())[:, :3]
        mine = {tuple(c): m for c, m in zip(voxels.coords.tolist(), voxels.features[:, :3], strict=True)}
        cells = [tuple(c) for c in np.floor(theirs / size).astype(int).tolist()]
        errors = [float(np.abs(mine[c] - p).max()) for c, p in zip(cells, theirs, strict=True) if c in mine]
        result["small_gicp"] = {"voxels": len(theirs), "shared": len(errors), "largest_difference": max(errors)}
    if cupy is not None:
        there = rc.voxelize(cupy.asarray(points), voxel_size=size)
        fields = ("coords", "features", "counts", "inverse", "offsets", "dropped")
        result["gpu_equals_cpu"] = all(same(getattr(voxels, f), getattr(there, f)) for f in fields)
    return result


def main() -> int:
    """Command line; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    cupy, rows = cupy_or_none(), []
    absent = [n for n in {*LOGS.values(), *SCANS} if not (options.folder / n).exists()]
    rows += [check_log(name, options.folder / at, cupy) for name, at in LOGS.items() if at not in absent]
    rows += [check_scan(options.folder / scan, 0.2, cupy) for scan in SCANS if scan not in absent]
    for row in rows:
        print(row)
    _results.write(options.out, "recordings", rows, absent=sorted(absent))
    return int(any(row.get("ok") is False or row.get("gpu_equals_cpu") is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
