"""The conformance kit reports each defect of programs with continuous actions and futures."""

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn
from torch.distributions import Distribution

from gio_pyro.errors import ProgramError
from gio_pyro.guides import GaussianGuide
from gio_pyro.models import GaussianModel
from gio_pyro.programs.check_batch import BATCH, ExampleBatch
from gio_pyro.testing import check_guide, check_model
from gio_pyro.types import Policy, Spec
from tests.spaces import KINDS, image, spec, vector

S, A, F = 3, 2, 4
SPEC = spec(vector(S), vector(A), vector(F))


class GoodModel(nn.Module):
    """A linear model; each faulty one below spoils one thing."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = nn.Linear(S + A, F)
        self.log_scale = nn.Parameter(torch.zeros(F))

    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([state, action], -1))

    def future(self, state: Tensor, action: Tensor) -> Distribution:
        return dist.Normal(self.mean(state, action), self.log_scale.exp()).to_event(1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.future(state, action), obs=future)


class ModelWithoutEvent(GoodModel):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Normal(self.mean(state, action), 1.0), obs=future)


class ModelOfAnotherSize(GoodModel):
    def future(self, state: Tensor, action: Tensor) -> Distribution:
        return dist.Normal(self.mean(state, action)[:, :-1], 1.0).to_event(1)


class ModelOfOneNumber(GoodModel):
    def future(self, state: Tensor, action: Tensor) -> Distribution:
        return dist.Normal(self.mean(state, action)[:, 0], 1.0)


class ModelOfClasses(GoodModel):
    def future(self, state: Tensor, action: Tensor) -> Distribution:
        return dist.Categorical(logits=self.mean(state, action))


class ModelThatIgnoresTheAction(GoodModel):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return self.net(torch.cat([state, torch.zeros_like(action)], -1))


class ModelThatMixes(GoodModel):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        own = super().mean(state, action)
        return own - own.mean(0)


class ModelWithBatchNorm(GoodModel):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.norm = nn.BatchNorm1d(S, track_running_stats=False)

    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(self.norm(state), action)


class ModelWithAnotherPrior(GoodModel):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return super().forward(lambda s: dist.Normal(torch.zeros(len(s), A), 1.0).to_event(1), state, future)


class ModelWithoutGradient(GoodModel):
    def future(self, state: Tensor, action: Tensor) -> Distribution:
        return dist.Normal(self.mean(state, action).detach(), 1.0).to_event(1)


class ModelThatDetachesTheAction(GoodModel):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, action.detach())


class ModelThatRounds(GoodModel):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, (10 * action).round() / 10)


class ModelThatCannotBeReparameterised(GoodModel):
    def future(self, state: Tensor, action: Tensor) -> Distribution:
        components = dist.Normal(self.mean(state, action)[:, None], 1.0).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=torch.zeros(len(state), 1)), components)


class ModelWithNaN(GoodModel):
    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return super().mean(state, action) * torch.nan


class ModelThatDrawsItsFuture(GoodModel):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        return super().forward(policy, state, None)


class GoodGuide(nn.Module):
    """A linear guide; each faulty one below spoils one thing."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = nn.Linear(S + F, A)

    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return self.net(torch.cat([state, future], -1))

    def action(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        return dist.Normal(self.mean(state, future), 1.0).to_event(1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", self.action(policy, state, future))


class RelativeGuide(GoodGuide):
    """Written relative to the policy."""

    def action(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        prior = policy(state).base_dist
        mean = (prior.loc / prior.scale**2 + self.mean(state, future)) / (prior.scale**-2 + 1.0)
        return dist.Normal(mean, (prior.scale**-2 + 1.0).rsqrt()).to_event(1)


class GuideWithoutEvent(GoodGuide):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        return pyro.sample("action", dist.Normal(self.mean(state, future), 1.0))


class GuideOfAnotherSize(GoodGuide):
    def action(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        mean = self.mean(state, future)
        return dist.Normal(torch.cat([mean, mean], -1), 1.0).to_event(1)


class GuideOfClasses(GoodGuide):
    def action(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        return dist.Categorical(logits=self.mean(state, future))


class GuideThatIgnoresTheFuture(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return self.net(torch.cat([state, torch.zeros_like(future)], -1))


class RelativeGuideThatIgnoresTheFuture(RelativeGuide, GuideThatIgnoresTheFuture):
    pass


class GuideThatMixes(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return super().mean(state, future - future.mean(0))


class GuideWithoutGradient(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return super().mean(state, future).detach()


class GuideThatDetachesTheFuture(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return super().mean(state, future.detach())


class GuideThatRounds(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return super().mean(state, (10 * future).round() / 10)


class GuideWithBrokenGradient(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        own = super().mean(state, future)
        return own + (own * 0.0).sqrt()


class GuideWithNaN(GoodGuide):
    def mean(self, state: Tensor, future: Tensor) -> Tensor:
        return super().mean(state, future) * torch.nan


class GuideThatCannotBeTold(GoodGuide):
    def observe(self, state: Tensor) -> None:
        pass


FAULTY_MODELS = [
    (ModelWithoutEvent, r'site "future" of ModelWithoutEvent .*\(7, 4\); declare event dimensions with to_event'),
    (ModelOfAnotherSize, r'"future" of ModelOfAnotherSize to range over tensors of shape \(4,\), but .*\(3,\)'),
    (ModelOfOneNumber, r'"future" of ModelOfOneNumber to range over tensors of shape \(4,\), but .*\(\)'),
    (ModelOfClasses, r'"future" of ModelOfClasses to range over tensors of shape \(4,\), but got a Categorical'),
    (ModelThatIgnoresTheAction, "the futures of ModelThatIgnoresTheAction to depend on the action"),
    (ModelThatMixes, "alone and in a batch"),
    (ModelWithBatchNorm, "a batch norm needs track_running_stats=True"),
    (ModelWithAnotherPrior, 'ModelWithAnotherPrior to sample "action" from policy'),
    (ModelWithoutGradient, 'gradient from the site "future"'),
    (ModelThatDetachesTheAction, "the futures of ModelThatDetachesTheAction to pass on a finite gradient"),
    (ModelThatRounds, "the futures of ModelThatRounds to pass on a finite gradient"),
    (ModelThatCannotBeReparameterised, r"reparameterised \(has_rsample\) as .* but got MixtureSameFamily"),
    (ModelWithNaN, '"future".*NaN'),
    (ModelThatDrawsItsFuture, "pass obs=future"),
]
FAULTY_GUIDES = [
    (GuideWithoutEvent, r'site "action" of GuideWithoutEvent .*\(7, 2\); declare event dimensions with to_event'),
    (GuideOfAnotherSize, r'"action" of GuideOfAnotherSize to range over tensors of shape \(2,\), but .*\(4,\)'),
    (GuideOfClasses, r'"action" of GuideOfClasses to range over tensors of shape \(2,\), but got a Categorical'),
    (GuideThatIgnoresTheFuture, "GuideThatIgnoresTheFuture to depend on the future"),
    (RelativeGuideThatIgnoresTheFuture, "RelativeGuideThatIgnoresTheFuture to depend on the future"),
    (GuideThatMixes, "alone and in a batch"),
    (GuideWithoutGradient, 'gradient from the site "action"'),
    (GuideThatDetachesTheFuture, "the posterior of GuideThatDetachesTheFuture to pass on a finite gradient"),
    (GuideThatRounds, "the posterior of GuideThatRounds to pass on a finite gradient"),
    (GuideWithBrokenGradient, 'finite gradients from the site "action"'),
    (GuideWithNaN, '"action".*NaN'),
    (GuideThatCannotBeTold, r"GuideThatCannotBeTold to observe \(state, action, future\), but it raised TypeError"),
]


def sentence(error: pytest.ExceptionInfo[ProgramError], name: str) -> None:
    """One sentence that names the program and a next step."""
    text = str(error.value)
    assert text.startswith("Expected ")
    assert text.endswith(".")
    assert "\n" not in text
    assert name in text
    assert "; " in text, "no next step"
    assert len(text) < 500


@pytest.mark.parametrize(("program", "fragment"), FAULTY_MODELS, ids=[p.__name__ for p, _ in FAULTY_MODELS])
def test_a_faulty_model_is_told_in_one_sentence(program: Any, fragment: str):
    with pytest.raises(ProgramError, match=fragment) as error:
        check_model(program, SPEC)
    sentence(error, program.__name__)


@pytest.mark.parametrize(("program", "fragment"), FAULTY_GUIDES, ids=[p.__name__ for p, _ in FAULTY_GUIDES])
def test_a_faulty_guide_is_told_in_one_sentence(program: Any, fragment: str):
    with pytest.raises(ProgramError, match=fragment) as error:
        check_guide(program, GoodModel, SPEC)
    sentence(error, program.__name__)


def test_good_programs_pass():
    check_model(GoodModel, SPEC)
    check_guide(GoodGuide, GoodModel, SPEC)
    check_guide(RelativeGuide, GoodModel, SPEC)


def test_a_guide_may_ignore_the_future_on_purpose():
    class Prior(GuideThatIgnoresTheFuture):
        ignores_future = True

    check_guide(Prior, GoodModel, SPEC)


def test_where_actions_are_discrete_no_gradient_has_to_pass_through_them():
    class Rounds(nn.Module):
        def __init__(self, spec: Spec) -> None:
            super().__init__()
            self.net = nn.Linear(S, A)

        def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
            with pyro.plate("batch", len(state)):
                return pyro.sample("action", dist.Categorical(logits=self.net((future - state).round())))

    class Mixture(nn.Module):
        def __init__(self, spec: Spec) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(A, S))

        def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
            with pyro.plate("batch", len(state)):
                action = pyro.sample("action", policy(state))
                components = dist.Normal((state + self.mean[action])[:, None], 1.0).to_event(1)
                mixed = dist.MixtureSameFamily(dist.Categorical(logits=torch.zeros(len(state), 1)), components)
                return pyro.sample("future", mixed, obs=future)

    check_guide(Rounds, Mixture, spec(vector(S), Discrete(A)))


def test_a_detached_action_is_found_where_futures_are_finite():
    class Detaches(nn.Module):
        def __init__(self, spec: Spec) -> None:
            super().__init__()
            self.net = nn.Linear(A, F)

        def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
            with pyro.plate("batch", len(state)):
                action = pyro.sample("action", policy(state))
                return pyro.sample("future", dist.Categorical(logits=self.net(action.detach())), obs=future)

    with pytest.raises(ProgramError, match="the futures of Detaches to pass on a finite gradient"):
        check_model(Detaches, spec(vector(S), vector(A), Discrete(F)))


@pytest.mark.parametrize("program", [GaussianModel, GaussianGuide])
def test_the_conformance_kit_tells_a_program_what_inputs_look_like_first(program: Any):
    """Far from 0 an input that nobody has standardised is cut, and would seem to make no difference."""
    far = Box(1e5, 1e5 + 10.0, (S,), dtype=np.float32)
    there = Spec(far, vector(A), far, hidden=(16,))
    if program is GaussianModel:
        check_model(program, there)
    else:
        check_guide(program, GaussianModel, there)


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_holds_values_of_the_spaces(kind: str):
    with torch.random.fork_rng():
        setting = ExampleBatch.of(KINDS[kind])
    for value, space in zip(
        (setting.state, setting.action, setting.future),
        (KINDS[kind].state_space, KINDS[kind].action_space, KINDS[kind].future_space),
        strict=True,
    ):
        assert value.shape == (BATCH, *(space.shape or ()))
        assert all(space.contains(one.numpy() if space.shape else int(one)) for one in value)


@pytest.mark.parametrize(
    "space", [Box(0.0, 1.0, (50,)), Box(-3.4e38, 3.4e38, (50,)), Box(0.0, np.inf, (50,)), image(9)]
)
def test_a_setting_stays_within_bounds_and_varies(space: Box):
    with torch.random.fork_rng():
        state = ExampleBatch.of(Spec(space, Discrete(2), Discrete(2))).state
    assert all(space.contains(one.numpy()) for one in state)
    assert float(state.float().std()) > 0.1


def test_the_policy_of_a_setting_differs_from_state_to_state():
    with torch.random.fork_rng():
        setting = ExampleBatch.of(SPEC)
    pi = setting.policy(setting.state)
    assert (pi.batch_shape, pi.event_shape) == ((BATCH,), (A,))
    assert float(pi.mean.std(0).min()) > 0.0
    assert float(pi.stddev.std(0).min()) > 0.0
    torch.testing.assert_close(setting.policy(setting.state[2:3]).mean, pi.mean[2:3])
