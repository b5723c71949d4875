"""Relative gripper commands, against a loop that follows them one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets.rlds import absolute_gripper
from robocache.errors import ArgumentError, DataError

COMMANDS = st.lists(st.sampled_from([-1.0, -0.11, -0.1, 0.0, 0.05, 0.1, 0.11, 1.0]), min_size=1, max_size=30)


def followed(commands, state):
    for command in commands:
        state = 0.0 if command > 0.1 else 1.0 if command < -0.1 else state
        yield state


@given(COMMANDS, st.sampled_from([0.0, 1.0]))
def test_commands_are_followed(commands, start):
    want = list(followed(commands, start))
    assert absolute_gripper(commands, start=start).tolist() == want
    moving = [command for command in commands if abs(command) > 0.1]
    if moving:
        before = 1.0 if moving[0] > 0 else 0.0
        assert absolute_gripper(np.array(commands)[:, None]).tolist() == list(followed(commands, before))
    else:
        with pytest.raises(DataError, match="start="):
            absolute_gripper(commands)


def test_bad_calls():
    for wrong in ({"relative": np.zeros((3, 2))}, {"relative": [1], "start": 0.5}, {"relative": [1], "threshold": -1}):
        with pytest.raises(ArgumentError):
            absolute_gripper(**wrong)
    with pytest.raises(DataError, match="NaN"):
        absolute_gripper([1, np.nan])
    assert absolute_gripper([]).shape == (0,)
