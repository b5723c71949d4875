"""The simulated robot of ``robocache demo``: signals that are known functions of true time, and a depth camera.

Each sensor samples its signal at its own jittered instants, loses samples, and stamps what is left with a clock that
is late by a known latency. Truth is the function itself, so a check needs no second implementation to agree with.
"""

from dataclasses import dataclass

import numpy as np

EPOCH_NS = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z: stamps are as large as those of a real log
SECOND = 10**9


@dataclass(frozen=True)
class Signal:
    """Sums of sines, one per channel: ``amplitude``, ``frequency`` in Hz and ``phase`` are ``(terms, channels)``."""

    amplitude: np.ndarray
    frequency: np.ndarray
    phase: np.ndarray

    def at(self, times: np.ndarray) -> np.ndarray:
        """True float64 values ``(time, channel)``; the epoch is subtracted as integers, before any rounding."""
        seconds = (times - EPOCH_NS).astype(np.float64)[:, None] / SECOND
        total = np.zeros((len(times), self.amplitude.shape[1]))
        for a, f, p in zip(self.amplitude, self.frequency, self.phase, strict=True):
            total += a * np.sin(2 * np.pi * f * seconds + p)
        return total

    def bound(self, order: int) -> np.ndarray:
        """Upper bound of the absolute ``order``-th time derivative, per channel."""
        rate: np.ndarray = (2 * np.pi * self.frequency) ** order
        return np.asarray((np.abs(self.amplitude) * rate).sum(axis=0))


@dataclass(frozen=True)
class Sensor:
    """One recorded stream: what a log holds (values, stamps) and what only the simulator knows (signal, captured)."""

    name: str
    rate: float
    method: str
    latency: int
    values: np.ndarray
    stamps: np.ndarray
    captured: np.ndarray
    signal: Signal
    lost: int

    @property
    def period(self) -> int:
        """Nominal nanoseconds from sample to sample."""
        return round(SECOND / self.rate)

    @property
    def max_gap(self) -> int | None:
        """Widest bracket that may be interpolated: one lost sample passes, a burst does not."""
        return self.period * 5 // 2 if self.method == "linear" else None

    @property
    def tolerance(self) -> int | None:
        """Oldest sample that may be held."""
        return self.period * 3 // 2 if self.method == "previous" else None


# name, Hz, channels, method, latency in ns, fastest motion in Hz, amplitude
SENSORS = (
    ("camera", 30.0, 512, "previous", 42_000_000, 0.5, 1.0),
    ("joints", 100.0, 7, "linear", 3_000_000, 1.0, 1.5),
    ("imu", 200.0, 6, "linear", 1_250_000, 4.0, 9.0),
    ("force", 1000.0, 6, "linear", 400_000, 20.0, 30.0),
)


def record(seconds: float, seed: int) -> list[Sensor]:
    """Record every sensor for so many seconds."""
    rng = np.random.default_rng(seed)
    return [_sensor(rng, seconds, *spec) for spec in SENSORS]


def _sensor(
    rng: np.random.Generator,
    seconds: float,
    name: str,
    rate: float,
    channels: int,
    method: str,
    latency: int,
    fastest: float,
    amplitude: float,
) -> Sensor:
    count = int(seconds * rate)
    period = round(SECOND / rate)
    jitter = np.clip(rng.normal(0, 0.05 * period, count), -0.2 * period, 0.2 * period).astype(np.int64)
    captured = EPOCH_NS + int(rng.integers(period)) + np.arange(count, dtype=np.int64) * period + jitter
    kept = rng.random(count) > 0.01  # single losses …
    for part in (0.3, 0.7):  # … and two bursts
        start = int(count * (part + 0.1 * rng.random()))
        kept[start : start + 6] = False
    captured = captured[kept]
    signal = Signal(
        amplitude * rng.uniform(0.2, 0.5, (2, channels)),
        fastest * rng.uniform(0.2, 1.0, (2, channels)),
        rng.uniform(0, 2 * np.pi, (2, channels)),
    )
    values = signal.at(captured).astype(np.float32)
    return Sensor(name, rate, method, latency, values, captured + latency, captured, signal, int((~kept).sum()))


# ---- depth camera over a table top --------------------------------------------------------------------------------

FOCAL, CENTRE, SHAPE = 525.0, (319.5, 239.5), (480, 640)
TABLE = (0.6, 0.4)  # half width and depth in metres, top at z = 0
BOX = ((-0.25, -0.15, 0.0), (-0.05, 0.05, 0.12))
BALL = ((0.15, 0.05, 0.08), 0.08)
_TILT = np.deg2rad(40.0)
ROTATION = np.array(  # camera axes (right, down, forward) as columns in the table frame
    [[1, 0, 0], [0, -np.sin(_TILT), np.cos(_TILT)], [0, -np.cos(_TILT), -np.sin(_TILT)]]
)
POSITION = np.array([0.0, -0.95, 0.75])


def depth_image(seed: int) -> np.ndarray:
    """Depth along the optical axis in millimetres, uint16, 0 where the camera saw nothing: as depth cameras give it."""
    rng = np.random.default_rng(seed)
    rays = _rays() @ ROTATION.T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.minimum.reduce([_hit_table(rays), _hit_box(rays), _hit_ball(rays)])
    depth += rng.normal(0, 0.0008, depth.shape)
    depth[(rng.random(depth.shape) < 0.02) | ~(depth < 5.0)] = 0.0
    return np.rint(depth * 1000).astype(np.uint16)


def unproject(depth: np.ndarray) -> np.ndarray:
    """Points ``(pixels, 3)`` float32 in the table frame; NaN where there is no depth."""
    metres = np.where(depth == 0, np.nan, depth / 1000.0)
    points = (_rays() * metres[..., None]) @ ROTATION.T + POSITION
    return points.reshape(-1, 3).astype(np.float32)


def _rays() -> np.ndarray:
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.stack([(u - CENTRE[0]) / FOCAL, (v - CENTRE[1]) / FOCAL, np.ones(SHAPE)], axis=-1)


def _hit_table(rays: np.ndarray) -> np.ndarray:
    along = -POSITION[2] / rays[..., 2]
    x, y = POSITION[0] + along * rays[..., 0], POSITION[1] + along * rays[..., 1]
    return np.where((along > 0) & (np.abs(x) < TABLE[0]) & (np.abs(y) < TABLE[1]), along, np.inf)


def _hit_box(rays: np.ndarray) -> np.ndarray:
    first, second = ((np.array(corner) - POSITION) / rays for corner in BOX)
    near, far = np.minimum(first, second).max(axis=-1), np.maximum(first, second).min(axis=-1)
    return np.where((near > 0) & (near < far), near, np.inf)


def _hit_ball(rays: np.ndarray) -> np.ndarray:
    centre = POSITION - np.array(BALL[0])
    a, b, c = (rays**2).sum(axis=-1), rays @ centre, centre @ centre - BALL[1] ** 2
    root = b * b - a * c
    return np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
