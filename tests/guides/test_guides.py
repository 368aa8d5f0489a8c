"""The guides of this library, q_φ(a|s, F)."""

from dataclasses import replace
from math import exp, log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary
from torch import Tensor

from gio_pyro import guides, tabular
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.guides import (
    BayesGuide,
    CategoricalGuide,
    CategoricalNetworkGuide,
    GaussianGuide,
    HabitGuide,
    MarginalGuide,
    UniformGuide,
)
from gio_pyro.models import CategoricalModel, GaussianModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, log_probs, sample_actions, score
from gio_pyro.types import Policy, Spec
from tests.finite import table_policy, true_model
from tests.spaces import GUIDES, KINDS, OTHER_GUIDES
from tests.tabular.worlds import random_mdp, random_rows

S, A = 4, 3
SPEC = Spec(Discrete(S), Discrete(A), Discrete(S))
STATE = torch.arange(S).repeat_interleave(S)
FUTURE = torch.arange(S).repeat(S)
NAMES = GUIDES["finite"]
LEARNED = [CategoricalGuide, CategoricalNetworkGuide, MarginalGuide, HabitGuide]


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


@pytest.mark.parametrize(("kind", "name"), OTHER_GUIDES)
def test_a_guide_refuses_worlds_that_it_is_not_for(kind: str, name: str):
    model = true_model(CHANNEL)
    with pytest.raises(InputError, match=r"^Expected (a Discrete|continuous|sequences of|a spec) .*, but got .*\.$"):
        getattr(guides, name)(replace(KINDS[kind], model=model))


@pytest.mark.parametrize("position", range(3))
def test_a_table_refuses_a_space_that_is_not_discrete(position: int):
    spaces: list[Any] = [Discrete(3)] * 3
    spaces[position] = Box(0.0, 1.0, (2,))
    name = ("state", "action", "future")[position]
    with pytest.raises(InputError, match=f"Expected a Discrete {name} space .*, but .*Box"):
        CategoricalGuide(Spec(*spaces))


def test_the_uniform_guide_takes_discrete_and_continuous_actions_only():
    with pytest.raises(InputError, match=r"Expected a Discrete action space .*MultiBinary"):
        UniformGuide(Spec(Discrete(3), MultiBinary(2), Discrete(3)))


VECTORS = KINDS["vector, continuous"]


def normals(mean: float, scale: float) -> Policy:
    return lambda state: dist.Normal(torch.full((len(state), 2), mean), scale).to_event(1)


def continuous(kind: Any, policy: Policy | None = None) -> Guide:
    policy = policy or normals(0.0, 1.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(GaussianModel, VECTORS, policy, torch.zeros(1, 3))
        return build_guide(kind, VECTORS, model, policy, torch.zeros(1, 3))


def answering(location: float, raw: float) -> Guide:
    """A Gaussian guide whose network gives these numbers whatever it sees."""
    guide = continuous(GaussianGuide)
    with torch.no_grad():
        last = guide.program.net[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([location] * 2 + [raw] * 2))
    return guide


SOME = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
THERE = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (2.0, 0.5), (-1.0, 3.0)])
@pytest.mark.parametrize(("location", "precision"), [(0.5, 1.0), (-2.0, 10.0)])
def test_the_gaussian_guide_is_the_policy_times_a_normal(mean: float, scale: float, location: float, precision: float):
    raw = 6 - log(exp(6 - log(precision)) - 1)
    q = answering(location, raw).posterior(normals(mean, scale), SOME, THERE)
    total = scale**-2 + precision
    torch.testing.assert_close(q.mean, torch.full((5, 2), (mean / scale**2 + precision * location) / total))
    torch.testing.assert_close(q.variance, torch.full((5, 2), 1 / total))


def test_a_gaussian_guide_that_learned_nothing_of_the_future_is_the_policy():
    q = answering(100.0, -60.0).posterior(normals(0.7, 0.4), SOME, THERE)
    torch.testing.assert_close((q.mean, q.stddev), (torch.full((5, 2), 0.7), torch.full((5, 2), 0.4)))


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_the_floor_bounds_what_a_gaussian_guide_is_paid(scale: float):
    """With the greatest precision the intrinsic reward is ½ log(1 + σ² exp(2 · 3)) nats a number where it is exact."""
    q = answering(0.0, 1e6).posterior(normals(0.0, scale), SOME, THERE)
    most = 0.5 * log(1 + scale**2 * exp(6.0))
    assert torch.log(scale / q.stddev[0, 0]).item() == pytest.approx(most, rel=1e-4)


def test_the_gaussian_guide_depends_on_state_and_future():
    guide = continuous(GaussianGuide)
    q = guide.posterior(normals(0.0, 1.0), SOME, THERE).mean
    assert not torch.allclose(q, guide.posterior(normals(0.0, 1.0), SOME, THERE.flip(0)).mean)
    assert not torch.allclose(q, guide.posterior(normals(0.0, 1.0), SOME.flip(0), THERE).mean)


def test_the_gaussian_guide_passes_gradients_to_every_parameter_and_to_the_future():
    guide, future = continuous(GaussianGuide), THERE.clone().requires_grad_(True)
    score = guide.log_prob(normals(0.0, 1.0), SOME, future, torch.ones(5, 2)).sum()
    found = torch.autograd.grad(score, [future, *guide.parameters()])
    assert all(bool((gradient != 0).any()) for gradient in found)


def test_the_uniform_guide_over_continuous_actions_is_the_slope_of_the_squash_over_the_box():
    guide = continuous(UniformGuide)
    u = torch.tensor([[0.0, 0.5], [-3.0, 2.0]])
    score = guide.log_prob(normals(0.0, 1.0), SOME[:2], THERE[:2], u)
    by_hand = ((1 - u.double().tanh().square()) / 2).log().sum(-1)
    torch.testing.assert_close(score.double(), by_hand, atol=1e-5, rtol=1e-5)
    assert list(guide.parameters()) == []
    assert dict(guide.state_dict()) == {}


def test_the_uniform_guide_is_finite_far_out():
    score = continuous(UniformGuide).log_prob(normals(0.0, 1.0), SOME[:1], THERE[:1], torch.tensor([[200.0, -200.0]]))
    assert float(score) == pytest.approx(2 * (log(2) - 400.0), rel=1e-5)


@pytest.mark.parametrize("kind", ["vector, discrete", "image, discrete"])
@pytest.mark.parametrize("name", ["BayesGuide", "CategoricalNetworkGuide"])
def test_guides_over_discrete_actions_see_vectors_and_images(kind: str, name: str):
    world = KINDS[kind]
    actions = int(world.action_space.n)
    g = torch.Generator().manual_seed(0)
    state = torch.randint(0, 256, (2, 6, *world.state_space.shape), dtype=torch.uint8, generator=g)
    state = state if kind.startswith("image") else state / 100
    pi = torch.softmax(torch.randn(actions, generator=g), -1)

    def policy(state: Tensor) -> Any:
        return dist.Categorical(probs=pi.expand(len(state), -1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(GaussianModel, world, policy, state[0, :1])
        guide = build_guide(getattr(guides, name), world, model, policy, state[0, :1])
    for program in (model, guide):
        program.observe(state[0], torch.zeros(6, dtype=torch.long), state[1])
    q = guide.posterior(policy, *state).probs
    assert q.shape == (6, actions)
    if name == "BayesGuide":
        scores = score(model, policy, state[0], sample_actions(policy(state[0])), state[1])
        torch.testing.assert_close(q, torch.softmax(scores.detach() + pi.log(), -1), atol=1e-5, rtol=1e-4)
