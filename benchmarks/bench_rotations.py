"""Conversions of rotations, products, poses and slerp beside torch (GPU) or SciPy (CPU), checked in the same run.

``python3 -m benchmarks.bench_rotations [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from robocache import rotations

from . import _results, _timing, baselines

HOW = {"rot6d": {"layout": "rows"}, "euler": {"order": "xyz"}}
TAKES = {
    "multiply_quats": ("quat", "quat"), "slerp": ("quat", "quat"), "relative_pose": ("pose", "pose"),
    "canonical_quat": ("quat",),
}  # fmt: skip
NAMES = (
    "quat_to_matrix", "matrix_to_quat", "quat_to_rotvec", "rotvec_to_quat", "rot6d_to_matrix", "matrix_to_rot6d",
    "quat_to_euler", "euler_to_matrix", "canonical_quat", "multiply_quats", "slerp", "relative_pose",
)  # fmt: skip
LARGE = 4_000_000
CHUNK = 16  # steps of a chunk that share their base
SMALL = 64 << 20  # bytes up to which the time of a call says something
LIMIT = {"float64": 1e-13, "float32": 4e-5, "bfloat16": 0.05, "float16": 0.01}


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    rows: int
    dtype: str = "float32"
    share: float | None = None
    seed: int = 1

    @property
    def takes(self) -> tuple[str, ...]:
        return TAKES.get(self.name) or (self.name.split("_to_")[0],)

    @property
    def gives(self) -> str:
        return self.name.split("_to_")[1] if "_to_" in self.name else self.takes[0]

    @property
    def how(self) -> dict[str, Any]:
        return {k: v for form, how in HOW.items() if form in self.name for k, v in how.items()}

    def kind(self) -> np.dtype:
        if self.dtype == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.dtype)

    def inputs(self, number: int) -> list[np.ndarray]:
        """Input set ``number``: rows that mean rotations, made of random quaternions in float64."""
        rng = np.random.default_rng(self.seed + 1009 * number)
        some = min(self.rows, 20_000)
        made = []
        for k, form in enumerate(self.takes):
            quats = rng.standard_normal((some, 4))
            rows = quats / np.linalg.norm(quats, axis=1, keepdims=True)
            if form == "pose":
                rows = np.concatenate([rng.standard_normal((some, 3)), rows], 1)
            elif form != "quat":
                rows = getattr(rotations, f"quat_to_{form}")(rows, **HOW.get(form, {}))
            rows = np.resize(rows, (self.rows, *rows.shape[1:])).astype(self.kind())
            if form == "pose":
                rows = rows.reshape(-1, CHUNK, 7)[:, : 1 if k else None]
                rows = np.ascontiguousarray(rows)
            made.append(rows)
        return made

    def call(self, arrays: list[Any], out: Any = None) -> Any:
        more = (0.3,) if self.name == "slerp" else ()
        return getattr(rotations, self.name)(*arrays, *more, **self.how, out=out)

    def judge(self, arrays: list[Any], got: np.ndarray) -> float:
        """Largest error against float64 on the CPU, which the tests hold against SciPy."""
        step = max(1, len(got) // 5000)
        exact = self.call([np.ascontiguousarray(a[::step], np.float64) for a in arrays])
        got = got[::step].astype(np.float64)
        if self.gives == "euler":
            exact, got = (rotations.euler_to_matrix(a, order="xyz") for a in (exact, got))
        wrong = np.abs(got - exact)
        if self.gives in ("quat", "rotvec"):
            wrong = np.minimum(wrong.max(-1), np.abs(got + exact).max(-1))
        error = float(wrong.max())
        if not error <= LIMIT[self.dtype]:
            raise _results.WrongResult(f"{self.name} {self.dtype}: off by {error}")
        return error


def row_of(case: Case, arrays: list[Any], out: Any, backend: str) -> dict[str, Any]:
    """What a row says before anything is timed."""
    row: dict[str, Any] = {
        "op": case.name, "backend": backend, "shapes": {"N": case.rows}, "dtypes": {"values": case.dtype},
        "distribution": "random", "seed": case.seed, "bytes": out.nbytes + sum(a.nbytes for a in arrays),
    }  # fmt: skip
    if case.share:
        row["goal"] = {"share": case.share}
    return row


def run_cuda(case: Case) -> dict[str, Any]:
    """One row on the GPU."""
    import cupy

    host = case.inputs(0)
    nbytes = sum(a.nbytes for a in host)
    sets = [[cupy.asarray(a) for a in host] for _ in range(_timing.rotation(2 * nbytes, most=24))]
    outs = [cupy.empty_like(case.call(s)) for s in sets]
    row = row_of(case, host, outs[0], "cuda")
    calls = [partial(case.call, s, o) for s, o in zip(sets, outs, strict=True)]
    row["device_us"], _ = _timing.device_time(calls)
    row["error"] = max(case.judge(host, outs[k].get()) for k in (0, -1))
    if row["bytes"] < SMALL:
        wait = cupy.cuda.Device().synchronize
        row["call_us"] = _timing.call_time(lambda: case.call(sets[0]), wait)
        row["call_out_us"] = _timing.call_time(calls[0], wait)
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    peer = TORCH.get(case.name)

    def by_torch() -> dict[str, Any]:
        import torch

        given = [[torch.from_dlpack(a) for a in s] for s in sets]
        took, _ = _timing.torch_graph_time([partial(peer, *g) for g in given])
        return {"device_us": took, "by": "graph"}

    row["peers"] = {"torch": baselines.attempt("torch", by_torch) if peer else baselines.absent("not tried here")}
    return row


def torch_matrix(quat: Any) -> Any:
    """Quaternions x, y, z, w to matrices, normalised, as one writes it in torch."""
    import torch

    x, y, z, w = torch.nn.functional.normalize(quat, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, -1).reshape(*quat.shape[:-1], 3, 3)


def torch_rotvec(quat: Any) -> Any:
    """Quaternions to rotation vectors."""
    import torch

    quat = torch.nn.functional.normalize(quat, dim=-1)
    quat = torch.where(quat[..., 3:] < 0, -quat, quat)
    size = quat[..., :3].norm(dim=-1, keepdim=True)
    return quat[..., :3] * torch.where(size > 0, 2 * torch.atan2(size, quat[..., 3:]) / size, 2)


def torch_spanned(six: Any) -> Any:
    """Gram-Schmidt of the 6D form."""
    import torch

    first, second = six[..., :3], six[..., 3:]
    a = torch.nn.functional.normalize(first, dim=-1)
    b = torch.nn.functional.normalize(second - (a * second).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack((a, b, torch.linalg.cross(a, b)), -2)


TORCH = {"quat_to_matrix": torch_matrix, "quat_to_rotvec": torch_rotvec, "rot6d_to_matrix": torch_spanned}


def scipy_peer(case: Case) -> Callable[..., Any] | None:
    """The same by SciPy's ``Rotation``, in float64."""
    from scipy.spatial.transform import Rotation

    read = {"quat": Rotation.from_quat, "matrix": Rotation.from_matrix, "rotvec": Rotation.from_rotvec}
    if "_to_" in case.name and case.takes[0] in read and case.gives in ("quat", "matrix", "rotvec", "euler"):
        more = ("xyz",) if case.gives == "euler" else ()
        return lambda rows: getattr(read[case.takes[0]](rows), f"as_{case.gives}")(*more)
    if case.name == "multiply_quats":
        return lambda a, b: (Rotation.from_quat(a) * Rotation.from_quat(b)).as_quat()
    return None


def run_cpu(case: Case) -> dict[str, Any]:
    """One row on the CPU, memcpy in turn with it, then SciPy."""
    arrays = case.inputs(0)
    out = case.call(arrays)
    row = row_of(case, arrays, out, "cpu")
    _timing.poison(out)
    copy = _timing.HostCopy(row["bytes"])
    took = _timing.wall_times({"mine": partial(case.call, arrays, out), "alone": copy.alone, "together": copy.together})
    row["error"] = case.judge(arrays, out)
    row["wall_us"], row["copy_us"] = took["mine"], min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
    peer = scipy_peer(case)

    def by_scipy() -> dict[str, Any]:
        return {"wall_us": _timing.wall_time(lambda: peer(*arrays), runs=3)}

    row["peers"] = {"scipy": baselines.attempt("scipy", by_scipy) if peer else baselines.absent("has no such batch")}
    return row


def cases(backend: str, quick: bool) -> list[Case]:
    """Small calls, then large ones of every type."""
    small = [Case(name, 4096) for name in ("quat_to_matrix", "relative_pose", "slerp")]
    if quick:
        return [*small, Case("quat_to_rotvec", 100_000)]
    if backend == "cpu":
        return small + [Case(name, 500_000) for name in NAMES if name != "slerp"] + [Case("slerp", 100_000)]
    large = [Case(name, LARGE, share=0.7) for name in NAMES]
    other = [
        Case(name, LARGE, dtype, share=0.7)
        for dtype in ("bfloat16", "float16", "float64")
        for name in ("quat_to_matrix", "matrix_to_quat", "quat_to_rotvec", "relative_pose")
    ]
    return small + large + other


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    todo = [partial(run, case) for case in cases(options.backend, options.quick)]
    _results.finish(options.out, "rotations", todo, seed=options.seed)


if __name__ == "__main__":
    main()
