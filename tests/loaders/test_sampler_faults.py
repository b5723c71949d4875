"""What a sampler refuses: arguments, steps, and states of another one."""

from typing import Any

import pytest

from robocache.errors import ArgumentError, PositionError, RoboCacheError, ShapeError
from robocache.loaders import Sampler

SIX = {"sizes": [6, 4], "batch_size": 2}


@pytest.mark.parametrize("more, said", [
    ({"seed": 1}, "seed=0 .here 1."), ({"sizes": [6, 5]}, "sizes=.6, 4. .here .6, 5."), ({"shuffle": False}, "shuffle"),
    ({"weights": [1, 2]}, "weights=None"), ({"keep": [None, [0, 1, 2, 3]]}, "keep="),
])  # fmt: skip
def test_the_state_of_another_sampler_is_refused(more: dict[str, Any], said: str) -> None:
    state = Sampler(**SIX).state_dict(2, 1)
    with pytest.raises(ArgumentError, match=said):
        Sampler(**SIX | more).resume(state)


@pytest.mark.parametrize("changed, said", [
    ({"version": 2}, "version 1"), ({"delivered": 11}, "delivered"), ({"delivered": -1}, "delivered"),
    ({"delivered": "2"}, "delivered"), ({"epoch": -1}, "epoch"), ({"epoch": None}, "epoch"),
])  # fmt: skip
def test_a_damaged_state_is_refused(changed: dict[str, Any], said: str) -> None:
    sampler = Sampler(**SIX)
    state = sampler.state_dict(2, 1)
    with pytest.raises(ArgumentError, match=said):
        sampler.resume(state | changed)
    for absent in ("epoch", "delivered", "sizes"):
        with pytest.raises(ArgumentError, match=absent):
            sampler.resume({key: value for key, value in state.items() if key != absent})
    for strange in (None, 3, [1], {}):
        with pytest.raises(ArgumentError, match="state_dict"):
            sampler.resume(strange)


@pytest.mark.parametrize("wrong, kind, said", [
    ({"sizes": []}, ArgumentError, "sizes is empty"), ({"sizes": [-1]}, ArgumentError, "sizes.0."),
    ({"sizes": [2**62, 1]}, ArgumentError, "2..62"), ({"batch_size": 0}, ArgumentError, "batch_size"),
    ({"rank": 2, "world_size": 2}, ArgumentError, "rank"), ({"world_size": 0}, ArgumentError, "world_size"),
    ({"seed": -1}, ArgumentError, "seed"), ({"seed": 2**64}, ArgumentError, "seed"),
    ({"weights": [1]}, ShapeError, "weights has 1 entries"), ({"weights": [0, 0]}, ArgumentError, "all zero"),
    ({"weights": [1, -1]}, ArgumentError, "negative"), ({"weights": [1, float("nan")]}, ArgumentError, "finite"),
    ({"weights": [1, 1e-9]}, ArgumentError, "less than one sample"),
    ({"weights": [1, 1], "sizes": [1, 0]}, ArgumentError, "source 1 has a share but no items"),
    ({"weights": [1, 1], "epoch_size": 0}, ArgumentError, "epoch_size"),
    ({"epoch_size": 5}, ArgumentError, "epoch_size=5 is for weights"),
    ({"weights": [1, 100_000], "sizes": [2**50, 1]}, ArgumentError, "give epoch_size"),
    ({"keep": [None]}, ShapeError, "keep has 1 entries"), ({"keep": [[True], None]}, ShapeError, "mask"),
    ({"keep": [[0, 0], None]}, ArgumentError, "twice"), ({"keep": [[6], None]}, PositionError, "outside 0 to 5"),
    ({"keep": [[-1], None]}, PositionError, "outside"), ({"keep": [[0.5], None]}, ShapeError, "bool or int"),
])  # fmt: skip
def test_wrong_arguments(wrong: dict[str, Any], kind: type[RoboCacheError], said: str) -> None:
    with pytest.raises(kind, match=said):
        Sampler(**SIX | wrong)


def test_steps_that_are_not_there() -> None:
    sampler = Sampler(**SIX)
    for step in (-1, 5):
        with pytest.raises(PositionError, match="has 5 batches"):
            sampler.batch(0, step)
    with pytest.raises(ArgumentError, match="epoch"):
        sampler.batch(-1, 0)
    with pytest.raises(ArgumentError, match="step"):
        sampler.state_dict(0, 6)
