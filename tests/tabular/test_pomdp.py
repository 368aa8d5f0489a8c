"""The tables of a POMDP."""

import gymnasium as gym
import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import POMDP

from .hidden import random_pomdp, tiger
from .worlds import random_mdp, random_rows


def test_the_tables_of_the_tiger():
    pomdp = tiger()
    assert (pomdp.states, pomdp.actions, pomdp.symbols) == (2, 3, 2)
    assert pomdp.first_observation is None
    assert pomdp.mdp.start.tolist() == [0.5, 0.5]
    assert pomdp.observation.dtype == torch.float64


def test_observations_of_the_state_alone_are_seen_at_the_start():
    pomdp = POMDP.from_mdp(random_mdp(0, 3, 2), [[1, 0], [0.5, 0.5], [0, 1]])
    assert pomdp.observation.shape == (2, 3, 2)
    chance, belief = pomdp.first_beliefs()
    assert chance.tolist() == pytest.approx([0.5, 0.5])
    assert belief.flatten().tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0, 1 / 3, 2 / 3])


def test_impossible_first_observations_are_left_out():
    pomdp = POMDP.from_mdp(random_mdp(0, 3, 2), random_rows(1, 2, 3, 3), first_observation=[[1, 0, 0]] * 3)
    chance, belief = pomdp.first_beliefs()
    assert chance.tolist() == pytest.approx([1.0])
    torch.testing.assert_close(belief[0], pomdp.mdp.start)


def test_the_joint_kernel_sums_to_what_goes_on():
    pomdp = random_pomdp(1, ends=True)
    torch.testing.assert_close(pomdp.kernel().sum(1).transpose(0, 1), pomdp.mdp.continuation)


@pytest.mark.parametrize(
    ("observation", "first", "message"),
    [
        (torch.ones(2, 2) / 2, None, r"observations of shape \[3, X\] or \[2, 3, X\]"),
        (torch.ones(3, 2), None, "rows of the observation table to sum to 1"),
        (torch.ones(3, 2) / 2, torch.ones(3, 4) / 4, r"first observations of shape \[3, 2\]"),
    ],
)
def test_tables_that_do_not_fit(observation: object, first: object, message: str):
    with pytest.raises(InputError, match=message):
        POMDP.from_mdp(random_mdp(0, 3, 2), observation, first_observation=first)


def test_what_is_no_single_mdp():
    with pytest.raises(InputError, match="batch or forbidden actions"):
        POMDP.from_mdp(random_mdp(0, 3, 2, batch=2), torch.ones(3, 2) / 2)
    with pytest.raises(InputError, match="to be a TabularMDP"):
        POMDP.from_mdp(3, torch.ones(3, 2) / 2)  # type: ignore[arg-type]


def test_an_environment_without_a_table_of_observations():
    with pytest.raises(InputError, match="environment with an observation_table"):
        POMDP.from_env(gym.make("FrozenLake-v1"))


def test_an_environment_with_tables():
    env = gym.make("FrozenLake-v1")
    env.observation_table = torch.ones(16, 1)
    pomdp = POMDP.from_env(gym.wrappers.TimeLimit(env, 5), discount=0.9)
    assert (pomdp.symbols, pomdp.mdp.discount) == (1, 0.9)
    assert pomdp.first_observation.shape == (16, 1)
