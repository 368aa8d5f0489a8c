"""The models of this library: p_ψ(F|s, a)."""

from math import exp, log, pi
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary
from torch import Tensor

from gio_pyro import models
from gio_pyro.errors import InputError
from gio_pyro.models import CategoricalModel, CategoricalNetworkModel, GaussianModel
from gio_pyro.models.gaussian import bounded_scale
from gio_pyro.programs import Model, build_model
from gio_pyro.types import Spec
from tests.spaces import FINITE, KINDS, OTHER_MODELS, image, spec, vector

S, A, F = 4, 3, 5
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))
STATE, ACTION, FUTURE = (torch.tensor(x) for x in ([0, 1, 2, 3], [0, 1, 2, 0], [4, 3, 2, 1]))
every_model = pytest.mark.parametrize("kind", [getattr(models, name) for name in FINITE])


def policy(state: Tensor) -> Any:
    return dist.Categorical(logits=torch.zeros(len(state), A))


def built(kind: Any, seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(kind, SPEC, policy, STATE)


def train(model: Model, future: Tensor, steps: int = 200) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        (-model.log_prob(policy, STATE, ACTION, future).mean()).backward()
        optimiser.step()


def test_the_table_starts_uniform():
    score = built(CategoricalModel).log_prob(policy, STATE, ACTION, FUTURE)
    torch.testing.assert_close(score, torch.full((4,), -log(F)))


def test_the_table_holds_one_number_for_each_state_action_and_future():
    assert [p.shape for p in built(CategoricalModel).parameters()] == [(S, A, F)]


def test_the_table_is_the_softmax_of_its_entries():
    model = built(CategoricalModel)
    table = torch.randn(S, A, F, generator=torch.Generator().manual_seed(1))
    model.load_state_dict({"program.table": table})
    expected = torch.log_softmax(table, -1)[STATE, ACTION, FUTURE]
    torch.testing.assert_close(model.log_prob(policy, STATE, ACTION, FUTURE), expected)


def test_an_entry_of_the_table_learns_alone():
    model = built(CategoricalModel)
    train(model, FUTURE)
    untouched = model.future(policy, STATE, (ACTION + 1) % A).probs
    torch.testing.assert_close(untouched, torch.full((4, F), 1 / F))


@every_model
def test_a_model_learns_a_sure_outcome(kind: Any):
    model = built(kind)
    train(model, FUTURE)
    assert float(model.log_prob(policy, STATE, ACTION, FUTURE).detach().exp().min()) > 0.98


@every_model
def test_a_model_gives_one_distribution_over_futures_for_each_example(kind: Any):
    future = built(kind).future(policy, STATE, ACTION)
    assert future.batch_shape == (4,)
    assert future.enumerate_support(expand=False).shape == (F, 1)
    torch.testing.assert_close(future.probs.sum(-1), torch.ones(4))


@every_model
def test_a_model_run_forward_draws_futures_inside_the_space(kind: Any):
    with torch.random.fork_rng():
        future = built(kind)(policy, STATE)
    assert future.shape == (4,)
    assert bool(((future >= 0) & (future < F)).all())


@every_model
def test_a_model_returns_the_future_that_it_was_given(kind: Any):
    assert torch.equal(built(kind)(policy, STATE, FUTURE), FUTURE)


def test_the_network_shares_what_it_learns_between_states():
    model = built(CategoricalNetworkModel)
    before = model.log_prob(policy, torch.tensor([3]), torch.tensor([2]), torch.tensor([4]))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(50):
        optimiser.zero_grad()
        (-model.log_prob(policy, torch.tensor([0, 1]), torch.tensor([2, 2]), torch.tensor([4, 4])).mean()).backward()
        optimiser.step()
    assert model.log_prob(policy, torch.tensor([3]), torch.tensor([2]), torch.tensor([4])) > before + 0.5


@pytest.mark.parametrize(("position", "name"), [(0, "state"), (1, "action"), (2, "future")])
@pytest.mark.parametrize("space", [Box(0.0, 1.0, (2,)), MultiBinary(3)])
def test_a_table_refuses_a_space_that_is_not_discrete(position: int, name: str, space: Any):
    spaces: list[Any] = [Discrete(3)] * 3
    spaces[position] = space
    with pytest.raises(InputError, match=f"Expected a Discrete {name} space here, but got"):
        CategoricalModel(Spec(*spaces))


@pytest.mark.parametrize(("kind", "name"), OTHER_MODELS)
def test_a_model_refuses_worlds_that_it_is_not_for(kind: str, name: str):
    with pytest.raises(InputError, match=r"^Expected a .*, but got .*; use a .*\.$"):
        getattr(models, name)(KINDS[kind])


def standard(state: Tensor) -> Any:
    return dist.Normal(torch.zeros(len(state), 2), 1.0).to_event(1)


def gaussian(world: Spec, seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = world.state_space.shape
        first = torch.zeros(1, *shape) if shape else torch.zeros(1, dtype=torch.long)
        pi = standard if isinstance(world.action_space, Box) else policy
        return build_model(GaussianModel, world, pi, first)


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def without_net(model: Model) -> Model:
    """The same model with a network that answers 0."""
    with torch.no_grad():
        for parameter in model.program.net[-1].parameters():
            parameter.zero_()
    return model


VECTORS = spec(vector(3), vector(2))


def test_a_gaussian_model_predicts_the_change_of_a_state():
    model = without_net(gaussian(VECTORS))
    state, after = normal(500, 3), normal(500, 3) + 2.0 + 0.1 * normal(500, 3, seed=1)
    model.observe(state, normal(500, 2), after)
    future = model.future(standard, state[:5], normal(5, 2))
    torch.testing.assert_close(future.mean, state[:5] + (after - state).mean(0), atol=1e-5, rtol=0)
    unit = (after - state).std(0, correction=0) * bounded_scale(torch.zeros(()), 4.0)
    torch.testing.assert_close(future.stddev[0], unit, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("world", [spec(vector(3), vector(2), vector(4)), spec(Discrete(3), vector(2), vector(4))])
def test_a_gaussian_model_predicts_a_future_of_another_kind_as_it_is(world: Spec):
    model = without_net(gaussian(world))
    discrete = isinstance(world.state_space, Discrete)
    state = torch.arange(3).repeat(100) if discrete else normal(300, 3)
    after = 5.0 + normal(300, 4)
    model.observe(state, normal(300, 2), after)
    torch.testing.assert_close(model.future(standard, state[:2], normal(2, 2)).mean[0], after.mean(0))


def test_a_gaussian_model_scores_each_number_on_its_own():
    model = gaussian(VECTORS)
    state, action, after = normal(6, 3), normal(6, 2), normal(6, 3, seed=2)
    future = model.future(standard, state, action)
    away = (after - future.mean) / future.stddev
    by_hand = (-0.5 * away.square() - future.stddev.log() - 0.5 * log(2 * pi)).sum(-1)
    torch.testing.assert_close(model.log_prob(standard, state, action, after), by_hand)


def test_a_gaussian_model_does_not_mind_the_units():
    """Everything a thousand times as large: the same density, of numbers a thousand times as far apart."""
    state, action, after = normal(200, 3), normal(200, 2), normal(200, 3, seed=2)
    small, large = gaussian(VECTORS), gaussian(VECTORS)
    small.observe(state, action, after)
    large.observe(1_000 * state, action, 1_000 * after)
    score = small.log_prob(standard, state, action, after)
    scaled = large.log_prob(standard, 1_000 * state, action, 1_000 * after)
    torch.testing.assert_close(scaled, score - 3 * log(1_000), atol=1e-2, rtol=1e-3)


@pytest.mark.parametrize("raw", [-1e4, -50.0, -4.0, 0.0, 3.0, 1e4])
@pytest.mark.parametrize("floor", [1.0, 4.0, 8.0])
def test_the_scale_of_a_gaussian_model_is_bounded_and_rises(raw: float, floor: float):
    scale = bounded_scale(torch.tensor(raw), floor)
    assert -floor - 0.05 <= float(scale.log()) <= 2.0
    further = bounded_scale(torch.tensor(raw + 1.0), floor)
    assert further >= scale


def test_between_its_bounds_the_scale_is_the_exponential():
    raw = torch.tensor([-2.0, -1.0, 0.0])
    torch.testing.assert_close(bounded_scale(raw, 8.0), raw.exp(), rtol=0.13, atol=0)


def test_a_sure_future_tells_about_the_floor_in_nats():
    """However exact the world, a number of F has at most the density of the least scale, in units of its deviation."""
    model = without_net(gaussian(VECTORS))
    with torch.no_grad():
        model.program.net[-1].bias.copy_(torch.tensor([0.0] * 3 + [-1e4] * 3))
    state, after = normal(500, 3), normal(500, 3) + normal(500, 3, seed=1)
    model.observe(state, normal(500, 2), after)
    stddev = model.future(standard, state[:1], normal(1, 2)).stddev[0]
    torch.testing.assert_close(stddev, exp(-4.0) * (after - state).std(0), rtol=0.02, atol=0)


@pytest.mark.parametrize("world", [spec(image(5, 1), vector(2)), spec(image(7), Discrete(A))])
def test_a_gaussian_model_of_images_draws_whole_images(world: Spec):
    model = gaussian(world)
    g = torch.Generator().manual_seed(0)
    shape = world.state_space.shape
    state, after = torch.randint(0, 256, (2, 4, *shape), dtype=torch.uint8, generator=g)
    action = normal(4, 2) if isinstance(world.action_space, Box) else torch.tensor([0, 1, 2, 0])
    pi = standard if isinstance(world.action_space, Box) else policy
    model.observe(state, action, after)
    future = model.future(pi, state, action)
    assert (future.batch_shape, future.event_shape) == ((4,), shape)
    assert bool(torch.isfinite(model.log_prob(pi, state, action, after)).all())
    assert future.stddev.min().item() >= 0.5 * exp(-4.1)


def test_the_change_of_an_image_does_not_wrap_around():
    """uint8 has no −1."""
    model = without_net(gaussian(spec(image(5, 1), vector(2))))
    before = torch.full((50, 5, 5, 1), 3, dtype=torch.uint8)
    after = torch.full((50, 5, 5, 1), 1, dtype=torch.uint8)
    model.observe(before, normal(50, 2), after)
    mean = model.future(standard, before[:1], normal(1, 2)).mean
    torch.testing.assert_close(mean, torch.ones(1, 5, 5, 1))


def test_a_gaussian_model_learns_what_discrete_actions_do():
    world = spec(vector(2), Discrete(A))
    model = gaussian(world)
    steps = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    state, action = normal(512, 2), torch.arange(512) % A
    after = state + steps[action] + 0.1 * normal(512, 2, seed=1)
    model.observe(state, action, after)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        (-model.log_prob(policy, state, action, after).mean()).backward()
        optimiser.step()
    with torch.no_grad():
        learned = model.future(policy, torch.zeros(A, 2), torch.arange(A))
    torch.testing.assert_close(learned.mean, steps, atol=0.1, rtol=0)
    torch.testing.assert_close(learned.stddev, torch.full((A, 2), 0.1), atol=0.05, rtol=0)


def test_a_gaussian_model_sees_continuous_actions_squashed():
    model = gaussian(VECTORS)
    means = model.future(standard, torch.zeros(2, 3), torch.tensor([[20.0, -20.0], [90.0, -40.0]])).mean
    torch.testing.assert_close(means[0], means[1])


def test_a_network_over_finite_futures_takes_any_state_and_action():
    world = spec(vector(3), vector(2), Discrete(F))
    with torch.random.fork_rng():
        model = build_model(CategoricalNetworkModel, world, standard, torch.zeros(1, 3))
    future = model.future(standard, normal(4, 3), normal(4, 2))
    assert (future.batch_shape, future.probs.shape) == ((4,), (4, F))
