"""The tree of beliefs: against numbers of the tiger by hand, and against all policy trees of tiny POMDPs."""

import itertools

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import POMDP, TabularMDP, belief_return, belief_tree, optimal_return

from .hidden import LEFT, LISTEN, RIGHT, random_pomdp, tiger
from .worlds import corridor, random_mdp


def test_one_step_of_the_tiger():
    """Listening costs 1; a door at even odds (10 − 100) / 2 = −45."""
    found = belief_tree(tiger(), 1, discount=1.0)
    assert found.q.tolist() == pytest.approx([-1.0, -45.0, -45.0])
    assert (found.value.item(), found.action.item(), found.beliefs) == (pytest.approx(-1.0), LISTEN, 1)


def test_two_steps_of_the_tiger():
    """After one sound a door is worth .85 · 10 − .15 · 100 = −6.5 < −1: listen twice. Opening first: −45 − 1."""
    found = belief_tree(tiger(), 2, discount=1.0)
    assert found.q.tolist() == pytest.approx([-2.0, -46.0, -46.0])


def test_three_steps_of_the_tiger():
    """After two equal sounds, of probability .745, the belief .969799 makes the other door worth
    10 · .969799 − 100 · .030201 = 6.677852; else listening costs 1: −2 + .745 · 6.677852 − .255 = 2.72."""
    found = belief_tree(tiger(), 3, discount=1.0)
    assert found.value.item() == pytest.approx(-2 + 7.225 - 2.25 - 0.255)
    assert found.beliefs == 1 + 3 + 5


def test_a_certain_tiger_is_left_at_once():
    """At γ = .95 and horizon 2: 10, then −1 for a sound."""
    found = belief_tree(tiger(), 2, belief=[[1.0, 0.0], [0.0, 1.0]])
    assert found.action.tolist() == [RIGHT, LEFT]
    assert found.value.tolist() == pytest.approx([10 - 0.95] * 2)


def test_beliefs_recur_so_that_long_horizons_are_short():
    """Only the difference of the sounds matters: 2 t + 1 beliefs after t of them, 100² in all."""
    found = belief_tree(tiger(), 100)
    assert found.beliefs == 10_000
    assert found.value.item() == pytest.approx(19.37 - 0.95**100 * 19.37, abs=0.3)


def policy_trees(actions: int, symbols: int, horizon: int) -> list[tuple[int, tuple[object, ...]]]:
    """Every deterministic policy tree: an action, and a tree for each observation."""
    below = policy_trees(actions, symbols, horizon - 1) if horizon > 1 else []
    branches = [*itertools.product(below, repeat=symbols)] if horizon > 1 else [()]
    return [(a, after) for a in range(actions) for after in branches]


def tree_value(pomdp: POMDP, tree: tuple[int, tuple[object, ...]], s: int) -> float:
    """The return of a policy tree from a state: a recursion over states and observations, without beliefs."""
    if pomdp.mdp.terminal[s]:
        return 0.0
    a, after = tree
    total = pomdp.mdp.reward[s, a].item()
    for n in range(pomdp.states) if after else ():
        for x in range(pomdp.symbols):
            p = (pomdp.mdp.transition[s, a, n] * pomdp.observation[a, n, x]).item()
            total += pomdp.mdp.discount * p * tree_value(pomdp, after[x], n)  # type: ignore[arg-type]
    return total


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_policy_tree_is_better_and_one_is_as_good(seed: int, ends: bool):
    pomdp = random_pomdp(seed, ends=ends)
    values = torch.tensor(
        [[tree_value(pomdp, tree, s) for s in range(3)] for tree in policy_trees(2, 2, 3)], dtype=torch.float64
    )
    assert belief_tree(pomdp, 3).value.item() == pytest.approx((values @ pomdp.mdp.start).max().item(), abs=1e-10)
    chance, beliefs = pomdp.first_beliefs()
    best = (values @ beliefs.T).amax(0)
    assert belief_return(pomdp, 3) == pytest.approx((chance * best).sum().item(), abs=1e-10)


def test_a_state_that_is_seen_is_an_mdp():
    mdp = random_mdp(0)
    pomdp = POMDP.from_mdp(mdp, torch.eye(4))
    assert belief_return(pomdp, 6, discount=1.0) == pytest.approx(optimal_return(mdp, 6).item())


def test_an_episode_ends():
    pomdp = POMDP.from_mdp(corridor(), torch.ones(4, 1))
    assert belief_return(pomdp, 2) == pytest.approx(-2.0)
    found = belief_tree(pomdp, 1_000, belief=[[1.0, 0, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 1.0]])
    assert found.value.tolist() == pytest.approx([-3.0, -0.5, 0.0])


def test_the_return_of_a_policy():
    """Listening for three steps: −3. Opening at random: −45 each step, whatever was heard."""
    for row, value in (([1.0, 0.0, 0.0], -3.0), ([0.0, 0.5, 0.5], -135.0)):
        assert belief_return(tiger(), 3, lambda b, t, row=row: [row] * len(b), discount=1.0) == pytest.approx(value)


def test_the_policy_of_the_tree_earns_its_value():
    pomdp = random_pomdp(3)

    def best(belief: torch.Tensor, t: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(belief_tree(pomdp, 4 - t, belief=belief).action, 2)

    assert belief_return(pomdp, 4, best) == pytest.approx(belief_return(pomdp, 4), abs=1e-10)


def test_a_tree_that_is_too_large_is_refused_with_its_size():
    pomdp = random_pomdp(0, S=4, A=3, X=4)
    with pytest.raises(InputError, match=r"at most 1,000,000 beliefs at each depth, but depth 6 has 2,985,984"):
        belief_tree(pomdp, 12)


def test_arguments_that_do_not_fit():
    with pytest.raises(InputError, match="horizon to be a whole number"):
        belief_tree(tiger(), 0)
    with pytest.raises(InputError, match="discount to be a number"):
        belief_tree(tiger(), 1, discount=2.0)
    with pytest.raises(InputError, match="policy that returns shape"):
        belief_return(tiger(), 1, lambda b, t: [[0.5, 0.5]])
    with pytest.raises(InputError, match="to be a POMDP"):
        belief_tree(TabularMDP(torch.ones(1, 1, 1), torch.zeros(1, 1), discount=0.5), 1)  # type: ignore[arg-type]
