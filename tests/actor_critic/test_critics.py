"""The critic's fixed point is the exact tier's, where replay holds the exact frequencies."""

import copy
from functools import partial
from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import settings, tabular
from gio_pyro.actor_critic import TableCritic, optimistic_value
from gio_pyro.actor_critic.twin_critic import CRITICS, squared_error, twin_critic
from gio_pyro.errors import InputError
from gio_pyro.programs import ActionSamples, sample_actions
from gio_pyro.tabular import TabularMDP
from gio_pyro.tabular.iteration import intrinsic_reward as exact_reward
from gio_pyro.types import Policy, Spec, Transitions
from tests.finite import exact_replay, table_policy
from tests.spaces import image, spec, vector
from tests.tabular.worlds import corridor, random_mdp, random_rows

S, A = 4, 3
ALPHA = 0.5


def fixed_point(mdp: TabularMDP, pi: Tensor, guide: tabular.guides.Guide = tabular.bayes) -> Tensor:
    q = torch.zeros_like(pi)
    for _ in range(500):
        q = tabular.intrinsic_bellman(mdp, pi, q, temperature=ALPHA, guide=guide)
    return q


def evaluated(mdp: TabularMDP, pi: Tensor, guide: tabular.guides.Guide = tabular.bayes) -> Tensor:
    batch = exact_replay(mdp)
    critic = TableCritic(mdp.states, mdp.actions)
    bonus = exact_reward(pi, guide(mdp, pi, mdp.transition)).float()[batch.next_state]
    critic.evaluate(
        batch, table_policy(pi), bonus, discount=mdp.discount, temperature=ALPHA, sweeps=5_000, tolerance=1e-7
    )
    return critic.q


def step(*rows: tuple[int, int, float, int, bool, bool]) -> Transitions:
    """Transitions `(s, a, r, s', terminated, truncated)`."""
    s, a, r, n, done, cut = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Transitions(s, a, r, n, done, cut, torch.zeros(len(s)), torch.ones(len(s)))


def one_action(state: Tensor) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), 1))


def evaluate(critic: TableCritic, batch: Transitions, policy: Policy = one_action, sweeps: int = 100) -> float:
    return critic.evaluate(
        batch, policy, torch.zeros(len(batch)), discount=0.5, temperature=1.0, sweeps=sweeps, tolerance=0.0
    )


@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
@pytest.mark.parametrize("seed", range(4))
def test_the_fixed_point_is_the_exact_tiers(seed: int, kind: str):
    mdp, pi = random_mdp(seed, S, A, kind=kind), random_rows(seed + 20, S, A)
    torch.testing.assert_close(evaluated(mdp, pi).double(), fixed_point(mdp, pi), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95])
def test_the_fixed_point_is_exact_at_every_discount(discount: float):
    mdp, pi = random_mdp(7, S, A, discount=discount), random_rows(8, S, A)
    torch.testing.assert_close(evaluated(mdp, pi).double(), fixed_point(mdp, pi), atol=2e-4, rtol=1e-4)


def test_the_fixed_point_with_a_uniform_guide_is_the_exact_tiers():
    mdp, pi = random_mdp(9, S, A), random_rows(9, S, A)
    exact = fixed_point(mdp, pi, tabular.uniform)
    torch.testing.assert_close(evaluated(mdp, pi, tabular.uniform).double(), exact, atol=1e-4, rtol=1e-4)


def test_a_terminal_world_is_exact():
    mdp, pi = corridor(5, discount=0.9), random_rows(3, 5, 2)
    got, exact = evaluated(mdp, pi).double(), fixed_point(mdp, pi)
    torch.testing.assert_close(got[:-1], exact[:-1], atol=1e-4, rtol=1e-4)


def test_at_the_optimum_the_critic_agrees_with_policy_iteration():
    mdp = random_mdp(5, S, A)
    best = tabular.policy_iteration(mdp, temperature=ALPHA)
    torch.testing.assert_close(evaluated(mdp, best.policy).double(), best.q, atol=1e-4, rtol=1e-4)


def test_one_backup_by_hand():
    critic = TableCritic(2, 1, initial_value=4.0)
    batch = step((0, 0, 1.0, 1, False, False))
    critic.evaluate(batch, one_action, torch.tensor([3.0]), discount=0.5, temperature=2.0, sweeps=1)
    assert critic.q.tolist() == [[1.0 + 0.5 * (4.0 + 2.0 * 3.0)], [4.0]]


def test_termination_ends_the_sum():
    critic = TableCritic(2, 1, initial_value=100.0)
    critic.evaluate(
        step((0, 0, 1.0, 1, True, False)), one_action, torch.tensor([9.0]), discount=0.5, temperature=1.0, sweeps=5
    )
    assert critic.q[0].item() == 1.0


def test_truncation_does_not_end_the_sum():
    critic = TableCritic(2, 1, initial_value=100.0)
    evaluate(critic, step((0, 0, 1.0, 1, False, True)))
    assert critic.q[0].item() == 51.0


def test_an_episode_both_terminated_and_truncated_has_ended():
    critic = TableCritic(2, 1, initial_value=100.0)
    evaluate(critic, step((0, 0, 1.0, 1, True, True)))
    assert critic.q[0].item() == 1.0


def test_equal_pairs_are_averaged_by_weight():
    critic = TableCritic(2, 1)
    rows = step((0, 0, 0.0, 1, True, False), (0, 0, 4.0, 1, True, False))
    weighted = Transitions(**{**vars(rows), "weight": torch.tensor([1.0, 3.0])})
    evaluate(critic, weighted)
    assert critic.q[0].item() == 3.0


def test_a_pair_tried_earlier_keeps_its_value_when_a_batch_lacks_it():
    critic = TableCritic(2, 1)
    evaluate(critic, step((0, 0, 1.0, 0, False, False), (1, 0, 3.0, 1, False, False)))
    evaluate(critic, step((0, 0, 1.0, 0, False, False)))
    assert critic.q.flatten().tolist() == pytest.approx([2.0, 6.0])


def test_batches_of_pairs_in_turn_reach_the_same_values_as_one_batch():
    together, apart = TableCritic(3, 1), TableCritic(3, 1)
    rows = step((0, 0, 1.0, 1, False, False), (1, 0, 0.0, 2, False, False), (2, 0, 2.0, 2, True, False))
    evaluate(together, rows)
    for turn in range(12):
        evaluate(apart, rows[[turn % 3]])
    torch.testing.assert_close(apart.q, together.q)


def test_an_untried_pair_keeps_the_given_value():
    critic = TableCritic(2, 2, initial_value=-7.0)
    evaluate(critic, step((0, 1, 1.0, 0, True, False)), lambda s: dist.Categorical(logits=torch.zeros(len(s), 2)))
    assert critic.q.tolist() == [[-7.0, 1.0], [-7.0, -7.0]]


def test_a_neutral_pair_is_worth_what_the_policy_makes_of_those_tried_beside_it():
    """Of state 0 two of three actions were tried, of state 1 none: (.2 · 1 + .6 · 5) / .8 = 4, and 0."""
    critic = TableCritic(2, 3, initial_value="neutral")
    rows = step((0, 0, 1.0, 1, True, False), (0, 2, 5.0, 1, True, False))
    evaluate(critic, rows, lambda s: dist.Categorical(probs=torch.tensor([0.2, 0.2, 0.6]).expand(len(s), 3)))
    torch.testing.assert_close(critic.q, torch.tensor([[1.0, 4.0, 5.0], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("shift", [-3.0, 0.0, 3.0])
def test_neutral_values_neither_hope_nor_fear_wherever_rewards_lie(shift: float):
    """A state that leads to itself for 1 + shift a step, whatever is done: untried actions are worth what tried are."""
    critic = TableCritic(1, 4, initial_value="neutral")
    uniform = partial(_uniform, actions=4)
    evaluate(critic, step((0, 0, 1.0 + shift, 0, False, False), (0, 3, 1.0 + shift, 0, False, False)), uniform)
    torch.testing.assert_close(critic.q, torch.full((1, 4), 2 * (1.0 + shift)))


def _uniform(state: Tensor, actions: int) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), actions))


def test_an_untried_pair_is_worth_an_upper_bound():
    critic = TableCritic(2, 1)
    evaluate(critic, step((0, 0, 3.0, 0, True, False)))
    assert critic.q[1].item() == pytest.approx(optimistic_value(3.0, 1, 0.5, 1.0))


@pytest.mark.parametrize("shift", [-20.0, -1.0, 0.0, 5.0])
@pytest.mark.parametrize("discount", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_the_optimistic_value_bounds_every_value(seed: int, discount: float, shift: float):
    mdp = random_mdp(seed, S, A, discount=discount)
    mdp = TabularMDP(mdp.transition, mdp.reward + shift, discount=discount)
    best = tabular.policy_iteration(mdp, temperature=ALPHA)
    bound = optimistic_value(float(mdp.reward.max()), A, discount, ALPHA)
    assert float(best.q.max()) <= bound + 1e-9


@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_the_optimistic_value_bounds_a_world_that_ends(discount: float):
    best = tabular.policy_iteration(corridor(5, discount=discount), temperature=ALPHA)
    assert float(best.q[:-1].max()) <= optimistic_value(-1.0, 2, discount, ALPHA) + 1e-9


def test_the_optimistic_value_by_hand():
    assert optimistic_value(1.0, 2, 0.9, 1.0) == pytest.approx((1 + log(2)) / 0.1)
    assert optimistic_value(-3.0, 2, 0.9, 1.0) == pytest.approx(-3 + log(2))


def test_evaluation_returns_the_last_change():
    critic = TableCritic(1, 1, initial_value=0.0)
    assert evaluate(critic, step((0, 0, 1.0, 0, False, False)), sweeps=3) == pytest.approx(0.25)


def test_evaluation_stops_at_its_tolerance():
    critic = TableCritic(1, 1, initial_value=0.0)
    batch = step((0, 0, 1.0, 0, False, False))
    change = critic.evaluate(
        batch, one_action, torch.zeros(1), discount=0.5, temperature=1.0, sweeps=1_000, tolerance=0.01
    )
    assert 0.005 < change <= 0.02


def test_the_critic_reads_one_row_for_each_state():
    critic = TableCritic(3, 2)
    critic.q.copy_(torch.arange(6).reshape(3, 2))
    assert critic(torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [0.0, 1.0]]


def test_the_state_dict_holds_what_was_tried():
    critic, other = TableCritic(2, 1), TableCritic(2, 1)
    evaluate(critic, step((0, 0, 3.0, 0, True, False)))
    other.load_state_dict(critic.state_dict())
    assert other.tried.tolist() == [[True], [False]]
    assert torch.equal(other.q, critic.q)


def test_what_is_paid_on_the_spot_is_converted_and_not_discounted():
    critic = TableCritic(2, 1, initial_value=4.0)
    batch = step((0, 0, 1.0, 1, False, False))
    critic.evaluate(
        batch, one_action, torch.zeros(1), discount=0.5, temperature=2.0, sweeps=1, transition_bonus=torch.tensor([3.0])
    )
    assert critic.q.tolist() == [[1.0 + 2.0 * 3.0 + 0.5 * 4.0], [4.0]]


def test_what_is_paid_on_the_spot_is_paid_at_the_end_of_an_episode_too():
    critic = TableCritic(2, 1, initial_value=4.0)
    batch = step((0, 0, 1.0, 1, True, False))
    critic.evaluate(batch, one_action, torch.zeros(1), discount=0.5, temperature=2.0, sweeps=1, transition_bonus=0.25)
    assert critic.q[0].item() == 1.5


@pytest.mark.parametrize("seed", range(3))
def test_pay_on_the_spot_and_a_bonus_beforehand_have_fixed_points_that_differ_by_it(seed: int):
    """Q̃ = Q + α log ρ̄ for any table log ρ̄: what one takes into Q, the other adds at the choice."""
    mdp, pi = random_mdp(seed, S, A, discount=0.7), random_rows(seed + 9, S, A)
    log_rho = torch.randn(S, A, generator=torch.Generator().manual_seed(seed))
    rows, entropy = exact_replay(mdp), -(pi * pi.log()).sum(-1).float()
    settings = {"discount": 0.7, "temperature": ALPHA, "sweeps": 5_000, "tolerance": 1e-7}
    before, after = TableCritic(S, A), TableCritic(S, A)
    bonus = (pi.float() * log_rho).sum(-1) + entropy
    before.evaluate(rows, table_policy(pi), bonus[rows.next_state], **settings)
    paid = log_rho[rows.state, rows.action]
    after.evaluate(rows, table_policy(pi), entropy[rows.next_state], transition_bonus=paid, **settings)
    torch.testing.assert_close(after.q, before.q + ALPHA * log_rho, atol=1e-4, rtol=1e-4)


TWINS = {
    "continuous": spec(vector(3), vector(2)),
    "discrete": spec(vector(3), Discrete(4)),
    "one-hot": spec(Discrete(5), Discrete(4)),
    "image": spec(image(7), vector(2)),
}
every_twin = pytest.mark.parametrize("kind", TWINS)


def twin(kind: str, rate: float = 0.1, layers: str = "layer_norm") -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return twin_critic(TWINS[kind].state_space, TWINS[kind].action_space, (16,), rate=rate, kind=layers)


def drawn(world: Spec, count: int = 6, draws: int = 1) -> tuple[Tensor, ActionSamples]:
    g = torch.Generator().manual_seed(1)
    if isinstance(world.state_space, Discrete):
        state = torch.randint(5, (count,), generator=g)
    else:
        state = 3 * torch.randn(count, *world.state_space.shape, generator=g)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        if isinstance(world.action_space, Discrete):
            return state, sample_actions(dist.Categorical(logits=torch.randn(count, 4)))
        return state, sample_actions(dist.Normal(torch.zeros(count, 2), 2.0).to_event(1), draws)


@pytest.mark.parametrize("layers", CRITICS)
@every_twin
def test_a_twin_critic_gives_each_action_one_number(kind: str, layers: str):
    state, chosen = drawn(TWINS[kind], draws=3)
    critic = twin(kind, layers=layers)
    actions = 4 if isinstance(TWINS[kind].action_space, Discrete) else 3
    assert critic(state, chosen).shape == (6, actions)
    assert critic.later(state, chosen).shape == (6, actions)


@every_twin
def test_a_twin_critic_is_the_smaller_of_two_networks_or_their_mean_where_actions_are_finite(kind: str):
    state, chosen = drawn(TWINS[kind])
    critic = twin(kind)
    both = critic.online(state, None if critic.online.discrete else chosen.action)
    both = both if critic.online.discrete else both.unsqueeze(-1)
    expected = both.mean(0) if critic.online.discrete else torch.minimum(both[0], both[1])
    torch.testing.assert_close(critic(state, chosen), expected)
    assert bool((both[0] != both[1]).any())


def test_the_settings_name_the_critics_there_are():
    assert tuple(CRITICS) == settings.CRITICS


def test_several_draws_of_a_state_stay_beside_it():
    state, chosen = drawn(TWINS["continuous"], draws=3)
    critic = twin("continuous")
    together = critic(state, chosen)
    for k in range(3):
        one = ActionSamples(chosen.action.reshape(6, 3, 2)[:, k], chosen.log_prob[:, k : k + 1], torch.zeros(6, 1))
        torch.testing.assert_close(together[:, k : k + 1], critic(state, one))


def test_a_twin_critic_sees_continuous_actions_squashed():
    critic = twin("continuous")
    state, far = torch.zeros(2, 3), torch.tensor([[20.0, -20.0], [40.0, -90.0]])
    values = critic.online(state, far)
    torch.testing.assert_close(values[:, 0], values[:, 1])


@every_twin
def test_targets_start_as_the_networks_and_stay_without_gradient(kind: str):
    state, chosen = drawn(TWINS[kind])
    critic = twin(kind)
    torch.testing.assert_close(critic.later(state, chosen), critic(state, chosen).detach(), rtol=0, atol=0)
    assert not any(p.requires_grad for p in critic.target.parameters())
    assert critic(state, chosen).requires_grad
    assert not critic.later(state, chosen).requires_grad


@every_twin
def test_targets_come_closer_by_their_rate(kind: str):
    critic = twin(kind, rate=0.25)
    with torch.no_grad():
        for parameter in critic.online.parameters():
            parameter.add_(1.0)
    critic.polyak_update()
    critic.polyak_update()
    for target, online in zip(critic.target.parameters(), critic.online.parameters(), strict=True):
        torch.testing.assert_close(online - target, torch.full_like(target, 0.75**2), atol=1e-5, rtol=1e-5)


@every_twin
def test_the_loss_is_half_the_squared_error_of_both_networks(kind: str):
    state, chosen = drawn(TWINS[kind])
    critic, world = twin(kind), TWINS[kind]
    discrete = isinstance(world.action_space, Discrete)
    action = torch.tensor([0, 3, 1, 2, 2, 0]) if discrete else chosen.action
    target = torch.arange(6.0)
    loss, mean = squared_error(critic.taken(state, action), target)
    errors = []
    for member in range(2):
        q = critic.online(state, action)[member]
        q = torch.stack([q[row, int(a)] for row, a in enumerate(action)]) if discrete else q
        errors.append(((q - target) ** 2).mean() / 2)
    torch.testing.assert_close(loss, errors[0] + errors[1])
    assert mean.ndim == 0


@every_twin
def test_following_the_loss_reaches_the_targets(kind: str):
    state, chosen = drawn(TWINS[kind])
    critic = twin(kind)
    discrete = isinstance(TWINS[kind].action_space, Discrete)
    action = torch.tensor([0, 3, 1, 2, 2, 0]) if discrete else chosen.action
    target = torch.tensor([1.0, -1.0, 2.0, 0.5, -0.5, 0.0])
    if kind == "one-hot":
        state = torch.tensor([0, 1, 2, 3, 4, 1])
    optimiser = torch.optim.Adam(critic.online.parameters(), lr=0.02)
    for _ in range(300):
        loss, _ = squared_error(critic.taken(state, action), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.01


@every_twin
def test_observed_states_standardise_networks_and_targets_alike(kind: str):
    state, chosen = drawn(TWINS[kind])
    critic = twin(kind)
    critic.observe(state)
    torch.testing.assert_close(critic.later(state, chosen), critic(state, chosen).detach(), rtol=0, atol=0)


@every_twin
def test_without_targets_taken_and_next_actions_pass_together_and_the_next_ones_without_gradient(kind: str):
    critic, (state, chosen) = twin(kind, layers="batch_renorm"), drawn(TWINS[kind], draws=3)
    discrete = critic.online.discrete
    action = torch.tensor([0, 3, 1, 2, 2, 0]) if discrete else drawn(TWINS[kind])[1].action
    other = copy.deepcopy(critic)
    both, later = critic.here_and_later(state, action, state, chosen)
    assert both.shape == (2, 6)
    assert both.requires_grad
    assert not later.requires_grad
    rows = torch.cat([state, state if discrete else chosen.spread(state)])
    together = other.online.learn(rows, None if discrete else torch.cat([action, chosen.action]))[:, 6:]
    torch.testing.assert_close(later, together.mean(0) if discrete else together.amin(0).reshape(6, 3))
    torch.testing.assert_close(dict(critic.named_buffers()), dict(other.named_buffers()), rtol=0, atol=0)
    kept = copy.deepcopy(critic.state_dict())
    critic.polyak_update()
    assert not torch.equal(critic.later(state, chosen), later)
    torch.testing.assert_close(critic.state_dict(), kept, rtol=0, atol=0)


def test_a_residual_critic_wants_one_width():
    with pytest.raises(InputError, match="every block of a residual critic the same width"):
        settings.Settings(critic="residual", hidden=(128, 64))
