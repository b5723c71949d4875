"""Windows over episodes: which steps are the observation history and the action chunk of each anchor."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.jobs import Rule
from ._dispatch import twin
from ._episodes import Batches, Edges, Home, edges_of

MOST = 2**31 - 1  # steps of a window
FAR = 2**40  # steps from an anchor to its first action


@dataclass(frozen=True, eq=False)
class WindowBatch:
    """The windows of some positions, as `Windows` gives them. ``...`` is the shape of the positions.

    Parameters
    ----------
    obs_index : array of int64, shape (..., n_obs)
        Steps of the observation history, oldest first, counted in the packed arrays; clamped to the episode.
    obs_valid : array of bool, shape (..., n_obs)
        False where the index had to be clamped: padding.
    action_index : array of int64, shape (..., n_act)
        Steps of the action chunk.
    action_valid : array of bool, shape (..., n_act)
        The same for them.
    episode : array of int64, shape (...)
        Episode of each window.
    anchor : array of int64, shape (...)
        The current step of each window, counted in the packed arrays.

    Notes
    -----
    On a GPU a position outside the windows, which an earlier check would have to wait for, has -1 everywhere, nothing
    valid, and the next call warns. On the CPU it is refused.
    """

    obs_index: Any
    obs_valid: Any
    action_index: Any
    action_valid: Any
    episode: Any
    anchor: Any


class Windows(Batches):
    """All windows over some episodes, as `windows` makes them: a sequence that computes what is asked for.

    ``len(w)`` is their number, ``w[3]`` one, ``w[10:20]`` and ``w.take(positions)`` several. They are ordered by
    episode, then by anchor.

    Attributes
    ----------
    offsets, starts : NumPy array of int64, shape (episode + 1,)
        First step, and first window, of each episode; read-only.
    n_obs, n_act, stride, pad_before, pad_after, action_start : int
        As given to `windows`.

    Notes
    -----
    It holds 16 bytes an episode, whatever the number of windows. What is not an array (an integer, a slice, a list) is
    answered in the framework and on the device of the offsets; an array of positions where it lives itself. The first
    call on a GPU copies those bytes there and waits. Every other takes one launch, nothing waits, and it can be
    captured in a CUDA graph. It can be pickled, and used by several threads.
    """

    def __init__(
        self, offsets: np.ndarray, home: Home, n_obs: int, n_act: int, stride: int, pad: tuple[int, int], action: int
    ) -> None:
        self.n_obs, self.n_act, self.stride, self.action_start = n_obs, n_act, stride, action
        self.pad_before, self.pad_after = pad
        shown = [1 - n_obs, 0] if n_obs else []  # from the anchor, of the steps that a window shows
        shown += [action, action + n_act - 1] if n_act else []
        low = max(0, -min(shown) - self.pad_before)
        room = np.diff(offsets) - (low + max(0, max(shown) - self.pad_after))  # for the anchor
        counts = np.maximum(room + stride - 1, 0) // stride
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
        self._home, self._edges = home, Edges(np.stack([offsets, starts]))
        self._rule = Rule(n_obs, n_act, stride, low, action)

    @property
    def offsets(self) -> np.ndarray:
        """First step of each episode, and the end of the last."""
        return self._edges.host[0]

    @property
    def starts(self) -> np.ndarray:
        """First window of each episode, and their number."""
        return self._edges.host[1]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __repr__(self) -> str:
        return (
            f"Windows({len(self)} of {self.n_obs} observations and {self.n_act} actions, "
            f"from {self.offsets.size - 1} episodes)"
        )

    def take(self, positions: Any) -> WindowBatch:
        """The windows at some positions.

        Parameters
        ----------
        positions : array of int, shape (...)
            From 0 to ``len(w) - 1``, in any order, on any device.

        Returns
        -------
        WindowBatch
            Arrays in the framework and on the device of ``positions``.

        Raises
        ------
        DataError
            On the CPU, a position outside the windows; negative ones do not count from the end.
        DTypeError
            Positions that are no integers.
        """
        found: WindowBatch = self._take(positions)
        return found

    def _answer(self, call: interop.Call, positions: Any, first: int, step: int, shape: tuple[int, ...]) -> WindowBatch:
        steps = [((*shape, n), kind) for n in (self.n_obs, self.n_act) for kind in (dtypes.int64, dtypes.boolean)]
        results = tuple(call.empty(*one) for one in (*steps, (shape, dtypes.int64), (shape, dtypes.int64)))
        twin(call.backend, "windows").take(self._rule, self._edges.on(call), positions, first, step, results)
        return WindowBatch(*(call.give(array) for array in results))


def windows(
    offsets: Any = None,
    n_obs: int = 1,
    n_act: int = 1,
    stride: int = 1,
    pad_before: int = 0,
    pad_after: int = 0,
    *,
    action_start: int = 0,
    episode_ends: Any = None,
) -> Windows:
    r"""Cut episodes into windows: an observation history and an action chunk around every anchor.

    Parameters
    ----------
    offsets : array of int, shape (episode + 1,), optional
        Episode ``e`` is the steps from ``offsets[e]`` up to, not including, ``offsets[e + 1]`` of the packed arrays.
    n_obs : int
        Steps of the observation history. It ends at the anchor ``t``: ``t - n_obs + 1 … t``. 0 for none.
    n_act : int
        Steps of the action chunk, ``t + action_start … t + action_start + n_act - 1``. 0 for none.
    stride : int
        Steps from one anchor to the next in an episode.
    pad_before, pad_after : int
        How many steps of a window may lie before the first step of its episode, and after the last.
    action_start : int
        Where the action chunk begins, from the anchor.
    episode_ends : array of int, shape (episode,), optional
        Instead of ``offsets``: the same without the leading 0, as Diffusion Policy's replay buffers store it.

    Returns
    -------
    Windows
        A sequence of windows. Nothing is computed before it is indexed.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        Arguments that do not fit; neither or both of ``offsets`` and ``episode_ends``.
    DataError
        Offsets that fall or are negative.

    Notes
    -----
    An anchor is always a step of its episode. Of an episode of ``L`` steps, ``t = 0 … L - 1``, those are anchors for
    which the window, history and chunk together, reaches at most ``pad_before`` steps before 0 and at most
    ``pad_after`` steps past ``L - 1``; with a stride, every ``stride``-th of them beginning with the first. Padding
    beyond what the window can use changes nothing: with ``pad_before=n_obs - 1`` and ``pad_after=n_act - 1`` every step
    is an anchor. An episode too short has no window.

    An index never leaves its episode. It is clamped to the first or last step, and ``valid`` is False exactly there.

    Settings of other libraries:

    - Diffusion Policy: ``n_obs=n_obs_steps, n_act=horizon, action_start=1 - n_obs_steps``, pads as there. Where
      ``pad_before >= n_obs_steps`` or ``pad_after > horizon - n_obs_steps`` it also makes windows whose current step
      lies outside the episode; those are left out.
    - robomimic: ``n_obs=frame_stack, n_act=seq_length``, with ``pad_before=frame_stack - 1`` for
      ``pad_frame_stack`` and ``pad_after=seq_length - 1`` for ``pad_seq_length``.
    - ACT: ``n_obs=1, n_act=chunk_size, pad_after=chunk_size - 1``, and actions gathered with ``pad="zero"``; its
      ``is_pad`` is ``~action_valid``.
    - Octo: ``n_obs=window_size, n_act=action_horizon, pad_before=window_size - 1, pad_after=action_horizon - 1``;
      that is the chunk of the last observation of its history.
    - OpenVLA, whose chunks begin with the history: ``n_obs=window_size, action_start=1 - window_size``,
      ``n_act=window_size + future_action_window_size, pad_before=window_size - 1``. It drops the last anchors of an
      episode, ``pad_after=future_action_window_size`` keeps them.
    - LeRobot, for consecutive frames: as Octo. For any others there is `delta_timestamps`.

    Offsets that live on a GPU are copied to the host, which waits for them once; pass NumPy to avoid that. Time and
    memory go with the number of episodes, not of windows.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> w = rc.windows(np.array([0, 5, 8]), n_obs=2, n_act=3, pad_before=1, pad_after=2)
    >>> w
    Windows(8 of 2 observations and 3 actions, from 2 episodes)
    >>> batch = w.take(np.array([0, 4, 5]))
    >>> batch.obs_index.tolist(), batch.obs_valid.tolist()
    ([[0, 0], [3, 4], [5, 5]], [[False, True], [True, True], [False, True]])
    >>> batch.action_index.tolist(), batch.action_valid.tolist()
    ([[0, 1, 2], [4, 4, 4], [5, 6, 7]], [[True, True, True], [True, False, False], [True, True, True]])
    >>> batch.episode.tolist(), batch.anchor.tolist()
    ([0, 0, 1], [0, 4, 5])
    """
    # Validate.
    n_obs, n_act = checks.whole("n_obs", n_obs, 0, MOST), checks.whole("n_act", n_act, 0 if n_obs else 1, MOST)
    stride = checks.whole("stride", stride, 1, FAR)
    pad = checks.whole("pad_before", pad_before, 0, FAR), checks.whole("pad_after", pad_after, 0, FAR)
    action = checks.whole("action_start", action_start, -FAR, FAR)
    edges, home = edges_of(offsets, episode_ends)

    # The windows are dispatched where they are asked for.
    return Windows(edges, home, n_obs, n_act, stride, pad, action)


__all__ = ["WindowBatch", "Windows", "windows"]
