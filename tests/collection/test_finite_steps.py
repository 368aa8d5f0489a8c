"""Rounds of one finite environment equal those that are taken step by step with tensors, bit for bit."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import wrappers
from torch import Tensor, nn

from gio_pyro.actor_critic.behaviour import TableBehaviour
from gio_pyro.actor_critic.table_policy import TablePolicy
from gio_pyro.collection import Collector
from gio_pyro.collection.mask_handlers import mask_handler_of
from gio_pyro.errors import InputError, TrainingError
from tests.agents import differences
from tests.collection.environments import CPU, Script
from tests.masked import Board

WORLDS: dict[str, Callable[[], Any]] = {
    "slippery": partial(gym.make, "FrozenLake-v1"),
    "truncated": partial(gym.make, "CliffWalking-v1", max_episode_steps=7),
    "masks in info": partial(gym.make, "Taxi-v4", max_episode_steps=25),
    "masks of three states": Board,
    "masks of parts": partial(Board, acts="parts"),
    "other first numbers": lambda: wrappers.TimeLimit(Script([(4, 1, False, False), (5, 2.5, True, False)], 4, 3), 5),
    "observations in arrays": lambda: Script([(np.array(1), 0.25, False, False), (np.array([2]), 1, False, True)]),
}


class OneByOne:
    """A table's behaviour of which only the actions of given states can be asked for."""

    def __init__(self, behaviour: TableBehaviour) -> None:
        self.behaviour = behaviour

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.behaviour(state)


def learner(make: Callable[[], Any]) -> tuple[Collector, TableBehaviour]:
    """Return a collector and a policy that prefers some actions, as an agent of tables has."""
    env = make()
    plain = Collector(env, seed=3, device=CPU)
    states, actions = plain.observations.space, plain.actions.space
    keeps, masks = mask_handler_of(states, actions, make)
    collector = Collector(env, seed=3, device=CPU, mask_handler=keeps)
    policy = TablePolicy(int(states.n), int(actions.n), masks)
    policy.log_pi.copy_(torch.randn(policy.log_pi.shape, generator=torch.Generator().manual_seed(0)).log_softmax(-1))
    key = getattr(masks, "key", int) if isinstance(masks, nn.Module) else int
    return collector, TableBehaviour(policy, 0.1, key=key)


@pytest.mark.parametrize("world", WORLDS)
def test_rounds_are_those_taken_step_by_step(world: str):
    (fast, own), (slow, other) = learner(WORLDS[world]), learner(WORLDS[world])
    for steps in (1, 60, 23):
        found = []
        for collector, behaviour in ((fast, own), (slow, OneByOne(other))):
            torch.manual_seed(steps)
            found.append(collector.collect(behaviour, steps))
            found.append(torch.rand(1))
        assert torch.equal(found[1], found[3])  # as many random numbers are drawn
        for mine, theirs in zip(found[0].rows.tensors(), found[2].rows.tensors(), strict=True):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs)
        assert found[0].links() == found[2].links()
        assert not differences(fast.snapshot(), slow.snapshot())
        assert list(fast.returns) == list(slow.returns)
        assert list(fast.lengths) == list(slow.lengths)
        assert np.array_equal(fast.environments.states, slow.environments.states)
        assert np.array_equal(fast.environments.masks.allowed, slow.environments.masks.allowed)


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        ((1, float("nan"), False, False), TrainingError, "finite reward"),
        ((1, float("inf"), False, False), TrainingError, "finite reward"),
        ((1, 1e20, False, False), TrainingError, "squares"),
        ((1, None, False, False), TrainingError, "the reward to be a number"),
        ((77, 0.0, False, False), InputError, "between 0 and 9"),
        ((1.5, 0.0, False, False), InputError, "between 0 and 9"),
    ],
)
def test_what_is_refused(step: Any, error: type[Exception], text: str):
    collector, behaviour = learner(lambda: Script([(1, 1.0, False, False), step]))
    with pytest.raises(error, match=text):
        collector.collect(behaviour, 5)
    collector.environments.recorders[0].env.unwrapped.script = [(2, 1.0, False, False)]
    again = collector.collect(behaviour, 3)  # the environment is reset first
    assert again.rows.state.tolist() == [0, 2, 2]
    assert again.begins.tolist() == [True, False, False]
    assert collector.episodes == 0


def test_masks_that_allow_nothing_are_refused():
    collector, behaviour = learner(partial(Board, form=lambda flags, t: np.zeros(3) if t == 5 else flags))
    with pytest.raises(TrainingError, match="allows none"):
        collector.collect(behaviour, 30)


def test_a_step_is_faster_than_one_with_tensors():
    """A step takes at most half of what it takes with tensors; a fifth as measured."""
    collector, behaviour = learner(WORLDS["slippery"])
    collector.collect(behaviour, 500)
    shortest = []
    for one in (behaviour, OneByOne(behaviour)):
        seconds = []
        for _ in range(3):
            begun = time.process_time()
            collector.collect(one, 500)
            seconds.append(time.process_time() - begun)
        shortest.append(min(seconds))
    assert shortest[0] < shortest[1] / 2
