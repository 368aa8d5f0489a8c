"""Whole agents before a television of noise: surprise is trapped by it; information gain and control are not.

The exact tier says where each is bound to end: surprise is worth the entropy of what follows, an information gain
nothing once all is known, control what the world's own table allows. Shares are of the policy's discounted visits.

Cost: 40 s.
"""

from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

import gio_pyro.envs  # noqa: F401 - registers the world
from gio_pyro import GIO, tabular
from gio_pyro.diagnostics import policy_table

MAP = ("...#...", ".T.....", "...#..S")
TELEVISION, CHANNELS = 8, 6
"""The cell of the television, and what it shows."""
DISCOUNT, ALPHA, STEPS = 0.95, 0.05, 8_000
SETTINGS: dict[str, Any] = {
    "model": "DirichletModel", "temperature": ALPHA, "discount": DISCOUNT, "gradient_steps": 10, "improvements": 1,
    "sweeps": 100, "train_freq": 200, "log_interval": 1_000,
}  # fmt: skip


def world() -> gym.Env[Any, Any]:
    return gym.make("gio/NoisyTV-v0", map=MAP, channels=CHANNELS)


def exact() -> tabular.TabularMDP:
    return tabular.TabularMDP.from_env(world(), discount=DISCOUNT)


def share(policy: Tensor) -> float:
    """How much of its time a policy spends before the television."""
    visits = tabular.discounted_visits(exact(), policy)
    return float(visits.reshape(-1, CHANNELS)[TELEVISION].sum())


def optimum(reward: Tensor | None = None, guide: Any = tabular.uniform) -> Tensor:
    mdp = exact()
    reward = torch.zeros_like(mdp.reward) if reward is None else reward
    mdp = tabular.TabularMDP(mdp.transition, reward, discount=DISCOUNT, start=mdp.start)
    return tabular.policy_iteration(mdp, ALPHA, guide=guide).policy


def agent(seed: int, **settings: Any) -> GIO:
    return GIO(world(), seed=seed, **SETTINGS, **settings).learn(STEPS)


TRAPPED = 0.735
"""What surprise is bound to spend there."""


def test_the_exact_shares():
    """The entropy of what follows holds an agent that is paid for it; neither control nor wandering does."""
    p = exact().transition
    assert share(optimum(-torch.xlogy(p, p).sum(-1))) == pytest.approx(TRAPPED, abs=1e-3)
    assert share(optimum(guide=tabular.bayes)) == pytest.approx(0.026, abs=1e-3)
    assert share(optimum()) == pytest.approx(0.008, abs=1e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_surprise_is_trapped(seed: int):
    learned = agent(seed, guide="UniformGuide", signal="PredictionError")
    assert share(policy_table(learned)) == pytest.approx(TRAPPED, abs=0.02)


@pytest.mark.parametrize("seed", [0, 1])
def test_information_gain_is_not_trapped(seed: int):
    learned = agent(seed, guide="UniformGuide", signal="InformationGain")
    assert share(policy_table(learned)) < TRAPPED / 10


@pytest.mark.parametrize("seed", [0, 1])
def test_control_is_not_trapped(seed: int):
    learned = agent(seed, guide="CategoricalGuide")
    assert share(policy_table(learned)) == pytest.approx(0.026, abs=0.03)
