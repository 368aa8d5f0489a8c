"""Bounds on optimal values under hidden states: against the tiger, the exact tree of beliefs, and MDPs.

Cost: 8 s.
"""

import pytest
import torch

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular import POMDP, Bounds, TabularMDP, belief_return, belief_tree, point_based, policy_iteration

from .hidden import LEFT, LISTEN, RIGHT, random_pomdp, tiger
from .worlds import EYE, corridor, random_mdp


@pytest.fixture(scope="module")
def bounds() -> Bounds:
    return point_based(tiger(), tolerance=1e-2)


def test_the_value_of_the_tiger(bounds: Bounds):
    """19.3714 at even odds: the exact tree of 300 steps, beyond which at most 100 · .95³⁰⁰ / .05 = .0004 can come."""
    assert bounds.converged
    assert bounds.gap <= 1e-2
    exact = belief_tree(tiger(), 300).value.item()
    assert exact == pytest.approx(19.3714, abs=5e-5)
    assert bounds.lower <= exact + 4.2e-4
    assert bounds.upper >= exact - 4.2e-4


def test_it_listens_until_it_is_sure(bounds: Bounds):
    assert bounds.policy_action([0.5, 0.5]).item() == LISTEN
    assert bounds.policy_action([[0.85, 0.15], [0.97, 0.03], [0.03, 0.97]]).tolist() == [LISTEN, RIGHT, LEFT]


def test_the_policy_earns_the_lower_bound(bounds: Bounds):
    def policy(belief: torch.Tensor, t: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(bounds.policy_action(belief), 3)

    earned = belief_return(tiger(), 300, policy)
    assert earned >= bounds.lower - 4.2e-4
    assert earned <= bounds.upper + 4.2e-4


@pytest.mark.parametrize("ends", [False, True])
def test_the_bounds_hold_at_every_belief(ends: bool):
    """At γ = .3 the value of eight steps is within .3⁸ max |r| / .7 of that without a limit."""
    pomdp = random_pomdp(1, discount=0.3, ends=ends)
    found = point_based(pomdp, tolerance=1e-3)
    rest = 0.3**8 * pomdp.mdp.reward.abs().max().item() / 0.7
    beliefs = torch.softmax(torch.randn(5, 3, dtype=torch.float64), -1)
    value = belief_tree(pomdp, 8, belief=beliefs).value
    lower, upper = found.value_bounds(beliefs)
    assert (lower <= value + rest).all()
    assert (upper >= value - rest).all()
    assert found.lower <= belief_return(pomdp, 8) + rest
    assert found.upper >= belief_return(pomdp, 8) - rest


def test_a_state_that_is_seen_is_an_mdp():
    mdp = random_mdp(0)
    found = point_based(POMDP.from_mdp(mdp, torch.eye(4)), tolerance=1e-6)
    value = (mdp.start * policy_iteration(mdp, temperature=1e-9).value).sum().item()
    assert found.lower == pytest.approx(value, abs=1.1e-6)
    assert found.upper == pytest.approx(value, abs=1.1e-6)
    assert found.lower - 1e-9 <= value + 1e-6 <= found.upper + 2e-6


def test_a_state_that_is_never_seen_again():
    """Two states; the action that names the state pays 1, the other nothing: ½ a step without any observation."""
    pomdp = POMDP(EYE[:, None].expand(2, 2, 2), torch.ones(2, 1), EYE, discount=0.5)
    found = point_based(pomdp)
    assert (found.lower, found.upper) == (pytest.approx(1.0, abs=1e-3), pytest.approx(1.0, abs=1e-3))
    known = point_based(pomdp, belief=[1.0, 0.0])
    assert known.lower == pytest.approx(2.0, abs=1e-3)


def test_without_discount_every_policy_must_end():
    """Three steps of reward s · a on the way to the end: 0 + 1 + 2, whatever is seen."""
    on = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1]]).double()
    mdp = TabularMDP(
        on[:, None].expand(4, 2, 4),
        [[0, 0], [0, 1], [0, 2], [5, 5]],
        discount=1.0,
        terminal=[0, 0, 0, 1],
        start=[1, 0, 0, 0],
    )
    found = point_based(POMDP.from_mdp(mdp, torch.ones(4, 1)))
    assert (found.lower, found.upper) == (pytest.approx(3.0), pytest.approx(3.0))
    with pytest.raises(InputError, match="state 0 can be kept up for ever"):
        point_based(POMDP.from_mdp(corridor(), torch.ones(4, 1)))


def test_it_says_that_it_stopped_early():
    with pytest.warns(ConvergenceWarning, match="Stopped after 3 iterations"):
        found = point_based(tiger(), max_iterations=3)
    assert not found.converged
    assert found.lower < 19.3714 < found.upper


def test_more_iterations_never_widen_the_bounds():
    with pytest.warns(ConvergenceWarning):
        few, more = (point_based(tiger(), tolerance=1e-9, max_iterations=n) for n in (2, 8))
    assert few.lower <= more.lower + 1e-9
    assert few.upper >= more.upper - 1e-9


def test_arguments_that_do_not_fit(bounds: Bounds):
    with pytest.raises(InputError, match="tolerance to be a number above 0"):
        point_based(tiger(), tolerance=0)
    with pytest.raises(InputError, match=r"one belief \[2\]"):
        point_based(tiger(), belief=[[0.5, 0.5]] * 2)
    with pytest.raises(InputError, match="beliefs of shape"):
        bounds.policy_action([1.0, 0.0, 0.0])
