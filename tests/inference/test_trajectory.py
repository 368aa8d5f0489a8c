"""The trajectory bound and its weighted form: by enumeration of every sequence of actions."""

from itertools import product
from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.data.training_batches import sequence_batch
from gio_pyro.errors import InputError
from gio_pyro.futures import NextState, StateAfter
from gio_pyro.guides import BayesGuide, CategoricalGuide
from gio_pyro.inference import Elbo, TrajectoryElbo, WeightedTrajectoryElbo, objective_named, sequence_length_of
from gio_pyro.programs import Guide, build_guide
from gio_pyro.types import Spec, Transitions
from tests.finite import table_policy, true_model
from tests.tabular.worlds import random_mdp, random_rows

S, A, T = 3, 2, 2


class Setting:
    def __init__(self, kind: Any = CategoricalGuide) -> None:
        mdp = random_mdp(0, S, A)
        self.channel, self.pi = mdp.transition, random_rows(1, S, A)
        self.policy, self.model = table_policy(self.pi), true_model(mdp.transition)
        spec = Spec(Discrete(S), Discrete(A), Discrete(S))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.guide: Guide = build_guide(kind, spec, self.model, self.policy, torch.arange(1))
            for parameter in self.guide.parameters():
                torch.nn.init.normal_(parameter)

    def batch(self, states: list[int], weight: list[float]) -> tuple[Transitions, Tensor]:
        n = len(states) - 1
        zeros, no = torch.zeros(n), torch.zeros(n, dtype=torch.bool)
        state, future = torch.tensor(states[:-1]), torch.tensor(states[1:])
        return Transitions(state, zeros.long(), zeros, future, no, no, zeros, torch.tensor(weight)), future

    def log_evidence(self, batch: Transitions, future: Tensor) -> Tensor:
        p = (self.pi[batch.state] * self.channel[batch.state, :, future]).sum(-1)
        return (batch.weight * p.log()).float()

    def log_weight(self, batch: Transitions, future: Tensor, action: Tensor) -> Tensor:
        """log w of one action for each transition, with the guide's gradient."""
        log_q = self.guide.log_prob(self.policy, batch.state, future, action)
        known = self.pi[batch.state, action] * self.channel[batch.state, action, future]
        return known.log().float() - log_q


@pytest.mark.parametrize("kind", [TrajectoryElbo(T), WeightedTrajectoryElbo(T, 4)], ids=lambda o: type(o).__name__)
def test_with_the_exact_posterior_every_bound_is_the_evidence(kind: Any):
    setting = Setting(BayesGuide)
    batch, future = setting.batch([0, 1, 2, 0, 2], [1.0, 1.0, 1.0, 0.0])
    exact = setting.log_evidence(batch, future).sum() / 3
    with torch.random.fork_rng():
        torch.testing.assert_close(kind(setting.model, setting.guide, setting.policy, batch, future), exact)


def test_merged_rows_count_by_their_number():
    setting = Setting(BayesGuide)
    batch, future = setting.batch([0, 1, 2, 0, 2], [5.0, 1.0, 1.0, 1.0])
    exact = setting.log_evidence(batch, future).sum() / 8
    with torch.random.fork_rng():
        found = WeightedTrajectoryElbo(1, 4)(setting.model, setting.guide, setting.policy, batch, future)
    torch.testing.assert_close(found, exact)


def test_the_plain_bound_is_the_sum_of_the_one_step_bounds():
    setting = Setting()
    batch, future = setting.batch([0, 1, 2, 0, 2], [1.0, 1.0, 1.0, 0.0])
    whole = TrajectoryElbo(T)(setting.model, setting.guide, setting.policy, batch, future)
    torch.testing.assert_close(whole, Elbo()(setting.model, setting.guide, setting.policy, batch, future))
    assert float(whole.detach()) < float(setting.log_evidence(batch, future).sum() / 3)


def exact_bound(setting: Setting, batch: Transitions, future: Tensor, particles: int) -> Tensor:
    """E log (1/K) Σ_k Π_t w_t over every K sequences of one piece, with its whole gradient."""
    total = torch.zeros(())
    for choice in product(range(A), repeat=T * particles):
        action = torch.tensor(choice).reshape(particles, T)
        log_q = torch.stack([setting.guide.log_prob(setting.policy, batch.state, future, a) for a in action])
        log_w = torch.stack([setting.log_weight(batch, future, a).sum() for a in action])
        total = total + log_q.sum().exp() * (torch.logsumexp(log_w, 0) - log(particles))
    return total / T


def test_the_weighted_bound_and_its_gradient_are_those_of_enumeration():
    setting = Setting()
    batch, future = setting.batch([0, 1, 2], [1.0, 1.0])
    exact = exact_bound(setting, batch, future, 2)
    wanted = torch.autograd.grad(exact, list(setting.guide.parameters()))[0]
    many = 40_000
    repeated = Transitions(*(tensor.repeat(many) for tensor in batch.tensors()))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = WeightedTrajectoryElbo(T, 2)(
            setting.model, setting.guide, setting.policy, repeated, future.repeat(many)
        )
    gradient = torch.autograd.grad(found, list(setting.guide.parameters()))[0]
    assert float(found.detach()) == pytest.approx(float(exact.detach()), abs=0.01)
    torch.testing.assert_close(gradient, wanted, atol=0.01, rtol=0)
    plain = TrajectoryElbo(T)(setting.model, setting.guide, setting.policy, batch, future)
    assert float(plain.detach()) < float(exact.detach()) < float(setting.log_evidence(batch, future).sum() / T)


def test_a_continuous_guides_gradient_passes_through_its_draws():
    agent = GIO("Pendulum-v1", hidden=(8,), objective="weighted_trajectory_elbo", learning_starts=20, batch_size=32)
    before = [p.detach().clone() for p in agent.guide.parameters()]
    agent.learn(60)
    moved = [not torch.equal(p, q) for p, q in zip(agent.guide.parameters(), before, strict=True)]
    assert all(moved)


def test_pieces_never_cross_an_episode():
    replay = Replay(100)
    n = 5
    states, ends = torch.arange(10, 10 + n), torch.arange(n) == n - 1
    zeros = torch.zeros(n)
    for start in (0, 20):
        state = states + start
        rows = Transitions(state, zeros.long(), zeros, state + 1, ends, ~ends & False, zeros, zeros + 1)
        replay.add(rows)
    with torch.random.fork_rng():
        batch, future = sequence_batch(NextState(), replay, 300, 3)
    assert len(batch) == 300
    known = batch.weight > 0
    assert bool((future[known] == batch.state[known] + 1).all())
    inside = known.reshape(-1, 3)
    assert 0 < int((~inside).sum()) < inside.numel() / 2
    follows = batch.state.reshape(-1, 3).diff(dim=1)
    assert bool((follows[inside[:, 1:]] == 1).all())


def test_along_trajectories_futures_are_of_one_step():
    says = "^Expected a future of one step for an objective along trajectories, but got StateAfter"
    with pytest.raises(InputError, match=says):
        GIO("CartPole-v1", hidden=(8,), future=StateAfter(2), objective="trajectory_elbo")


def test_objectives_say_how_many_steps_they_want():
    assert (
        sequence_length_of(objective_named("trajectory_elbo"))
        == sequence_length_of(objective_named("weighted_trajectory_elbo"))
        == 8
    )
    assert sequence_length_of(objective_named("sleep")) == 1
    assert dist.Categorical(torch.ones(2)).has_rsample is False
