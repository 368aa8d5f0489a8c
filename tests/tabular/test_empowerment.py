"""Exact n-step empowerment, by enumeration.

Cost: 2 s.
"""

from itertools import product
from math import log, log2

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular import TabularMDP, blahut_arimoto, empowerment, grid_world, klyubin_maze

from .worlds import bsc, corridor, random_mdp, random_rows, two_states


def bits(nats: Tensor) -> Tensor:
    return nats / log(2)


def by_enumeration(mdp: TabularMDP, horizon: int) -> Tensor:
    """Capacity of the channel of all A^n sequences, none merged."""
    rows = []
    for sequence in product(range(mdp.actions), repeat=horizon):
        final = torch.eye(mdp.states, dtype=torch.float64)
        for action in sequence:
            final = final @ mdp.transition[:, action]
        rows.append(final)
    return blahut_arimoto(torch.stack(rows, 1)).capacity


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_an_open_grid_offers_a_diamond(n: int):
    size = 2 * n + 1
    centre = bits(empowerment(grid_world(size, size), n))[n * size + n]
    assert centre.item() == pytest.approx(log2(2 * n * n + 2 * n + 1), abs=1e-6)


@pytest.mark.parametrize(("n", "expected"), [(1, 1.584963), (2, 2.584963), (3, 3.321928)])
def test_the_start_of_frozen_lake(n: int, expected: float):
    mdp = TabularMDP.from_env(gym.make("FrozenLake-v1", is_slippery=False))
    assert bits(empowerment(mdp, n))[0].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("n", "states"), [(1, 2), (2, 4), (3, 7), (4, 10)])
def test_the_start_of_cliff_walking(n: int, states: int):
    mdp = TabularMDP.from_env(gym.make("CliffWalking-v1"))
    assert empowerment(mdp, n).exp()[36].item() == pytest.approx(states, abs=1e-6)


def test_one_step_in_the_maze_of_klyubin():
    value = bits(empowerment(klyubin_maze(), 1))
    assert value.exp2().min().item() == pytest.approx(2, abs=1e-6)
    assert value.exp2().max().item() == pytest.approx(5, abs=1e-6)
    assert value.mean().item() == pytest.approx(2.029651, abs=1e-6)


def test_five_steps_in_the_maze_of_klyubin():
    value = bits(empowerment(klyubin_maze(), 5))
    reached = value.exp2().round().reshape(10, 10)
    assert (reached == 11).nonzero().tolist() == [[0, 0], [1, 0]]
    assert (reached == 46).nonzero().tolist() == [[5, 5]]
    assert (reached.min(), reached.max()) == (11, 46)
    assert value.mean().item() == pytest.approx(4.783411, abs=1e-6)


def test_exactly_n_actions_not_at_most_n():
    """Two rooms and one action that changes room: one state can be reached, whatever n."""
    mdp = TabularMDP([[[0.0, 1.0]], [[1.0, 0.0]]], [[0.0], [0.0]], discount=0.9)
    assert empowerment(mdp, 3).tolist() == [0.0, 0.0]


def test_a_terminal_state_has_none():
    assert empowerment(corridor(), 2)[-1] == 0
    noisy = TabularMDP(random_rows(0, 3, 2, 3), torch.zeros(3, 2), discount=0.9, terminal=[False, False, True])
    assert abs(empowerment(noisy, 2)[-1].item()) < 1e-12


def test_one_step_in_a_noisy_world_is_the_capacity_of_its_actions():
    assert bits(empowerment(two_states(bsc(0.1)), 1)).tolist() == pytest.approx([0.531004] * 2, abs=1e-6)


@pytest.mark.parametrize("horizon", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_merging_sequences_changes_nothing(kind: str, horizon: int):
    mdp = random_mdp(horizon, states=5, actions=3, kind=kind)
    torch.testing.assert_close(empowerment(mdp, horizon), by_enumeration(mdp, horizon), atol=1e-6, rtol=0)


def test_merging_in_a_noisy_grid_where_moves_commute():
    grid = grid_world(3, 3, noise=0.1)
    torch.testing.assert_close(empowerment(grid, 3), by_enumeration(grid, 3), atol=1e-6, rtol=0)


def test_a_deterministic_world_agrees_with_the_capacity_of_its_sequences():
    mdp = random_mdp(0, states=6, actions=2, kind="deterministic")
    torch.testing.assert_close(empowerment(mdp, 4), by_enumeration(mdp, 4), atol=1e-8, rtol=0)


def test_a_little_noise_takes_a_little():
    still, noisy = empowerment(grid_world(3, 3), 2), empowerment(grid_world(3, 3, noise=1e-9), 2)
    torch.testing.assert_close(noisy, still, atol=1e-6, rtol=0)
    assert (noisy <= still).all()


def test_full_noise_without_a_choice_leaves_nothing():
    """Each of the five actions is carried out with probability 1/5 whichever is chosen."""
    assert empowerment(grid_world(3, 3, noise=0.8), 3).abs().max() < 1e-9


def test_it_is_never_below_zero_by_rounding():
    assert min(empowerment(random_mdp(s, states=6, actions=1), 2).min().item() for s in range(10)) >= 0


def test_chunks_change_nothing():
    mdp = random_mdp(0, states=6, actions=3)
    whole = empowerment(mdp, 3)
    torch.testing.assert_close(empowerment(mdp, 3, max_elements=1), whole, atol=2e-7, rtol=0)
    torch.testing.assert_close(empowerment(mdp, 3, max_elements=500), whole, atol=2e-7, rtol=0)


def test_rewards_and_discount_play_no_part():
    mdp = random_mdp(0)
    bare = TabularMDP(mdp.transition, torch.zeros(4, 3), discount=0.0)
    assert (empowerment(bare, 2) == empowerment(mdp, 2)).all()


@pytest.mark.filterwarnings("ignore::gio_pyro.errors.ConvergenceWarning")
def test_a_loose_tolerance_stays_within_it():
    mdp = random_mdp(1, states=5, actions=3)
    loose, tight = empowerment(mdp, 2, tolerance=1e-2), empowerment(mdp, 2, tolerance=1e-10)
    assert (loose - tight).abs().max() <= 1e-2


def test_a_tolerance_out_of_reach_warns():
    with pytest.warns(ConvergenceWarning, match="certified gap"):
        empowerment(random_mdp(0, states=6, actions=4), 2, tolerance=1e-300)


@pytest.mark.parametrize("horizon", [0, -1, 1.5])
def test_a_horizon_is_at_least_1(horizon: int):
    with pytest.raises(InputError, match=rf"^Expected a horizon of at least 1 action, .+, but got {horizon}\.$"):
        empowerment(grid_world(2, 2), horizon)


def test_a_batch_is_refused():
    with pytest.raises(InputError, match=r"^Expected one MDP, but got a batch \(3,\); take them one by one\.$"):
        empowerment(random_mdp(0, batch=3), 1)


def test_too_many_sequences_are_refused():
    with pytest.raises(InputError, match=r"^Expected at most 5 distinct action sequences .+, but got 9; .+\.$"):
        empowerment(random_mdp(0), 2, max_sequences=5)
