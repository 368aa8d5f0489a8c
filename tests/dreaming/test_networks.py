"""Dreams of worlds of vectors: chains of the policy in the model, whose rewards and ends are regressed on replay.

Cost: under a second.
"""

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.actor_critic import network_policy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.dreaming import Frame, NetworkDreams, Outcomes
from gio_pyro.futures import NextState, NextStateAndReward
from gio_pyro.programs import Model
from gio_pyro.signals import Fitted
from gio_pyro.types import Spec, Transitions

PLANE = Box(-np.inf, np.inf, (2,), np.float32)


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def shifting(by: float, scale: float = 1e-6, rewarded: bool = False) -> Model:
    """s' = s + by in each number; a future with a reward holds the sum of s' as well."""

    def model(policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))
            mean = state * by if by > 100 else state + by
            mean = torch.cat([mean, mean.sum(-1, keepdim=True)], -1) if rewarded else mean
            return pyro.sample("future", dist.Normal(mean, scale).to_event(1), obs=future)

    return Model(model)


def drawn(count: int = 400, actions: Any = None) -> Transitions:
    """States within ±1 that move by less; the reward is x − y of s', and the episode ends beyond x = 0.5."""
    s = 2 * torch.rand(count, 2) - 1
    n = s + 0.2 * torch.randn(count, 2)
    a = torch.randint(2, (count,)) if actions is None else torch.randn(count, 1)
    return Transitions(
        s, a, n[:, 0] - n[:, 1], n, n[:, 0] > 0.5, torch.zeros(count, dtype=torch.bool), torch.zeros(count),
        torch.ones(count),
    )  # fmt: skip


def dreams(model: Model, horizon: int, share: float, *, actions: Any = None, future: Any = None) -> NetworkDreams:
    actions = actions or Discrete(2)
    future = future or NextState()
    spec = Spec(PLANE, actions, future.space(PLANE), hidden=(32,))
    replay = Replay(1_000)
    rows = drawn(actions=None if isinstance(actions, Discrete) else actions)
    replay.add(rows)
    policy = network_policy(PLANE, actions, (8,))
    made = NetworkDreams(Fitted(spec, future, model, None, policy, replay), horizon, share, learning_rate=3e-3)  # type: ignore
    made.observe(rows)
    return made


def never_ending(dreaming: NetworkDreams) -> NetworkDreams:
    last = dreaming.outcomes.net[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, -50.0]))
    return dreaming


@pytest.mark.parametrize("actions", [Discrete(2), Box(-1, 1, (1,))])
def test_a_dream_is_a_chain_of_the_policy_in_the_model(actions: Any):
    dreaming = never_ending(dreams(shifting(0.01), 4, 0.5, actions=actions))
    found = dreaming.dreamed(12)
    steps = found.state.unflatten(0, (4, 3))
    torch.testing.assert_close(found.next_state, found.state + 0.01, atol=1e-4, rtol=0)
    assert torch.equal(steps[1:], found.next_state.unflatten(0, (4, 3))[:-1])
    replayed = dreaming.fitted.replay.all().state
    assert all(bool((start == replayed).all(-1).any()) for start in steps[0])
    pi = dreaming.fitted.policy(found.state)
    torch.testing.assert_close(found.log_behaviour, pi.log_prob(found.action))
    assert not found.log_behaviour.requires_grad
    assert found.weight.tolist() == [1.0] * 12


def test_where_a_dream_ends_another_begins_from_replay():
    dreaming = dreams(shifting(0.01), 3, 0.5)
    with torch.no_grad():
        dreaming.outcomes.net[-1].bias.add_(torch.tensor([0.0, 50.0]))
        dreaming.outcomes.net[-1].weight.zero_()
    found = dreaming.dreamed(9)
    replayed = dreaming.fitted.replay.all().state
    assert bool(found.terminated.all())
    assert all(bool((start == replayed).all(-1).any()) for start in found.state)


@pytest.mark.parametrize(("share", "count"), [(0.001, 1), (0.25, 8), (0.5, 16), (1.0, 32)])
def test_dreams_replace_their_share_of_a_batch(share: float, count: int):
    dreaming = dreams(shifting(0.01), 5, share)
    rows = dreaming.fitted.replay.sample(32)
    mixed = dreaming.beside(rows)
    assert len(mixed) == 32
    for mine, seen in zip(mixed.tensors(), rows.tensors(), strict=True):
        assert mine.dtype == seen.dtype
        assert torch.equal(mine[: 32 - count], seen[: 32 - count])
    assert len(dreaming.fitted.replay) == 400


def test_reward_and_end_are_learned_from_replay():
    """On fresh transitions: nine tenths of the reward's variance, and ends told with few mistakes."""
    dreaming = dreams(shifting(0.01), 2, 0.5)
    for _ in range(400):
        figures = dreaming.update(dreaming.fitted.replay.sample(64))
    fresh = drawn(500)
    with torch.no_grad():
        reward, logit = dreaming.outcomes(fresh.state, fresh.action, fresh.next_state)
    assert float((reward - fresh.reward).square().mean() / fresh.reward.var()) < 0.1
    assert float(((logit > 0) == fresh.terminated).float().mean()) > 0.93
    assert set(figures) == {"dream_reward_error", "dream_ending_nats", "dreams_gradient"}


def test_the_loss_by_hand():
    outcomes = Outcomes(Spec(PLANE, Discrete(2), PLANE, hidden=(4,)))
    for parameter in outcomes.net[-1].parameters():
        torch.nn.init.zeros_(parameter)
    rows = drawn(8)
    outcomes.rewards.mean.fill_(1.0)
    outcomes.rewards.deviation.fill_(2.0)
    loss, figures = outcomes.loss(None, *rows.tensors())
    error = ((rows.reward - 1) / 2).square().mean()
    torch.testing.assert_close(figures["dream_reward_error"], error)
    torch.testing.assert_close(figures["dream_ending_nats"], torch.tensor(2.0).log())
    torch.testing.assert_close(loss, error + torch.tensor(2.0).log())


def test_a_future_that_holds_the_reward_is_asked_for_it():
    dreaming = never_ending(dreams(shifting(0.01, rewarded=True), 3, 0.5, future=NextStateAndReward()))
    found = dreaming.dreamed(9)
    torch.testing.assert_close(found.next_state, found.state + 0.01, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.reward, found.next_state.sum(-1), atol=1e-4, rtol=0)


def test_a_model_that_runs_away_stays_within_three_widths_of_what_was_seen():
    found = never_ending(dreams(shifting(1e30), 6, 0.5)).dreamed(30)
    for tensor in (found.state, found.next_state, found.reward):
        assert bool(tensor.isfinite().all())
    seen = drawn(5_000)
    assert float(found.next_state.abs().max()) < 3.5 * float(seen.next_state.abs().max())


class TestFrame:
    def test_it_keeps_to_the_bounds_of_the_space_and_to_what_was_seen_widened_by_its_width(self):
        frame = Frame(Box(np.array([-1.0, -np.inf], np.float32), np.array([1.0, np.inf], np.float32)))
        far = torch.tensor([[-9.0, 1e38], [9.0, -torch.inf]])
        assert frame(far)[:, 0].tolist() == [-1.0, 1.0]
        assert bool(frame(far).isfinite().all())
        frame.observe(torch.tensor([[0.0, 3.0], [0.25, 5.0]]))
        assert frame(far).tolist() == [[-0.25, 7.0], [0.5, 1.0]]

    def test_pictures_stay_pictures(self):
        frame = Frame(Box(0, 255, (2, 2, 1), np.uint8))
        image = torch.tensor([-3.0, 0.4, 0.6, 300.0]).reshape(1, 2, 2, 1)
        assert frame(image).dtype == torch.uint8
        assert frame(image).flatten().tolist() == [0, 0, 1, 255]

    def test_finite_states_are_left_as_they_are(self):
        frame = Frame(Discrete(5))
        frame.observe(torch.arange(5))
        assert frame(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert not frame.state_dict()
