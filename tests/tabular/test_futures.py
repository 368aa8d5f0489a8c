from itertools import pairwise, product

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import next_state, next_state_and_reward, state_after
from gio_pyro.tabular.futures import state_chain

from .worlds import UNIFORM, corridor, random_mdp, random_rows


def test_the_next_state_is_the_transition_table():
    mdp = random_mdp(0)
    assert next_state(mdp, random_rows(0, 4, 3)) is mdp.transition


def test_next_state_and_reward_sums_to_the_next_state():
    mdp = random_mdp(0)
    joint = next_state_and_reward(mdp, random_rows(0, 4, 3))
    to = torch.nn.functional.one_hot(mdp.outcomes.next_state, 4).double()
    torch.testing.assert_close(joint @ to, mdp.transition)


def test_the_reward_tells_actions_apart_that_the_next_state_does_not():
    joint = next_state_and_reward(corridor(2), UNIFORM)
    assert joint[0].tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_one_step_ahead_is_the_next_state():
    mdp = random_mdp(0)
    assert (state_after(1)(mdp, random_rows(0, 4, 3)) == mdp.transition).all()


@pytest.mark.parametrize("k", [2, 3, 4])
def test_k_steps_ahead_sums_over_every_path(k: int):
    mdp, policy = random_mdp(k, states=3, actions=2), random_rows(k, 3, 2)
    channel = torch.zeros(3, 2, 3, dtype=torch.float64)
    for s, a, *path in product(range(3), range(2), *[range(3)] * k):
        p = mdp.transition[s, a, path[0]]
        for here, there in pairwise(path):
            p = p * sum(policy[here, b] * mdp.transition[here, b, there] for b in range(2))
        channel[s, a, path[-1]] += p
    torch.testing.assert_close(state_after(k)(mdp, policy), channel)


def test_k_steps_ahead_stays_in_a_terminal_state():
    always_on = torch.tensor([[0.0, 1.0]] * 4, dtype=torch.float64)
    assert state_after(9)(corridor(), always_on)[:, 1].argmax(-1).tolist() == [3, 3, 3, 3]


def test_the_chain_averages_over_actions():
    chain = state_chain(corridor(3), torch.tensor([[0.25, 0.75]] * 3, dtype=torch.float64))
    assert chain.tolist() == [[0.25, 0.75, 0.0], [0.25, 0.0, 0.75], [0.0, 0.0, 1.0]]


def test_batches_go_through_every_future():
    batch, policy = random_mdp(0, batch=3), random_rows(0, 3, 4, 3)
    assert state_after(3)(batch, policy).shape == (3, 4, 3, 4)


@pytest.mark.parametrize("k", [0, -1])
def test_a_future_is_at_least_one_step_ahead(k: int):
    with pytest.raises(InputError, match=rf"^Expected a future at least 1 step ahead, but got {k}\.$"):
        state_after(k)
