import re
from collections.abc import Callable
from itertools import pairwise, product

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import (
    TabularMDP,
    discounted_return,
    discounted_state,
    features,
    final_state,
    mutual_information,
    next_state,
    next_state_and_reward,
    state_after,
    trajectory,
)
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


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_a_discounted_state_is_a_mixture_over_the_steps(gamma: float):
    mdp, policy = random_mdp(3), random_rows(3, 4, 3)
    weight = [gamma**k for k in range(4)]
    mixture = sum(w / sum(weight) * state_after(k)(mdp, policy) for k, w in enumerate(weight, 1))
    torch.testing.assert_close(discounted_state(4, gamma)(mdp, policy), mixture)


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


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_trajectory_sums_to_where_it_ends_and_where_it_begins(k: int):
    mdp, policy = random_mdp(k), random_rows(k, 4, 3)
    paths = trajectory(k)(mdp, policy).unflatten(-1, [4] * k)
    others = tuple(range(2, 1 + k))
    torch.testing.assert_close(paths.sum(others) if others else paths, state_after(k)(mdp, policy))
    others = tuple(range(3, 2 + k))
    torch.testing.assert_close(paths.sum(others) if others else paths, mdp.transition)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
@pytest.mark.parametrize("rewards", [False, True])
def test_a_trajectory_carries_the_information_of_its_first_step(seed: int, kind: str, rewards: bool):
    mdp, policy = random_mdp(seed, kind=kind), random_rows(seed + 9, 4, 3)
    first = next_state_and_reward if rewards else next_state
    expected, whole = mutual_information(first(mdp, policy), policy), trajectory(2 if rewards else 3, rewards=rewards)
    torch.testing.assert_close(mutual_information(whole(mdp, policy), policy), expected)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_a_function_of_a_trajectory_carries_no_more(seed: int):
    mdp, policy = lottery(), random_rows(seed, 3, 2)
    whole = mutual_information(trajectory(3, rewards=True)(mdp, policy), policy)
    for part in (discounted_return(3, 0.9), discounted_return(3, levels=(0.5, 1.5)), state_after(3), trajectory(2)):
        assert bool((mutual_information(part(mdp, policy), policy) <= whole + 1e-9).all())


def lottery() -> TabularMDP:
    """Three states and two actions; the reward depends on where one arrives."""
    g = torch.Generator().manual_seed(0)
    reward = torch.randint(0, 2, (3, 2, 3), generator=g).double()
    return TabularMDP(random_rows(3, 3, 2, 3), reward, discount=0.9)


@pytest.mark.parametrize("discount", [1.0, 0.5, 0.0])
def test_the_return_sums_over_every_path(discount: float):
    mdp, policy = lottery(), random_rows(1, 3, 2)
    pairs = mdp.outcomes
    found: dict[tuple[int, int, float], float] = {}
    steps = range(len(pairs.reward))
    for s, a, first, second, third, b, c in product(range(3), range(2), steps, steps, steps, range(2), range(2)):
        one, two = int(pairs.next_state[first]), int(pairs.next_state[second])
        p = pairs.probability[s, a, first] * policy[one, b] * pairs.probability[one, b, second]
        p = float(p * policy[two, c] * pairs.probability[two, c, third])
        earned = [float(pairs.reward[i]) for i in (first, second, third)]
        total = round(sum(discount**i * r for i, r in enumerate(earned)), 9)
        found[s, a, total] = found.get((s, a, total), 0.0) + p
    sums = sorted({total for _, _, total in found})
    expected = torch.tensor([[[found.get((s, a, g), 0.0) for g in sums] for a in range(2)] for s in range(3)])
    torch.testing.assert_close(discounted_return(3, discount)(mdp, policy), expected.double())
    low = torch.tensor([g < 0.5 for g in sums])
    halves = discounted_return(3, discount, levels=[0.5])(mdp, policy)
    torch.testing.assert_close(halves[..., 0], expected.double()[..., low].sum(-1))


def test_the_return_of_a_corridor_is_how_soon_it_ends():
    on = torch.tensor([[0.0, 1.0]] * 4, dtype=torch.float64)
    channel = discounted_return(4)(corridor(), on)
    assert channel[:3].argmax(-1).tolist() == [[0, 1], [0, 2], [1, 3]]  # 4, 3, 2 or 1 steps
    assert channel[3].argmax(-1).tolist() == [4, 4]  # nothing


def test_blind_actions_are_those_of_a_policy_that_does_not_look():
    mdp = random_mdp(0)
    blind = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    anything = random_rows(1, 4, 3)
    torch.testing.assert_close(final_state(3, blind)(mdp, anything), state_after(3)(mdp, blind.expand(4, 3)))
    torch.testing.assert_close(final_state(2)(mdp, anything), final_state(2, [1 / 3] * 3)(mdp, anything))


def test_features_add_up_what_they_do_not_tell_apart():
    mdp, policy = random_mdp(0), random_rows(0, 4, 3)
    channel = features(next_state, [0, 2, 0, 1])(mdp, policy)
    p = mdp.transition
    torch.testing.assert_close(channel, torch.stack([p[..., 0] + p[..., 2], p[..., 3], p[..., 1]], -1))


def test_new_futures_take_batches_too():
    batch, policy = random_mdp(0, batch=3), random_rows(0, 3, 4, 3)
    assert trajectory(2)(batch, policy).shape == (3, 4, 3, 16)
    assert final_state(3)(batch, policy).shape == (3, 4, 3, 4)
    torch.testing.assert_close(trajectory(2)(batch, policy)[1], trajectory(2)(random_one(batch, 1), policy[1]))


def random_one(batch: TabularMDP, number: int) -> TabularMDP:
    return TabularMDP(batch.transition[number], batch.reward[number], discount=batch.discount)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: final_state(0), "Expected a future at least 1 step ahead, but got 0."),
        (lambda: trajectory(0), "Expected a future at least 1 step ahead, but got 0."),
        (lambda: discounted_return(0), "Expected a future at least 1 step ahead, but got 0."),
        (lambda: discounted_return(2, 1.5), "Expected a discount in [0, 1], but got 1.5; 0.99 is a usual choice."),
        (lambda: discounted_return(2, levels=(1, 1)), "Expected levels that increase, such as (0.0, 0.5), but got"),
        (lambda: features(next_state, [0.5]), "Expected one label, a whole number from 0, for each future, but got"),
        (lambda: features(next_state, [0, 1])(random_mdp(0), UNIFORM), "Expected 4 labels, one for each future"),
        (lambda: final_state(2, [1.0])(random_mdp(0), UNIFORM), "Expected a source over 3 actions, but got shape"),
        (lambda: trajectory(20)(random_mdp(0), UNIFORM), "Expected at most 100,000 trajectories, but 4 symbols have"),
    ],
)
def test_mistakes_are_told(make: Callable[[], object], says: str):
    with pytest.raises(InputError, match="^" + re.escape(says)):
        make()
