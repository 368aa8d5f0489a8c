"""Properties that the theory guarantees for every finite MDP, tested on random ones."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning
from gio_pyro.tabular import (
    Solution,
    TabularMDP,
    bayes,
    blahut_arimoto,
    empowerment,
    fixed_posterior,
    intrinsic_bellman,
    marginal,
    mutual_information,
    next_state,
    next_state_and_reward,
    policy_iteration,
    posterior,
    state_after,
    uniform,
)
from gio_pyro.tabular.information import divergence_from_mean
from gio_pyro.tabular.iteration import intrinsic_reward

from .worlds import random_mdp, random_rows

SEEDS = st.integers(0, 2**31)
KINDS = st.sampled_from(["dense", "sparse", "deterministic"])
TEMPERATURES = st.sampled_from([1e-3, 0.1, 1.0, 10.0])
DISCOUNTS = st.sampled_from([0.0, 0.5, 0.9, 0.99])
SIZES = st.tuples(st.integers(1, 5), st.integers(1, 4))


def tried(examples: int) -> Callable[[Any], Any]:
    return settings(deadline=None, max_examples=examples)


def solve(mdp: TabularMDP, temperature: float, policy: Tensor | None = None, rounds: int = 100) -> Solution:
    """Policy iteration that may stop early: its gap says by how much."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return policy_iteration(mdp, temperature, policy, max_iterations=rounds)


def random_table(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES, DISCOUNTS)
def test_a_backup_contracts_by_the_discount(
    seed: int, kind: str, size: tuple[int, int], temperature: float, discount: float
):
    mdp, policy = random_mdp(seed, *size, kind=kind, discount=discount), random_rows(seed + 2, *size)
    q, other = random_table(seed, *size), random_table(seed + 1, *size)
    moved = intrinsic_bellman(mdp, policy, q, temperature=temperature) - intrinsic_bellman(
        mdp, policy, other, temperature=temperature
    )
    assert moved.abs().max() <= discount * (q - other).abs().max() + 1e-12


@tried(25)
@given(SEEDS, KINDS, SIZES, TEMPERATURES, DISCOUNTS)
def test_a_constant_shift_shrinks_by_exactly_the_discount(
    seed: int, kind: str, size: tuple[int, int], temperature: float, discount: float
):
    mdp, policy, q = (
        random_mdp(seed, *size, kind=kind, discount=discount),
        random_rows(seed, *size),
        random_table(seed, *size),
    )
    moved = intrinsic_bellman(mdp, policy, q + 7.0, temperature=temperature) - intrinsic_bellman(
        mdp, policy, q, temperature=temperature
    )
    torch.testing.assert_close(moved, torch.full_like(moved, 7.0 * discount), atol=1e-11, rtol=0)


@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES, DISCOUNTS)
def test_improvement_is_monotone(seed: int, kind: str, size: tuple[int, int], temperature: float, discount: float):
    mdp = random_mdp(seed, *size, kind=kind, discount=discount)
    history = solve(mdp, temperature, random_rows(seed, *size)).history
    assert (history.diff(dim=0) >= -1e-9).all()


@tried(25)
@given(SEEDS, KINDS)
def test_improvement_is_monotone_when_the_reward_is_part_of_the_future(seed: int, kind: str):
    mdp = random_mdp(seed, kind=kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solution = policy_iteration(mdp, 1.0, future=next_state_and_reward, max_iterations=100)
    assert (solution.history.diff(dim=0) >= -1e-9).all()


@pytest.mark.slow
@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES, DISCOUNTS)
def test_two_full_support_starts_agree_within_their_gaps(
    seed: int, kind: str, size: tuple[int, int], temperature: float, discount: float
):
    mdp = random_mdp(seed, *size, kind=kind, discount=discount)
    one, two = solve(mdp, temperature, random_rows(seed, *size)), solve(mdp, temperature, random_rows(seed + 1, *size))
    assert (one.value <= two.value + two.gap + 1e-9).all()
    assert (two.value <= one.value + one.gap + 1e-9).all()


def test_two_starts_of_sixty_worlds_reach_one_value():
    mdp = random_mdp(0, batch=60)
    one, two = (policy_iteration(mdp, 0.1, random_rows(s, 60, 4, 3)) for s in (1, 2))
    torch.testing.assert_close(one.value, two.value, atol=1e-6, rtol=0)
    assert max(one.gap.max(), two.gap.max()) <= 1.01e-8


@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES)
def test_without_a_future_to_plan_for_the_gap_falls_as_one_over_n(
    seed: int, kind: str, size: tuple[int, int], temperature: float
):
    mdp, start = random_mdp(seed, *size, kind=kind, discount=0.0), random_rows(seed, *size)
    best = blahut_arimoto(mdp.transition, mdp.reward / temperature)
    bound = torch.special.xlogy(best.source, best.source / start).sum(-1)
    history = solve(mdp, temperature, start, rounds=30).history
    for n in range(1, len(history)):
        assert (best.capacity - history[n] / temperature <= bound / n + 1e-8).all()


@tried(50)
@given(SEEDS, KINDS, SIZES, st.integers(2, 5))
def test_a_guide_loses_its_kl_to_the_posterior(seed: int, kind: str, size: tuple[int, int], futures: int):
    """Theory, equation 3: L_q = I − E_F KL( p_π(·|s,F) ‖ q(·|s,F) )."""
    states, actions = size
    mdp, policy = random_mdp(seed, *size, kind=kind), random_rows(seed, *size)
    q = random_rows(seed + 1, states, states, actions)
    channel = next_state(mdp, policy)
    reward = intrinsic_reward(policy, fixed_posterior(q)(mdp, policy, channel))
    exact = posterior(mdp, policy)
    slack = (torch.special.xlogy(exact, exact) - exact * q.log()).sum(-1)
    lost = torch.einsum("sa,saf,sf->s", policy, channel, slack)
    torch.testing.assert_close(reward, mutual_information(channel, policy) - lost, atol=1e-9, rtol=0)


def plain_blahut_arimoto(w: Tensor, reward: Tensor, steps: int) -> Tensor:
    source = torch.full_like(reward, 1 / reward.shape[-1])
    for _ in range(steps):
        source = torch.softmax(source.log() + reward + divergence_from_mean(w, source), -1)
    return (source * (reward + divergence_from_mean(w, source))).sum(-1)


@tried(25)
@given(SEEDS, KINDS, st.integers(1, 6), st.integers(1, 6), st.sampled_from([0.0, 0.1, 1.0, 30.0]))
def test_the_bounds_of_a_capacity_hold(seed: int, kind: str, inputs: int, outputs: int, scale: float):
    w, reward = random_rows(seed, 10, inputs, outputs, kind=kind), scale * random_table(seed, 10, inputs)
    best = blahut_arimoto(w, reward)
    attained = mutual_information(w, best.source) + (best.source * reward).sum(-1)
    torch.testing.assert_close(attained, best.capacity, atol=1e-10, rtol=1e-12)
    assert best.gap.max() <= 1e-9
    assert (plain_blahut_arimoto(w, reward, 300) <= best.capacity + best.gap + 1e-11).all()


@tried(25)
@given(SEEDS, KINDS, st.integers(1, 5), st.integers(1, 5), st.integers(1, 10))
@pytest.mark.filterwarnings("ignore::gio_pyro.errors.ConvergenceWarning")
def test_the_bounds_of_a_capacity_hold_however_early_it_stops(
    seed: int, kind: str, inputs: int, outputs: int, most: int
):
    w = random_rows(seed, 10, inputs, outputs, kind=kind)
    early, late = blahut_arimoto(w, max_iterations=most), blahut_arimoto(w)
    assert (early.capacity <= late.capacity + late.gap + 1e-12).all()
    assert (late.capacity <= early.capacity + early.gap + 1e-12).all()


@tried(25)
@given(SEEDS, KINDS, st.integers(1, 5), st.integers(1, 5))
def test_doubled_inputs_leave_the_capacity_alone(seed: int, kind: str, inputs: int, outputs: int):
    w, reward = random_rows(seed, 5, inputs, outputs, kind=kind), random_table(seed, 5, inputs)
    doubled = blahut_arimoto(torch.cat([w, w], -2), torch.cat([reward, reward], -1))
    torch.testing.assert_close(doubled.capacity, blahut_arimoto(w, reward).capacity, atol=3e-9, rtol=0)


@pytest.mark.slow
@tried(25)
@given(SEEDS, KINDS, SIZES)
def test_doubled_actions_leave_the_optimum_alone(seed: int, kind: str, size: tuple[int, int]):
    mdp = random_mdp(seed, *size, kind=kind)
    doubled = TabularMDP(mdp.transition.repeat(1, 2, 1), mdp.reward.repeat(1, 2), discount=mdp.discount)
    one, two = solve(mdp, 1.0), solve(doubled, 1.0)
    assert (one.value <= two.value + two.gap + 1e-9).all()
    assert (two.value <= one.value + one.gap + 1e-9).all()
    torch.testing.assert_close(empowerment(doubled, 1), empowerment(mdp, 1), atol=3e-7, rtol=0)


@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES, st.sampled_from([bayes, uniform, marginal]), st.integers(1, 3))
def test_deterministic_corners_give_no_nan(
    seed: int, kind: str, size: tuple[int, int], temperature: float, guide: Any, k: int
):
    mdp, corner = random_mdp(seed, *size, kind=kind), random_rows(seed, *size, kind="deterministic")
    solution = policy_iteration(mdp, temperature, corner, guide=guide, future=state_after(k))
    backup = intrinsic_bellman(mdp, corner, solution.q, temperature=temperature, guide=guide, future=state_after(k))
    for table in (solution.value, solution.q, solution.intrinsic, backup, posterior(mdp, corner)):
        assert table.isfinite().all()
    assert (solution.policy == corner).all()
    assert (solution.mutual_information.abs() < 1e-12).all()


@tried(50)
@given(SEEDS, KINDS, SIZES, TEMPERATURES)
def test_an_action_of_probability_zero_keeps_it(seed: int, kind: str, size: tuple[int, int], temperature: float):
    start = random_rows(seed, *size, kind="sparse")
    solution = solve(random_mdp(seed, *size, kind=kind), temperature, start, rounds=20)
    assert (solution.policy[start == 0] == 0).all()
    assert (solution.policy[start > 0] > 0).all()
    assert solution.policy.isfinite().all()
    torch.testing.assert_close(solution.policy.sum(-1), torch.ones(size[0], dtype=torch.float64))


@pytest.mark.slow
@tried(25)
@given(SEEDS, KINDS, SIZES, TEMPERATURES)
def test_worlds_in_a_batch_are_solved_as_one_by_one(seed: int, kind: str, size: tuple[int, int], temperature: float):
    batch, policy = random_mdp(seed, *size, batch=3, kind=kind), random_rows(seed, 3, *size)
    together = solve(batch, temperature, policy, rounds=50)
    q = random_table(seed, 3, *size)
    backups = intrinsic_bellman(batch, policy, q, temperature=temperature, future=state_after(2))
    for i in range(3):
        one = TabularMDP(batch.transition[i], batch.reward[i], discount=batch.discount)
        alone = solve(one, temperature, policy[i], rounds=50)
        torch.testing.assert_close(together.history[: len(alone.history), i], alone.history, atol=1e-9, rtol=1e-9)
        backup = intrinsic_bellman(one, policy[i], q[i], temperature=temperature, future=state_after(2))
        torch.testing.assert_close(backups[i], backup, atol=1e-11, rtol=1e-11)
        torch.testing.assert_close(posterior(batch, policy)[i], posterior(one, policy[i]))


@tried(25)
@given(SEEDS, KINDS, st.integers(1, 5), st.integers(1, 5))
def test_channels_in_a_batch_are_solved_as_one_by_one(seed: int, kind: str, inputs: int, outputs: int):
    w = random_rows(seed, 4, inputs, outputs, kind=kind)
    together = blahut_arimoto(w).capacity
    alone = torch.stack([blahut_arimoto(one).capacity for one in w])
    torch.testing.assert_close(together, alone, atol=2e-9, rtol=0)


@tried(25)
@given(SEEDS, KINDS, SIZES, st.integers(1, 3))
def test_empowerment_grows_with_no_more_than_log_of_the_sequences(
    seed: int, kind: str, size: tuple[int, int], horizon: int
):
    states, actions = size
    value = empowerment(random_mdp(seed, *size, kind=kind), horizon)
    most = min(horizon * torch.tensor(float(actions)).log().item(), torch.tensor(float(states)).log().item())
    assert (value >= 0).all()
    assert (value <= most + 1e-6).all()
