"""Every program of the library under Pyro's batch dimensions to the left: vectorised particles and enumeration."""

from typing import Any

import pyro
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pyro import poutine
from pyro.infer import ReweightedWakeSleep, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from torch import Tensor

from gio_pyro import guides, models
from gio_pyro.inference import pyro_pair
from gio_pyro.programs import Guide, Model, build_guide, build_model, example, without_validation
from gio_pyro.programs.check_batch import ExampleBatch
from tests.spaces import FITTING_GUIDES, FITTING_MODELS, GUIDES, KINDS

PARTICLES = 3


def built(kind: str, model: str, guide: str) -> tuple[Model, Guide, ExampleBatch]:
    torch.manual_seed(0)
    spec = KINDS[kind]
    batch = ExampleBatch.of(spec)
    first = example(spec.state_space, torch.device("cpu"))
    p = build_model(getattr(models, model), spec, batch.policy, first, trusted=True)
    q = build_guide(getattr(guides, guide), spec, p, batch.policy, first, trusted=True)
    for program in (p, q):
        program.observe(batch.state, batch.action, batch.future)
    # a triangle of 147 rows with larger entries is singular in single precision: its scores would differ by any amount
    noise = 0.01 if (kind, model) == ("image, discrete", "FullGaussianModel") else 0.1
    with torch.no_grad():
        for parameter in (*p.parameters(), *q.parameters()):
            parameter += noise * torch.randn_like(parameter)
    return p, q, batch


def bounds(kind: str, model: str, guide: str) -> None:
    """Scores of K actions at once are those of each on its own, also where they are enumerated; the ELBOs run."""
    p, q, batch = built(kind, model, guide)
    run = batch.policy, batch.state, batch.future
    action = torch.stack([batch.policy(batch.state).sample() for _ in range(PARTICLES)])
    future = torch.stack([p.future(batch.policy, batch.state, each).sample() for each in action])
    model_fn, guide_fn = pyro_pair(p, q)

    def wide(fn: Any, *args: Any, **data: Tensor) -> dict[str, Tensor]:
        with pyro.plate("particles", PARTICLES, dim=-2), poutine.block():
            trace = poutine.trace(poutine.condition(fn, data)).get_trace(*args)
        trace.compute_log_prob()
        return {name: trace.nodes[name]["log_prob"] for name in data}

    with without_validation(), torch.no_grad():
        found = wide(model_fn, *run[:2], None, action=action, future=future)["future"]
        each = torch.stack([p.log_prob(batch.policy, batch.state, a, f) for a, f in zip(action, future, strict=True)])
        torch.testing.assert_close(found, each, rtol=1e-3, atol=1e-4)
        found = wide(guide_fn, *run, action=action)["action"]
        each = torch.stack([q.log_prob(*run, a) for a in action])
        torch.testing.assert_close(found, each, rtol=1e-3, atol=1e-4)
        # futures drawn by the model, as in the sleep phase
        found = wide(guide_fn, *run[:2], future, action=action)["action"]
        each = torch.stack([q.log_prob(batch.policy, batch.state, f, a) for a, f in zip(action, future, strict=True)])
        torch.testing.assert_close(found, each, rtol=1e-3, atol=1e-4)
    for elbo in (
        Trace_ELBO(num_particles=PARTICLES, vectorize_particles=True),
        ReweightedWakeSleep(num_particles=PARTICLES, insomnia=0.5),
    ):
        with without_validation(), torch.no_grad():
            losses = elbo.loss(model_fn, guide_fn, *run)
        assert bool(torch.as_tensor(losses).isfinite().all())
    if isinstance(KINDS[kind].action_space, Discrete):
        with without_validation(), torch.no_grad():
            loss = TraceEnum_ELBO(max_plate_nesting=1).loss(model_fn, config_enumerate(guide_fn), *run)
            every = [torch.full_like(batch.action, a) for a in range(int(KINDS[kind].action_space.n))]
            log_q = torch.stack([q.log_prob(*run, a) for a in every])
            log_p = torch.stack([p.log_prob(*run[:2], a, batch.future) for a in every])
            log_pi = torch.stack([batch.policy(batch.state).log_prob(a) for a in every])
            exact = (log_q.exp() * (log_p + log_pi - log_q)).sum()
        assert loss == pytest.approx(-float(exact), rel=1e-4)


LATENT = ("BayesianModel", "RegimeModel", "VariationalModel")
"""Models whose "future" is not p(F|s, a) in one run, since it depends on latent sites."""


@pytest.mark.parametrize(("kind", "model"), [(k, m) for k, m in FITTING_MODELS if m not in LATENT])
def test_models(kind: str, model: str):
    bounds(kind, model, GUIDES[kind][-1] if isinstance(KINDS[kind].action_space, Box) else "CategoricalNetworkGuide")


@pytest.mark.parametrize(("kind", "model", "guide"), FITTING_GUIDES)
def test_guides(kind: str, model: str, guide: str):
    bounds(kind, model, guide)


@pytest.mark.parametrize(("kind", "model"), [(k, m) for k, m in FITTING_MODELS if m in LATENT])
def test_models_with_latent_sites(kind: str, model: str):
    """One run for K draws is K runs; the vectorised ELBO runs."""
    p, q, batch = built(kind, model, GUIDES[kind][-1])
    run = batch.policy, batch.state, batch.future
    with torch.no_grad():
        found = p.log_prob(batch.policy, batch.state, batch.action, batch.future)
        assert p.latents is not None
        assert p.latents.vectorised
        p.latents.vectorised = p.latents.vectorised_draws = False
        each = p.log_prob(batch.policy, batch.state, batch.action, batch.future)
    torch.testing.assert_close(found, each, rtol=1e-3, atol=1e-4)
    with without_validation(), torch.no_grad():
        loss = Trace_ELBO(num_particles=PARTICLES, vectorize_particles=True).loss(*pyro_pair(p, q), *run)
    assert bool(torch.as_tensor(loss).isfinite().all())
