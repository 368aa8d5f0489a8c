"""Dreams of finite worlds, beside the exact tier: with the true table of next states nothing is drawn, nor off.

Cost: 8 s.
"""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO, tabular
from gio_pyro.actor_critic import TableActorCritic
from gio_pyro.actor_critic.guide_reward import Imagined
from gio_pyro.data.merging import concatenate
from gio_pyro.dreaming import Counted, TableDreams
from gio_pyro.futures import NextState, NextStateAndReward
from gio_pyro.guides import UniformGuide
from gio_pyro.programs import Model, build_guide, without_validation
from gio_pyro.schedules.temperature import Temperature
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Policy, Spec, Transitions

from ..finite import exact_replay, spec_of, table_policy, true_model
from ..tabular.worlds import corridor, random_mdp, random_rows
from ..test_methods import DISCOUNT, REWARD, TRANSITION, TableWorld

ALPHA = 0.5


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def rows_of(*rows: tuple[int, int, float, int, bool]) -> Transitions:
    """Transitions `(s, a, r, s', terminated)`."""
    s, a, r, n, done = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Transitions(s, a, r, n, done, torch.zeros_like(done), torch.zeros(len(s)), torch.ones(len(s)))


def one_of_each_pair(mdp: TabularMDP) -> Transitions:
    """One transition of each pair, as it happened to come out."""
    p = mdp.transition[~mdp.terminal].flatten(0, 1)
    s, a = ((~mdp.terminal).nonzero().repeat_interleave(mdp.actions), torch.arange(len(p)) % mdp.actions)
    n = torch.multinomial(p, 1).squeeze(-1)
    no = torch.zeros(len(p), dtype=torch.bool)
    return Transitions(s, a, mdp.reward[s, a].float(), n, mdp.terminal[n], no, torch.zeros(len(p)), torch.ones(len(p)))


def dreams(spec: Spec, model: Model, policy: Policy, horizon: int, share: float, future: Any = None) -> TableDreams:
    fitted = Fitted(spec, future or NextState(), model, None, policy)  # type: ignore[arg-type]
    return TableDreams(fitted, horizon, share, samples=4)


def learned(mdp: TabularMDP, rows: Transitions, horizon: int, share: float, rounds: int = 25) -> TableActorCritic:
    """Tables after improvements on these real rows and dreams in the true world."""
    control = TableActorCritic(spec_of(mdp), Settings(discount=mdp.discount, sweeps=5_000, initial_value=0.0))
    model = true_model(mdp.transition)
    guide = build_guide(UniformGuide, spec_of(mdp), model, control.policy, torch.zeros(1, dtype=torch.long))
    reward, alpha = Imagined(model, guide, 1), Temperature(ALPHA, target=0.0, learning_rate=0.1)
    dreaming = dreams(spec_of(mdp), model, control.policy, horizon, share)
    with without_validation():
        for _ in range(rounds):
            control.improve(dreaming.beside(rows), reward, alpha, 0)
    return control


WORLDS = {
    "dense": random_mdp(1),
    "sparse": random_mdp(2, kind="sparse", discount=0.7),
    "ends": corridor(4, discount=0.9),
}


@pytest.mark.parametrize("kind", WORLDS)
@pytest.mark.parametrize("horizon", [1, 3])
def test_with_the_true_model_one_real_step_of_each_pair_and_dreams_alone_reach_the_exact_values(
    kind: str, horizon: int
):
    """No sampling error at all; replay alone takes what happened once for what always happens."""
    mdp = WORLDS[kind]
    rows, going = one_of_each_pair(mdp), ~mdp.terminal
    exact = tabular.policy_iteration(mdp, temperature=ALPHA, guide=tabular.uniform)
    dreamt = learned(mdp, rows, horizon, share=1.0)
    torch.testing.assert_close(dreamt.critic.q[going].double(), exact.q[going], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(dreamt.policy.log_pi[going].exp().double(), exact.policy[going], atol=2e-3, rtol=0)
    if kind != "ends":  # a corridor is deterministic: there once is always
        half, awake = learned(mdp, rows, horizon, share=0.5), learned(mdp, rows, horizon, share=1e-6)
        error = [float((control.critic.q[going] - exact.q[going]).abs().max()) for control in (dreamt, half, awake)]
        assert error[0] < error[1] < error[2]


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_a_step_of_dreams_weighs_what_the_chain_says(horizon: int):
    """Rows of step k weigh d_k(s) π(a|s) p(s'|s, a), with d_k = d_0 P_π^k and d_0 the visits in replay."""
    mdp = random_mdp(4, states=5)
    rows = exact_replay(mdp)
    rows = concatenate(rows, rows[:7])
    pi = random_rows(9, mdp.states, mdp.actions).float()
    found = dreams(spec_of(mdp), true_model(mdp.transition), table_policy(pi), horizon, 1.0).dreamed(rows)
    visits = torch.zeros(mdp.states).index_add(0, rows.state, rows.weight).double()
    chain = tabular_chain(mdp, pi.double())
    met = sum(visits @ torch.linalg.matrix_power(chain, k) for k in range(horizon))
    expected = met[:, None, None] * pi.double()[..., None] * mdp.transition
    places = (found.state, found.action, found.next_state)
    weight = torch.zeros_like(expected).index_put(places, found.weight.double(), accumulate=True)
    torch.testing.assert_close(weight, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.log_behaviour, pi[found.state, found.action].log())
    torch.testing.assert_close(found.reward, mdp.reward[found.state, found.action].float())


def tabular_chain(mdp: TabularMDP, pi: Tensor) -> Tensor:
    return torch.einsum("sa,san->sn", pi, mdp.transition)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dreams_make_up_their_share_of_the_weight(share: float):
    mdp = random_mdp(4)
    rows = exact_replay(mdp)
    uniform = torch.full((4, 3), 1 / 3)
    dreaming = dreams(spec_of(mdp), true_model(mdp.transition), table_policy(uniform), 3, share)
    mixed = dreaming.beside(rows)
    assert all(torch.equal(x, y) for x, y in zip(mixed[: len(rows)].tensors(), rows.tensors(), strict=True))
    assert float(mixed.weight[len(rows) :].sum() / mixed.weight.sum()) == pytest.approx(share, rel=1e-4)


def test_an_end_that_comes_half_of_the_time_ends_half_of_the_dream():
    """State 0 goes to 1 for sure; of two times the episode ended there once. From 1 one comes back to 0."""
    rows = rows_of((0, 0, 1.0, 1, True), (0, 0, 3.0, 1, False), (1, 0, 0.0, 0, False))
    spec = Spec(Discrete(2), Discrete(1), Discrete(2))
    model = true_model(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]))
    found = dreams(spec, model, table_policy(torch.ones(2, 1)), 2, 1.0).dreamed(rows)
    columns = (found.state, found.terminated, found.weight, found.reward)
    on, over, back = (0, False), (0, True), (1, False)
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == [
        (*on, 0.5 + 1.0, 2.0), (*over, 0.5 + 1.0, 2.0), (*back, 1.0 + 1.0, 0.0)
    ]  # fmt: skip


def test_a_pair_never_tried_is_not_dreamed_of_and_a_state_never_left_ends_the_dream():
    rows = rows_of((0, 0, 1.0, 1, False), (1, 1, 2.0, 2, False))
    spec = Spec(Discrete(3), Discrete(2), Discrete(3))
    model = true_model(torch.eye(3)[[1, 2, 2]][:, None].expand(3, 2, 3))
    found = dreams(spec, model, table_policy(torch.full((3, 2), 0.5)), 9, 1.0).dreamed(rows)
    assert set(zip(found.state.tolist(), found.action.tolist(), strict=True)) == {(0, 0), (1, 1)}
    assert found.weight.tolist() == [0.5, 0.5 + 0.25]


class TestCounted:
    """Rewards 1, 2, 2 of one transition, 5 of another; what was never seen is guessed."""

    def test_it_is_the_mean_of_what_was_seen(self):
        rows = rows_of((0, 0, 1.0, 1, False), (0, 0, 2.0, 1, True), (0, 0, 2.0, 1, False), (0, 0, 5.0, 0, False))
        rows.weight.copy_(torch.tensor([1.0, 3.0, 2.0, 1.0]))
        reward, ended = Counted(rows, 2, 2).of(*torch.tensor([[0, 0], [0, 0], [1, 0]]))
        assert reward.tolist() == pytest.approx([11 / 6, 5.0])
        assert ended.tolist() == pytest.approx([0.5, 0.0])
        assert Counted(rows, 2, 2).tried(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 0])).tolist() == [
            True,
            False,
            False,
        ]

    def test_an_outcome_never_seen_is_paid_by_where_it_leads_if_that_is_what_pays(self):
        rows = rows_of((0, 0, 0.0, 1, False), (0, 1, 7.0, 2, True), (1, 0, 0.0, 0, False), (1, 0, 7.0, 2, True))
        reward, ended = Counted(rows, 3, 2).of(*torch.tensor([[0], [0], [2]]))
        assert (reward.tolist(), ended.tolist()) == ([7.0], [1.0])

    def test_it_is_paid_by_the_pair_if_that_is_what_pays(self):
        rows = rows_of((0, 0, -1.0, 1, False), (0, 1, -3.0, 1, False), (1, 0, -2.0, 1, False), (1, 0, -2.0, 0, False))
        reward, ended = Counted(rows, 3, 2).of(*torch.tensor([[0, 0], [1, 0], [0, 2]]))
        assert (reward.tolist(), ended.tolist()) == ([-3.0, -1.0], [0.0, 0.0])


def test_a_future_that_holds_the_reward_is_asked_for_it():
    """Two rewards, 0 and 10, of which replay saw only the first."""
    future = NextStateAndReward(rewards=(0.0, 10.0))
    spec = Spec(Discrete(2), Discrete(1), Discrete(4))
    model = true_model(torch.tensor([[[0.0, 0.0, 0.25, 0.75]], [[1.0, 0.0, 0.0, 0.0]]]))
    rows = rows_of((0, 0, 0.0, 1, False), (1, 0, 0.0, 0, False))
    found = dreams(spec, model, table_policy(torch.ones(2, 1)), 1, 1.0, future).dreamed(rows)
    told = list(zip(found.state.tolist(), found.next_state.tolist(), found.reward.tolist(), strict=True))
    assert told == [(0, 1, 0.0), (0, 1, 10.0), (1, 0, 0.0)]
    assert found.weight.tolist() == pytest.approx([0.25, 0.75, 1.0])


def test_more_futures_than_can_be_enumerated_are_drawn_in_their_shares():
    states = 80
    p = torch.softmax(torch.randn(states, 2, states), -1)
    spec = Spec(Discrete(states), Discrete(2), Discrete(states))
    rows = one_of_each_pair(TabularMDP(p.double(), torch.zeros(states, 2), discount=0.9))
    found = dreams(spec, true_model(p), table_policy(torch.full((states, 2), 0.5)), 1, 1.0).dreamed(rows)
    assert len(found) == states * 2 * 4
    assert float(found.weight.sum()) == pytest.approx(float(rows.weight.sum()), rel=1e-4)


def test_an_agent_that_dreams_in_the_true_world_learns_the_exact_values_from_few_real_steps():
    """60 steps of uniform actions touch all nine pairs; the same 60 steps without dreams do not suffice."""
    world = TableWorld(TRANSITION, REWARD, np.full(3, 1 / 3))
    exact = tabular.policy_iteration(
        TabularMDP(TRANSITION, REWARD, discount=DISCOUNT), temperature=ALPHA, guide=tabular.uniform
    )
    model = true_model(torch.tensor(TRANSITION)).program
    given: dict[str, Any] = {
        "model": model, "guide": "UniformGuide", "temperature": ALPHA, "discount": DISCOUNT, "uniform_share": 1.0,
        "train_freq": 60, "improvements": 25, "gradient_steps": 0, "seed": 0,
    }  # fmt: skip
    dreamt = GIO(world, dream_horizon=2, dream_share=1.0, **given).learn(60)
    awake = GIO(world, **given).learn(60)
    assert bool(dreamt.actor_critic.critic.tried.all())
    assert len(dreamt.replay) == 60
    torch.testing.assert_close(dreamt.actor_critic.critic.q.double(), exact.q, atol=1e-3, rtol=0)
    assert float((awake.actor_critic.critic.q - exact.q).abs().max()) > 0.05
