"""Values of goals against numbers worked by hand and value iteration. Cost: 5 s."""

from typing import Any

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers import FiniteGoals, GoalExplorer, VectorGoals
from gio_pyro.explorers.goal_values import NetworkGoalValues, TableGoalValues
from gio_pyro.types import Transitions
from tests.explorers.worlds import source_of

PAID = torch.tensor([0.0, 1, 2, 4])
"""The signal of arriving in each of four states in a row, the last of which ends the episode."""
BY_HAND = {(0, 1): 3, (0, 2): 3, (0, 3): 3, (1, 2): 4, (1, 3): 4, (2, 3): 4}
"""Q(s, g) at γ = 1/2: 4 from state 2; 2 + 4/2 from 1; 1 + 2/2 + 4/4 from 0, whichever goal comes first."""


@pytest.fixture(autouse=True)
def private_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def walked(shape: tuple[int, ...] = ()) -> Replay:
    """Replay of one episode through the four states; of vectors, their number."""
    replay, kind = Replay(100), torch.float32 if shape else torch.int64
    state = torch.arange(4).to(kind).reshape(4, *shape)
    number = torch.zeros(3)
    rows = Transitions(
        state=state[:3], action=torch.zeros(3, dtype=torch.int64), reward=number, next_state=state[1:],
        terminated=torch.tensor([False, False, True]), truncated=number.bool(), log_behaviour=number, weight=number + 1,
    )  # fmt: skip
    replay.add(rows)
    return replay


def paid(rows: Transitions) -> Tensor:
    return PAID[rows.next_state.reshape(len(rows)).long()]


def test_tables_are_the_values_worked_by_hand():
    goals, found = FiniteGoals(Discrete(4), horizon=3), TableGoalValues(4, 0.5)
    for _ in range(60):
        found.learn(walked(), goals, paid)
    for (state, goal), value in BY_HAND.items():
        assert float(found(torch.tensor(state), torch.tensor([goal]))) == pytest.approx(value, abs=1e-3)
    assert found.known.sum() == len(BY_HAND), "of other pairs nothing is known"


def test_networks_learn_them():
    goals = VectorGoals(Box(0, 3, (1,)), horizon=3, near=0.1)
    found = NetworkGoalValues(goals, 0.5, hidden=(32,), learning_rate=1e-2, rate=0.1)
    for _ in range(400):
        found.learn(walked((1,)), goals, paid)
    for (state, goal), value in BY_HAND.items():
        assert float(found(torch.tensor([float(state)]), torch.tensor([[float(goal)]]))) == pytest.approx(
            value, abs=0.3
        )


def explorer_of(states: int | None, **given: Any) -> GoalExplorer:
    return GoalExplorer(source_of(states, values=torch.zeros(4)), 3, choose="learned", **given)


def test_goals_are_drawn_in_proportion_and_by_the_signal_where_no_value_is_known():
    explorer = explorer_of(4)
    explorer.values.q[0] = torch.tensor([0.0, 3, 1, 0])  # type: ignore[union-attr]
    explorer.values.known[0, 1:3] = True  # type: ignore[union-attr]
    goal, worth = explorer._valued(torch.tensor(0), torch.tensor([1, 2, 3]), torch.tensor([9.0, 9, 2]))
    assert goal.tolist() == [1, 2, 3]
    assert worth.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("states", "given", "message"),
    [
        (4, {"choose": "best"}, "Expected choose to be signal or learned, but got 'best'"),
        (None, {"parts": "each"}, "Expected whole states that were seen as goals whose value is learned"),
    ],
)
def test_mistakes(states: int | None, given: dict[str, Any], message: str):
    with pytest.raises(InputError, match=f"^{message}"):
        GoalExplorer(source_of(states), 3, **{"choose": "learned", **given})
