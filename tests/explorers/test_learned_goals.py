"""Goals that are learned: reach from walks along a line, and a generative model against its exact likelihood.

Cost: 15 s.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers import GoalExplorer
from gio_pyro.explorers.latent_goals import LatentGoals
from gio_pyro.explorers.vector_goals import one_ahead
from gio_pyro.explorers.walk_goals import WalkGoals
from gio_pyro.types import Transitions
from tests.explorers.worlds import source_of


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def walks(episodes: int, length: int, step: Any) -> Replay:
    """Episodes whose states are a constant number of their own, and one that moves."""
    replay = Replay(20_000)
    for _ in range(episodes):
        moves = step(length)
        moving = torch.cat([torch.zeros(1), moves.cumsum(0)]) + 20 * torch.rand(())
        at = torch.stack([torch.randn(()).expand(length + 1), moving], 1)
        no, zero = torch.zeros(length, dtype=torch.bool), torch.zeros(length)
        ends = no.clone()
        ends[-1] = True
        replay.add(Transitions(at[:-1], zero.long(), zero, at[1:], no, ends, zero, zero + 1))
    return replay


def test_reach_is_learned_from_walks_and_goals_are_out_of_each_others_reach():
    """Steps of 1 along a line: near are at most 2 of them, far 11 and more."""
    replay = walks(40, 60, torch.ones)
    source = source_of(None)
    goals = WalkGoals(replace(source.fitted, replay=replay), 10, 2, learning_rate=3e-3)
    goals.comparator.encoder.observe(replay.all().state)
    for _ in range(400):
        goals.learn(replay)
    at = torch.stack([torch.zeros(300), 20 + 40 * torch.rand(300)], 1)

    def share(steps: float) -> float:
        return float(goals.reached(at, at + torch.tensor([0.0, steps])).float().mean())

    assert share(1) > 0.9
    assert share(15) < 0.1
    for _ in range(30):
        goals.observe(replay.sample(64).state)
    stored = goals.memory[: int(goals.stored)]
    assert 4 < len(stored) < 60
    pairs = torch.combinations(torch.arange(len(stored)))
    near = goals.reached(stored[pairs[:, 0]], stored[pairs[:, 1]])
    assert float(near.float().mean()) < 0.02
    found, worth = goals.candidates(None, stored[0])
    assert len(found) == len(worth) < len(stored)


def linear_goals(replay: Replay) -> LatentGoals:
    """Encoder and decoder without hidden layers, so that likelihood and posterior have closed forms."""
    source = source_of(None)
    fitted = replace(source.fitted, replay=replay, spec=replace(source.fitted.spec, hidden=()))
    return LatentGoals(fitted, 10, 0.3, codes=1, learning_rate=1e-2)


def test_the_bound_is_the_likelihood_where_the_posterior_is_exact():
    """log N(s; decoder(0, c), noise² + w wᵀ) of a linear decoder with one code of weights w."""
    replay = walks(60, 40, torch.randn)
    goals = linear_goals(replay)
    goals.observe(replay.all().state)
    for _ in range(1_500):
        goals.learn(replay)
    pieces = replay.sequences(2_000, 10)
    before, after = pieces.steps.state[:, 0], one_ahead(pieces)
    with torch.no_grad():
        weight = goals.decoder[0].weight[:, :1]
        spread = goals.noise.square().diag() + weight @ weight.T
        normal = torch.distributions.MultivariateNormal(goals.decoded(torch.zeros(len(before), 1), before), spread)
        exact = float(normal.log_prob(goals.scale(after)).mean())
        bound = float(goals.bound(after, before).mean())
    assert bound == pytest.approx(exact, abs=0.05)
    assert bound < exact + 0.02


def test_imagined_goals_keep_what_is_constant_along_episodes_and_differ_in_what_moves():
    replay = walks(200, 40, lambda length: 2 * torch.randn(length))
    source = source_of(None)
    fitted = replace(source.fitted, replay=replay, spec=replace(source.fitted.spec, hidden=(32,)))
    goals = LatentGoals(fitted, 20, 0.3, codes=2, learning_rate=3e-3)
    goals.observe(replay.all().state)
    for _ in range(500):
        goals.learn(replay)
    context = replay.sample(500).state
    moved = (goals.imagined(context) - context) / goals.scale.deviation
    assert float(moved[:, 0].square().mean().sqrt()) < 0.2
    assert float(moved[:, 1].std()) > 2 * float(moved[:, 0].std())
    assert goals.reached(context, context).all()


@pytest.mark.parametrize("among", ["walk", "latent"])
def test_an_explorer_pursues_learned_goals(among: str):
    replay = walks(4, 30, torch.ones)
    source = source_of(None, streams=2)
    source = replace(source, fitted=replace(source.fitted, replay=replay))
    explorer = GoalExplorer(source, horizon=4, among=among)
    explorer.observe(replay.all())
    explorer.improve(replay, 0)
    action, log_mu = explorer.behaviour(replay)(replay.sample(2).state, torch.arange(2))
    assert action.shape == log_mu.shape == (2,)
    assert {"walk": "reach", "latent": "latent"}[among] in explorer.optimisers()


def test_mistakes_in_a_sentence():
    source = source_of(None)
    with pytest.raises(InputError, match=r"^Expected among to be seen, walk or latent, but got 'far'"):
        GoalExplorer(source, among="far")
    with pytest.raises(InputError, match=r"^Expected parts of states that were seen, but got among='walk' too"):
        GoalExplorer(source, among="walk", parts="each")
