"""Backward induction against brute force, and sampled plans against it."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from gio_pyro.planning import BackwardInduction, OneStep, PathIntegral
from gio_pyro.tabular import TabularMDP
from tests.planning.worlds import chain, policy_of, problem_of, random_world, value_of


def path_posterior(mdp: TabularMDP, state: int, horizon: int, alpha: float, prior: Tensor, last: Tensor) -> Tensor:
    """q(a_0|s) of a deterministic world: Σ over the A^H sequences of Π p_a exp(score/α), normalised, `[A]`."""
    total = torch.zeros(mdp.actions, dtype=torch.float64)
    for sequence in itertools.product(range(mdp.actions), repeat=horizon):
        s, score, log_p, over = state, 0.0, 0.0, False
        for t, a in enumerate(sequence):
            log_p += math.log(float(prior[s, a]))
            if not over:
                score += mdp.discount**t * float(mdp.reward[s, a])
                s = int(mdp.transition[s, a].argmax())
                over = bool(mdp.terminal[s])
        score += 0.0 if over else mdp.discount**horizon * float(last[s])
        total[sequence[0]] += math.exp(log_p + score / alpha)
    return total / total.sum()


def soft_value(mdp: TabularMDP, s: int, horizon: int, alpha: float, prior: Tensor, last: Tensor, w: float) -> Tensor:
    """α log Σ p_a exp(Q/α) by plain recursion over every tree of futures, without tables of values."""
    if mdp.terminal[s]:
        return torch.zeros((), dtype=torch.float64)
    if horizon == 0:
        return last[s].double()
    q = soft_q(mdp, s, horizon, alpha, prior, last, w)
    return alpha * ((prior[s].double()) * (q / alpha).exp()).sum().log()


def soft_q(mdp: TabularMDP, s: int, horizon: int, alpha: float, prior: Tensor, last: Tensor, w: float) -> Tensor:
    found = []
    for a in range(mdp.actions):
        p = mdp.transition[s, a]
        entropy = -sum(float(x) * math.log(float(x)) for x in p if x > 0)
        after = sum(float(x) * soft_value(mdp, n, horizon - 1, alpha, prior, last, w) for n, x in enumerate(p) if x > 0)
        found.append(mdp.reward[s, a] + alpha * w * entropy + mdp.discount * after)
    return torch.stack(found)


@pytest.mark.parametrize("horizon", [1, 3, 6])
def test_backward_induction_is_the_sum_over_every_sequence_where_nothing_is_random(horizon: int):
    """Without a discount: with one, later choices cost less, too, which no sum over sequences is."""
    mdp, alpha = chain(discount=1.0), 0.3
    prior = torch.tensor([[0.5, 0.2, 0.3]]).expand(mdp.states, -1)
    last = torch.linspace(0, 1, mdp.states)
    planner = BackwardInduction(problem_of(mdp, alpha, prior=prior, value=last), horizon, value=True)
    found = policy_of(planner, mdp)
    for s in range(mdp.states - 1):
        wanted = path_posterior(mdp, s, horizon, alpha, prior, last)
        torch.testing.assert_close(found[s], wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [None, 0.0, 2.0])
def test_backward_induction_is_the_recursion_over_every_tree_of_futures(weight: float | None):
    mdp, alpha, horizon = random_world(0, states=4, actions=2), 0.2, 3
    prior = torch.tensor([[0.7, 0.3]]).expand(mdp.states, -1)
    last = torch.linspace(0, 1, mdp.states)
    problem = problem_of(mdp, alpha, prior=prior, value=last)
    planner = BackwardInduction(problem, horizon, value=True, information_weight=weight)
    w = 1.0 if weight is None else weight
    for s in range(mdp.states - 1):
        q = soft_q(mdp, s, horizon, alpha, prior, last, w)
        wanted = (prior[s].double().log() + q / alpha).softmax(-1)
        torch.testing.assert_close(policy_of(planner, mdp)[s], wanted, atol=1e-6, rtol=0)


def test_without_a_horizon_the_plan_is_the_limit_of_long_ones():
    mdp = random_world(1)
    long, whole = (policy_of(BackwardInduction(problem_of(mdp, 0.1), h), mdp) for h in (400, None))
    torch.testing.assert_close(long, whole, atol=1e-6, rtol=0)


WORLDS = {"corridor": chain(), "slippery": random_world(2), "noisy": random_world(3, states=7, sharpness=1.5)}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(
    ("kind", "settings"),
    [(PathIntegral, {}), (PathIntegral, {"rounds": 1})],
    ids=["path integral", "one round"],
)
def test_sampled_plans_are_worth_what_the_exact_ones_are(
    world: str, kind: type[PathIntegral], settings: dict[str, int]
):
    """At least 98 % of the value with 512 draws, of policies that plan anew in each state; no critic."""
    mdp, alpha, horizon = WORLDS[world], 0.05, 6
    options = {"information_weight": 0.0, "value": False}
    exact = policy_of(BackwardInduction(problem_of(mdp, alpha), horizon, **options), mdp)
    planner = kind(problem_of(mdp, alpha), horizon, **{"draws": 512} | options | settings)  # type: ignore[arg-type]
    live = ~mdp.terminal
    share = value_of(mdp, policy_of(planner, mdp))[live].sum() / value_of(mdp, exact)[live].sum()
    print(f"{world}, {kind.__name__} {settings}: {float(share):.4f}")
    assert float(share) >= 0.98


def test_in_a_deterministic_world_the_path_integral_converges_to_the_exact_plan():
    mdp, alpha = chain(4), 0.5
    exact = policy_of(BackwardInduction(problem_of(mdp, alpha), 4), mdp)
    planner = PathIntegral(problem_of(mdp, alpha), 4, 5_000, rounds=2, value=False)
    torch.testing.assert_close(policy_of(planner, mdp)[:-1], exact[:-1], atol=0.01, rtol=0)


def test_one_step_is_the_exact_plan_of_one_step():
    mdp, alpha = random_world(4), 0.3
    last = torch.linspace(0, 1, mdp.states)
    exact = policy_of(BackwardInduction(problem_of(mdp, alpha, value=last), 1, value=True), mdp)
    found = policy_of(OneStep(problem_of(mdp, alpha, value=last), 30_000), mdp)
    torch.testing.assert_close(found[:-1], exact[:-1], atol=0.02, rtol=0)
