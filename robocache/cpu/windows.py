"""Steps of windows on the CPU."""

import struct
from typing import Any

import numpy as np
from numba import int64, void

from .._core.jobs import Rule
from ._address import view
from ._episodes import check_found, episode_of
from ._jit import kernel, native
from ._team import spread

WORK = struct.Struct("=17q")
# Words of the arguments: addresses, 0 for positions that are a range, then counts and the rule in its order.
POSITIONS, OFFSETS, STARTS, OBS_INDEX, OBS_VALID, ACTION_INDEX, ACTION_VALID, EPISODE, ANCHOR = range(9)
EPISODES, FIRST, STEP, OBSERVATIONS, ACTIONS, STRIDE, LOW, ACTION, WORDS = range(9, 18)
WINDOW_BYTES = 64  # what finding one window takes, in bytes moved in the same time


@kernel(inline=True)
def _write(anchor, start, n, low, high, index_at, valid_at):
    """``n`` steps from ``start``, clamped to the episode, and whether they had to be."""
    index, valid = view(index_at, n, np.int64), view(valid_at, n, np.uint8)
    for k in range(n):
        step = anchor + start + k
        index[k] = min(max(step, low), high)
        valid[k] = (low <= step) & (step <= high)


@native(void(int64, int64, int64, int64))
def _take(start, stop, args, report):
    """Windows [start, stop); reports the first position that is none, or -1."""
    words, found = view(args, WORDS, np.int64), view(report, 4, np.int64)
    found[0], found[1], found[2], found[3] = -1, 0, 0, 0
    episodes, n_obs, n_act = words[EPISODES], words[OBSERVATIONS], words[ACTIONS]
    starts, offsets = view(words[STARTS], episodes + 1, np.int64), view(words[OFFSETS], episodes + 1, np.int64)
    episode, anchor = view(words[EPISODE], stop, np.int64), view(words[ANCHOR], stop, np.int64)
    positions = view(words[POSITIONS], stop if words[POSITIONS] else 0, np.int64)
    e = np.int64(0)
    for i in range(start, stop):
        p = positions[i] if words[POSITIONS] else words[FIRST] + i * words[STEP]
        if p < 0 or p >= starts[episodes]:
            found[0] = i
            return
        e = episode_of(starts, episodes, p, e)
        low, high = offsets[e], offsets[e + 1] - 1
        at = low + words[LOW] + (p - starts[e]) * words[STRIDE]
        episode[i], anchor[i] = e, at
        _write(at, 1 - n_obs, n_obs, low, high, words[OBS_INDEX] + 8 * i * n_obs, words[OBS_VALID] + i * n_obs)
        _write(
            at, words[ACTION], n_act, low, high, words[ACTION_INDEX] + 8 * i * n_act, words[ACTION_VALID] + i * n_act
        )


def take(rule: Rule, edges: Any, positions: Any, first: int, step: int, results: tuple[Any, ...]) -> None:
    """See robocache.ops.windows.Windows.take."""
    count, episodes = results[-1].size, edges.shape[1] - 1
    if not count:
        return
    words = (
        0 if positions is None else positions.ctypes.data, *(row.ctypes.data for row in edges),
        *(array.ctypes.data for array in results), episodes, first, step, *rule,
    )  # fmt: skip
    nbytes = sum(array.nbytes for array in results) + WINDOW_BYTES * count
    check_found(spread(_take.address, count, nbytes, WORK, *words), positions, int(edges[1, -1]), "positions")
