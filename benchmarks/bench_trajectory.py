"""Linear resampling and fusion against torch on the same device, checked in the same run.

``python3 -m benchmarks.bench_trajectory [--backend cpu|cuda] --out result.json``
"""

import argparse
from typing import Any

import numpy as np

import robocache as rc

from . import _timing, baselines

# batch, source, target, features
SHAPES = [
    (1, 20, 15, 7),
    (8, 100, 50, 14),
    (4096, 50, 16, 6),
    (1024, 100, 20, 588),
    (1, 1_000_000, 100_000, 6),
    (32, 500, 256, 256),
    (64, 4096, 1024, 32),
    (64, 1000, 500, 512),
    (256, 2048, 2048, 64),
    (256, 2048, 2048, 7),
]
TOLERANCE = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2, "float64": 1e-12}  # of the largest |value|


def make(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random walks at jittered 100 Hz, and sorted random targets inside."""
    batch, source, target, features = shape
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.5, 1.5, (batch, source)), axis=1) * 0.01
    targets = np.sort(rng.uniform(times[:, :1], times[:, -1:], (batch, target)), axis=1)
    return rng.standard_normal((batch, source, features), np.float32), times, targets


def reference(values: np.ndarray, times: np.ndarray, targets: np.ndarray, rows: int = 8) -> np.ndarray:
    """The first rows in float64 NumPy."""
    out = []
    for v, t, q in zip(values[:rows].astype(np.float64), times, targets, strict=False):
        i = np.clip(np.searchsorted(t, q, side="right"), 1, len(t) - 1)
        w = (q - t[i - 1]) / (t[i] - t[i - 1])
        out.append(v[i - 1] + w[:, None] * (v[i] - v[i - 1]))
    return np.stack(out)


def check(result: Any, values: np.ndarray, times: np.ndarray, targets: np.ndarray, dtype: str) -> float:
    """Largest error over the largest value; raises when it is too large."""
    expected = reference(values, times, targets)
    got = np.asarray(result[: len(expected)]).astype(np.float64)
    error = float(np.abs(got - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE[dtype]:
        raise SystemExit(f"wrong result for {dtype} {values.shape}: error {error}")
    return error


def run_cuda(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Device and call time of RoboCache and torch on the GPU, and the copy that bounds both."""
    import cupy
    import ml_dtypes
    import torch

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    batch, source, target, features = shape
    nbytes = batch * (source + target) * features * np.dtype(kind).itemsize + batch * (source + target) * 8
    count = _timing.rotation(nbytes) if nbytes < 2 << 30 else 2
    values, times, targets = make(shape, 1)
    values = values.astype(kind)
    sets = []
    for i in range(count):
        v = cupy.asarray(values)
        sets.append(
            (
                v,
                cupy.asarray(times + i),
                cupy.asarray(targets + i),
                cupy.full((batch, target, features), cupy.nan, kind),
            )
        )
    calls = [lambda s=s: rc.resample_trajectories(*s[:3], out=s[3]) for s in sets]
    row: dict[str, Any] = {"backend": "cuda", "shape": shape, "dtype": dtype, "bytes": nbytes}
    row["device_us"] = _timing.cupy_graph_time(calls)
    row["error"] = check(
        sets[-1][3].astype(cupy.float32).get(), values.astype(np.float32), times + count - 1, targets + count - 1, dtype
    )
    unchecked = [lambda s=s: rc.resample_trajectories(*s[:3], out=s[3], check="none") for s in sets]
    row["device_unchecked_us"] = _timing.cupy_graph_time(unchecked)
    if nbytes < 64 << 20:
        v, t, q, out = sets[0]
        wait = cupy.cuda.Device().synchronize
        row["call_us"] = _timing.call_time(lambda: rc.resample_trajectories(v, t, q), wait)
        row["call_out_us"] = _timing.call_time(lambda: rc.resample_trajectories(v, t, q, out=out), wait)
        row["call_valid_us"] = _timing.call_time(lambda: rc.resample_trajectories(v, t, q, return_valid=True), wait)
    tensors = [tuple(torch.from_dlpack(a) for a in s[:3]) for s in sets]
    peers = [lambda s=s: baselines.torch_linear(*s) for s in tensors[: max(4, min(count, (8 << 30) // nbytes))]]
    row["torch_device_us"] = _timing.torch_graph_time(peers)
    row["torch_error"] = float(
        np.abs(
            baselines.torch_linear(*tensors[0])[:8].float().cpu().numpy()
            - reference(values.astype(np.float32), times, targets)
        ).max()
    )
    if nbytes < 64 << 20:
        row["torch_call_us"] = _timing.call_time(peers[0], torch.cuda.synchronize)
    half = nbytes // 2
    copies = [(cupy.empty(half, np.uint8), cupy.empty(half, np.uint8)) for _ in range(count)]
    row["copy_us"] = _timing.cupy_graph_time(
        [
            lambda c=c: cupy.cuda.runtime.memcpyAsync(
                c[0].data.ptr, c[1].data.ptr, half, 3, cupy.cuda.get_current_stream().ptr
            )
            for c in copies
        ]
    )
    row["share_of_copy"] = row["copy_us"]["median"] / row["device_us"]["median"]
    row["over_torch"] = row["torch_device_us"]["median"] / row["device_us"]["median"]
    return row


def run_cpu(shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Wall time of RoboCache and torch on the CPU."""
    import ml_dtypes
    import torch

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    values, times, targets = make(shape, 1)
    native = values.astype(kind)
    out = np.full((shape[0], shape[2], shape[3]), np.nan, kind)
    row: dict[str, Any] = {"backend": "cpu", "shape": shape, "dtype": dtype}
    timer = _timing.call_time if native.nbytes < 1 << 18 else _timing.wall_time  # small ones many at a time
    row["wall_us"] = timer(lambda: rc.resample_trajectories(native, times, targets, out=out))
    row["wall_fresh_us"] = timer(lambda: rc.resample_trajectories(native, times, targets))
    row["error"] = check(out.astype(np.float32), native.astype(np.float32), times, targets, dtype)
    tensors = [torch.from_numpy(values).to(getattr(torch, dtype)), torch.from_numpy(times), torch.from_numpy(targets)]
    row["torch_wall_us"] = timer(lambda: baselines.torch_linear(*tensors))
    row["over_torch"] = row["torch_wall_us"]["median"] / row["wall_us"]["median"]
    row["over_torch_fresh"] = row["torch_wall_us"]["median"] / row["wall_fresh_us"]["median"]
    return row


def run_fuse_call() -> dict[str, Any]:
    """Host time of fusing three small streams on the GPU."""
    import cupy

    rng = np.random.default_rng(2)
    streams = {}
    for name, count, width in (("camera", 30, 512), ("joints", 100, 64), ("force", 200, 12)):
        times = np.sort(rng.integers(0, 10**9, (4, count)), axis=1)
        streams[name] = rc.Stream(cupy.asarray(rng.standard_normal((4, count, width), np.float32)), cupy.asarray(times))
    clock = cupy.asarray(np.linspace(0, 10**9, 50).astype(np.int64))
    wait = cupy.cuda.Device().synchronize
    return {
        "op": "fuse_multimodal",
        "streams": 3,
        "call_us": _timing.call_time(lambda: rc.fuse_multimodal(streams, clock), wait),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--dtypes", default="float32,bfloat16,float16")
    parser.add_argument("--largest", type=int, default=1 << 40, help="skip shapes that move more bytes")
    options = parser.parse_args()
    rows = []
    for dtype in options.dtypes.split(","):
        for shape in SHAPES:
            if 4 * shape[0] * (shape[1] + shape[2]) * shape[3] > options.largest:
                continue
            row = (run_cuda if options.backend == "cuda" else run_cpu)(shape, dtype)
            rows.append(row)
            print(
                dtype,
                shape,
                {
                    k: round(v["median"] if isinstance(v, dict) else v, 4)
                    for k, v in row.items()
                    if k not in ("backend", "shape", "dtype")
                },
                flush=True,
            )
    extra = {}
    if options.backend == "cuda":
        extra["fuse_call"] = run_fuse_call()
        print(extra)
    _timing.write(options.out, rows, **extra)


if __name__ == "__main__":
    main()
