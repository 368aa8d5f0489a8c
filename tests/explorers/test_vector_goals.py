"""Goals among vectors and images: near and far, what lies ahead, hindsight; against brute force and a small plane.

Cost: 8 s.
"""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers import GoalExplorer, VectorGoals
from gio_pyro.explorers.vector_goals import NEAREST
from gio_pyro.nn import encoder
from gio_pyro.types import Transitions
from tests.explorers.worlds import source_of
from tests.spaces import vector


@pytest.fixture(autouse=True)
def private_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def line(episodes: int, length: int) -> Replay:
    """Episodes e = 0, 1, ... that walk from (10 e, 0) to (10 e + length, 0) by steps of 1."""
    replay = Replay(10_000)
    for episode in range(episodes):
        at = torch.stack([10.0 * episode + torch.arange(length + 1.0), torch.zeros(length + 1)], 1)
        no, zero = torch.zeros(length, dtype=torch.bool), torch.zeros(length)
        ends = no.clone()
        ends[-1] = True
        replay.add(Transitions(at[:-1], zero.long(), zero, at[1:], no, ends, zero, zero + 1))
    return replay


def goals(horizon: int = 3, near: float = 0.2) -> VectorGoals:
    return VectorGoals(vector(2), horizon, near)


def test_distances_are_root_mean_squares_in_standard_deviations():
    """Deviations 2 and 0.5: from (0, 0) to (2, 0.5) each number moves by one, to (2, 0) one of the two."""
    found = goals(near=0.9)
    found.observe(torch.tensor([[-2.0, -0.5], [2.0, 0.5]]))
    origin = torch.zeros(2, 2)
    there = torch.tensor([[2.0, 0.5], [2.0, 0.0]])
    torch.testing.assert_close(found._distance(origin, there), torch.tensor([1.0, 0.5**0.5]))
    assert found.reached(origin, there).tolist() == [False, True]


def test_what_lies_ahead_is_what_followed_within_the_horizon_and_not_where_it_is():
    """From (12, 0), which one walk comes by: 13, 14 and 15, and never across the end of the episode."""
    found, replay = goals(), line(2, 6)
    drawn = found.survey(replay, lambda rows: rows.next_state[:, 0])
    starts = drawn.pieces.steps.state[:, 0, 0]
    assert min(int((starts == at).sum()) for at in (12, 15)) >= NEAREST
    goal, value = found.candidates(drawn, torch.tensor([12.0, 0.0]))
    assert sorted(set(goal[:, 0].tolist())) == [13, 14, 15]
    assert torch.equal(value, goal[:, 0])
    end, _ = found.candidates(drawn, torch.tensor([15.0, 0.0]))
    assert set(end[:, 0].tolist()) == {16}


def test_hindsight_asks_for_what_the_episode_reached_within_the_horizon_or_for_what_another_did():
    found, replay = goals(horizon=3), line(5, 6)
    rows = found.relabelled(replay, 2_000)
    state, goal = rows.state[:, :2], rows.state[:, 2:]
    assert torch.equal(rows.next_state[:, 2:], goal)
    assert torch.equal(rows.next_state[:, :2], state + torch.tensor([1.0, 0.0]))
    there = (goal == rows.next_state[:, :2]).all(1)
    assert torch.equal(rows.reward == 1, there)
    assert torch.equal(rows.terminated, there)
    ahead = goal[:, 0] - state[:, 0]
    same = (goal[:, 0] // 10 == state[:, 0] // 10) & (ahead >= 1) & (ahead <= 3)
    assert float(same.float().mean()) == pytest.approx(0.8, abs=0.05)
    first = same & (state[:, 0] % 10 == 0)  # all three are ahead: each as often
    shares = torch.bincount(ahead[first].long(), minlength=4)[1:] / first.sum()
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.1)


def test_without_a_size_every_transition_is_relabelled_once():
    replay = line(2, 3)
    assert torch.equal(goals().relabelled(replay, None).state[:, :2], replay.all().state)


@pytest.mark.parametrize("shape", [(7, 7, 3), (3, 7, 7), (9, 9, 1)])
def test_images_are_put_side_by_side_along_their_channels(shape: tuple[int, ...]):
    found = VectorGoals(Box(0, 255, shape, np.uint8), 3, 0.2)
    one, other = (torch.randint(256, (2, *shape), dtype=torch.uint8) for _ in range(2))
    pair = found.join(one, other)
    axis = shape.index(min(shape))
    assert pair.shape[1:] == found.pairs.shape
    assert found.pairs.shape[axis] == 2 * shape[axis]
    assert torch.equal(pair.narrow(axis + 1, shape[axis], shape[axis]), other)
    assert encoder(found.pairs)(pair).shape[0] == 2
    assert found.reached(one, one).all()


MOVES = torch.tensor([(0, 1), (0, -1), (1, 0), (-1, 0)])


def walks(episodes: int, length: int) -> Replay:
    """Uniform walks on a square of 7 x 7 cells, from anywhere."""
    replay = Replay(100_000)
    for _ in range(episodes):
        at, action = [torch.randint(7, (2,))], torch.randint(4, (length,))
        for a in action.tolist():
            at.append((at[-1] + MOVES[a]).clamp(0, 6))
        way, no, zero = torch.stack(at).float(), torch.zeros(length, dtype=torch.bool), torch.zeros(length)
        ends = no.clone()
        ends[-1] = True
        replay.add(Transitions(way[:-1], action, zero, way[1:], no, ends, zero, zero + 1))
    return replay


def steps_to_goals(policy: Any, explorer: GoalExplorer, most: int) -> dict[tuple[int, int], int]:
    """How many steps from the middle to each other cell, where it takes at most `most`."""
    found = {}
    for goal in ((x, y) for x in range(7) for y in range(7) if (x, y) != (3, 3)):
        at, aim = torch.tensor([[3.0, 3.0]]), torch.tensor([goal]).float()
        for step in range(1, most + 1):
            at = (at + MOVES[int(policy(explorer.goals.join(at, aim)))]).clamp(0, 6)
            if bool(explorer.goals.reached(at, aim)):
                found[goal] = step
                break
    return found


@pytest.mark.slow
def test_a_network_learns_from_hindsight_to_reach_every_goal_by_a_shortest_way():
    """From uniform walks. Walking on uniformly for 12 steps reaches 2 to 7 of the 48 goals (three seeds)."""
    settings = {"hidden": (64,), "batch_size": 128, "learning_rate": 3e-3, "target_rate": 0.05}
    explorer, replay = GoalExplorer(source_of(None, **settings), 12), walks(100, 30)
    explorer.observe(replay.all())
    uniform = steps_to_goals(lambda pair: torch.randint(4, (1,)), explorer, 12)
    for step in range(800):
        explorer.improve(replay, step)
    learned = steps_to_goals(explorer.control.policy.mode, explorer, 12)
    shortest = [goal for goal, steps in learned.items() if steps == abs(goal[0] - 3) + abs(goal[1] - 3)]
    assert len(shortest) == 48
    assert len(uniform) < 16
