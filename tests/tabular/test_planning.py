"""Plans: against all sequences of actions, against a recursion over paths, and against two paths by hand."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular import POMDP, TabularMDP, mutual_information, optimal_return, plan

from .hidden import random_pomdp, tiger
from .worlds import EYE, corridor, random_mdp, random_rows


def two_paths(observation: Tensor | None = None) -> TabularMDP | POMDP:
    """From state 0, action 0 leads to 1 for certain, action 1 to 2 or 3 at even odds; then the end, 4. All pay 1."""
    transition = torch.zeros(5, 2, 5)
    transition[0, 0, 1] = 1.0
    transition[0, 1, 2:4] = 0.5
    transition[1:, :, 4] = 1.0
    mdp = TabularMDP(transition, torch.ones(5, 2), discount=1.0, terminal=[0, 0, 0, 0, 1], start=[1, 0, 0, 0, 0])
    return mdp if observation is None else POMDP.from_mdp(mdp, observation)


@pytest.mark.parametrize("model", [two_paths(), two_paths(torch.eye(5))], ids=["MDP", "seen POMDP"])
def test_information_decides_between_two_paths_that_pay_the_same(model: TabularMDP | POMDP):
    """I(0, 1) = log 2: at weight w the odds of the stochastic path are 2^w."""
    for w, chance in ((0.0, 1 / 2), (1.0, 2 / 3), (2.0, 4 / 5), (-1.0, 1 / 3)):
        found = plan(model, 2, temperature=0.5, information_weight=w)
        assert found.information[0].tolist() == pytest.approx([0.0, math.log(2)])
        assert found.information[1:].abs().max() < 1e-15
        assert found.policy[0, 0, 1].item() == pytest.approx(chance)
        assert found.q[0, 0].tolist() == pytest.approx([2.0, 2.0 + 0.5 * w * math.log(2)])
        assert found.value[0, 0].item() == pytest.approx(2.0 + 0.5 * math.log((1 + 2**w) / 2))
        assert found.value[:, 4].tolist() == [0.0, 0.0]


def test_emissions_that_do_not_depend_on_the_state_have_no_information():
    found = plan(two_paths(torch.full((5, 3), 1 / 3)), 2, temperature=1.0)
    assert found.information.abs().max() < 1e-15
    assert found.policy[0, 0].tolist() == pytest.approx([0.5, 0.5])


def test_noise_that_is_the_same_everywhere_is_subtracted():
    """States 2 and 3 through a binary channel of error .1: log 2 − H(.1) = .368064 nats."""
    seen = torch.tensor([[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 2, dtype=torch.float64)
    information = plan(two_paths(seen), 2, temperature=1.0).information
    assert information[0].tolist() == pytest.approx([0.0, 0.368064], abs=1e-6)


def test_information_is_that_of_the_channel_from_states_to_observations():
    pomdp = random_pomdp(0, S=4, A=3, X=3)
    for a in range(3):
        expected = mutual_information(pomdp.observation[a], pomdp.mdp.transition[:, a])
        torch.testing.assert_close(plan(pomdp, 1, temperature=1.0).information[:, a], expected)


def test_the_tiger_is_worth_listening_to_only_where_it_may_move():
    """The latent state is given, so listening tells nothing; opening places the tiger, and says nothing of it."""
    assert plan(tiger(), 3, temperature=1.0).information.abs().max() < 1e-15


@pytest.mark.parametrize("horizon", [1, 3, 5])
def test_in_a_deterministic_world_it_is_the_sum_over_all_sequences(horizon: int):
    """V_0(s) = α log Σ over A^H sequences of Π p(a) · exp( Σ γ^t r / α ) at γ = 1."""
    alpha, habit = 0.7, torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    mdp = random_mdp(1, kind="deterministic")
    world = mdp.transition.argmax(-1)
    end = torch.randn(4, dtype=torch.float64)
    mdp.discount = 1.0  # finite horizons need no end
    found = plan(mdp, horizon, temperature=alpha, prior=habit, value=end)
    for s in range(4):
        scores = []
        for actions in itertools.product(range(3), repeat=horizon):
            at, score = s, 0.0
            for a in actions:
                score += mdp.reward[at, a].item() / alpha + math.log(habit[a])
                at = int(world[at, a])
            scores.append((score + end[at].item() / alpha, actions[0]))
        total = torch.tensor([score for score, _ in scores], dtype=torch.float64)
        assert found.value[0, s].item() == pytest.approx(alpha * total.logsumexp(0).item(), abs=1e-10)
        first = [total[[i for i, one in enumerate(scores) if one[1] == a]].logsumexp(0) for a in range(3)]
        torch.testing.assert_close(found.policy[0, s], torch.stack(first).softmax(0), atol=1e-10, rtol=0)


def value_by_hand(mdp: TabularMDP, information: Tensor, s: int, steps: int, alpha: float, w: float) -> float:
    """The recursion in numbers, without tensors."""
    if steps == 0 or mdp.terminal[s]:
        return 0.0
    total = 0.0
    for a in range(mdp.actions):
        q = mdp.reward[s, a].item() + alpha * w * information[s, a].item()
        for n in range(mdp.states):
            q += mdp.discount * mdp.transition[s, a, n].item() * value_by_hand(mdp, information, n, steps - 1, alpha, w)
        total += math.exp(q / alpha) / mdp.actions
    return alpha * math.log(total)


@pytest.mark.parametrize("ends", [False, True])
def test_in_a_stochastic_world_it_is_the_recursion(ends: bool):
    pomdp = random_pomdp(2, ends=ends)
    found = plan(pomdp, 4, temperature=0.3, information_weight=2.0)
    for s in range(3):
        expected = value_by_hand(pomdp.mdp, found.information, s, 4, 0.3, 2.0)
        assert found.value[0, s].item() == pytest.approx(expected, abs=1e-10)


def test_without_a_horizon_it_is_the_fixed_point():
    mdp = random_mdp(3)
    found = plan(mdp, temperature=0.2)
    assert found.policy.shape == (4, 3)
    ahead = plan(mdp, 1, temperature=0.2, value=found.value)
    torch.testing.assert_close(ahead.value[0], found.value, atol=0, rtol=1e-12)
    torch.testing.assert_close(ahead.policy[0], found.policy, atol=1e-11, rtol=0)
    torch.testing.assert_close(plan(mdp, 400, temperature=0.2).value[0], found.value, atol=1e-10, rtol=0)


def test_at_temperature_0_it_is_the_best_policy():
    mdp = corridor()
    found = plan(mdp, 5, temperature=0.0)
    assert found.value[0].tolist() == [-3.0, -2.0, -1.0, 0.0]
    assert found.policy[0, :3].tolist() == [[0.0, 1.0]] * 3
    assert (mdp.start * found.value[0]).sum() == optimal_return(mdp, 5)
    assert plan(mdp, temperature=0.0).value.tolist() == [-3.0, -2.0, -1.0, 0.0]


def test_low_temperatures_approach_temperature_0():
    mdp = random_mdp(4)
    hard = plan(mdp, temperature=0.0)
    soft = plan(mdp, temperature=1e-6)
    torch.testing.assert_close(soft.value, hard.value, atol=1e-4, rtol=0)


def test_equally_good_actions_keep_the_ratio_of_their_priors():
    found = plan(two_paths(), 1, temperature=0.0, prior=[0.25, 0.75])
    assert found.policy[0, 0].tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_what_the_prior_excludes_stays_excluded(temperature: float):
    found = plan(random_mdp(0), 2, temperature=temperature, prior=[0.0, 0.5, 0.5])
    assert (found.policy[..., 0] == 0).all()
    assert (found.q[..., 0] == -torch.inf).all()
    assert torch.isfinite(found.value).all()


def test_forbidden_actions_are_not_planned():
    mdp = TabularMDP(random_rows(0, 2, 2, 2), EYE, discount=0.5, allowed=[[True, False], [True, True]])
    assert plan(mdp, temperature=1.0).policy[0].tolist() == [1.0, 0.0]
    with pytest.raises(InputError, match="prior of allowed actions"):
        plan(mdp, temperature=1.0, prior=[0.5, 0.5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": -1.0}, "temperature of at least 0"),
        ({"temperature": 1.0, "horizon": 0}, "horizon to be a whole number"),
        ({"temperature": 1.0, "prior": [0.5, 0.5]}, "prior of shape"),
        ({"temperature": 1.0, "value": [0.0]}, "finite value of each of 4 states"),
        ({"temperature": 1.0, "information_weight": math.nan}, "information_weight to be a number"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        plan(random_mdp(0), **arguments)  # type: ignore[arg-type]


def test_a_batch_is_refused():
    with pytest.raises(InputError, match="one MDP, but got a batch"):
        plan(random_mdp(0, batch=2), temperature=1.0)
