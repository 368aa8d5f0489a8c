"""Futures of one's own that do not read what they say: one sentence when the agent, or the plug, is built.

Cost: 2 s.
"""

from collections.abc import Callable
from typing import Any

import pytest
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO, IntrinsicReward
from gio_pyro.errors import GioError, ProgramError
from gio_pyro.types import Transitions
from tests.spaces import vector

FOUR, TWO = vector(4), Discrete(2)
SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 16}


class Own:
    """A future whose space and reading are given."""

    def __init__(self, space: Any, read: Callable[[Transitions], Any]) -> None:
        self.given, self.read_ = space, read

    def space(self, state_space: Any) -> Any:
        return self.given(state_space) if callable(self.given) else self.given

    def of(self, transitions: Transitions) -> Tensor:
        return self.read_(transitions)


WRONG: dict[str, tuple[Own, str]] = {
    "another shape": (Own(FOUR, lambda t: t.next_state[:, :2]), r"return shape \(2, 4\) for 2 .*, but got \(2, 2\); "),
    "a sum": (Own(FOUR, lambda t: t.next_state.sum()), r"return shape \(2, 4\) for 2 transitions, but got \(\); "),
    "a column": (Own(TWO, lambda t: (t.next_state[:, :1] > 0).long()), r"return shape \(2,\) .*, but got \(2, 1\); "),
    "an array": (Own(FOUR, lambda t: t.next_state.numpy()), "a tensor of numbers, but got one of type ndarray; "),
    "nothing": (Own(FOUR, lambda t: None), "a tensor of numbers, but got one of type NoneType; "),
    "floats": (Own(TWO, lambda t: t.reward), "a tensor of integers, but got torch.float32; convert it"),
    "booleans": (Own(TWO, lambda t: t.terminated), "a tensor of integers, but got torch.bool; convert it"),
    "raises": (Own(FOUR, lambda t: 1 / 0), "Expected of of Own to run, but it raised ZeroDivisionError: division by"),
    "space raises": (Own(lambda s: 1 / 0, lambda t: t.state), "Expected space of Own to run, but it raised ZeroDiv"),
    "no space": (Own(None, lambda t: t.state), "to return Discrete.n. from 0 or a Box, but got None; "),
    "from 1": (Own(Discrete(2, start=1), lambda t: t.action), r"from 0 or a Box, but got Discrete\(2, start=1\); "),
    "in place": (
        Own(FOUR, lambda t: t.next_state.mul_(2)),
        "leave the transitions as they are, but it changes them in",
    ),
}


@pytest.mark.parametrize("build", [GIO, IntrinsicReward])
@pytest.mark.parametrize("name", WRONG)
def test_a_future_that_does_not_read_its_space_is_refused(name: str, build: Any):
    future, says = WRONG[name]
    with pytest.raises(GioError, match=says) as error:
        build("CartPole-v1", future=future, **SMALL)
    assert len(str(error.value)) <= 300


def test_a_value_outside_the_space_is_told_with_what_scored_it():
    future = Own(TWO, lambda t: (t.next_state[:, 0] > 0).long() + 5)
    says = r"^Expected CategoricalNetworkModel to score values of shape \(16,\), but it raised RuntimeErr.*outside"
    with pytest.raises(ProgramError, match=says):
        GIO("CartPole-v1", future=future, **SMALL).learn(60)
