"""How far from the exact value are the ways of estimating n-step empowerment?

    python examples/studies/variational_empowerment.py            # the rows of the first method, two hours of one core
    python examples/studies/empowerment_errors.py                 # those of the others, half an hour; then the table
    python examples/studies/empowerment_errors.py --table         # the table alone

The worlds are those of `variational_empowerment.py`, and so is the exact value, over all sequences of n actions
(`gio_pyro.tabular.empowerment`). The error is the mean over states of |estimate − exact|, nats.

- **variational**: a source, a guide and a level, learned from acting (Mohamed and Rezende 2015; this library's
  `learn_empowerment`).
- **uniform actions**: the information of n uniform actions about the state they lead to, exactly. What is left out is
  only that the source is not the best one.
- **contrastive**: that information, learned as the difference of two contrastive critics, f(s, a_1..a_n, s_n) − f(s,
  s_n), each a product of features trained by the symmetric InfoNCE loss (after Myers et al. 2024, arXiv 2411.02623,
  whose future is the state at a random later time, under the policy). As many updates of as many samples as the first
  method has. Samples are drawn from the table, with beginnings drawn uniformly, and never twice.
- **Gaussian channel**: s_n = G(s) a + noise with the capacity in closed form (Salge, Glackin and Polani 2013; Zhao
  et al. 2021, arXiv 2007.02949, learn G). G(s), the mean and the covariance of what it leaves are here the exact ones,
  so that the error is that of the approximation alone. Numbers of an action: the step it makes where it makes one, or
  the torque. Power: that of uniform actions. Noise: the covariance of what G(s) leaves, and the variance of a cell.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import variational_empowerment
from kept import Kept, command_line
from torch import Tensor, nn
from variational_empowerment import BATCH, HORIZONS, MAZES, SETTINGS, states

from gio_pyro import tabular
from gio_pyro.empowerment import gaussian_capacity
from gio_pyro.envs.noisy_pendulum import CELL, TORQUES
from gio_pyro.nn import mlp

RESULTS = Path(__file__).parent / "results" / "empowerment_errors.csv"
KEYS = ("world", "horizon", "method", "seed")
COLUMNS = ("world", "horizon", "method", "seed", "exact", "estimate", "error", "worst", "seconds")
VARIATIONAL, UNIFORM, CONTRASTIVE, GAUSSIAN = "variational", "uniform actions", "contrastive", "Gaussian channel"
METHODS = (VARIATIONAL, UNIFORM, CONTRASTIVE, GAUSSIAN)
HIDDEN, FEATURES, RATE = (128, 128), 128, 1e-3
"""Of the contrastive critics."""


@dataclass(frozen=True)
class World:
    """A finite world as the estimates need it."""

    mdp: tabular.TabularMDP
    views: Tensor
    """`[S, ...]`: what is seen in each state, as numbers."""
    places: Tensor
    """`[S, 2]`: the coordinates of each state."""
    cell: Tensor
    """`[2]`: the sides of a cell."""
    around: float | None
    """The period of the first coordinate, where it has one."""
    moves: Tensor
    """`[A, d]`: each action as numbers."""

    @property
    def free(self) -> Tensor:
        """The states in which an episode may begin, `[S]` booleans."""
        return self.mdp.start > 0

    def sequences(self, horizon: int) -> Tensor:
        """Return all sequences of actions, `[Aⁿ, n]`, the last action running fastest."""
        return torch.cartesian_prod(*[torch.arange(len(self.moves))] * horizon).reshape(-1, horizon)

    def channel(self, horizon: int) -> Tensor:
        """Return p(s_n | s, a_1..a_n) of the free states, `[S, Aⁿ, S]`, in the order of `sequences`."""
        p = torch.eye(self.mdp.states, dtype=torch.float64)[self.free][:, None]
        for _ in range(horizon):
            p = torch.einsum("sut,tav->suav", p, self.mdp.transition).flatten(1, 2)
        return p


def world(name: str) -> World:
    """Return a world by its name."""
    env = variational_empowerment.make(name)
    mdp = tabular.TabularMDP.from_env(env)
    if name == "pendulum":
        period = 2 * torch.pi
        places, cell = torch.as_tensor(env.unwrapped.places), torch.tensor(CELL, dtype=torch.float64)
        moves = torch.tensor(TORQUES, dtype=torch.float64)[:, None]
        return World(mdp, states(env, mdp.states), places, cell, period, moves)
    places = torch.as_tensor(np.stack([env.unwrapped.coordinates(state) for state in range(mdp.states)])).double()
    shown = states(env, mdp.states)
    views = nn.functional.one_hot(shown).float() if shown.ndim == 1 else standardised(shown.flatten(1).float())
    return World(mdp, views, places, torch.ones(2, dtype=torch.float64), None, _steps(mdp, places))


def standardised(pixels: Tensor) -> Tensor:
    """Return pixels with mean 0 and deviation 1 each, those that never change as 0."""
    return (pixels - pixels.mean(0)) / pixels.std(0).clamp_min(1e-6)


def _steps(mdp: tabular.TabularMDP, places: Tensor) -> Tensor:
    """Return the step that each action makes most often where it makes one, `[A, 2]`."""
    made = (places[mdp.transition.argmax(-1)] - places[:, None])[mdp.start > 0]
    steps = torch.zeros(mdp.actions, 2, dtype=torch.float64)
    for action, of_action in enumerate(made.unbind(1)):
        moved, often = of_action[of_action.any(-1)].unique(dim=0, return_counts=True)
        if len(moved):
            steps[action] = moved[often.argmax()]
    return steps


def uniform_information(channel: Tensor) -> Tensor:
    """Return the information of uniform sequences about the final state, `[S]` nats."""
    return tabular.mutual_information(channel, channel.new_full(channel.shape[:2], 1 / channel.shape[1]))


def gaussian(of: World, horizon: int, channel: Tensor) -> Tensor:
    """Return the capacity of the linear Gaussian channel with the same moments, `[S]` nats."""
    place = of.places.expand(len(channel), -1, -1)
    if of.around is not None:  # angles within half a turn of their mean
        turns = (channel.mean(1) * torch.exp(1j * of.places[:, 0])).sum(-1).angle()
        around = (place[..., 0] - turns[:, None] + of.around / 2).remainder(of.around) - of.around / 2
        place = torch.stack([around, place[..., 1]], -1)
    inputs = of.moves[of.sequences(horizon)].flatten(1)
    inputs = inputs - inputs.mean(0)
    ends = torch.einsum("sut,std->sud", channel, place)
    centred = ends - ends.mean(1, keepdim=True)
    slopes = torch.linalg.pinv(inputs) @ centred
    square = torch.einsum("sut,std,ste->sde", channel, place, place) / channel.shape[1]
    total = square - ends.mean(1)[..., None] * ends.mean(1)[:, None]
    predicted = inputs @ slopes
    left = total - predicted.mT @ predicted / channel.shape[1]
    noise = left + torch.diag(of.cell.square() / 12)
    return gaussian_capacity(slopes.mT, noise, float(inputs.square().sum(-1).mean()))


class Critic(nn.Module):
    """f(x, g) = φ(x)·ψ(g), with the constant that makes exp f a ratio of densities."""

    def __init__(self, given: int, outcome: int) -> None:
        super().__init__()
        self.phi, self.psi = mlp(given, HIDDEN, FEATURES), mlp(outcome, HIDDEN, FEATURES)
        self.register_buffer("constant", torch.zeros(()))

    def forward(self, given: Tensor, outcome: Tensor) -> Tensor:
        """Return f of all pairs, `[X, G]` nats."""
        return self.phi(given) @ self.psi(outcome).mT - self.constant

    def loss(self, given: Tensor, outcome: Tensor) -> Tensor:
        """Return the symmetric InfoNCE loss of pairs."""
        scores = self(given, outcome)
        true = torch.arange(len(scores))
        return 0.5 * (nn.functional.cross_entropy(scores, true) + nn.functional.cross_entropy(scores.mT, true))

    @torch.no_grad()
    def normalise(self, given: Tensor, outcome: Tensor) -> None:
        """Make the mean of exp f over pairs of different draws 1, as that of the ratio is."""
        scores = self(given, outcome)
        others = ~torch.eye(len(scores), dtype=torch.bool)
        self.constant += scores[others].logsumexp(0) - others.sum().log()


def contrastive(of: World, horizon: int, channel: Tensor, seed: int, updates: int) -> Tensor:
    """Return the learned information of uniform sequences, `[S]` nats."""
    torch.manual_seed(seed)
    views = of.views[of.free]
    shown = nn.functional.one_hot(of.sequences(horizon), len(of.moves)).flatten(1).float()
    joint = Critic(views.shape[1] + shown.shape[1], of.views.shape[1])
    state = Critic(views.shape[1], of.views.shape[1])
    optimiser = torch.optim.Adam([*joint.parameters(), *state.parameters()], RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, updates)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        s, u = torch.randint(len(views), (BATCH,)), torch.randint(len(shown), (BATCH,))
        final = of.views[torch.multinomial(channel[s, u], 1).squeeze(-1)]
        return torch.cat([views[s], shown[u]], -1), views[s], final

    for _ in range(updates):
        both, alone, final = batch()
        optimiser.zero_grad()
        (joint.loss(both, final) + state.loss(alone, final)).backward()
        optimiser.step()
        schedule.step()
    both, alone, final = batch()
    joint.normalise(both, final)
    state.normalise(alone, final)
    with torch.no_grad():
        base = state(views, of.views).double()
        nats = [
            (row * (joint(torch.cat([views[s].expand(len(shown), -1), shown], -1), of.views) - base[s])).sum(-1).mean()
            for s, row in enumerate(channel)
        ]
    return torch.stack(nats)


def run(name: str, horizon: int, method: str, seed: int, *, quick: bool = False) -> dict[str, object]:
    """Return a row of a method other than the variational one."""
    of = world(name)
    channel, exact = of.channel(horizon), tabular.empowerment(of.mdp, horizon)[of.free]
    start = time.process_time()
    if method == CONTRASTIVE:
        nats = contrastive(of, horizon, channel, seed, 100 if quick else SETTINGS[name]["updates"] * horizon)
    else:
        nats = uniform_information(channel) if method == UNIFORM else gaussian(of, horizon, channel)
    error, seconds = (nats - exact).abs(), time.process_time() - start
    numbers = {"exact": exact.mean(), "estimate": nats.mean(), "error": error.mean(), "worst": error.max()}
    row: dict[str, object] = {"world": name, "horizon": horizon, "method": method, "seed": seed}
    return row | {key: float(value) for key, value in numbers.items()} | {"seconds": seconds}


def joined(kept: Kept) -> list[dict[str, Any]]:
    """Return the rows of all methods."""
    learned = Kept(variational_empowerment.RESULTS, variational_empowerment.KEYS).rows.values()
    own = [
        {"world": row["maze"], "method": VARIATIONAL, "estimate": row["learned"], **row}
        for row in learned
        if row["maze"] in MAZES
    ]
    return [{key: row[key] for key in COLUMNS} for row in [*own, *kept.rows.values()]]


def table(kept: Kept) -> list[str]:
    """Return the errors in Markdown: means over seeds, and the largest seed in brackets where there are several."""
    rows = joined(kept)
    head = " | ".join(("n = 1", *(f"{n}" for n in HORIZONS[1:])))
    lines = [f"| world | empowerment, error of | {head} | worst state |", "|---" * (len(HORIZONS) + 3) + "|"]
    for name in MAZES:
        exact = {int(row["horizon"]): float(row["exact"]) for row in rows if row["world"] == name}
        if exact:
            values = " | ".join(f"{exact[n]:.3f}" if n in exact else "" for n in HORIZONS)
            lines.append(f"| {name} | exact value | {values} | |")
        for method in METHODS:
            of = [row for row in rows if (row["world"], row["method"]) == (name, method)]
            cells = [_errors([float(row["error"]) for row in of if int(row["horizon"]) == n]) for n in HORIZONS]
            if of:
                worst = max(float(row["worst"]) for row in of)
                lines.append(f"| {name} | {method} | {' | '.join(cells)} | {worst:.2f} |")
    return lines


def _errors(values: list[float]) -> str:
    if not values:
        return ""
    mean = sum(values) / len(values)
    return f"{mean:.3f}" if len(values) == 1 else f"{mean:.3f} ({max(values):.3f})"


def main() -> int:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, "the first maze, n = 1, few updates", seeds=5)
    parser.add_argument("--world", choices=MAZES, help="run only these rows")
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    names = () if options.table else ("klyubin",) if options.quick else (options.world,) if options.world else MAZES
    for name in names:
        for horizon in (1,) if options.quick else HORIZONS:
            for method in METHODS[1:]:
                for seed in range(options.seeds if method == CONTRASTIVE and not options.quick else 1):
                    if (name, horizon, method, seed) not in kept:
                        kept.add([run(name, horizon, method, seed, quick=options.quick)])
                    print("  ".join(kept[name, horizon, method, seed].values()), flush=True)
    print("\n".join(table(kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
