"""Models with latent sites against worlds whose numbers are known.

    python examples/studies/latent_variables.py                   # about 8 minutes of one core

The action is a ~ N(0, 1), and u = tanh(a) is what the networks see; states do not matter in the first two worlds.

    two regimes          F = 2u or −u with probability 0.4 and 0.6, plus N(0, 0.5²)            RegimeModel
                                                                                               or VariationalModel
    factor analysis      F = (1.5, −1) u + (1, 0.7) z + N(0, 0.5²), z ~ N(0, 1)                VariationalModel
    linear regression    F = 0.8 u − 0.5 s + N(0, 0.5²), 10 examples, weights N(0, scale²)     BayesianModel

All are fitted by 2,000 steps of Adam, the first two to 256 fresh examples each, with a hidden layer of 32 units,
the third to ten examples, without hidden layers and with the right noise, by two autoguides that start at the scale of
the prior. Errors:

- log p: mean of log p(F|s, a) over 8,192 examples of the world, the model's less the true one. In linear regression the
  true one is the conjugate posterior predictive. The importance-weighted bound of `VariationalModel` errs downwards.
- information: I(A; F) under the model, less that of the world. The model's is the mean of
  log p̂(F|a) − log ∫ π p̂(F|a) over 8,192 futures of the model, the integral by 40 Gauss-Hermite nodes; the world's is
  the same with both integrals by quadrature.
- information gain: mean relative error over 200 new examples, against the divergence of the conjugate posterior after
  eleven examples from that after ten. `AutoNormal` has independent weights, the posterior does not.
"""

import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from kept import Kept, command_line
from pyro.infer.autoguide import AutoMultivariateNormal, AutoNormal
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from gio_pyro.models import BayesianModel, RegimeModel, VariationalModel
from gio_pyro.programs import Model, build_model, without_validation
from gio_pyro.types import Spec

RESULTS = Path(__file__).parent / "results" / "latent_variables.csv"
KEYS = ("world", "quantity", "seed")
HIDDEN, STEPS, BATCH, EXAMPLES, NODES = (32,), 2_000, 256, 8_192, 40
SEEN, SCALES = 10, (0.02, 1.0)
GUIDES: dict[str, Any] = {"AutoNormal": AutoNormal, "AutoMultivariateNormal": AutoMultivariateNormal}


class TwoRegimes:
    """F = 2u or −u, with noise."""

    size, model, share, noise = 1, RegimeModel, 0.4, 0.5

    def sample(self, action: Tensor) -> Tensor:
        """Return a future of each action, `[B, 1]`."""
        first = torch.rand_like(action) < self.share
        u = action.tanh()
        return torch.where(first, 2 * u, -u) + self.noise * torch.randn_like(action)

    def log_prob(self, action: Tensor, future: Tensor) -> Tensor:
        """Return log p(F|a), `[B]` nats."""
        u = action.tanh()
        each = [
            math.log(share) + Normal(mean, self.noise).log_prob(future)
            for share, mean in ((self.share, 2 * u), (1 - self.share, -u))
        ]
        return torch.logaddexp(*each).squeeze(-1)


class FactorAnalysis:
    """F = (1.5, −1) u + (1, 0.7) z, with noise."""

    size, model, noise = 2, VariationalModel, 0.5
    effect, loading = torch.tensor([1.5, -1.0]), torch.tensor([1.0, 0.7])

    def sample(self, action: Tensor) -> Tensor:
        """Return a future of each action, `[B, 2]`."""
        z = torch.randn(len(action), 1)
        return action.tanh() * self.effect + z * self.loading + self.noise * torch.randn(len(action), 2)

    def log_prob(self, action: Tensor, future: Tensor) -> Tensor:
        """Return log p(F|a), `[B]` nats."""
        covariance = torch.outer(self.loading, self.loading) + self.noise**2 * torch.eye(2)
        found: Tensor = MultivariateNormal(action.tanh() * self.effect, covariance).log_prob(future)
        return found


class TwoRegimesByCode(TwoRegimes):
    """The same world, for a model with a latent vector."""

    model = VariationalModel


WORLDS: dict[str, Any] = {
    "two regimes": TwoRegimes,
    "two regimes, VariationalModel": TwoRegimesByCode,
    "factor analysis": FactorAnalysis,
}
LogProb = Callable[[Tensor, Tensor], Tensor]
Row = dict[str, object]


def main() -> int:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, "one seed, a tenth of the steps", seeds=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps, seeds = (STEPS // 10, range(1)) if options.quick else (STEPS, range(options.seeds))
    kept = Kept(options.results, KEYS)
    for seed in seeds:
        for name in WORLDS:
            if (name, "log p", seed) not in kept:
                kept.add(marginal(name, seed, steps))
        for guide in GUIDES:
            for scale in SCALES:
                if (f"linear regression, scale {scale:g}, {guide}", "log p", seed) not in kept:
                    kept.add(regression(guide, scale, seed, steps))
    print(*table(kept), sep="\n")
    return 0


def marginal(name: str, seed: int, steps: int) -> list[Row]:
    """Fit a model to a world without states, and return the errors of log p and of I(A; F)."""
    torch.manual_seed(seed)
    world = WORLDS[name]()
    where = Spec(Box(-1, 1, (1,)), Box(-1, 1, (1,)), box(world.size), hidden=HIDDEN)
    model = build_model(world.model, where, prior, torch.zeros(1, 1), trusted=True)

    def batch(size: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
        action = torch.randn(size, 1)
        return torch.zeros(size, 1), action, world.sample(action)

    model.observe(*batch(10_000))
    fit(model, batch, steps, 5e-3)
    with torch.no_grad(), without_validation():
        _, action, future = batch(EXAMPLES)
        errors = model_log_prob(model)(action, future) - world.log_prob(action, future)
        own = model.future(prior, torch.zeros(EXAMPLES, 1), action).sample()
        found = information(model_log_prob(model), action, own)
    exact = exact_information(world)
    return [
        row(name, "log p", seed, float(errors.mean()), 0.0, float(errors.mean())),
        row(name, "information", seed, found, exact, found - exact),
    ]


def regression(guide: str, scale: float, seed: int, steps: int) -> list[Row]:
    """Fit weights to ten examples, and return the errors of log p and of the information gain."""
    torch.manual_seed(seed)
    where = Spec(box(1), Box(-1, 1, (1,)), box(1), hidden=(), baseline=torch.zeros_like)
    data, new = linear_examples(SEEN), linear_examples(200)
    posterior = partial(GUIDES[guide], init_scale=scale)
    names = {"autoguide": posterior, "components": 64, "prior_scale": scale * math.sqrt(2), "bias_scale": scale}
    kind = type("Regression", (BayesianModel,), names)  # two inputs, hence the root
    model = build_model(kind, where, prior, torch.zeros(1, 1), trusted=True)
    program: Any = model.program
    model.observe(*data)
    set_noise(program, 0.5)
    fit(model, lambda: data, steps, 0.02)
    noise, prior_precision = float(program.scale(program.raw) / program.target.deviation), scale**-2 * torch.eye(3)
    x, y = inputs(program, data)
    precision = prior_precision.double() + x.T @ x / noise**2
    location = torch.linalg.solve(precision, x.T @ y / noise**2)
    old = MultivariateNormal(location, precision_matrix=precision)
    with torch.no_grad(), without_validation():
        gain, log_prob = model.information_gain(*new), model.log_prob(prior, *new)
    x, y = inputs(program, new)
    variance = noise**2 + (x @ old.covariance_matrix * x).sum(-1)
    exact_log_prob = Normal(x @ location, variance.sqrt()).log_prob(y) - program.target.deviation.double().log().sum()
    exact_gain = torch.stack(
        [kl_divergence(updated(old, row, value, noise), old) for row, value in zip(x, y, strict=True)]
    )
    error, relative = (log_prob - exact_log_prob).mean(), (gain / exact_gain - 1).abs().mean()
    name = f"linear regression, scale {scale:g}, {guide}"
    return [
        row(name, "log p", seed, float(log_prob.mean()), float(exact_log_prob.mean()), float(error)),
        row(name, "information gain", seed, float(gain.mean()), float(exact_gain.mean()), float(relative)),
    ]


def linear_examples(size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return states, actions and futures of the linear world."""
    state, action = torch.randn(2, size, 1)
    return state, action, 0.8 * action.tanh() - 0.5 * state + 0.5 * torch.randn(size, 1)


def updated(old: MultivariateNormal, x: Tensor, y: Tensor, noise: float) -> MultivariateNormal:
    """Return the posterior of the weights `[n]` after one more observation."""
    precision = old.precision_matrix + torch.outer(x, x) / noise**2
    shift = torch.linalg.solve(precision, x * (y - x @ old.mean) / noise**2)
    return MultivariateNormal(old.mean + shift, precision_matrix=precision)


def inputs(program: Any, data: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what linear regression sees of examples, 1 for the bias, `[B, 3]`, and standardised targets `[B]`."""
    state, action, future = data
    with torch.no_grad():
        x = torch.cat([program.features(state, action), torch.ones(len(state), 1)], -1)
        return x.double(), program.standardised(state, future).squeeze(-1).double()


def set_noise(program: Any, noise: float) -> None:
    """Set the scale of the noise, in units of F, and keep it."""
    wanted = torch.tensor(noise) / program.target.deviation
    low, high = torch.full_like(program.raw, -10.0), torch.full_like(program.raw, 10.0)
    for _ in range(60):  # the scale rises with `raw`
        middle = (low + high) / 2
        below = program.scale(middle) / program.target.deviation < wanted
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    program.raw.data.copy_(low)
    program.raw.requires_grad_(False)


def fit(model: Model, batch: Callable[[], tuple[Tensor, Tensor, Tensor]], steps: int, rate: float) -> None:
    """Maximise the evidence with Adam, whose step size falls to nothing."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, steps)
    with without_validation():
        for _ in range(steps):
            optimiser.zero_grad()
            (-model.evidence(prior, *batch()).mean()).backward()
            optimiser.step()
            slower.step()


def prior(state: Tensor) -> Any:
    """Return π: standard normal actions."""
    return dist.Normal(state.new_zeros(len(state), 1), 1.0).to_event(1)


def model_log_prob(model: Model) -> LogProb:
    """Return log p̂(F|a) of a model as a function of actions and futures `[B, ...]`."""
    return lambda action, future: model.log_prob(prior, torch.zeros(len(action), 1), action, future)


def information(log_prob: LogProb, action: Tensor, future: Tensor) -> float:
    """Return the mean of log p(F|a) − log ∫ π p(F|a) over futures of the actions, nats."""
    points, log_weight = quadrature()
    each = torch.stack([log_prob(point.expand(len(future), 1), future) for point in points])
    return float((log_prob(action, future) - (each + log_weight.unsqueeze(-1)).logsumexp(0)).mean())


def exact_information(world: Any) -> float:
    """Return I(A; F) of a world, both integrals by quadrature."""
    points, log_weight = quadrature()
    axis = torch.linspace(-7, 7, 1_401 if world.size == 1 else 141)
    grid = torch.cartesian_prod(*[axis] * world.size).reshape(-1, world.size)
    cell = float(axis[1] - axis[0]) ** world.size
    each = torch.stack([world.log_prob(point.expand(len(grid), 1), grid) for point in points])
    marginal = (each + log_weight.unsqueeze(-1)).logsumexp(0)
    return float((log_weight.exp() * (each.exp() * (each - marginal)).sum(-1)).sum()) * cell


def quadrature() -> tuple[Tensor, Tensor]:
    """Return actions `[NODES]` and log weights of Gauss-Hermite quadrature for N(0, 1)."""
    points, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return torch.tensor(points).float(), torch.tensor(weights / weights.sum()).log().float()


def box(size: int) -> Box:
    """Return a space of vectors."""
    return Box(-np.inf, np.inf, (size,))


def row(world: str, quantity: str, seed: int, found: float, exact: float, error: float) -> Row:
    """Return a row of the table that is kept."""
    return {
        "world": world,
        "quantity": quantity,
        "seed": seed,
        "found": found,
        "exact": exact,
        "error": error,
    }


def table(kept: Kept) -> Iterator[str]:
    """Yield the table of errors: mean and extremes over seeds."""
    yield "| world and model | error of | mean | least | largest |"
    yield "|---|---|---|---|---|"
    for world, quantity in dict.fromkeys((row["world"], row["quantity"]) for row in kept.rows.values()):
        error = kept.numbers("error", world=world, quantity=quantity)
        unit, factor, digits = (" %", 100, 1) if quantity == "information gain" else (" nats", 1, 3)
        shown = [f"{factor * x:.{digits}f}{unit}" for x in (mean(error), min(error), max(error))]
        yield f"| {world} | {quantity} | {' | '.join(shown)} |"


if __name__ == "__main__":
    sys.exit(main())
