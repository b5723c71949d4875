"""Windows, gathering and deltas, one element at a time."""

from fractions import Fraction

import numpy as np


def anchors(offsets, n_obs, n_act, stride=1, pad_before=0, pad_after=0, action_start=0):
    """(episode, anchor) of every window: steps of an episode around which the window does not stick out too far."""
    found = []
    for e in range(len(offsets) - 1):
        low, high = int(offsets[e]), int(offsets[e + 1]) - 1
        allowed = []
        for t in range(low, high + 1):
            steps = [*range(t - n_obs + 1, t + 1), *range(t + action_start, t + action_start + n_act)]
            if low - min(steps) <= pad_before and max(steps) - high <= pad_after:
                allowed.append((e, t))
        found += allowed[::stride]
    return found


def steps(offsets, episode, first, count):
    """Clamped index and validity of ``count`` steps from ``first``."""
    low, high = int(offsets[episode]), int(offsets[episode + 1]) - 1
    index, valid = [], []
    for step in range(first, first + count):
        index.append(low if step < low else high if step > high else step)
        valid.append(low <= step <= high)
    return index, valid


def windows(offsets, n_obs, n_act, stride=1, pad_before=0, pad_after=0, action_start=0):
    """All windows, as arrays in the order of ``WindowBatch``."""
    rows = [[] for _ in range(6)]
    for e, t in anchors(offsets, n_obs, n_act, stride, pad_before, pad_after, action_start):
        obs, act = steps(offsets, e, t - n_obs + 1, n_obs), steps(offsets, e, t + action_start, n_act)
        for row, value in zip(rows, (*obs, *act, e, t), strict=True):
            row.append(value)
    count, kinds = len(rows[4]), (np.int64, np.bool_, np.int64, np.bool_, np.int64, np.int64)
    shapes = ((count, n_obs), (count, n_obs), (count, n_act), (count, n_act), (count,), (count,))
    return [np.array(r, k).reshape(s) for r, k, s in zip(rows, kinds, shapes, strict=True)]


def sequence_sampler(episode_ends, length, pad_before, pad_after):
    """Windows of ``length`` steps as Diffusion Policy's sampler makes them: index, padded by repeating the ends."""
    pad_before, pad_after = min(max(pad_before, 0), length - 1), min(max(pad_after, 0), length - 1)
    found, begin = [], 0
    for end in episode_ends:
        size = int(end) - begin
        found += [
            [begin + min(max(k, 0), size - 1) for k in range(start, start + length)]
            for start in range(-pad_before, size - length + pad_after + 1)
        ]
        begin = int(end)
    return np.array(found, np.int64).reshape(-1, length)


def gather(values, index, valid=None, fill=None):
    """Rows of ``values``; ``fill`` where not valid, unless it is None."""
    out = np.empty((*index.shape, *values.shape[1:]), values.dtype)
    for place in np.ndindex(index.shape):
        real = fill is None or valid is None or bool(valid[place])
        out[place] = values[index[place]] if real else np.asarray(fill).astype(values.dtype)
    return out


def nearest(times, own, delta, tolerance):
    """Index in one episode of the sample nearest to the anchor's time plus delta; whether real; whether missed.

    Integers are exact; float times are added to, and subtracted from, in float64.
    """
    whole = times.dtype.kind == "i"
    stamps = [int(t) if whole else float(t) for t in times]
    goal = stamps[own] + delta
    before, later = [i for i, t in enumerate(stamps) if t <= goal], [i for i, t in enumerate(stamps) if t > goal]
    if not before:
        i, inside = 0, False
    elif not later:
        i, inside = before[-1], stamps[before[-1]] == goal
    else:
        left, right = before[-1], later[0]
        right = max(k for k, t in enumerate(stamps) if t == stamps[right])
        i, inside = (right if stamps[right] - goal < goal - stamps[left] else left), True
    apart = abs(goal - stamps[i])
    near = apart <= tolerance if tolerance is not None else inside
    return (own if stamps[i] == stamps[own] else i), near, inside and not near


def deltas(times, offsets, positions, shifts, tolerance):
    """Index and validity ``[anchor, shift]``, and how many were missed."""
    index, valid, missed = np.empty((len(positions), len(shifts)), np.int64), None, 0
    valid = np.empty(index.shape, np.bool_)
    for m, anchor in enumerate(positions):
        e = max(k for k in range(len(offsets) - 1) if offsets[k] <= anchor)
        cut = slice(int(offsets[e]), int(offsets[e + 1]))
        for k, shift in enumerate(shifts):
            i, valid[m, k], miss = nearest(times[cut], int(anchor) - cut.start, shift, tolerance)
            index[m, k], missed = cut.start + i, missed + miss
    return index, valid, missed


def lerobot(offsets, positions, shifts, fps):
    """Frames that LeRobot's dataset asks for, and its padding: deltas rounded to frames and clamped."""
    frames = [round(shift * fps) for shift in shifts]
    episodes = np.searchsorted(offsets, positions, "right") - 1
    index = np.array([[a + f for f in frames] for a in positions], np.int64).reshape(len(positions), len(frames))
    low, high = offsets[episodes][:, None], offsets[episodes + 1][:, None]
    return np.clip(index, low, high - 1), (index < low) | (index >= high)


def in_nanoseconds(seconds):
    """Seconds as a whole number of nanoseconds, by exact arithmetic."""
    return round(Fraction(seconds) * 10**9)
