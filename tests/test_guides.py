"""The guides of this library: q_φ(a|s, F), each of which is a method."""

from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import guides, tabular
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.guides import (
    BayesGuide,
    CategoricalGuide,
    CategoricalNetworkGuide,
    HabitGuide,
    MarginalGuide,
    UniformGuide,
)
from gio_pyro.models import CategoricalModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, log_probs
from gio_pyro.types import Policy, Spec

from .tabular.worlds import random_mdp, random_rows

S, A = 4, 3
SPEC = Spec(Discrete(S), Discrete(A), Discrete(S))
STATE = torch.arange(S).repeat_interleave(S)
FUTURE = torch.arange(S).repeat(S)
NAMES = guides.__all__
LEARNED = [CategoricalGuide, CategoricalNetworkGuide, MarginalGuide, HabitGuide]


def table_policy(table: Tensor) -> Policy:
    """A policy from a table of probabilities, `[S, A]`."""
    return lambda state: dist.Categorical(logits=table.float().log()[state])


def table_model(table: Tensor, policy: Policy) -> Model:
    """A fitted model whose futures are `table` `[S, A, F]`."""
    model = build_model(CategoricalModel, SPEC, policy, STATE)
    model.load_state_dict({"program.table": table.float().log()})
    return model


PI = random_rows(11, S, A)
OTHER = random_rows(12, S, A)
CHANNEL = random_rows(13, S, A, S)


def built(kind: Any, pi: Tensor = PI, channel: Tensor = CHANNEL) -> Guide:
    policy = table_policy(pi)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_guide(kind, SPEC, table_model(channel, policy), policy, STATE)


def read(guide: Guide, pi: Tensor = PI) -> Tensor:
    """q(a|s, F) of every state, future and action, `[S, F, A]`."""
    return log_probs(guide.posterior(table_policy(pi), STATE, FUTURE)).detach().exp().reshape(S, S, A)


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_gives_distributions_over_actions(name: str):
    torch.testing.assert_close(read(built(getattr(guides, name))).sum(-1), torch.ones(S, S))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
def test_the_bayes_guide_is_the_exact_posterior(seed: int, kind: str):
    mdp = random_mdp(seed, S, A, kind=kind)
    pi = random_rows(seed + 100, S, A)
    exact = tabular.posterior(mdp, pi).float()
    happens = torch.einsum("sa,saf->sf", pi, mdp.transition) > 0
    guide = built(BayesGuide, pi, mdp.transition.clamp_min(1e-30))
    torch.testing.assert_close(read(guide, pi)[happens], exact[happens], atol=1e-5, rtol=0)


def test_the_bayes_guide_follows_a_changed_policy():
    mdp = random_mdp(3, S, A)
    guide = built(BayesGuide, PI, mdp.transition)
    torch.testing.assert_close(read(guide, OTHER), tabular.posterior(mdp, OTHER).float(), atol=1e-5, rtol=0)


def test_the_bayes_guide_follows_its_model():
    policy = table_policy(PI)
    model = table_model(CHANNEL, policy)
    guide = build_guide(BayesGuide, SPEC, model, policy, STATE)
    mdp = random_mdp(5, S, A)
    model.load_state_dict({"program.table": mdp.transition.float().log()})
    torch.testing.assert_close(read(guide), tabular.posterior(mdp, PI).float(), atol=1e-5, rtol=0)


def test_the_bayes_guide_has_no_parameters_and_does_not_register_the_models():
    guide = built(BayesGuide)
    assert list(guide.parameters()) == []
    assert dict(guide.state_dict()) == {}
    assert not any(isinstance(part, Model) for part in guide.modules())


def test_the_bayes_guide_carries_no_gradient_to_the_model():
    policy = table_policy(PI)
    model = table_model(CHANNEL, policy)
    guide = build_guide(BayesGuide, SPEC, model, policy, STATE)
    assert not guide.log_prob(policy, STATE, FUTURE, torch.zeros_like(STATE)).requires_grad


def test_the_bayes_guide_of_an_impossible_future_is_no_nan_where_the_model_has_full_support():
    channel = torch.eye(S, dtype=torch.float64)[torch.zeros(S, A, dtype=torch.long)].clamp_min(1e-30)
    torch.testing.assert_close(read(built(BayesGuide, PI, channel)), PI.float()[:, None].expand(S, S, A))


def test_the_bayes_guide_needs_a_model():
    with pytest.raises(ProgramError, match="a spec with a fitted model for BayesGuide"):
        BayesGuide(SPEC)


def test_the_categorical_guide_starts_as_the_policy():
    torch.testing.assert_close(read(built(CategoricalGuide)), PI.float()[:, None].expand(S, S, A))


@pytest.mark.parametrize("seed", range(4))
def test_the_categorical_guide_follows_a_changed_policy_exactly_once_it_holds_log_p(seed: int):
    mdp = random_mdp(seed, S, A)
    guide = built(CategoricalGuide)
    guide.load_state_dict({"program.table": mdp.transition.float().log().mT.contiguous()})
    for pi in (PI, OTHER, random_rows(seed, S, A)):
        torch.testing.assert_close(read(guide, pi), tabular.posterior(mdp, pi).float(), atol=1e-5, rtol=0)


def test_a_constant_added_to_h_changes_nothing():
    guide = built(CategoricalGuide)
    h = torch.randn(S, S, A, generator=torch.Generator().manual_seed(0))
    guide.load_state_dict({"program.table": h})
    before = read(guide)
    guide.load_state_dict({"program.table": h + torch.arange(S).float()[:, None, None]})
    torch.testing.assert_close(read(guide), before)


def test_the_network_guide_is_written_relative_to_the_policy():
    guide = built(CategoricalNetworkGuide)
    ratio = read(guide, PI).log() - PI.float().log()[:, None]
    other = read(guide, OTHER).log() - OTHER.float().log()[:, None]
    difference = ratio - other
    torch.testing.assert_close(difference, difference[..., :1].expand_as(difference), atol=1e-4, rtol=0)


def test_the_uniform_guide_is_one_over_a():
    guide = built(UniformGuide)
    score = guide.log_prob(table_policy(PI), STATE, FUTURE, torch.zeros_like(STATE))
    torch.testing.assert_close(score, torch.full((S * S,), -log(A)))
    assert list(guide.parameters()) == []
    assert dict(guide.state_dict()) == {}


def test_the_marginal_guide_is_one_distribution_for_all_states():
    guide = built(MarginalGuide)
    logits = torch.tensor([0.0, 1.0, -2.0])
    guide.load_state_dict({"program.logits": logits})
    torch.testing.assert_close(read(guide), torch.softmax(logits, -1).expand(S, S, A))


def test_the_habit_guide_is_one_distribution_for_each_state():
    guide = built(HabitGuide)
    table = torch.randn(S, A, generator=torch.Generator().manual_seed(2))
    guide.load_state_dict({"program.table": table})
    torch.testing.assert_close(read(guide), torch.softmax(table, -1)[:, None].expand(S, S, A))


@pytest.mark.parametrize("kind", [MarginalGuide, HabitGuide])
def test_a_learned_prior_starts_uniform(kind: Any):
    torch.testing.assert_close(read(built(kind)), torch.full((S, S, A), 1 / A))


@pytest.mark.parametrize("kind", [UniformGuide, MarginalGuide, HabitGuide])
def test_a_prior_says_that_it_ignores_the_future_and_does(kind: Any):
    assert kind.ignores_future
    q = read(built(kind))
    torch.testing.assert_close(q, q[:, :1].expand_as(q))


@pytest.mark.parametrize("kind", LEARNED)
def test_a_learned_guide_passes_gradients_to_every_parameter(kind: Any):
    guide = built(kind)
    guide.log_prob(table_policy(PI), STATE, FUTURE, torch.zeros_like(STATE)).sum().backward()
    parameters = list(guide.parameters())
    assert parameters
    assert all(p.grad is not None and bool((p.grad != 0).any()) for p in parameters)


BOX = Box(0.0, 1.0, (2,))
REFUSED = [
    *[(kind, position) for kind in (CategoricalGuide, CategoricalNetworkGuide) for position in range(3)],
    (UniformGuide, 1),
    (MarginalGuide, 1),
    (HabitGuide, 0),
    (HabitGuide, 1),
]


@pytest.mark.parametrize(("kind", "position"), REFUSED)
def test_a_space_that_is_not_discrete_is_refused(kind: Any, position: int):
    spaces: list[Any] = [Discrete(3)] * 3
    spaces[position] = BOX
    name = ("state", "action", "future")[position]
    with pytest.raises(InputError, match=f"Expected a Discrete {name} space .*, but .*Box"):
        kind(Spec(*spaces))
