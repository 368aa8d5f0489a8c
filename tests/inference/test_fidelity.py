"""The engine trains model and guide as `pyro.infer.SVI` does by hand, step for step.

By hand means the programs themselves, `pyro.module`, an optimiser of `pyro.optim` and `SVI(model, guide, optim,
loss).step(policy, state, future)`. SVI's losses are sums over the batch and the engine's are means, so its SGD has a
learning rate, and its Adam an ε, of another size.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.optim
import pytest
import torch
from pyro import poutine
from pyro.infer import ELBO, SVI, config_enumerate
from torch import Tensor, nn

from gio_pyro import guides, models
from gio_pyro.inference import (
    Elbo,
    Inference,
    Sleep,
    WakeSleep,
    WeightedTrajectoryElbo,
    objective_named,
    optim_from,
)
from gio_pyro.programs import Guide, Model, build_guide, build_model, detached, example
from gio_pyro.types import Policy, Transitions
from tests.slow import slow_but
from tests.spaces import KINDS

BATCH, STEPS = 16, 50
PAIRS = {
    "finite": ("CategoricalModel", "CategoricalGuide"),
    "vector, discrete": ("GaussianModel", "CategoricalNetworkGuide"),
    "vector, continuous": ("GaussianModel", "GaussianGuide"),
}


@dataclass
class World:
    """A pair of programs, and batches of transitions of a fixed policy."""

    policy: Policy
    model: Model
    guide: Guide

    def batch(self, number: int) -> tuple[Transitions, Tensor]:
        """Return random transitions and futures."""
        g = torch.Generator().manual_seed(number)
        if isinstance(self.model.program, models.CategoricalModel):
            state, future = torch.randint(4, (BATCH,), generator=g), torch.randint(5, (BATCH,), generator=g)
        else:
            state, future = torch.randn(2, BATCH, 3, generator=g).unbind(0)
        with torch.random.fork_rng():
            torch.manual_seed(number)
            action = self.policy(state).sample()
        no, zeros = torch.zeros(BATCH, dtype=torch.bool), torch.zeros(BATCH)
        return Transitions(state, action, zeros, state, no, no, zeros, zeros + 1), future


def world_of(kind: str) -> World:
    torch.manual_seed(0)
    spec, table = KINDS[kind], torch.randn(4, 4)

    def policy(state: Tensor) -> Any:
        x = table[state] if state.ndim == 1 else state @ table[:3]
        if kind == "vector, continuous":
            return dist.Normal(x[:, :2], x[:, 2:].tanh().exp()).to_event(1)
        return dist.Categorical(logits=x[:, :3])

    model_name, guide_name = PAIRS[kind]
    first = example(spec.state_space, torch.device("cpu"))
    model = build_model(getattr(models, model_name), spec, policy, first)
    guide = build_guide(getattr(guides, guide_name), spec, model, policy, first)
    with torch.no_grad():
        for parameter in (*model.parameters(), *guide.parameters()):
            parameter += 0.1 * torch.randn_like(parameter)
    return World(policy, model, guide)


class Watched(pyro.optim.PyroOptim):
    """An optimiser that keeps the gradients of its last step."""

    gradients: dict[Any, Tensor]

    def __call__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.gradients = {p: p.grad.clone() for p in params if p.grad is not None}
        super().__call__(params, *args, **kwargs)


@dataclass
class ByHand:
    """The same programs under plain Pyro."""

    model: nn.Module
    guide: nn.Module
    elbo: ELBO
    enumerated: bool
    optim: Callable[[], Watched]

    def __post_init__(self) -> None:
        guide = config_enumerate(self.run_guide) if self.enumerated else self.run_guide
        self.both = SVI(self.run_model, guide, self.optim(), loss=self.elbo)
        self.of_guide = SVI(poutine.block(self.run_model, hide_types=["param"]), guide, self.optim(), loss=self.elbo)
        self.of_model = SVI(self.run_observed, lambda *args: None, self.optim(), loss=pyro.infer.Trace_ELBO())

    def run_model(self, policy: Policy, state: Tensor, future: Tensor, observations: Any = None) -> Any:
        pyro.module("model", self.model)
        return self.model(policy, state, future)

    def run_guide(self, policy: Policy, state: Tensor, future: Tensor, observations: Any = None) -> Any:
        pyro.module("guide", self.guide)
        return self.guide(policy, state, observations["future"] if observations else future)

    def run_observed(self, policy: Policy, state: Tensor, future: Tensor, action: Tensor) -> Any:
        return poutine.condition(self.run_model, data={"action": action})(policy, state, future)

    def step(self, training: str, policy: Policy, batch: Transitions, future: Tensor) -> dict[str, float]:
        """Take a step of SVI, or of two of them; return the losses, sums over the batch."""
        run = policy, batch.state, future
        if training == "svi":
            return {"guide": _total(self.both.step(*run), joint=True)}
        found = {}
        for name in ("guide", "model") if training == "joint" else ("model", "guide"):
            if name == "model":
                found["model"] = self.of_model.step(*run, batch.action)
            else:
                found["guide"] = _total(self.of_guide.step(*run), joint=False)
                self.model.zero_grad()  # the model is not trained here
        return found

    def gradients(self, training: str) -> dict[Any, Tensor]:
        """Return the gradients of the last step."""
        parts = (self.both,) if training == "svi" else (self.of_guide, self.of_model)
        return {p: g for part in parts for p, g in part.optim.gradients.items()}


def _total(loss: Any, *, joint: bool) -> float:
    """`ReweightedWakeSleep` returns a loss of the model and one of the guide."""
    return float(sum(loss) if joint else loss[1]) if isinstance(loss, tuple) else float(loss)


@contextmanager
def own_store() -> Iterator[None]:
    with pyro.get_param_store().scope({"params": {}, "constraints": {}}):
        yield


OPTIMISERS = {
    "SGD": ("SGD(lr=0.05, momentum=0.9)", torch.optim.SGD, {"lr": 0.05 / BATCH, "momentum": 0.9}),
    "ClippedAdam": (
        "ClippedAdam(lr=0.003, lrd=0.99, clip_norm=0.05)",
        pyro.optim.clipped_adam.ClippedAdam,
        {"lr": 0.003, "lrd": 0.99, "clip_norm": 0.05 * BATCH, "eps": 1e-8 * BATCH},
    ),
}
FINITE = [
    "Trace_ELBO",
    "TraceEnum_ELBO",
    "TraceGraph_ELBO",
    "Trace_ELBO(num_particles=3, vectorize_particles=True)",
    "RenyiELBO(alpha=0.5, num_particles=3)",
    "ReweightedWakeSleep(num_particles=3, insomnia=0.5)",
]
CONTINUOUS = [
    "Trace_ELBO",
    "TraceMeanField_ELBO",
    "TraceGraph_ELBO(num_particles=2)",
    "RenyiELBO(num_particles=3, vectorize_particles=True)",
    "ReweightedWakeSleep(num_particles=3, vectorize_particles=False)",
]
CASES = [
    *(("finite", text, "svi", "SGD") for text in FINITE),
    *(("vector, discrete", text, "svi", "ClippedAdam") for text in FINITE),
    *(("vector, continuous", text, "svi", "SGD") for text in CONTINUOUS),
    *(
        (kind, text, training, "ClippedAdam")
        for kind, text in (
            ("finite", "TraceEnum_ELBO"),
            ("vector, discrete", "Trace_ELBO"),
            ("vector, continuous", "Trace_ELBO"),
            ("vector, continuous", "ReweightedWakeSleep(num_particles=3)"),
        )
        for training in ("joint", "alternating")
    ),
]
QUICK = [
    ("finite", "TraceEnum_ELBO", "joint", "ClippedAdam"),
    ("vector, discrete", "TraceEnum_ELBO", "svi", "ClippedAdam"),
    ("vector, continuous", "Trace_ELBO", "svi", "SGD"),
    ("vector, continuous", "Trace_ELBO", "alternating", "ClippedAdam"),
]


@pytest.mark.parametrize("case", slow_but(CASES, *QUICK), ids=str)
def test_steps_are_those_of_svi(case: tuple[str, str, str, str]):
    kind, text, training, optimiser = case
    world = world_of(kind)
    own, constructor, arguments = OPTIMISERS[optimiser]
    objective = objective_named(text)
    inference = Inference(
        world.model, world.guide, objective, learning_rate=0.1, optim=optim_from(own), training=training
    )
    elbo = copy.deepcopy(objective.elbo)
    elbo.max_plate_nesting = 2 if elbo.vectorize_particles and elbo.num_particles > 1 else 1  # guessing would draw
    hand = ByHand(
        copy.deepcopy(world.model.program),
        copy.deepcopy(world.guide.program),
        elbo,
        enumerated=text.startswith("TraceEnum"),
        optim=lambda: Watched(constructor, arguments),
    )
    pairs = [
        *zip(world.model.parameters(), hand.model.parameters(), strict=True),
        *zip(world.guide.parameters(), hand.guide.parameters(), strict=True),
    ]
    with own_store():
        for number in range(STEPS):
            batch, future = world.batch(number)
            torch.manual_seed(number)
            figures = inference.step(world.policy, batch, future)
            torch.manual_seed(number)
            losses = hand.step(training, detached(world.policy), batch, future)
            assert float(figures["guide_nats"]) == pytest.approx(-losses["guide"] / BATCH, rel=1e-4, abs=1e-5)
            if training != "svi":
                log_pi = world.policy(batch.state).log_prob(batch.action).mean()
                expected = -losses["model"] / BATCH - float(log_pi)
                assert float(figures["dynamics_nats"]) == pytest.approx(expected, rel=1e-4, abs=1e-5)
            gradients = hand.gradients(training)
            for mine, theirs in pairs:
                clip = 0.05 if optimiser == "ClippedAdam" else torch.inf
                found = gradients.get(theirs, torch.zeros_like(theirs)) / BATCH
                torch.testing.assert_close(mine.grad, found.clamp(-clip, clip), rtol=2e-3, atol=2e-5)
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-5)


def test_the_weighted_bound_of_one_step_is_renyis():
    world = world_of("vector, continuous")
    batch, future = world.batch(0)
    renyi = objective_named("RenyiELBO(num_particles=5, vectorize_particles=True)")
    require_same(WeightedTrajectoryElbo(steps=1, particles=5), renyi, world, batch, future)


def value_and_gradients(objective: Any, world: World, batch: Transitions, future: Tensor) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    value = objective(world.model, world.guide, detached(world.policy), batch, future)
    parameters = list(world.guide.parameters())
    return value.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters)])


def require_same(first: Any, second: Any, world: World, batch: Transitions, future: Tensor, tol: float = 1e-5) -> None:
    for a, b in zip(
        value_and_gradients(first, world, batch, future),
        value_and_gradients(second, world, batch, future),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=tol)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("weighted", [False, True])
def test_elbo_is_pyros(kind: str, weighted: bool):
    """TraceEnum_ELBO for finite actions, Trace_ELBO for reparameterised ones, also where rows have weights."""
    world = world_of(kind)
    batch, future = world.batch(0)
    if weighted:
        batch = Transitions(*batch.tensors()[:7], torch.randint(1, 5, (BATCH,)).float())
    name = "Trace_ELBO" if kind == "vector, continuous" else "TraceEnum_ELBO"
    require_same(Elbo(), objective_named(name), world, batch, future)


def test_weighted_rows_are_copies_for_every_elbo():
    world = world_of("finite")
    batch, future = world.batch(0)
    weight = torch.randint(1, 5, (BATCH,))
    merged = Transitions(*batch.tensors()[:7], weight.float())
    rows = torch.arange(BATCH).repeat_interleave(weight)
    for text in ("TraceEnum_ELBO", "RenyiELBO(alpha=0.5)", "ReweightedWakeSleep"):
        objective = objective_named(text)
        value = value_and_gradients(objective, world, merged, future)
        torch.testing.assert_close(value, value_and_gradients(objective, world, batch[rows], future[rows]))
    for name in ("Trace_ELBO", "TraceGraph_ELBO"):  # unbiased estimates
        sampled = objective_named(f"{name}(num_particles=40_000, vectorize_particles=True)")
        (value, gradient), (exact, expected) = (
            value_and_gradients(o, world, merged, future) for o in (sampled, objective_named("TraceEnum_ELBO"))
        )
        assert float(value) == pytest.approx(float(exact), abs=0.02)
        assert float((gradient - expected).norm()) < 0.1 * float(expected.norm())


def test_sleep_is_the_sleep_phase_of_reweighted_wake_sleep():
    """Exactly where actions and futures are drawn; where they are enumerated, what its mean converges to."""
    pure = "ReweightedWakeSleep(insomnia=0.0, model_has_params=False, num_sleep_particles={})"
    world = world_of("vector, continuous")
    require_same(Sleep(1), objective_named(pure.format(1)), world, *world.batch(0))
    world = world_of("finite")
    (value, gradient), (exact, expected) = (
        value_and_gradients(o, world, *world.batch(0)) for o in (objective_named(pure.format(40_000)), Sleep())
    )
    assert float(value) == pytest.approx(float(exact), abs=0.02)
    assert float((gradient - expected).norm()) < 0.1 * float(expected.norm())


def test_wake_sleep_is_the_wake_phase_of_the_guide_of_each_example():
    """Pyro weights particles over the whole batch; with one example that is what this library does for each."""
    world = world_of("vector, continuous")
    batch, future = world.batch(0)
    for row in range(3):
        one = slice(row, row + 1)
        require_same(
            WakeSleep(4), objective_named("ReweightedWakeSleep(num_particles=4)"), world, batch[one], future[one]
        )
