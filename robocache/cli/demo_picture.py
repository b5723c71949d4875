"""The demo's picture: a joint, what was lost, and the table top in voxels."""

from pathlib import Path
from typing import Any

import numpy as np

from .simulate import Sensor

MISSING = "matplotlib is not installed (python3 -m pip install matplotlib)"


def draw(
    path: Path, sensors: list[Sensor], fused: dict[str, Any], counts: np.ndarray, bounds: Any, size: float
) -> bool:
    """Write the picture without touching any display; False where there is no matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2)
    zero = fused["times"][0]
    joints = next(s for s in sensors if s.name == "joints")
    _joint(figure.add_subplot(grid[0, :]), joints, [s.name for s in sensors].index("joints"), fused, zero)
    _validity(figure.add_subplot(grid[1, 0]), sensors, fused, zero)
    _heights(figure, figure.add_subplot(grid[1, 1]), counts, bounds, size)
    figure.savefig(path, dpi=120)
    return True


def _joint(axes: Any, joints: Sensor, index: int, fused: dict[str, Any], zero: int) -> None:
    """One joint around its first burst of lost samples."""
    gaps = np.diff(joints.captured)
    centre = joints.captured[np.argmax(gaps)] + gaps.max() // 2
    near = slice(centre - 500_000_000, centre + 500_000_000)
    fine = np.arange(near.start, near.stop, 1_000_000)
    axes.plot((fine - zero) / 1e9, joints.signal.at(fine)[:, 0], color="0.75", lw=4, label="truth")
    raw = (joints.captured >= near.start) & (joints.captured <= near.stop)
    axes.plot(
        (joints.captured[raw] - zero) / 1e9, joints.values[raw, 0], "k.", ms=4, label="recorded, 100 Hz with jitter"
    )
    times, valid = fused["times"], fused["valid"][:, index]
    column = fused["values"][:, fused["slices"]["joints"]][:, 0]
    shown = (times >= near.start) & (times <= near.stop)
    for mask, style, text in ((valid, "C0o", "aligned, 50 Hz"), (~valid, "C3x", "aligned, flagged: samples were lost")):
        chosen = shown & mask
        axes.plot((times[chosen] - zero) / 1e9, column[chosen], style, mfc="none", ms=8, label=text)
    axes.set(xlabel="s", ylabel="joint 1 in rad", title="Linear interpolation on int64 nanoseconds")
    axes.legend(loc="best", fontsize=8)


def _validity(axes: Any, sensors: list[Sensor], fused: dict[str, Any], zero: int) -> None:
    seconds = (fused["times"] - zero) / 1e9
    for k in range(len(sensors)):
        lost = ~fused["valid"][:, k]
        axes.plot(seconds[~lost], np.full((~lost).sum(), k), "|", color="C0", ms=14, mew=0.6)
        axes.plot(seconds[lost], np.full(lost.sum(), k), "|", color="C3", ms=22, mew=2)
    axes.set_yticks(range(len(sensors)), [f"{s.name}\n{s.rate:g} Hz" for s in sensors])
    axes.set(xlabel="s", ylim=(len(sensors) - 0.5, -0.5), title="Validity of each stream at 50 Hz (red: lost)")


def _heights(figure: Any, axes: Any, counts: np.ndarray, bounds: Any, size: float) -> None:
    (x0, y0, z0), (x1, y1, _) = bounds
    filled = counts > 0
    top = counts.shape[2] - 1 - np.argmax(filled[:, :, ::-1], axis=2)
    height = np.where(filled.any(axis=2), z0 + (top + 0.5) * size, np.nan)
    shown = axes.imshow(height.T, origin="lower", extent=(x0, x1, y0, y1), cmap="viridis")
    figure.colorbar(shown, ax=axes, label="highest filled cell in m", shrink=0.8)
    axes.set(
        xlabel="x in m",
        ylabel="y in m",
        title=f"Table top by depth camera, {size * 100:g} cm voxels (white: unseen)",
    )
