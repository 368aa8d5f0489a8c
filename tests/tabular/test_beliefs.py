"""Beliefs: against hand-worked numbers, against all paths of states, and against Pyro's hidden Markov model."""

import itertools
import math

import pyro.distributions as dist
import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import POMDP, belief_update, forward_backward, forward_filter, observation_probabilities

from .hidden import LEFT, LISTEN, random_pomdp, tiger
from .worlds import EYE, random_rows

HEARD_LEFT, HEARD_RIGHT = 0, 1
X = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1]])
A = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 1]])


def test_the_tiger_heard_twice_on_the_left():
    """.85² / (.85² + .15²) = .7225 / .745; the first observation says nothing, as listening alone says something."""
    found = forward_filter(tiger(), [HEARD_RIGHT, HEARD_LEFT, HEARD_LEFT], [LISTEN, LISTEN])
    assert found.belief[:, 0].tolist() == pytest.approx([0.5, 0.85, 0.7225 / 0.745], abs=1e-15)
    assert found.belief[-1, 0].item() == pytest.approx(0.969799, abs=1e-6)
    assert found.log_likelihood.exp().tolist() == pytest.approx([1.0, 0.5, 0.745])
    assert found.predicted[:, 0].tolist() == pytest.approx([0.5, 0.5, 0.85])


def test_opposite_sounds_cancel_and_opening_forgets():
    found = forward_filter(tiger(), [0, HEARD_LEFT, HEARD_RIGHT, HEARD_LEFT, 0], [LISTEN, LISTEN, LISTEN, LEFT])
    assert found.belief[:, 0].tolist() == pytest.approx([0.5, 0.85, 0.5, 0.85, 0.5])


def test_what_is_heard_later_counts_for_earlier():
    found = forward_backward(tiger(), [0, HEARD_LEFT, HEARD_LEFT], [LISTEN, LISTEN])
    assert found.marginal[:, 0].tolist() == pytest.approx([0.7225 / 0.745] * 3)


def paths(pomdp: POMDP, x: list[int], a: list[int]) -> torch.Tensor:
    """The joint probability of every path of states and what was seen, `[S, ..., S]`."""
    table = torch.zeros([pomdp.states] * len(x), dtype=torch.float64)
    for path in itertools.product(range(pomdp.states), repeat=len(x)):
        p = pomdp.mdp.start[path[0]] * pomdp.first_observation[path[0], x[0]]
        for t in range(1, len(x)):
            s, s_next = path[t - 1], path[t]
            p = p * pomdp.mdp.transition[s, a[t - 1], s_next] * pomdp.observation[a[t - 1], s_next, x[t]]
        table[path] = p
    return table


@pytest.mark.parametrize("row", [0, 1])
def test_filter_and_smoother_sum_over_all_paths(row: int):
    pomdp = random_pomdp(row)
    x, a = X[row].tolist(), A[row].tolist()
    joint, found = paths(pomdp, x, a), forward_backward(pomdp, x, a)
    assert found.filtered.log_likelihood.sum().item() == pytest.approx(math.log(joint.sum()), abs=1e-10)
    for t in range(5):
        others = [i for i in range(5) if i != t]
        torch.testing.assert_close(found.marginal[t], joint.sum(others) / joint.sum(), atol=1e-10, rtol=0)
        until = paths(pomdp, x[: t + 1], a[:t])
        until = until.sum(list(range(t))) if t else until
        torch.testing.assert_close(found.filtered.belief[t], until / until.sum(), atol=1e-10, rtol=0)


def test_it_is_the_hidden_markov_model_of_pyro():
    """Pyro's model makes a transition before the first observation: an identity here."""
    pomdp = random_pomdp(5)
    x, a = X[0], A[0]
    moves = torch.cat(
        [(torch.eye(3, dtype=torch.float64) + 1e-300).log()[None], pomdp.mdp.transition[:, a].log().transpose(0, 1)]
    )
    seen = torch.cat([pomdp.first_observation[None], pomdp.observation[a]])
    hmm = dist.DiscreteHMM(pomdp.mdp.start.log(), moves, dist.Categorical(seen))
    found = forward_filter(pomdp, x, a)
    assert found.log_likelihood.sum().item() == pytest.approx(hmm.log_prob(x).item(), abs=1e-10)
    torch.testing.assert_close(found.belief[-1], hmm.filter(x).probs, atol=1e-10, rtol=0)


def test_sequences_are_filtered_together():
    pomdp = random_pomdp(2)
    together = forward_backward(pomdp, X, A)
    for i in range(2):
        alone = forward_backward(pomdp, X[i], A[i])
        torch.testing.assert_close(together.marginal[i], alone.marginal)
        torch.testing.assert_close(together.filtered.predicted[i], alone.filtered.predicted)
    assert forward_filter(pomdp, X, A[0]).belief.shape == (2, 5, 3)
    assert forward_filter(pomdp, [0], []).belief.shape == (1, 3)


def test_one_update_is_one_step_of_the_filter():
    pomdp = random_pomdp(3)
    found = forward_filter(pomdp, X, A)
    for t in range(1, 5):
        updated = belief_update(pomdp, found.belief[:, t - 1], A[:, t - 1], X[:, t])
        torch.testing.assert_close(updated, found.belief[:, t])
        chance = observation_probabilities(pomdp, found.belief[:, t - 1], A[:, t - 1])
        torch.testing.assert_close(chance.gather(-1, X[:, t, None])[:, 0].log(), found.log_likelihood[:, t])


def test_to_be_still_in_the_episode_excludes_terminal_states():
    pomdp = random_pomdp(4, ends=True)
    blind, awake = forward_filter(pomdp, X, A), forward_filter(pomdp, X, A, terminated=False)
    assert (blind.belief[:, 1:, -1] > 0).all()
    assert (awake.belief[..., -1] == 0).all()
    live = blind.belief[:, 1, :-1]
    torch.testing.assert_close(awake.belief[:, 1, :-1], live / live.sum(-1, keepdim=True))
    once = belief_update(pomdp, blind.belief[:, 0], A[:, 0], X[:, 1], terminated=False)
    torch.testing.assert_close(once, awake.belief[:, 1])


def test_a_termination_that_was_seen_leaves_the_terminal_state():
    pomdp = random_pomdp(4, ends=True)
    found = forward_filter(pomdp, X[0], A[0], terminated=[0, 0, 0, 1])
    assert found.belief[-1].tolist() == [0.0, 0.0, 1.0]
    assert found.predicted[-1, -1] < 1


def test_a_reward_tells_where_the_tiger_was():
    """Opening the left door for −100: the tiger was there. A state that stays, so that the reward informs."""
    pomdp = POMDP(EYE[:, None].expand(2, 2, 2), [[0.5, 0.5]] * 2, [[-100.0, 0.0], [10.0, 0.0]], discount=0.9)
    found = forward_backward(pomdp, [0, 1, 1], [1, 0], rewards=[0.0, -100.0])
    assert found.filtered.belief[:, 0].tolist() == [0.5, 0.5, 1.0]
    assert found.marginal[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert found.filtered.log_likelihood.exp().tolist() == pytest.approx([0.5, 0.5, 0.25])
    updated = belief_update(pomdp, [[0.5, 0.5]] * 2, [0, 1], [1, 1], reward=[10.0, 0.0])
    assert updated.tolist() == [[0.0, 1.0], [0.5, 0.5]]
    with pytest.raises(InputError, match="at step 1 has probability 0"):
        forward_filter(pomdp, [0, 1], [0], rewards=[3.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 2], [0]), "observations to be whole numbers from 0 to 1"),
        (([0, 1], [0.5]), "actions to be whole numbers from 0 to 1"),
        (([0, 1], [0, 1]), "one observation more than actions"),
        ((0, [0]), "one observation more than actions"),
        (([[0, 1]] * 3, [[0]] * 2), "leading shapes"),
    ],
)
def test_sequences_that_do_not_fit(arguments: tuple[object, object], message: str):
    with pytest.raises(InputError, match=message):
        forward_filter(random_pomdp(0), *arguments)


def test_beliefs_that_do_not_fit():
    with pytest.raises(InputError, match=r"beliefs of shape \[..., 3\]"):
        belief_update(random_pomdp(0), [0.5, 0.5], 0, 0)
    with pytest.raises(InputError, match="to be a POMDP"):
        observation_probabilities(random_rows(0, 2, 2), [0.5, 0.5], 0)  # type: ignore[arg-type]
