"""What the alignment backends take: one record per stream, everything checked, no framework arrays left."""

from collections.abc import Callable
from typing import Any, NamedTuple

METHODS = ("nearest", "previous", "next", "linear")
NEAREST, PREVIOUS, NEXT, LINEAR = range(4)

CURVES = ("cubic", "pchip", "akima", "catmull_rom", "slerp", "angle", "mean")
CUBIC, PCHIP, AKIMA, CATMULL_ROM, SLERP, ANGLE, MEAN, SE3, SPLIT = range(9)  # the last two for poses: no method

HOLD, FILL, EXTRAPOLATE, REFUSE = range(4)  # what happens outside a row's range

NO_LIMIT = -1  # tolerance or max_gap not given


class Job(NamedTuple):
    """One stream to bring onto the target times.

    values is ``[B, S, D]`` (or packed ``[N, D]`` with ``offsets``), its last axis contiguous; times is a contiguous
    ``[R, S]`` with R = 1 (shared) or B, or packed ``[N]``; lengths ``[B]`` and offsets ``[B + 1]`` are int64 or None;
    out is ``[B, T, D]`` with its last axis contiguous. Times are int64, float64 or float32; latency, tolerance and
    max_gap are of the same kind (int or float). Messages put label before the names of arguments.
    """

    values: Any
    times: Any
    lengths: Any
    offsets: Any
    out: Any
    method: int
    outside: int
    fill: Any
    latency: Any
    tolerance: Any
    max_gap: Any
    label: str = ""


class Curve(NamedTuple):
    """What the methods that need more than two samples, or more than a sum, are told beside a Job."""

    kind: int
    low: float = 0.0  # angle: results lie in [low, low + period)
    period: float = 0.0
    scalar_first: int = 0  # se3: order of the quaternion


class Aligned(NamedTuple):
    """What an alignment reports: float32 stamps too coarse, and how to run it again with other arrays.

    On the GPU ``replay(head, sources, outs, loose)`` takes addresses, 0 for what is not there: of targets, valid and
    age; of the values, times, lengths and offsets of every job, one after another; of their outputs. ``loose`` are
    results that a graph must keep when the call is captured, because nobody else may. On the CPU, where there is one
    for a lone job, it takes the arrays themselves and says whether all is well, see ``robocache.cpu._again``.
    """

    coarse: bool
    replay: Callable[..., Any] | None


class Found(NamedTuple):
    """What a plan knows of every target, ``[R, T]`` with R = 1 (shared by the batch) or B.

    index is that of the sample in its row (in the whole of packed samples), -1 for none; weight that of the next
    sample, None where nothing is blended. Both may be laid out as their backend wants them.
    """

    index: Any
    weight: Any
    valid: Any
    age: Any
    coarse: bool


class Rule(NamedTuple):
    """Which steps a window shows, in the order in which kernels take them.

    ``observations`` steps end at the anchor; ``actions`` begin at ``action`` from it. The first anchor of an episode is
    its step ``low``, the others follow by ``stride``.
    """

    observations: int
    actions: int
    stride: int
    low: int
    action: int


class Search(NamedTuple):
    """What looking for anchors plus deltas takes: packed stamps, offsets ``[E + 1]`` of int64, and a table of deltas.

    tolerance is of the kind of the stamps' differences, below 0 for none. Of ``faulty`` episodes (None: there are none)
    nothing is found. ``table`` and ``faulty`` are laid out as their backend wants them.
    """

    times: Any
    offsets: Any
    faulty: Any
    table: Any
    deltas: int
    tolerance: Any
    refuse: bool
