"""Agents imitate experts of whom they see states alone, against the exact tier and against closed forms.

Cost: 20 s.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro as gio
from gio_pyro import diagnostics, tabular
from gio_pyro.errors import InputError
from tests.agents import differences

LIMIT = 20


def explored(world: Any, steps: int, **given: Any) -> gio.GIO:
    """An agent that has taken uniform actions and wants nothing."""
    return gio.GIO(world, learning_starts=steps + 1, seed=0, **given).learn(steps)


@pytest.fixture(scope="module")
def lake() -> gio.GIO:
    return explored("FrozenLake-v1", 6_000, guide="BayesGuide", train_freq=500, gradient_steps=20)


def shown(mdp: tabular.TabularMDP, policy: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    state = torch.multinomial(tabular.episode_visits(mdp, policy, LIMIT), count, replacement=True, generator=generator)
    action = torch.multinomial(policy[state], 1, generator=generator).squeeze(-1)
    after = torch.multinomial(mdp.transition[state, action], 1, generator=generator).squeeze(-1)
    return state.numpy(), after.numpy()


def test_in_a_finite_world_it_is_the_likeliest_policy_under_the_model(lake: gio.GIO):
    """On ice, where next states hardly tell the action: readings of the exact posterior of the learned model."""
    mdp = diagnostics.exact_world(lake)
    expert = tabular.policy_iteration(mdp, 0.001).policy
    state, after = shown(mdp, expert, 3_000)
    before = lake.actor_critic.critic.q.clone()
    assert gio.imitate(lake, state, after, iterations=300) is lake
    counts = torch.zeros(mdp.states, mdp.states, dtype=torch.float64)
    counts.index_put_((torch.tensor(state), torch.tensor(after)), torch.ones(3_000).double(), accumulate=True)
    every = torch.arange(mdp.states)
    with torch.no_grad():
        actions = [torch.full_like(every, action) for action in range(mdp.actions)]
        model = torch.stack([lake.model.future(lake.policy, every, action).probs.double() for action in actions], 1)
    exact = tabular.imitate(model, counts, tolerance=1e-4)
    policy = diagnostics.policy_table(lake)
    seen = counts.sum(-1) > 0

    def likelihood(pi: torch.Tensor) -> torch.Tensor:
        mixed = torch.einsum("sa,saf->sf", pi.double(), model)
        return torch.where(counts > 0, counts * mixed.log(), 0.0).sum(-1)[seen] / counts.sum(-1)[seen]

    torch.testing.assert_close(likelihood(policy), exact.log_likelihood[seen], atol=5e-3, rtol=0)
    torch.testing.assert_close(policy[~seen], torch.full_like(policy[~seen], 1 / mdp.actions))
    uniform = tabular.expected_return(mdp, torch.full_like(expert, 1 / mdp.actions), LIMIT)
    best = tabular.expected_return(mdp, expert, LIMIT)
    assert tabular.expected_return(mdp, policy.double(), LIMIT) > uniform + 0.7 * (best - uniform)
    assert torch.equal(lake.actor_critic.critic.q, before)


class Line(gym.Env[Any, Any]):
    """A number that a continuous action moves, or one of three steps."""

    def __init__(self, actions: Any) -> None:
        self.observation_space = gym.spaces.Box(-10, 10, (1,), np.float32)
        self.action_space = actions

    def reset(self, **given: Any) -> Any:
        super().reset(**given)
        self.x, self.left = self.np_random.uniform(-1, 1), 10
        return np.array([self.x], np.float32), {}

    def step(self, action: Any) -> Any:
        self.x += float(np.ravel(action)[0]) - (1 if isinstance(self.action_space, gym.spaces.Discrete) else 0)
        self.left -= 1
        return np.array([self.x], np.float32), 0.0, False, self.left == 0, {}


@pytest.mark.parametrize("actions", [gym.spaces.Box(-1, 1, (1,), np.float32), gym.spaces.Discrete(3)])
def test_networks_learn_what_an_expert_did_from_where_it_went(actions: Any, tmp_path: Path):
    """The expert moves to 0: by −x/2, or by the whole step that leads there."""
    agent = explored(Line(actions), 400, hidden=(32, 32), batch_size=64, learning_rate=3e-3, train_freq=1)
    x = np.random.default_rng(0).uniform(-2, 2, (500, 1)).astype(np.float32)
    finite = isinstance(actions, gym.spaces.Discrete)
    moved = np.where(np.abs(x) > 0.5, -np.sign(x), 0) if finite else -x / 2
    gio.imitate(agent, x, x + moved, iterations=800, seed=1)
    taken, _ = agent.predict(x, deterministic=True)
    error = np.abs((taken - 1 if finite else taken.ravel()) - moved.ravel())
    assert error.mean() < 0.12
    agent.save(tmp_path)
    assert not differences(agent, gio.GIO.load(tmp_path, environment=Line(actions)))
    agent.learn(20)  # goes on


def test_the_same_seed_gives_the_same_imitation_and_the_callers_random_numbers_stay():
    before = torch.get_rng_state()
    one, other = (explored("CartPole-v1", 60, hidden=(8,), batch_size=16) for _ in range(2))
    observations = np.zeros((5, 4), np.float32)
    for agent in (one, other):
        gio.imitate(agent, observations, observations + 0.1, iterations=5, seed=3)
    assert not differences(one, other)
    assert torch.equal(torch.get_rng_state(), before)


MISTAKES: dict[str, tuple[dict[str, Any], Any, Any, dict[str, Any], str]] = {
    "another future": ({"future": "StateAfter(2)"}, [0], [0], {}, "Expected an agent with the future NextState"),
    "a guide that ignores it": ({"guide": "UniformGuide"}, [0], [0], {}, "Expected a guide that infers actions"),
    "fewer after": ({}, [0, 1], [0], {}, "Expected as many next observations as observations"),
    "none": ({}, [], [], {}, "Expected as many next observations as observations"),
    "one moment": ({}, 0, 1, {}, r"Expected observations \[N, ...\] of N moments"),
    "outside the space": ({}, [99], [0], {}, "Expected"),
    "no iterations": ({}, [0], [1], {"iterations": 0}, "Expected iterations to be"),
    "no seed": ({}, [0], [1], {"seed": -1}, "Expected seed to be"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case: str):
    settings, before, after, given, message = MISTAKES[case]
    agent = gio.GIO("FrozenLake-v1", **settings)
    with pytest.raises(InputError, match=f"^{message}"):
        gio.imitate(agent, before, after, **given)
