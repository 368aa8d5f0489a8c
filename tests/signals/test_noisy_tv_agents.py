"""Whole agents before a television of noise: surprise is trapped by it; information gain and control are not.

The exact tier says where each is bound to end: surprise is worth the entropy of what follows, an information gain
nothing once all is known, control what the world's own table allows. Shares are of the policy's discounted visits.
World and settings are those of examples/benchmarks/noisy_tv.py, whose rows have five seeds of each.

Cost: 35 s.
"""

from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.diagnostics import policy_table
from tests.examples.scripts import script

tv = script("noisy_tv")
STEPS = 8_000
TRAPPED, CONTROLLED, WANDERING = 0.735, 0.026, 0.008
"""The exact shares: of surprise, of control, and of an entropy without any reward."""


def optimum(reward: Tensor | None = None, guide: Any = tabular.uniform) -> Tensor:
    mdp = tv.exact()
    reward = torch.zeros_like(mdp.reward) if reward is None else reward
    mdp = tabular.TabularMDP(mdp.transition, reward, discount=tv.DISCOUNT, start=mdp.start)
    return tabular.policy_iteration(mdp, tv.ALPHA, guide=guide).policy


def surprised() -> Tensor:
    p = tv.exact().transition
    return optimum(-torch.xlogy(p, p).sum(-1))


def learned(method: str, seed: int) -> Tensor:
    return policy_table(tv.learned(method, seed, STEPS))


def test_the_exact_shares():
    """The entropy of what follows holds an agent that is paid for it; neither control nor wandering does."""
    assert tv.share(surprised()) == pytest.approx(TRAPPED, abs=1e-3)
    assert tv.share(optimum(guide=tabular.bayes)) == pytest.approx(CONTROLLED, abs=1e-3)
    assert tv.share(optimum()) == pytest.approx(WANDERING, abs=1e-3)


def test_the_value_of_control_is_that_of_the_best_policy_and_of_none_that_does_not_seek_it():
    assert tv.control(optimum(guide=tabular.bayes)) == pytest.approx(1, abs=1e-6)
    assert tv.control(torch.full_like(tv.exact().reward, 1 / tv.exact().actions)) == pytest.approx(0, abs=1e-6)
    assert tv.control(optimum()) < 0.1  # wandering is not control
    assert tv.control(surprised()) < -1


@pytest.mark.slow
def test_surprise_is_trapped():
    assert tv.share(learned("surprise", 0)) == pytest.approx(TRAPPED, abs=0.02)


@pytest.mark.slow
def test_information_gain_is_drawn_to_it_for_a_while_and_not_trapped():
    """The screen is worth looking at until it is known: some seeds are still at it, none is held."""
    shares = [tv.share(learned("information gain", seed)) for seed in range(3)]
    assert median(shares) < TRAPPED / 10
    assert max(shares) < TRAPPED / 3
    assert min(shares) > WANDERING  # it has not forgotten the screen


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_control_is_not_trapped_and_finds_what_can_be_controlled(seed: int):
    policy = learned("control", seed)
    assert tv.share(policy) < 2 * CONTROLLED
    assert tv.control(policy) > 0.5
