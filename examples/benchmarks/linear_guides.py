"""Which objective should fit a guide of continuous actions? Five seeds, against a posterior in closed form.

    python examples/benchmarks/linear_guides.py                  # about five minutes on one core

World: F = A s + B u + noise with normal s, noise and policy, so that posterior and mutual information are closed forms.
The model is the true channel and does not learn. A `GaussianGuide`, one hidden layer of 32, is fitted to 20,000
transitions that another policy took, 400 steps of Adam whose step size falls from 0.02 to 0. Two tables, seed by seed:

    sighted   A and B as they are: the guide can hold the posterior; E KL(p_π ‖ q), nats, at the end
    blind     B/2 and a quarter of the noise: the future tells more of the action, and the guide cannot see the state,
              which moves the future more than the action does; the bound (theory, equation 3) that it reads, nats

KL(p_π ‖ q) is that of theory, section 3. Rows already in the CSV file are not run again.
"""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from kept import Kept, command_line
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.guides import GaussianGuide
from gio_pyro.inference import OBJECTIVES, Inference, Objective
from gio_pyro.programs import Guide, build_guide, build_model, without_validation
from gio_pyro.types import Policy, Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "linear_guides.csv"
NAMES = ("sleep", "wake_sleep", "elbo", "forward_kl")
KEYS = ("guide", "objective", "seed")
ROWS, READ, STEPS, BATCH = 20_000, 20_000, 400, 256


@dataclass(frozen=True)
class World:
    """F = A s + B u + N(0, τ² 1), two numbers each, and the policies of who is judged and of who collected."""

    a: Tensor
    """`[2, 2]`."""
    b: Tensor
    """`[2, 2]`."""
    noise: float
    """Standard deviation τ."""

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p(F|s, u), `[B]` of event shape `[2]`."""
        return dist.Normal(state @ self.a.T + action @ self.b.T, self.noise).to_event(1)

    def posterior(self, prior: dist.Independent, state: Tensor, future: Tensor) -> MultivariateNormal:
        """Return p_π(u|s, F) of a policy of independent normals."""
        own = prior.base_dist
        precision = torch.diag_embed(own.scale**-2) + self.b.T @ self.b / self.noise**2
        information = own.loc / own.scale**2 + (future - state @ self.a.T) @ self.b / self.noise**2
        return MultivariateNormal(torch.linalg.solve(precision, information), precision_matrix=precision)

    @property
    def information(self) -> float:
        """I(F; u | s) of the policy that is judged, nats, the same in every state."""
        spread = self.b @ torch.diag(PI.scale**2) @ self.b.T / self.noise**2
        return 0.5 * float(torch.logdet(torch.eye(2) + spread))


@dataclass(frozen=True)
class LinearPolicy:
    """u ~ N(G s + g, diag(σ²))."""

    gain: Tensor
    bias: Tensor
    scale: Tensor

    def __call__(self, state: Tensor) -> dist.Independent:
        """Return π(·|s), `[B]` of event shape `[2]`."""
        return dist.Normal(state @ self.gain.T + self.bias, self.scale.expand(len(state), -1)).to_event(1)


PI = LinearPolicy(torch.tensor([[0.3, 0.0], [0.0, -0.3]]), torch.tensor([0.3, 0.0]), torch.tensor([0.7, 0.9]))
MU = LinearPolicy(torch.tensor([[-0.2, 0.2], [0.1, 0.0]]), torch.tensor([-0.3, 0.2]), torch.tensor([1.1, 1.2]))
A, B = torch.tensor([[0.9, 0.1], [-0.1, 0.9]]), torch.tensor([[0.6, -0.4], [0.6, 0.4]])
SPACE = Box(-float("inf"), float("inf"), (2,))
SPEC = Spec(SPACE, SPACE, SPACE, hidden=(32,))


class Sighted(GaussianGuide):
    """The default guide, in a hurry."""

    learning_rate = 0.02


class Blind(Sighted):
    """The same, without the state."""

    def posterior(self, prior: dist.Independent, state: Tensor, future: Tensor) -> dist.Independent:
        """Return q(·|0, F)."""
        return super().posterior(prior, torch.zeros_like(state), future)


GUIDES = {"sighted": (Sighted, World(A, B, 0.4)), "blind": (Blind, World(A, B / 2, 0.1))}


class TrueModel(nn.Module):
    """The program that knows the world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future", `[B, 2]` each."""
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.world.outcome(state, action), obs=future)


def main() -> int:
    """Run what is missing and print the tables; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for guide in GUIDES:
        for name in NAMES:
            for seed in range(options.seeds):
                if (guide, name, seed) not in kept:
                    kept.add([run(guide, name, seed, options.steps)])
    print("\n".join(table(kept)))
    return 0


def run(guide: str, name: str, seed: int, steps: int) -> dict[str, object]:
    """Fit once and return the row."""
    kind, world = GUIDES[guide]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fitted = fit(kind, world, OBJECTIVES[name](1), steps)
        torch.manual_seed(1_000 + seed)
        slack, bound = read(fitted, world)
    row = {"guide": guide, "objective": name, "seed": seed, "steps": steps}
    return row | {"information": world.information, "slack": slack, "bound": bound}


def fit(kind: type, world: World, objective: Objective, steps: int) -> Guide:
    """Return a guide fitted to what `MU` collected, for the policy `PI`."""
    replay, first = collected(world), torch.zeros(1, 2)
    model = build_model(TrueModel(world), SPEC, PI, first)
    guide = build_guide(kind, SPEC, model, PI, first)
    rows = replay.all()
    guide.observe(rows.state, rows.action, rows.next_state)
    inference = Inference(model, guide, objective, learning_rate=0.01)
    assert inference.optimiser is not None
    schedule = torch.optim.lr_scheduler.LinearLR(inference.optimiser, 1.0, 0.0, steps)
    with without_validation():
        for _ in range(steps):
            batch = replay.sample(BATCH)
            inference.step(PI, batch, batch.next_state)
            schedule.step()
    return guide


def collected(world: World) -> Replay:
    """Return independent transitions of `MU`."""
    state = torch.randn(ROWS, 2)
    taken = MU(state)
    action = taken.sample()
    zeros, no = torch.zeros(ROWS), torch.zeros(ROWS, dtype=torch.bool)
    replay = Replay(ROWS)
    future = world.outcome(state, action).sample()
    replay.add(Transitions(state, action, zeros, future, no, no, taken.log_prob(action), torch.ones(ROWS)))
    return replay


@torch.no_grad()
def read(guide: Guide, world: World) -> tuple[float, float]:
    """Return E KL(p_π ‖ q) and the bound E[ log q − log π ], nats, on fresh states of the true world."""
    state = torch.randn(READ, 2)
    prior = PI(state)
    action = prior.sample()
    future = world.outcome(state, action).sample()
    q = guide.posterior(PI, state, future)
    own = MultivariateNormal(q.base_dist.loc, scale_tril=torch.diag_embed(q.base_dist.scale))
    slack = kl_divergence(world.posterior(prior, state, future), own).mean()
    return float(slack), float((q.log_prob(action) - prior.log_prob(action)).mean())


def table(kept: Kept) -> list[str]:
    """Return both figures as Markdown: the median, and in brackets every seed."""
    lines = [
        "| objective | KL(p_π‖q), guide that sees | bound of a guide that cannot see the state |",
        "|---|---|---|",
    ]
    for name in NAMES:
        slack = kept.numbers("slack", guide="sighted", objective=name)
        bound = kept.numbers("bound", guide="blind", objective=name)
        lines.append(f"| `{name}` | {updated(slack, '.3f')} | {updated(bound, '+.2f')} |")
    return lines


def updated(values: list[float], form: str) -> str:
    """Return the median and all values as text."""
    return f"{statistics.median(values):{form}} ({', '.join(f'{value:{form}}' for value in values)})"


if __name__ == "__main__":
    sys.exit(main())
