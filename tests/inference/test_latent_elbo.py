"""ELBOs of Pyro on pairs with latent sites, against closed forms and plain Pyro."""

import copy
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO
from torch import Tensor

from gio_pyro.errors import InputError, ProgramError
from gio_pyro.guides import GaussianGuide
from gio_pyro.inference import Inference, objective_named
from gio_pyro.inference.pyro_elbo import PyroElbo
from gio_pyro.programs import build_guide, build_model, without_validation
from gio_pyro.types import Policy, Transitions
from tests.programs.latent_worlds import SPEC, GuidedFactorAnalysis, LinearRegression, Regimes, batch, policy


def pair(program: Any, guide: Any = GaussianGuide) -> tuple[Any, Any]:
    state = torch.zeros(1, 2)
    model = build_model(program, SPEC, policy, state)
    return model, build_guide(guide, SPEC, model, policy, state)


def rows(state: Tensor, action: Tensor, future: Tensor) -> Transitions:
    zeros = torch.zeros(len(state))
    no = zeros.bool()
    return Transitions(state, action, zeros, future, no, no, zeros, zeros + 1)


def test_the_dynamics_term_of_trace_elbo_is_the_exact_density_where_the_guide_is_exact():
    state, action, future = batch(20)
    model, guide = pair(GuidedFactorAnalysis)
    found = PyroElbo(Trace_ELBO()).dynamics(model, guide, policy, rows(state, action, future), future)
    torch.testing.assert_close(found, model.program.marginal(state, action).log_prob(future).mean())
    wanted = torch.autograd.grad(model.program.marginal(state, action).log_prob(future).mean(), model.program.effect)
    torch.testing.assert_close(torch.autograd.grad(found, model.program.effect), wanted)


def test_trace_enum_elbo_sums_out_a_finite_latent_that_no_guide_samples():
    state, action, future = batch(20)
    model, guide = pair(Regimes)
    found = PyroElbo(TraceEnum_ELBO()).dynamics(model, guide, policy, rows(state, action, future), future)
    torch.testing.assert_close(found, model.program.exact(state, action, future).mean())
    with pytest.raises(InputError, match=r'a guide of the latent site "regime" of .* for Trace_ELBO'):
        PyroElbo(Trace_ELBO()).dynamics(model, guide, policy, rows(state, action, future), future)


def test_shared_latents_count_once_for_all_examples():
    state, action, future = batch(5)
    model, guide = pair(type("Narrow", (LinearRegression,), {"start": 1e-4}))
    model.observe(*(x.repeat(10, 1) for x in (state, action, future)))
    with torch.no_grad():
        weight = model.latents.autoguide.locs.weight_unconstrained
    likelihood = dist.Normal(state + weight * action, 1.0).to_event(1).log_prob(future).mean()
    q, p = dist.Normal(weight, 1e-4).to_event(1), dist.Normal(torch.zeros(2), 1.0).to_event(1)
    kl = torch.distributions.kl_divergence(q, p)
    elbo = PyroElbo(Trace_ELBO(num_particles=20, vectorize_particles=True))
    found = elbo.dynamics(model, guide, policy, rows(state, action, future), future)
    torch.testing.assert_close(found, likelihood - kl / 50, atol=0.03, rtol=0)


@pytest.mark.parametrize("program", [GuidedFactorAnalysis, LinearRegression])
def test_the_engine_fits_the_model_as_a_loop_of_plain_pyro_with_the_action_observed(program: Any):
    model, guide = pair(program)
    twin, _ = copy.deepcopy((model, guide))
    inference = Inference(model, guide, PyroElbo(Trace_ELBO()), learning_rate=0.01, training="alternating")
    data = [batch(8) for _ in range(20)]
    total = 8 * len(data)
    for state, action, future in data:
        model.observe(state, action, future)

    def own_guides(state: Tensor, action: Tensor, future: Tensor) -> None:
        if program is LinearRegression:
            with pyro.poutine.scale(scale=8 / total):
                autoguide(policy, state)
        else:
            twin.program.latent_guide(state, action, future)

    def observed_model(state: Tensor, action: Tensor, future: Tensor) -> None:
        scales = {"weight": 8 / total}
        with Scaled(scales):
            poutine.condition(twin.program, {"action": action})(policy, state, future)

    losses = []
    autoguide = twin.latents.autoguide
    parameters = [p for p in twin.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(parameters, lr=0.01)
    for state, action, future in data:
        torch.manual_seed(3)
        with without_validation():
            figures = inference.step(policy, rows(state, action, future), future)
        torch.manual_seed(3)
        with pyro.settings.context(module_local_params=True), without_validation():
            loss = Trace_ELBO().differentiable_loss(observed_model, own_guides, state, action, future) / 8
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        log_pi = policy(state).log_prob(action).mean()
        losses.append((float(figures["dynamics_nats"]), float((-loss - log_pi).detach())))
    found, wanted = zip(*losses, strict=True)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), atol=1e-4, rtol=1e-4)
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-4)


class Scaled(poutine.messenger.Messenger):
    """Scales sites by name."""

    def __init__(self, scales: dict[str, float]) -> None:
        super().__init__()
        self.scales = scales

    def _pyro_sample(self, msg: Any) -> None:
        msg["scale"] = msg["scale"] * self.scales.get(msg["name"], 1.0)


ELBOS = [
    "Trace_ELBO(num_particles=2, vectorize_particles=True)",
    "TraceGraph_ELBO",
    "TraceMeanField_ELBO",
    "RenyiELBO(alpha=0.5, num_particles=3, vectorize_particles=True)",
    "ReweightedWakeSleep(num_particles=2)",
    "TraceTMC_ELBO(num_particles=2, vectorize_particles=True)",
]


@pytest.mark.parametrize(
    ("program", "objective"),
    [
        *((program, objective) for program in (GuidedFactorAnalysis, LinearRegression) for objective in ELBOS),
        (Regimes, "TraceEnum_ELBO(num_particles=2, vectorize_particles=True)"),
    ],
)
def test_every_elbo_fits_a_model_with_latents_and_its_guides(program: Any, objective: str):
    model, guide = pair(program)
    inference = Inference(model, guide, objective_named(objective), learning_rate=0.01)
    state, action, future = batch(8)
    model.observe(state, action, future)
    before = [p.detach().clone() for p in (*model.parameters(), *guide.parameters())]
    with without_validation():
        figures = inference.step(policy, rows(state, action, future), future)
    assert all(bool(value.isfinite()) for value in figures.values())
    after = [*model.parameters(), *guide.parameters()]
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_with_the_action_observed_there_may_be_nothing_to_enumerate():
    """Pyro would warn of it, though the model's term of the loss is no choice of the user."""
    model, guide = pair(GuidedFactorAnalysis)
    state, action, future = batch(4)
    given = (model, guide, policy, rows(state, action, future), future)
    torch.testing.assert_close(
        PyroElbo(TraceEnum_ELBO()).dynamics(*given), model.log_prob(policy, state, action, future).mean()
    )


class OneBatchDimension(GuidedFactorAnalysis):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            z = pyro.sample("z", dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1))
            mean = state + action @ self.effect.unsqueeze(0) + z.t().t() * self.loading
            return pyro.sample("future", dist.Normal(mean, self.sigma).to_event(1), obs=future)


@pytest.mark.parametrize(
    ("program", "objective", "says"),
    [
        (Regimes, "Trace_ELBO", "Expected a guide of the latent site"),
        (LinearRegression, "ReweightedWakeSleep(insomnia=0.5)", "without a sleep phase for LinearRegression"),
    ],
)
def test_a_pair_that_an_elbo_cannot_fit_is_refused_when_it_is_built(program: Any, objective: str, says: str):
    model, guide = pair(program)
    with pytest.raises(InputError, match=says) as raised:
        Inference(model, guide, objective_named(objective), learning_rate=0.01, action_space=SPEC.action_space)
    assert len(str(raised.value)) <= 300


def test_a_program_of_one_batch_dimension_is_named_where_particles_are_vectorised():
    model, guide = pair(OneBatchDimension)
    state, action, future = batch(4)
    elbo = objective_named("Trace_ELBO(num_particles=2, vectorize_particles=True)")
    with pytest.raises(ProgramError, match=r"OneBatchDimension and GaussianGuide to take batch dimensions to the left"):
        elbo(model, guide, policy, rows(state, action, future), future)
