"""Draw every picture of the documentation into docs/pictures: python3 docs/pictures.py, from the root of the checkout.

Needs RoboCache (on the CPU) and its extra ``plot``. The same versions write the same bytes.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import robocache as rc
import robocache.datasets as rd
from robocache.view import draw, scene

HERE = Path(__file__).resolve().parent / "pictures"
STYLE = {
    "svg.hashsalt": "robocache", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 9,
    "axes.titlesize": 9, "legend.fontsize": 8, "axes.spines.top": False, "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}  # fmt: skip
BLACK, BLUE, ORANGE, RED, GREY, PALE, SKY = "#000000", "#0072b2", "#e69f00", "#c1440e", "#777777", "#d9d9d9", "#7fb8da"
CURVES = ("linear", "pchip", "akima", "catmull_rom", "cubic")
LINES = {
    "linear": (GREY, "-"), "pchip": (BLUE, "-"), "akima": (ORANGE, "--"), "catmull_rom": (RED, ":"),
    "cubic": (BLACK, "-."),
}  # fmt: skip


def canvas(width: float, height: float, columns: int, rows: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure without a window, and its panels."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    return figure, figure.subplots(rows, columns, **options)


def curves() -> Figure:
    """Each method through the same samples, with a gap that max_gap masks."""
    times = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.1, 1.2, 1.3, 1.4, 1.5])
    values = np.array([0.0, 0.02, 0.0, 0.05, 1.0, 1.02, 0.98, 1.0, 0.35, 0.2, 0.3, 0.15, 0.2])
    fine = np.linspace(0, 1.5, 601)
    figure, panels = canvas(8, 4.6, 3, 2)
    *single, close = panels.flat
    for method, panel in zip(CURVES, single, strict=True):
        drawn, valid = rc.resample_trajectories(values, times, fine, method=method, max_gap=0.2, return_valid=True)
        panel.axvspan(0.7, 1.1, color=PALE, lw=0, label="gap wider than max_gap")
        panel.plot(fine, np.where(valid, drawn, np.nan), color=BLUE, label="valid")
        panel.plot(fine, np.where(valid, np.nan, drawn), color=BLUE, ls=":", label="not valid")
        panel.plot(times, values, "o", color=BLACK, ms=3.5, label="sample")
        panel.set_title(f'method="{method}"')
        panel.set(ylim=(-0.2, 1.25), xlabel="time in s", ylabel="position in rad")
        panel.label_outer()
        close.plot(fine, drawn, color=LINES[method][0], ls=LINES[method][1], lw=1.6, label=method)
    figure.legend(*single[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    close.plot(times, values, "o", color=BLACK, ms=3.5)
    close.set(xlim=(0.18, 0.62), ylim=(-0.2, 1.25), xlabel="time in s", title="all, near the step")
    close.legend(loc="center right", frameon=False, handlelength=2.4)
    return figure


def aliasing() -> Figure:
    """A vibration that folds into the motion, and the mean that does not let it."""
    start, stop, ms = 0, 1_000_000_000, 1_000_000
    times = np.arange(start, stop + 1, ms)
    seconds = times / 1e9
    slow = np.sin(2 * np.pi * seconds)
    raw = slow + 0.5 * np.sin(2 * np.pi * 47 * seconds)
    clock = rc.Clock(50, start, stop).times()
    figure, panels = canvas(8, 2.7, 2, sharex=True, sharey=True)
    for panel, method in zip(panels, ("linear", "mean"), strict=True):
        panel.plot(seconds, raw, color="#bbbbbb", lw=0.7, label="1 kHz samples: 1 Hz motion, 47 Hz vibration")
        panel.plot(seconds, slow, color=BLACK, lw=1, ls="--", label="the motion alone")
        answer = rc.resample_trajectories(raw, times, clock, method=method)
        panel.plot(clock / 1e9, answer, "o-", color=BLUE, ms=3, lw=1.2, label="resampled to 50 Hz")
        panel.set(title=f'method="{method}"', xlabel="time in s")
    panels[0].set_ylabel("force in N")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def angle() -> Figure:
    """An angle that goes past pi."""
    times = np.arange(0, 1.001, 0.1)
    true = 2.2 + 7.0 * times - 6.2 * times**2
    wrapped = (true + np.pi) % (2 * np.pi) - np.pi
    fine = np.linspace(0, 1, 161)
    figure, panels = canvas(8, 2.7, 2, sharex=True, sharey=True)
    for panel, method in zip(panels, ("linear", "angle"), strict=True):
        drawn = rc.resample_trajectories(wrapped, times, fine, method=method)
        for edge in (-np.pi, np.pi):
            panel.axhline(edge, color=GREY, lw=0.8, ls="--")
        panel.plot(fine, drawn, ".", color=BLUE, ms=3.5, label="resampled")
        panel.plot(times, wrapped, "o", color=BLACK, ms=5, mfc="none", label="sample")
        panel.set(title=f'method="{method}"', xlabel="time in s")
        panel.set_yticks([-np.pi, 0, np.pi], ["$-$π", "0", "π"])
    panels[0].set_ylabel("joint angle in rad")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def slerp() -> Figure:
    """What interpolating the four numbers of a quaternion does to the angle and to the length."""
    turn = np.deg2rad(170)
    quats = np.array([[0, 0, 0, 1], [0, 0, np.sin(turn / 2), np.cos(turn / 2)]])
    times, fine = np.array([0.0, 1.0]), np.linspace(0, 1, 101)
    figure, (angles, lengths) = canvas(8, 2.7, 2, sharex=True)
    for method, line in (("slerp", {"color": BLUE}), ("linear", {"color": RED, "ls": "--"})):
        drawn = rc.resample_trajectories(quats, times, fine, method=method)
        angles.plot(fine, np.rad2deg(2 * np.arctan2(drawn[:, 2], drawn[:, 3])), **line, label=f'method="{method}"')
        lengths.plot(fine, np.linalg.norm(drawn, axis=1), **line)
    angles.set(title="Angle turned, from 0 to 170 degrees", xlabel="time in s", ylabel="angle in degrees")
    lengths.set(title="Length of the quaternion", xlabel="time in s", ylabel="length", ylim=(0.6, 1.05))
    handles, labels = angles.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def poses() -> Figure:
    """Two poses, and the two ways between them."""
    half = np.deg2rad(120) / 2
    given = np.array([[0, 0, 0, 0, 0, 0, 1], [1.0, 0.6, 0, 0, 0, np.sin(half), np.cos(half)]])
    fine = np.linspace(0, 1, 9)
    figure, panel = canvas(5.2, 3.2, 1)
    for mode, line in (("split", {"color": RED, "ls": "--"}), ("se3", {"color": BLUE})):
        drawn = rc.resample_poses(given, np.array([0.0, 1.0]), np.linspace(0, 1, 101), mode=mode)
        panel.plot(drawn[:, 0], drawn[:, 1], **line, label=f'mode="{mode}"')
        some = rc.resample_poses(given, np.array([0.0, 1.0]), fine, mode=mode)
        ahead = rc.rotations.quat_to_matrix(some[:, 3:])[:, :2, 0]
        arrows = {"angles": "xy", "scale_units": "xy", "scale": 8, "width": 0.006}
        panel.quiver(some[:, 0], some[:, 1], ahead[:, 0], ahead[:, 1], color=line["color"], **arrows)
    panel.plot(given[:, 0], given[:, 1], "o", color=BLACK, ms=5, label="sample")
    panel.set(aspect="equal", xlim=(-0.06, 1.12), ylim=(-0.14, 0.78), xlabel="x in m", ylabel="y in m")
    panel.set_title("The arrow is the x axis of the body")
    panel.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def windows() -> Figure:
    """Some windows of two episodes, cell by cell, as rc.windows gives them."""
    offsets, anchors = np.array([0, 7, 16]), (0, 1, 5, 7, 11, 15)
    every = rc.windows(offsets, n_obs=3, n_act=5, pad_before=2, pad_after=4)
    batch = every.take(np.array(anchors))
    figure, panel = canvas(8, 3.9, 1)
    for row, anchor in enumerate(anchors):
        parts = (
            (batch.obs_index[row], batch.obs_valid[row], anchor - 2, 0.36, PALE),
            (batch.action_index[row], batch.action_valid[row], anchor, 0.0, SKY),
        )
        for index, valid, first, up, colour in parts:
            for k, (step, real) in enumerate(zip(index, valid, strict=True)):
                style = {"facecolor": colour} if real else {"facecolor": "white", "hatch": "////", "edgecolor": GREY}
                box = {"edgecolor": BLACK, "linewidth": 0.6, **style}
                panel.add_patch(Rectangle((first + k - 0.5, -row + up - 0.36), 1, 0.36, **box))
                word = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.6}} if not real else {}
                panel.text(first + k, -row + up - 0.19, str(step), ha="center", va="center", fontsize=7.5, **word)
    for edge in offsets:
        panel.axvline(edge - 0.5, color=BLACK, lw=1.4)
    for number, (begin, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        panel.text((begin + end - 1) / 2, 0.62, f"episode {number}", ha="center", weight="bold")
    panel.set(xlim=(-3, 20), ylim=(1 - len(anchors) - 0.55, 1), xticks=range(16), xlabel="step in the packed arrays")
    panel.set_yticks([-row for row in range(len(anchors))], [f"anchor {anchor}" for anchor in anchors])
    panel.tick_params(axis="y", length=0)
    keys = (("observation history", {"facecolor": PALE}), ("action chunk", {"facecolor": SKY}),
            ("padding (valid is False)", {"facecolor": "white", "hatch": "////"}))  # fmt: skip
    handles = [Rectangle((0, 0), 1, 1, edgecolor=BLACK, lw=0.6, label=text, **style) for text, style in keys]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def clocks() -> Figure:
    """A drift under late arrivals, and the correlation of two views of one motion."""
    rng = np.random.default_rng(3)
    device = np.arange(600) * 100_000_000
    delay = 200_000 + rng.exponential(250_000, 600).astype(np.int64)
    late = rng.choice(np.arange(200, 600), 90, replace=False)
    delay[late] += rng.uniform(1e6, 4e6, 90).astype(np.int64)
    host = device + device // 50_000 + delay
    figure, (left, right) = canvas(8, 3, 2)
    left.plot(device / 1e9, (host - device) / 1e6, ".", color=GREY, ms=2.5, label="samples")
    for method, line in (("least_squares", {"color": RED, "ls": "--"}), ("envelope", {"color": BLUE})):
        fit = rc.fit_clock(host, device, method=method)
        text = f"{method}: {fit.drift_ppm:.1f} ppm"
        left.plot(device / 1e9, (fit.to_host(device) - device) / 1e6, **line, label=text)
    left.set(title="fit_clock; the true drift is 20 ppm", xlabel="device time in s", ylabel="host minus device in ms")
    left.set_ylim(top=7.6)
    left.legend(loc="upper left", frameon=False)

    ta, tb = np.arange(0, 40, 0.01), np.arange(12, 50, 0.0083)
    found = rc.estimate_offset(_speed(ta), ta, _speed(tb), tb + 0.25, max_offset=4.0)
    right.plot(found.lags, found.values, color=BLUE, lw=1.2)
    label = f"offset {found.offset:.3f} s, score {found.score:.2f}"
    right.plot([found.offset], [found.score], "o", color=BLACK, ms=5, label=label)
    right.set(title="estimate_offset; the true offset is 0.25 s", xlabel="lag in s", ylabel="correlation")
    right.set_ylim(top=1.35)
    right.legend(loc="upper right", frameon=False)
    return figure


def _speed(t: np.ndarray) -> np.ndarray:
    """A motion that does not repeat, as in docs/clocks.md."""
    return sum(np.sin(f * t + f) for f in (1.0, 2.3, 3.9, 5.1))


def stats() -> Figure:
    """Quantiles beside the samples they were counted from, and what becomes of a feature that never moved."""
    rng = np.random.default_rng(5)
    samples = rng.gamma(6.0, 3.0, size=(20_000, 1)).astype(np.float32)
    counted = rc.RunningStats().update(samples)
    figure, (left, right) = canvas(8, 3, 2)
    left.hist(samples[:, 0], bins=80, range=(0, 45), color=PALE, edgecolor="none", label="20,000 samples")
    for q, line in ((0.01, ":"), (0.1, "--"), (0.5, "-"), (0.9, "--"), (0.99, ":")):
        at = float(counted.quantile(q)[0])
        left.axvline(at, color=BLUE, ls=line, lw=1.3)
        left.annotate(f"q{q * 100:02.0f}", (at, 1), xycoords=("data", "axes fraction"), ha="center", fontsize=8)
    left.set(xlabel="force in N", ylabel="samples a bin", xlim=(-1, 45))
    left.set_title("RunningStats.quantile", pad=14)

    still = rc.RunningStats().update(np.full((100, 1), 0.7))
    given = np.linspace(0.2, 1.2, 11)
    styles = {"zero": (PALE, "-", 5), "middle": (BLACK, "--", 1.4), "lower": (RED, "-.", 1.6), "keep": (BLUE, "-", 1.6)}
    for constant, (colour, line, width) in styles.items():
        scaled = rc.normalize(given[:, None], still, "min_max", constant=constant)[:, 0]
        right.plot(given, scaled, color=colour, ls=line, lw=width, label=f'constant="{constant}"')
    right.axvline(0.7, color=GREY, lw=0.8, ls=":")
    right.set(title='A feature that was always 0.7, by "min_max"', xlabel="value", ylabel="result of normalize")
    right.set_ylim(-1.7, 2.6)
    right.legend(loc="upper left", frameon=False, ncols=2)
    return figure


def episode() -> Figure:
    """What `robocache view` draws: joints that are lost for a while, a camera, a gripper and an instruction."""
    rng = np.random.default_rng(11)
    begin = 1_767_225_600_000_000_000
    joints = begin + np.arange(88) * 44_000_000 + rng.integers(-5_000_000, 5_000_000, 88)
    joints = np.delete(joints, np.s_[34:44])
    camera = begin + 21_000_000 + np.arange(38) * 100_000_000
    rows, columns = np.mgrid[:48, :64]
    ball = 32 + 24 * np.cos((camera - begin) / 1e9)
    near = np.hypot(columns - ball[:, None, None], rows - 26) < 9
    speeds = np.array([1.1, 2.6])
    values = {
        "joints": np.sin((joints[:, None] - begin) / 1e9 * speeds + speeds),
        "camera": np.where(near[..., None], np.array([213, 94, 0]), np.array([222, 226, 230])).astype(np.uint8),
        "gripper": np.cos((camera - begin) / 1e9) > 0,
        "instruction": np.array(["follow the ball"] * 20 + ["stop"] * 18),
    }
    times = {name: joints if name == "joints" else camera for name in values}
    made = rd.Episode.from_arrays("monday", values, times=times, clock="robot")
    dataset = rd.Dataset(
        format="memory", name="tabletop", path=HERE, episodes=[made], splits={}, specs={}, lengths=list,
        findings=lambda: iter(()),
    )  # fmt: skip
    return draw(scene(dataset, frames=7))


PICTURES = (curves, aliasing, angle, slerp, poses, windows, clocks, stats, episode)


def main(folder: Path = HERE) -> int:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        for picture in PICTURES:
            picture().savefig(folder / f"{picture.__name__}.svg", metadata={"Date": None, "Creator": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
