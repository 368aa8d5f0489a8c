"""Futures of one's own that do not read what they say: one sentence when the agent, or the plug, is built.

Cost: 2 s.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO, IntrinsicReward
from gio_pyro.errors import GioError, ProgramError
from gio_pyro.futures import Future, Later, NextState, unwrapped_future
from gio_pyro.types import Sequences, Transitions
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


class Sums(Later):
    """A user's future of several steps: the sum of rewards, without an exact counterpart."""

    def space(self, state_space: Any) -> Any:
        return vector(1)

    def read(self, pieces: Sequences, state_space: Any) -> Tensor:
        return (pieces.steps.reward * pieces.valid).sum(1, keepdim=True)


class Structural:
    """The same future as an object that is no `Future`."""

    steps = 3

    def __init__(self) -> None:
        self.inner_one = Sums(3)

    def __getattr__(self, name: str) -> Any:
        if name not in ("space", "read", "weight"):
            raise AttributeError(name)
        return getattr(self.inner_one, name)


def test_an_object_with_the_methods_of_a_future_reads_as_a_subclass_does():
    """Both kinds of future that are no `Future`: of one step (`of`) and of several (`read` and `weight`)."""
    parameters = []
    for one in (Sums(3), Structural()):
        agent = GIO("CartPole-v1", future=one, **SMALL).learn(40)
        assert (agent.future.steps, agent.future.sequential) == (3, True)
        assert unwrapped_future(agent.future) is one
        parameters.append(torch.cat([p.detach().flatten() for p in agent.model.parameters()]))
    torch.testing.assert_close(*parameters, rtol=0, atol=0)
    own = GIO("CartPole-v1", future=Own(FOUR, lambda t: t.next_state), **SMALL).future
    assert isinstance(own, Future)
    assert (own.steps, own.sequential, own.exact) == (1, False, None)
    rows = Transitions(*(torch.rand(2, 4) for _ in range(2)), *(torch.rand(2) for _ in range(6)))
    rows = replace(rows, next_state=torch.rand(2, 4))
    pieces = Sequences(Transitions(*(x[:, None] for x in rows.tensors())), torch.ones(2, 1, dtype=torch.bool))
    torch.testing.assert_close(own.read(pieces, FOUR), NextState().read(pieces, FOUR), rtol=0, atol=0)
    torch.testing.assert_close(own.weight(None, pieces), rows.weight, rtol=0, atol=0)  # type: ignore[arg-type]


def test_several_steps_need_sequences():
    class Wrong(NextState):
        steps = 3

    with pytest.raises(GioError, match=r"has 3 steps; subclass gio_pyro\.futures\.Later"):
        GIO("CartPole-v1", future=Wrong(), **SMALL)
    with pytest.raises(GioError, match=r"^Expected sequences for Sums"):
        Sums(3).of(None)  # type: ignore[arg-type]
