"""Continuous inference against closed forms: the reward, every objective, and the gradient that improves the policy."""

from functools import cache
from math import exp, log, sqrt
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from gio_pyro.actor_critic import GaussianPolicy
from gio_pyro.actor_critic.guide_reward import Imagined, intrinsic_reward
from gio_pyro.guides import GaussianGuide, UniformGuide
from gio_pyro.inference import Elbo, ForwardKL, Objective, Sleep, WakeSleep
from gio_pyro.models import GaussianModel
from gio_pyro.programs import Guide, Model, detached, sample_actions
from gio_pyro.types import Policy, Spec, Transitions
from tests.slow import slow_but

from .linear_gaussian import (
    CROSSED,
    MU,
    PI,
    WORLD,
    LinearPolicy,
    TrueGuide,
    World,
    build,
    collect,
    fit,
    model_error,
    scalar_policy,
    scalar_world,
    slack,
    states,
)

HALF_LOG_3 = 0.549306
"""The oracle: a ~ N(0, 1), F = a + N(0, 0.5)."""


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        yield


def paid(pair: tuple[Model, Guide], policy: Policy, state: Tensor, samples: int = 1) -> tuple[float, float]:
    """What the guide pays on average over `state`, and the standard error of that."""
    with torch.no_grad():
        chosen = sample_actions(policy(state), samples)
        nats = intrinsic_reward(chosen, Imagined(*pair, samples).bonus(policy, state, chosen))
    return float(nats.mean()), float(nats.std()) / sqrt(len(state))


class PriorForgotten(TrueGuide):
    """q = N(F, 0.5): the likelihood of `scalar_world`, without the prior."""

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.Normal(future, torch.full_like(future, 0.5).sqrt()).to_event(1))


def test_the_closed_forms_give_the_oracles():
    one = torch.ones(1)
    assert float(scalar_world().information(one)) == pytest.approx(HALF_LOG_3, abs=1e-6)
    correlated = scalar_world(0.9, 1 - 0.9**2)
    assert float(correlated.information(one)) == pytest.approx(0.830366, abs=1e-6)
    assert float(scalar_world(1.0, 0.1).information(one)) / log(2) == pytest.approx(1.729716, abs=1e-6)
    assert float(scalar_world(0.1, 0.01).information(one)) / log(2) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("world", [WORLD, CROSSED], ids=["at right angles", "crossed"])
def test_the_closed_form_is_the_mean_log_ratio_of_joint_and_product(world: World):
    state = states(50_000)
    action = PI(state).sample()
    future = world.outcome(state, action).sample()
    spread = world.b @ torch.diag(PI.scale**2) @ world.b.T + torch.diag(world.noise**2)
    mixture = dist.MultivariateNormal(state @ world.a.T + PI.mean(state) @ world.b.T, spread)
    ratio = world.outcome(state, action).log_prob(future) - mixture.log_prob(future)
    by_posterior = world.posterior(PI, state, future).log_prob(action) - PI(state).log_prob(action)
    torch.testing.assert_close(ratio, by_posterior, atol=1e-3, rtol=1e-3)
    assert abs(float(ratio.mean() - world.information(PI.scale))) < 5 * float(ratio.std()) / sqrt(len(state))


def test_the_exact_guide_is_paid_the_oracle():
    pair = build(scalar_world(), TrueGuide(scalar_world()), policy=scalar_policy())
    mean, error = paid(pair, scalar_policy(), torch.zeros(100_000, 1))
    assert abs(mean - HALF_LOG_3) < 5 * error
    assert error < 0.005


def test_a_guide_that_forgets_the_prior_is_paid_the_smaller_oracle():
    pair = build(scalar_world(), PriorForgotten(scalar_world()), policy=scalar_policy())
    mean, error = paid(pair, scalar_policy(), torch.zeros(100_000, 1))
    assert abs(mean - 0.346574) < 5 * error
    assert slack(scalar_world(), pair[1], scalar_policy()) == pytest.approx(HALF_LOG_3 - 0.346574, abs=0.01)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("policy", [PI, MU], ids=["pi", "mu"])
@pytest.mark.parametrize("world", [WORLD, CROSSED], ids=["at right angles", "crossed"])
def test_the_exact_guide_is_paid_the_mutual_information_of_whatever_policy(
    world: World, policy: LinearPolicy, samples: int
):
    mean, error = paid(build(world, TrueGuide(world)), policy, states(30_000), samples)
    assert abs(mean - float(world.information(policy.scale))) < 5 * error


OBJECTIVES: dict[str, Objective] = {
    "elbo": Elbo(),
    "sleep": Sleep(1),
    "sleep, 4 draws": Sleep(4),
    "wake_sleep": WakeSleep(),
    "forward_kl": ForwardKL(),
    "forward_kl, unweighted": ForwardKL(weighted=False),
}


class QuickGuide(GaussianGuide):
    learning_rate = 0.02


class QuickModel(GaussianModel):
    learning_rate = 0.02


@cache
def fitted(name: str) -> tuple[Model, Guide]:
    """The true model and a guide fitted to π's posterior on replay that μ collected."""
    pair = build(WORLD, QuickGuide)
    fit(pair, OBJECTIVES[name], collect(WORLD, MU))
    return pair


@pytest.mark.parametrize("name", slow_but(list(OBJECTIVES)[:5], "elbo", "sleep", "wake_sleep", "forward_kl"))
def test_a_gaussian_guide_reaches_the_posterior_on_another_policys_replay(name: str):
    assert slack(WORLD, fitted(name)[1], PI) <= 0.02


@pytest.mark.parametrize("name", slow_but(OBJECTIVES, *set(OBJECTIVES) - {"sleep, 4 draws"}))
def test_what_a_fitted_guide_is_paid_is_the_information_less_its_slack(name: str):
    mean, error = paid(fitted(name), PI, states(30_000))
    expected = float(WORLD.information(PI.scale)) - slack(WORLD, fitted(name)[1], PI)
    assert abs(mean - expected) < 5 * error + 0.002


def test_unweighted_forward_kl_learns_the_posterior_of_the_policy_that_collected():
    guide = fitted("forward_kl, unweighted")[1]
    assert slack(WORLD, guide, PI, of=MU) <= 0.02
    assert slack(WORLD, guide, PI) > 0.1
    assert slack(WORLD, fitted("forward_kl")[1], PI, of=MU) > 0.1


def test_a_fitted_guide_follows_a_changed_policy_without_training():
    moved = LinearPolicy(-PI.gain, PI.bias - 0.3, torch.tensor([0.9, 0.5]))
    guide = fitted("sleep")[1]
    stale = slack(WORLD, _Frozen.of(guide, PI), moved)
    assert slack(WORLD, guide, moved) <= 0.05
    assert stale > 0.2


class _Frozen(Guide):
    """A fitted guide that keeps being asked about the policy it was fitted for."""

    @classmethod
    def of(cls, guide: Guide, policy: Policy) -> "_Frozen":
        return cls(lambda _, state, future: guide.program(policy, state, future))


def exact_gaussian_guide(world: World, policy: Policy) -> Guide:
    """`GaussianGuide` with a linear network whose numbers are worked out, for a world at right angles."""
    spec = Spec(world.spec.state_space, world.spec.action_space, world.spec.future_space, hidden=())

    class Linear(GaussianGuide):
        def __init__(self, _: Spec) -> None:
            super().__init__(spec)

    guide = build(world, Linear)[1]
    precision = (world.b.T @ torch.diag(world.noise**-2) @ world.b).diagonal()
    to_action = torch.diag(1 / precision) @ world.b.T @ torch.diag(world.noise**-2)
    of_state = to_action @ (torch.eye(len(world.a)) - world.a)  # the guide sees F − s
    floor = 2 * guide.program.floor_nats
    raw = floor - torch.log(torch.expm1(floor - precision.log()))
    layer = guide.program.net[0]
    with torch.no_grad():
        layer.weight.copy_(torch.cat([torch.cat([of_state, to_action], 1), torch.zeros(2, 4)]))
        layer.bias.copy_(torch.cat([torch.zeros(2), raw]))
    return guide


@pytest.mark.parametrize(
    "policy", [PI, MU, LinearPolicy(5 * PI.gain, PI.bias, torch.tensor([0.05, 3.0]))], ids=["pi", "mu", "extreme"]
)
def test_a_gaussian_guide_that_holds_the_likelihood_is_exact_for_every_policy(policy: LinearPolicy):
    guide = exact_gaussian_guide(WORLD, policy)
    state = states(200) / 3  # the guide cuts its inputs at ten deviations
    future = WORLD.outcome(state, policy(state).sample()).sample()
    q, exact = guide.posterior(policy, state, future), WORLD.posterior(policy, state, future)
    torch.testing.assert_close(q.mean, exact.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(q.variance, exact.covariance_matrix.diagonal(dim1=1, dim2=2), atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_model_and_guide_fitted_together_learn_the_world():
    """The model sees tanh(u), as an environment would; in this world actions are kept where that bends little."""
    tame = LinearPolicy(PI.gain / 2, PI.bias, torch.tensor([0.5, 0.5]))
    pair = build(WORLD, QuickGuide, QuickModel)
    fit(pair, Sleep(1), collect(WORLD, tame), tame, steps=700)
    assert model_error(WORLD, pair[0], tame) <= 0.02
    assert slack(WORLD, pair[1], tame) <= 0.02
    mean, error = paid(pair, tame, states(30_000))
    assert abs(mean - float(WORLD.information(tame.scale))) < 5 * error + 0.05


def rows_and_future(world: World, policy: LinearPolicy) -> tuple[Transitions, Tensor]:
    rows = collect(world, policy, 500).all()
    return rows, rows.next_state


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("world", [WORLD, CROSSED], ids=["at right angles", "crossed"])
def test_at_the_exact_guide_the_elbo_is_the_evidence_whatever_is_drawn(world: World, samples: int):
    """log p(F|s, a) + log π(a|s) − log q(a|s, F) is log p(F|s) for every action, so nothing is left to chance."""
    rows, future = rows_and_future(world, MU)
    spread = world.b @ torch.diag(PI.scale**2) @ world.b.T + torch.diag(world.noise**2)
    evidence = dist.MultivariateNormal(rows.state @ world.a.T + PI.mean(rows.state) @ world.b.T, spread)
    elbo = Elbo(samples)(*build(world, TrueGuide(world)), PI, rows, future)
    torch.testing.assert_close(elbo, evidence.log_prob(future).mean(), atol=1e-3, rtol=1e-4)


def test_at_the_exact_guide_wake_sleep_weighs_its_proposals_alike():
    rows, future = rows_and_future(WORLD, MU)
    torch.manual_seed(5)
    exact = WakeSleep(4)(*build(WORLD, TrueGuide(WORLD)), PI, rows, future)
    torch.manual_seed(5)
    q = build(WORLD, TrueGuide(WORLD))[1].posterior(PI, rows.state, future)
    torch.testing.assert_close(exact, q.log_prob(q.sample((4,))).mean(), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_the_guide_is_reached_by_a_continuous_objective(name: str):
    model, guide = build(WORLD, GaussianGuide, GaussianModel)
    rows, future = rows_and_future(WORLD, MU)
    loss = OBJECTIVES[name](model, guide, PI, rows, future)
    own = torch.autograd.grad(loss, list(guide.parameters()), retain_graph=True)
    others = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    assert all(bool((g != 0).any()) for g in own)
    assert all(g is None for g in others)
    assert all(p.requires_grad for p in model.parameters())


def test_the_elbo_takes_its_gradient_through_the_drawn_action():
    """Reparameterised: at an exact guide of the wrong mean it points at the posterior's mean with little noise."""
    world = scalar_world()
    pair = build(world, Constant, policy=scalar_policy())
    rows, _ = rows_and_future(world, scalar_policy())
    future = torch.full((500, 1), 1.5)  # the posterior is N(1, 1/3): slope (1 - 0) / (1/3) in the mean
    loss = Elbo()(*pair, scalar_policy(), rows, future)
    (gradient,) = torch.autograd.grad(loss, pair[1].program.center)
    assert float(gradient) == pytest.approx(3.0, abs=5 * 3 / sqrt(500))


class Constant(nn.Module):
    """q(a|s, F) = N(c, u²) whatever happens: misspecified wherever the future tells anything."""

    learning_rate = 0.05
    ignores_future = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.center, self.log_scale = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        same = self.center.expand(len(state), -1), self.log_scale.exp().expand(len(state), -1)
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.Normal(*same).to_event(1))


@cache
def constant(name: str, variance: float) -> tuple[Model, Guide]:
    world = scalar_world(1.0, variance)
    pair = build(world, Constant, policy=scalar_policy())
    fit(pair, OBJECTIVES[name], collect(world, scalar_policy(), 5_000), scalar_policy())
    return pair


@pytest.mark.slow
@pytest.mark.parametrize("variance", [0.5, 0.05])
def test_a_constant_guide_copies_the_models_precision_under_elbo_and_its_own_error_under_sleep(variance: float):
    """KL(q ‖ p) is least at the posterior's scale, KL(p ‖ q) at the marginal's, whatever the means are."""
    scales = [float(constant(name, variance)[1].program.log_scale.detach().exp()) for name in ("elbo", "sleep")]
    assert scales[0] == pytest.approx(sqrt(variance / (1 + variance)), rel=0.05)
    assert scales[1] == pytest.approx(1.0, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("variance", [0.5, 0.05])
def test_an_overconfident_guide_is_paid_far_less_than_nothing(variance: float):
    """With the model's scale the bound is I − ½(exp(2 I) − 1); with its own error in the scale it is 0."""
    world, state = scalar_world(1.0, variance), torch.zeros(100_000, 1)
    information = float(world.information(torch.ones(1)))
    predicted = information - 0.5 * (exp(2 * information) - 1)
    by_elbo, error = paid(constant("elbo", variance), scalar_policy(), state)
    by_sleep, other = paid(constant("sleep", variance), scalar_policy(), state)
    assert by_elbo == pytest.approx(predicted, abs=0.1 * abs(predicted) + 5 * error)
    assert abs(by_sleep) < 5 * other + 0.01
    assert by_elbo < by_sleep - 0.3


class Shortsighted(QuickGuide):
    """A network that does not see the state, in a world where the state moves the future more than the action."""

    def posterior(self, prior: dist.Independent, state: Tensor, future: Tensor) -> dist.Independent:
        return super().posterior(prior, torch.zeros_like(state), future)


@pytest.mark.slow
def test_a_network_that_sees_too_little_is_overconfident_under_elbo_and_not_under_sleep():
    world = World(WORLD.a, WORLD.b / 2, WORLD.noise / 4)
    replay, bounds = collect(world, MU), {}
    for name in ("elbo", "sleep"):
        pair = build(world, Shortsighted)
        fit(pair, OBJECTIVES[name], replay)
        bounds[name] = paid(pair, PI, states(30_000))[0]
    assert bounds["sleep"] > -0.05
    assert bounds["elbo"] < bounds["sleep"] - 2.0


@pytest.mark.slow
def test_independent_normals_lose_what_theory_says_where_the_posterior_is_correlated():
    """KL(p ‖ q) keeps the marginal deviations, KL(q ‖ p) the conditional ones, which are smaller."""
    precision = CROSSED.precision(PI)
    covariance = torch.linalg.inv(precision)
    own, told = covariance.diagonal(), precision.diagonal()
    best = 0.5 * float(own.log().sum() - torch.logdet(covariance))
    worse = 0.5 * float((told * own).sum() - 2 - told.log().sum() - torch.logdet(covariance))
    assert worse > 2 * best
    replay = collect(CROSSED, PI)
    for name, expected in (("sleep", best), ("elbo", worse)):
        pair = build(CROSSED, QuickGuide)
        fit(pair, OBJECTIVES[name], replay)
        assert slack(CROSSED, pair[1], PI) == pytest.approx(expected, rel=0.15)


ALPHA = 0.3
CURVATURE = torch.tensor([[1.0, 0.3], [0.3, 0.7]])


def quadratic(state: Tensor, action: Tensor) -> Tensor:
    """Q(s, u) = −½ (u − s)ᵀ H (u − s)."""
    away = action - state
    return -0.5 * (away @ CURVATURE * away).sum(-1)


def expected_quadratic(state: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    return quadratic(state, mean) - 0.5 * (CURVATURE.diagonal() * scale**2).sum(-1)


def linear_policy() -> GaussianPolicy:
    """A network without hidden layers, away from where it starts."""
    policy = GaussianPolicy(WORLD.spec.state_space, WORLD.spec.action_space, ())
    with torch.no_grad():
        policy.net[0].weight.normal_(0, 0.2)
        policy.net[0].bias.copy_(torch.tensor([0.4, -0.2, -0.3, 0.1]))
    return policy


def improvement_loss(policy: GaussianPolicy, reward: Imagined, state: Tensor) -> Tensor:
    chosen = sample_actions(policy(state))
    bonus = reward.bonus(detached(policy), state, chosen)
    q = quadratic(state, chosen.action).reshape(len(state), -1)
    return policy.loss(chosen, q, bonus, ALPHA)


def gradient(loss: Tensor, policy: GaussianPolicy) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(policy.parameters()))])


@pytest.mark.parametrize("world", [WORLD, CROSSED], ids=["at right angles", "crossed"])
def test_the_improvement_follows_the_gradient_of_information_and_value(world: World):
    """At the exact posterior the gradient through action, future and guide is that of α I + E Q (the envelope)."""
    policy, state = linear_policy(), states(500)
    mean, log_scale = policy.net(state).chunk(2, -1)
    objective = ALPHA * world.information(log_scale.exp()) + expected_quadratic(state, mean, log_scale.exp())
    exact = gradient(-objective.mean(), policy)
    reward = Imagined(*build(world, TrueGuide(world)), samples=1)
    drawn = torch.stack([gradient(improvement_loss(policy, reward, state), policy) for _ in range(200)])
    error = drawn.std(0) / sqrt(len(drawn))
    assert float(((drawn.mean(0) - exact).abs() / error).max()) < 5.0
    assert float(error.max()) < 0.1 * float(exact.abs().max())


def test_without_the_path_through_the_guide_the_gradient_would_be_another():
    """The guard of the test above: it would notice if futures or guide were cut off from the action."""
    policy, state = linear_policy(), states(500)
    with_information = gradient(ALPHA * WORLD.information(policy(state).stddev).mean(), policy)
    with_entropy = gradient(ALPHA * policy(state).entropy().mean(), policy)
    assert float((with_information - with_entropy).abs().max()) > 0.05


def test_the_policy_settles_where_information_and_value_balance():
    """With Q = −½ h u² and F = b u + N(0, τ²) the best variance is α/h − τ²/b²."""
    world = scalar_world(1.0, 0.5)
    policy = GaussianPolicy(world.spec.state_space, world.spec.action_space, ())
    reward = Imagined(*build(world, TrueGuide(world), policy=scalar_policy()), samples=1)
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, 300)
    state = torch.zeros(512, 1)
    for _ in range(300):
        chosen = sample_actions(policy(state))
        q = -0.5 * 0.2 * chosen.action.square()
        loss = policy.loss(chosen, q, reward.bonus(detached(policy), state, chosen), ALPHA)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    assert float(policy(state).variance[0, 0].detach()) == pytest.approx(ALPHA / 0.2 - 0.5, rel=0.1)
    assert float(policy(state).mean[0, 0].detach()) == pytest.approx(0.0, abs=0.1)


def test_with_a_uniform_guide_the_loss_and_its_gradient_are_soft_actor_critics():
    """α log π(tanh u) − Q over the box [−1, 1]², up to the constant α log vol."""
    policy, state = linear_policy(), states(300)
    reward = Imagined(*build(WORLD, UniformGuide), samples=1)
    torch.manual_seed(3)
    own = improvement_loss(policy, reward, state)
    torch.manual_seed(3)
    normal = policy(state).base_dist
    squashed = torch.distributions.TransformedDistribution(
        torch.distributions.Normal(normal.loc, normal.scale), [torch.distributions.TanhTransform(cache_size=1)]
    )
    action = squashed.rsample()
    q = quadratic(state, action.atanh())
    theirs = (ALPHA * squashed.log_prob(action).sum(-1) - q).mean()
    torch.testing.assert_close(own - theirs, torch.tensor(ALPHA * log(4.0)), atol=1e-4, rtol=0)
    torch.testing.assert_close(gradient(own, policy), gradient(theirs, policy), atol=1e-3, rtol=1e-3)


def test_the_true_model_and_guide_have_no_parameters():
    assert not [parameter for program in build(WORLD, TrueGuide(WORLD)) for parameter in program.parameters()]
