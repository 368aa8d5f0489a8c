"""A continuous world in closed form: F = A s + B u + noise, with normal policies, so that (2) and (3) are known.

State s `[k]`, action u `[d]` (the site, before any squash), future F `[f]`, all real. The policy is linear and normal,
u ~ N(G s + g, diag(σ²)), the noise normal with deviations τ `[f]`. Then the posterior of an action is normal,

    precision  Λ = diag(1/σ²) + Bᵀ diag(1/τ²) B
    mean       Λ⁻¹ ( m(s)/σ² + Bᵀ diag(1/τ²) (F − A s) )

and I(F; u | s) = ½ log det( 1 + diag(1/τ) B diag(σ²) Bᵀ diag(1/τ) ) in every state.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.inference import Inference, Objective
from gio_pyro.programs import Guide, Model, build_guide, build_model, without_validation
from gio_pyro.types import Policy, Spec, Transitions

HIDDEN = (32,)


@dataclass(frozen=True)
class LinearPolicy:
    """u ~ N(G s + g, diag(σ²))."""

    gain: Tensor
    """`[d, k]`."""
    bias: Tensor
    """`[d]`."""
    scale: Tensor
    """`[d]`."""

    def mean(self, state: Tensor) -> Tensor:
        return state @ self.gain.T + self.bias

    def __call__(self, state: Tensor) -> dist.Independent:
        return dist.Normal(self.mean(state), self.scale.expand(len(state), -1)).to_event(1)


@dataclass(frozen=True)
class World:
    """F = A s + B u + N(0, diag(τ²))."""

    a: Tensor
    """`[f, k]`."""
    b: Tensor
    """`[f, d]`."""
    noise: Tensor
    """`[f]`, standard deviations."""

    @property
    def spec(self) -> Spec:
        return Spec(box(self.a.shape[1]), box(self.b.shape[1]), box(len(self.noise)), hidden=HIDDEN)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """p(F|s, u)."""
        mean = state @ self.a.T + action @ self.b.T
        return dist.Normal(mean, self.noise.expand_as(mean)).to_event(1)

    def precision(self, policy: LinearPolicy) -> Tensor:
        """Λ, `[d, d]`."""
        return torch.diag(policy.scale**-2) + self.b.T @ torch.diag(self.noise**-2) @ self.b

    def posterior(self, policy: LinearPolicy, state: Tensor, future: Tensor) -> dist.MultivariateNormal:
        """Equation (2)."""
        told = (future - state @ self.a.T) @ torch.diag(self.noise**-2) @ self.b
        covariance = torch.linalg.inv(self.precision(policy))
        mean = (policy.mean(state) / policy.scale**2 + told) @ covariance
        return dist.MultivariateNormal(mean, covariance.expand(len(state), -1, -1))

    def information(self, scale: Tensor) -> Tensor:
        """I(F; u | s) of a normal policy with deviations `scale` `[..., d]`, `[...]` nats."""
        told = self.b / self.noise[:, None] * scale[..., None, :]
        return 0.5 * torch.logdet(torch.eye(len(self.noise)) + told @ told.mT)


def box(size: int) -> Box:
    return Box(-np.inf, np.inf, (size,), dtype=np.float32)


def scalar_world(b: float = 1.0, variance: float = 0.5) -> World:
    """F = b u + N(0, variance) in one dimension, with a state that does nothing."""
    return World(torch.zeros(1, 1), torch.tensor([[b]]), torch.tensor([variance]).sqrt())


def scalar_policy(scale: float = 1.0) -> LinearPolicy:
    return LinearPolicy(torch.zeros(1, 1), torch.zeros(1), torch.tensor([scale]))


WORLD = World(
    torch.tensor([[0.9, 0.1], [-0.1, 0.9]]), torch.tensor([[0.6, -0.4], [0.6, 0.4]]), torch.tensor([0.4, 0.4])
)
"""Two actions whose effects are at right angles, so that the posterior is diagonal and `GaussianGuide` can hold it."""
CROSSED = World(WORLD.a, torch.tensor([[0.8, 0.6], [0.0, 0.2]]), torch.tensor([0.2, 0.2]))
"""Two actions whose effects are nearly the same: the posterior is far from diagonal."""
PI = LinearPolicy(torch.tensor([[0.3, 0.0], [0.0, -0.3]]), torch.tensor([0.3, 0.0]), torch.tensor([0.7, 0.9]))
MU = LinearPolicy(torch.tensor([[-0.2, 0.2], [0.1, 0.0]]), torch.tensor([-0.3, 0.2]), torch.tensor([1.1, 1.2]))
"""Who collects: another mean, and wider, so that importance weights π/μ are bounded."""


class TrueModel(nn.Module):
    """The program that knows the world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.world.outcome(state, action), obs=future)


class TrueGuide(nn.Module):
    """The program that knows the posterior of the policy that it is given."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def forward(self, policy: LinearPolicy, state: Tensor, future: Tensor) -> Any:
        prior = policy(state).base_dist
        inverse = self.world.noise**-2
        told = ((future - state @ self.world.a.T) * inverse) @ self.world.b
        precision = torch.diag_embed(prior.scale**-2) + (self.world.b.T * inverse) @ self.world.b
        mean = torch.linalg.solve(precision, prior.loc / prior.scale**2 + told)
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.MultivariateNormal(mean, precision_matrix=precision))


def states(count: int, world: World = WORLD) -> Tensor:
    return torch.randn(count, world.a.shape[1])


def collect(world: World, policy: LinearPolicy, count: int = 20_000, seed: int = 0) -> Replay:
    """Replay of independent transitions taken by `policy`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = states(count, world)
        taken = policy(state)
        action = taken.sample()
        future = world.outcome(state, action).sample()
    zeros, no = torch.zeros(count), torch.zeros(count, dtype=torch.bool)
    replay = Replay(count)
    replay.add(Transitions(state, action, zeros, future, no, no, taken.log_prob(action), torch.ones(count)))
    return replay


def build(world: World, guide: Any, model: Any = None, policy: LinearPolicy = PI, seed: int = 0) -> tuple[Model, Guide]:
    """A model (the true one by default) and a guide beside it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first = torch.zeros(1, world.a.shape[1])
        built = build_model(model or TrueModel(world), world.spec, policy, first)
        return built, build_guide(guide, world.spec, built, policy, first)


def fit(
    pair: tuple[Model, Guide],
    objective: Objective,
    replay: Replay,
    policy: LinearPolicy = PI,
    *,
    steps: int = 400,
    batch: int = 256,
    seed: int = 0,
) -> None:
    """Fit the pair with a step size that falls to zero."""
    model, guide = pair
    rows = replay.all()
    for program in pair:
        program.observe(rows.state, rows.action, rows.next_state)
    inference = Inference(model, guide, objective, learning_rate=0.01)
    assert inference.optimiser is not None
    schedule = torch.optim.lr_scheduler.LinearLR(inference.optimiser, 1.0, 0.0, steps)
    with torch.random.fork_rng(), without_validation():
        torch.manual_seed(seed)
        for _ in range(steps):
            drawn = replay.sample(batch)
            inference.step(policy, drawn, drawn.next_state)
            schedule.step()


def normal(distribution: Any) -> dist.MultivariateNormal:
    """Independent normals as one of many dimensions."""
    if isinstance(distribution, dist.MultivariateNormal):
        return distribution
    own = distribution.base_dist
    return dist.MultivariateNormal(own.loc, scale_tril=torch.diag_embed(own.scale))


@torch.no_grad()
def slack(world: World, guide: Guide, policy: LinearPolicy, *, of: LinearPolicy | None = None) -> float:
    """E KL(p(·|s,F) ‖ q(·|s,F)) over states and futures of `of` (`policy` itself), whose posterior p is; nats."""
    source = of or policy
    with torch.random.fork_rng():
        torch.manual_seed(99)
        state = states(20_000, world)
        future = world.outcome(state, source(state).sample()).sample()
    q = normal(guide.posterior(policy, state, future))
    exact = world.posterior(source, state, future)
    return float(torch.distributions.kl_divergence(exact, q).mean())


@torch.no_grad()
def model_error(world: World, model: Model, policy: LinearPolicy) -> float:
    """E KL(p(·|s,u) ‖ p_ψ(·|s,u)) over states and actions of `policy`, nats."""
    with torch.random.fork_rng():
        torch.manual_seed(98)
        state = states(20_000, world)
        action = policy(state).sample()
    exact = world.outcome(state, action)
    return float(torch.distributions.kl_divergence(exact, model.future(policy, state, action)).mean())
