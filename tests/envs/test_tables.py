"""Transition tables of the example worlds.

Cost: under a second.
"""

from math import log

import pytest
import torch

from gio_pyro import tabular
from gio_pyro.envs import KlyubinMaze, Maze, NoisyTV, Rooms, SlipperyLine, SparseMaze
from gio_pyro.envs.maps import layout_of
from gio_pyro.envs.tables import COMPASS, add_screen, reachable_states, table_of
from gio_pyro.errors import InputError
from gio_pyro.tabular import TabularMDP
from gio_pyro.tabular.grids import KLYUBIN_WALLS

MOVES = [*COMPASS.values()]
WORLDS = [
    KlyubinMaze(noise=0.2), Maze(noise=0.1, door=0.3, useless=2), NoisyTV(channels=3, noise=0.1), Rooms(noise=0.1),
    SlipperyLine(slip=0.3), SparseMaze(useless=3, noise=0.1), Rooms(door=1), SparseMaze(),
]  # fmt: skip


def cells_after(row: list[tuple[float, int, float, bool]]) -> dict[int, float]:
    return {state: probability for probability, state, _, _ in row}


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: type(world).__name__)
def test_rows_are_distributions_over_distinct_states(world: Maze):
    assert [*world.P] == [*range(len(world.P))]
    for actions in world.P.values():
        assert [*actions] == [*range(world.action_space.n)]
        for row in actions.values():
            assert all(probability > 0 for probability, *_ in row)
            assert sum(probability for probability, *_ in row) == pytest.approx(1, abs=1e-12)
            assert len(cells_after(row)) == len(row)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: type(world).__name__)
def test_from_env_reads_states_actions_start_and_ends(world: Maze):
    mdp = TabularMDP.from_env(world)
    goals = [s for s in world.P if s in {to for row in world.P[s].values() for _, to, _, end in row if end}]
    assert (mdp.states, mdp.actions) == (len(world.P), world.action_space.n)
    assert mdp.terminal.nonzero().squeeze(-1).tolist() == goals
    torch.testing.assert_close(mdp.start, torch.as_tensor(world.initial_state_distrib))


@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0])
def test_the_maze_of_klyubin_is_the_tabular_one(noise: float):
    mdp, exact = TabularMDP.from_env(KlyubinMaze(noise=noise)), tabular.klyubin_maze(noise=noise)
    torch.testing.assert_close(mdp.transition, exact.transition, rtol=0, atol=1e-15)
    torch.testing.assert_close(mdp.start, exact.start)
    assert (mdp.reward == 0).all()
    assert not mdp.terminal.any()


def test_one_step_in_the_maze_of_klyubin():
    bits = tabular.empowerment(TabularMDP.from_env(KlyubinMaze()), 1) / log(2)
    assert bits.exp2().round().unique().tolist() == [2, 3, 4, 5]
    assert bits.mean().item() == pytest.approx(2.029651, abs=1e-6)


def test_five_steps_in_the_maze_of_klyubin():
    bits = tabular.empowerment(TabularMDP.from_env(KlyubinMaze()), 5) / log(2)
    assert (bits.exp2().round() == 11).nonzero().squeeze(-1).tolist() == [0, 10]
    assert bits.mean().item() == pytest.approx(4.783411, abs=1e-6)
    assert len(KLYUBIN_WALLS) == len(KlyubinMaze().layout.barriers)


@pytest.mark.parametrize("slip", [0.0, 0.1, 0.5])
def test_a_slippery_line_is_a_binary_symmetric_channel(slip: float):
    world = SlipperyLine(length=6, slip=slip)
    left, right = (cells_after(world.P[2][action]) for action in (0, 1))
    assert left == pytest.approx({state: p for state, p in ((1, 1 - slip), (3, slip)) if p})
    assert right == pytest.approx({state: p for state, p in ((3, 1 - slip), (1, slip)) if p})
    mistaken = -sum(p * log(p) for p in (slip, 1 - slip) if p)
    value = tabular.empowerment(TabularMDP.from_env(world), 1)
    assert value[:5].tolist() == pytest.approx([log(2) - mistaken] * 5, abs=1e-8)
    assert value[5].item() == pytest.approx(0, abs=1e-8)


def test_the_end_of_the_line_pays_once_and_terminates():
    world = SlipperyLine(length=3, slip=0.25)
    assert world.P[1][1] == [(0.25, 0, 0.0, False), (0.75, 2, 1.0, True)]
    assert world.P[2] == {action: [(1.0, 2, 0.0, True)] for action in (0, 1)}
    assert world.initial_state_distrib.tolist() == [1, 0, 0]


def test_a_line_that_always_slips_has_left_and_right_exchanged():
    table = SlipperyLine(length=4, slip=1).P
    assert cells_after(table[1][0]) == {2: 1}
    assert cells_after(table[1][1]) == {0: 1}


def test_a_door_is_hard_to_step_into_and_easy_to_leave():
    table = table_of(layout_of("S+."), MOVES, door=0.2)
    assert cells_after(table[0][2]) == {1: 0.2, 0: 0.8}
    assert cells_after(table[1][2]) == {2: 1}
    assert cells_after(table[1][0]) == {1: 1}
    assert cells_after(table_of(layout_of("S+."), MOVES, door=0)[0][2]) == {0: 1}


def test_noise_carries_out_another_move_and_then_the_door_sticks():
    table = table_of(layout_of("S+\n.#"), MOVES, noise=0.3, door=0.5)
    assert cells_after(table[0][2]) == pytest.approx({1: 0.35, 0: 0.35 + 0.2, 2: 0.1})
    assert cells_after(table[0][1]) == pytest.approx({2: 0.7, 1: 0.05, 0: 0.05 + 0.2})


def test_useless_actions_stay_and_leave_the_others_as_they_were():
    few, many = SparseMaze(noise=0.2).P, SparseMaze(noise=0.2, useless=10).P
    assert all(len(actions) == 14 for actions in many.values())
    for state, actions in few.items():
        assert {action: many[state][action] for action in range(4)} == actions
        assert all(cells_after(many[state][action]) == {state: 1} for action in range(4, 14))


def test_useless_actions_add_no_control_beyond_staying():
    one, ten = (tabular.empowerment(TabularMDP.from_env(SparseMaze(useless=m)), 1) for m in (1, 10))
    torch.testing.assert_close(one, ten)


def test_walls_are_states_that_nothing_enters_or_leaves():
    world = Maze("S#.\n...")
    assert all(cells_after(row) == {1: 1} for row in world.P[1].values())
    entered = {to for s in world.P if s != 1 for row in world.P[s].values() for _, to, _, _ in row}
    assert 1 not in entered


def test_watching_draws_a_channel_in_front_of_the_screen_only():
    table = add_screen(table_of(layout_of("ST", marks="ST"), MOVES), (1,), 4)
    assert cells_after(table[1 * 4 + 2][4]) == {4: 0.25, 5: 0.25, 6: 0.25, 7: 0.25}
    assert cells_after(table[0 * 4 + 2][4]) == {2: 1}
    assert cells_after(table[0 * 4 + 2][2]) == {1 * 4 + 2: 1}


def test_there_is_nothing_to_control_about_the_channel():
    mdp = TabularMDP.from_env(NoisyTV(channels=5))
    one = tabular.empowerment(mdp, 1).reshape(-1, 5)
    torch.testing.assert_close(one, one[:, :1].expand(-1, 5))
    assert one[1 * 11 + 1, 0].item() == pytest.approx(log(5))
    assert one[1 * 11 + 6, 0].item() == pytest.approx(log(5))


def test_a_goal_beside_a_television_ends_the_episode_on_any_channel():
    world = NoisyTV("STG", channels=2)
    assert world.P[1 * 2 + 1][2] == [(1.0, 2 * 2 + 1, 1.0, True)]
    assert world.P[2 * 2 + 1][4] == [(1.0, 5, 0.0, True)]
    assert TabularMDP.from_env(world).terminal.tolist() == [False] * 4 + [True] * 2
    assert world.initial_state_distrib.tolist() == [0.5, 0.5, 0, 0, 0, 0]


def test_what_can_be_reached():
    assert reachable_states(table_of(layout_of("S.#."), MOVES), 0) == {0, 1}


@pytest.mark.parametrize(
    ("drawn", "sentence"),
    [
        (
            "S#G\n.#.\n##S",
            "Expected a goal that can be reached from every start, but none can from row 0, column 0; open a way "
            "through the walls or doors.",
        ),
        (
            "SG.\n##G",
            "Expected goals that can be reached, but no start leads to the one at row 1, column 2; open a way to it "
            "or take it out.",
        ),
    ],
)
def test_goals_out_of_reach_are_told_in_a_sentence(drawn: str, sentence: str):
    with pytest.raises(InputError) as raised:
        Maze(drawn)
    assert str(raised.value) == sentence


def test_a_door_that_never_opens_is_a_wall():
    with pytest.raises(InputError, match="from row 0, column 0; open a way"):
        Maze("S+G", door=0)


@pytest.mark.parametrize(("useless", "most", "least"), [(0, 0.3, 0.1), (10, 0.02, 1e-4), (40, 1e-3, 0.0)])
def test_drawn_actions_rarely_find_the_goal_of_the_sparse_maze(useless: int, most: float, least: float):
    mdp = TabularMDP.from_env(SparseMaze(useless=useless))
    step, state = mdp.transition.mean(1), mdp.start
    for _ in range(200):
        state = state @ step
    assert least < state[mdp.terminal].sum().item() < most


def test_the_goal_of_the_sparse_maze_is_14_steps_away():
    mdp = TabularMDP.from_env(SparseMaze(), discount=0.9)
    value = tabular.policy_iteration(mdp, temperature=1e-4, guide=tabular.uniform).value[0].item()
    assert value == pytest.approx(0.9**13, rel=1e-2)
