"""What collects besides π and uniform actions: the most probable action, and what a guide offers to explore with."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.actor_critic import ContinuousBehaviour, DiscreteBehaviour, TableBehaviour
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.guides import UniformGuide
from gio_pyro.settings import Settings
from tests.spaces import vector

PI = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]])
PRIOR = torch.tensor([0.1, 0.6, 0.3])
FINITE: list[Any] = [TableBehaviour, DiscreteBehaviour]


def policy(state: Tensor) -> dist.Categorical:
    return dist.Categorical(probs=PI[state])


def prior(state: Tensor) -> dist.Categorical:
    return dist.Categorical(probs=PRIOR.expand(len(state), -1))


def agrees(behaviour: Any, mu: Tensor, count: int = 30_000) -> None:
    """Draws have the frequencies `mu`, and the log-probabilities that are said with them are its logarithms."""
    action, log_mu = behaviour(torch.zeros(count, dtype=torch.long))
    torch.testing.assert_close(log_mu.float(), mu[action].log(), atol=1e-5, rtol=0)
    frequency = torch.bincount(action, minlength=len(mu)) / count
    assert float(((frequency - mu).abs() / (mu * (1 - mu) / count).sqrt().clamp_min(1e-6)).max()) < 5.0


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", FINITE)
def test_exploring_draws_from_what_the_guide_offers(kind: Any, share: float):
    agrees(kind(policy, share, explore=prior), (1 - share) * PI[0] + share * PRIOR)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", FINITE)
def test_greedy_takes_the_likeliest_action_but_for_its_share(kind: Any, share: float):
    mode = torch.tensor([1.0, 0.0, 0.0])
    agrees(kind(policy, share, greedy=True), (1 - share) * mode + share / 3)
    agrees(kind(policy, share, greedy=True, explore=prior), (1 - share) * mode + share * PRIOR)


@pytest.mark.parametrize("kind", FINITE)
def test_equally_likely_actions_share_what_greedy_gives_the_likeliest(kind: Any):
    def tied(state: Tensor) -> dist.Categorical:
        return dist.Categorical(probs=torch.tensor([0.4, 0.4 * (1 + 1e-6), 0.2]).expand(len(state), -1))

    agrees(kind(tied, 0.3, greedy=True), torch.tensor([0.45, 0.45, 0.1]))


def test_continuous_exploring_draws_from_what_is_offered_with_the_density_of_the_mixture():
    def near(state: Tensor) -> dist.Independent:
        return dist.Normal(state, 0.5).to_event(1)

    def far(state: Tensor) -> dist.Independent:
        return dist.Normal(state + 9.0, 1.0).to_event(1)

    state = torch.randn(20_000, 2)
    action, log_mu = ContinuousBehaviour(near, 0.25, explore=far)(state)
    assert float((action - state > 4.5).all(-1).float().mean()) == pytest.approx(0.25, abs=0.02)
    mixture = 0.75 * near(state).log_prob(action).exp() + 0.25 * far(state).log_prob(action).exp()
    torch.testing.assert_close(log_mu.exp(), mixture, atol=1e-5, rtol=1e-3)


class Bold(UniformGuide):
    """Explores with the last action only."""

    def explore(self, state: Tensor) -> dist.Categorical:
        only = torch.zeros(len(state), len(self.zeros))
        only[:, -1] = 1.0
        return dist.Categorical(probs=only)


class Scalar(UniformGuide):
    def explore(self, state: Tensor) -> Tensor:
        return torch.ones(len(state))


class OfAnotherSize(UniformGuide):
    def explore(self, state: Tensor) -> dist.Categorical:
        return dist.Categorical(probs=torch.ones(len(state), 7))


class NoMethod(UniformGuide):
    explore = 3


def test_an_agent_explores_with_what_its_guide_offers_once_the_policy_improves():
    agent = GIO("FrozenLake-v1", guide=Bold, uniform_share=1.0, seed=0).learn(500)
    assert agent.replay.all().action.unique().tolist() == [3]
    torch.testing.assert_close(agent.replay.all().log_behaviour, torch.zeros(500))


def test_until_the_policy_improves_actions_are_uniform_whatever_the_guide_offers():
    agent = GIO("FrozenLake-v1", guide=Bold, learning_starts=500, seed=0).learn(500)
    assert agent.replay.all().action.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [Scalar, OfAnotherSize, NoMethod])
def test_what_cannot_be_drawn_from_is_refused_when_the_agent_is_built(kind: Any):
    with pytest.raises(ProgramError, match=r"^Expected .*explore"):
        GIO("FrozenLake-v1", guide=kind)


def test_a_greedy_agent_writes_down_the_probability_of_its_mixture():
    agent = GIO("FrozenLake-v1", guide="UniformGuide", greedy=True, uniform_share=0.2, seed=0).learn(1_500)
    seen = agent.replay.all().log_behaviour.exp()
    mixtures = {round(0.05 + 0.8 / ties, 4) for ties in (1, 2, 3, 4)}
    assert {0.25, 0.85} <= {round(float(p), 4) for p in seen.unique()} <= mixtures | {0.05}


def test_greedy_is_for_finitely_many_actions():
    with pytest.raises(InputError, match=r"^Expected greedy .*continuous"):
        Settings.of({"greedy": True}, states=vector(2), actions=vector(1))
    with pytest.raises(InputError, match=r"^Expected greedy to be True or False, but got 1\.$"):
        Settings.of({"greedy": 1}, states=Discrete(2), actions=Discrete(2))
    assert not Settings().greedy
