"""Goals in parts of a state: what counts, what is reached, and which parts actions can change.

Cost: 3 s.
"""

from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.explorers import GoalExplorer
from gio_pyro.explorers.part_goals import PartGoals, influence_of
from tests.explorers.test_vector_goals import line
from tests.explorers.worlds import source_of
from tests.spaces import vector


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Lever:
    """s'_0 = 2 a + noise of variance 3, s'_1 = noise alone, whatever the state; a standard normal."""

    @staticmethod
    def future(policy: Any, state: Tensor, action: Tensor) -> Any:
        mean = torch.cat([2 * action, torch.zeros_like(action)], 1)
        return dist.Normal(mean, torch.tensor([3.0**0.5, 1.0])).to_event(1)


def test_the_influence_is_the_information_of_a_gaussian_channel():
    def normal(state: Tensor) -> Any:
        return dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1)

    found = influence_of(Lever(), normal, torch.zeros(4_000, 2))  # type: ignore[arg-type]
    chi = torch.distributions.Chi2(7.0).sample((200_000,)) / 8  # the variance of 8 draws, which the estimate is made of
    expected = float(0.5 * (4 * chi / 3).log1p().mean())
    assert float(found[0]) == pytest.approx(expected, abs=0.01)
    assert expected == pytest.approx(0.5 * log(1 + 4 / 3), abs=0.1)
    assert float(found[1]) == 0


def test_parts_are_drawn_by_what_actions_can_change():
    goals = PartGoals(vector(2), 3, 0.2, "each", lambda state: torch.tensor([3.0, 1.0]))
    goals.learn(line(3, 6))
    assert goals.share.tolist() == pytest.approx([0.75, 0.25], abs=1e-5)
    assert float(goals.goals_of(torch.zeros(4_000, 2))[:, 2].mean()) == pytest.approx(0.75, abs=0.03)


def test_only_the_part_counts():
    """Deviations 2 and 0.5; the goal (2, 0.5) in its first number is reached wherever the second is."""
    goals = PartGoals(vector(2), 3, 0.9, ((0,), (1,), (0, 1)))
    goals.observe(torch.tensor([[-2.0, -0.5], [2.0, 0.5]]))
    wanted = torch.tensor([2.0, 0.5])
    masks = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    goal = torch.cat([wanted.expand(3, 2), masks], 1)
    assert goals.reached(torch.tensor([[2.0, -0.5]]).expand(3, 2), goal).tolist() == [True, False, False]
    pairs = goals.join(torch.tensor([[7.0, 8.0]]).expand(3, 2), goal)
    assert pairs.tolist() == [[7, 8, 2, 0, 1, 0], [7, 8, 0, 0.5, 0, 1], [7, 8, 2, 0.5, 1, 1]]
    assert torch.equal(goals.state_of(pairs), torch.tensor([[7.0, 8.0]]).expand(3, 2))
    assert goals.members.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_a_number_that_never_changes_is_reached_at_once_and_no_candidate():
    """The second number of the line is always 0: all candidates are in the first."""
    goals, replay = PartGoals(vector(2), 3, 0.2, "each"), line(3, 6)
    goals.observe(replay.all().state)
    found, _ = goals.candidates(goals.survey(replay, lambda rows: rows.next_state[:, 0]), torch.tensor([12.0, 0.0]))
    assert len(found)
    assert bool((found[:, 2] == 1).all())
    rows = goals.relabelled(replay, 64)
    moved = rows.state[:, 4] == 1
    assert bool(rows.terminated[~moved].all())
    assert 0 < float(rows.reward[moved].mean()) < 1


def test_an_explorer_pursues_parts_and_mistakes_are_told():
    source = source_of(None, streams=2)
    explorer = GoalExplorer(source, horizon=3, parts="each")
    explorer.observe(line(3, 6).all())
    explorer.improve(line(3, 6), 0)
    action, log_mu = explorer.behaviour(line(3, 6))(torch.tensor([[1.0, 0.0], [12.0, 0.0]]), torch.arange(2))
    assert action.shape == log_mu.shape == (2,)
    for wrong in ((), ((0, 5),), "some", ((),), 3):
        with pytest.raises(InputError, match=r"^Expected parts of 2 numbers, such as"):
            GoalExplorer(source, parts=wrong)
    with pytest.raises(InputError, match=r"^Expected parts beside controllable, but got none"):
        GoalExplorer(source, controllable=True)
    with pytest.raises(InputError, match=r"^Expected states that are vectors for goals in parts, but got Discrete"):
        GoalExplorer(source_of(4), parts="each")
