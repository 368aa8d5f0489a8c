"""How stable is the projection of the policy, and what does it cost, from 1 to 17 dimensions of action?

    python examples/studies/projection.py                 # five minutes of one core; rows in the file are not run again
    python examples/studies/projection.py --seeds 1

Policy improvement is a projection, argmin_π KL(π ‖ exp(Q/α + log q) / Z) (equation 6). With continuous actions it is a
gradient step on draws of the policy, one for each state. Here its target is known: for

    Q(s, u) = −½ Σ_i c_i (u_i − m_i(s))²,   m(s) = tanh(W s),   curvatures c_i from 1 to 10, α = 0.2

the optimum is N(m_i(s), α / c_i) for each number u_i before the squash, which the policy can represent, so that
KL(π ‖ π*) has a closed form and would be 0. Settings are those of the library: 2 x 128 units, batches of 256, Adam with
step size 0.001. 17 numbers are the actions of Gymnasium's Humanoid.

What came out is in docs/projection.md.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from gymnasium.spaces import Box
from kept import COLOURS, Kept, command_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gio_pyro.actor_critic.network_policy import GaussianPolicy
from gio_pyro.programs import sample_actions

RESULTS = Path(__file__).parent / "results" / "projection.csv"
KEYS = ("dimensions", "seed", "steps")
DIMENSIONS, LOOKS = (1, 2, 3, 6, 8, 17), (250, 500, 1_000, 2_000, 4_000)
QUICK = (20, 50, 100, 150, 300)
"""Looks of a trial."""
TEMPERATURE, BATCH, STATES, UNITS, STEP = 0.2, 256, 8, (128, 128), 1e-3
STEADY = 500
"""Last steps of a look whose largest KL is kept."""


class Target:
    """The quadratic Q of one seed, and the optimum for it."""

    def __init__(self, dimensions: int) -> None:
        self.mix = torch.randn(STATES, dimensions) / STATES**0.5
        self.curvature = torch.logspace(0, 1, dimensions) if dimensions > 1 else torch.ones(1)

    def q(self, state: Tensor, u: Tensor) -> Tensor:
        """Return Q(s, u), `[B]` reward units."""
        return -0.5 * (self.curvature * (u - (state @ self.mix).tanh()).square()).sum(-1)

    def divergence(self, policy: GaussianPolicy, state: Tensor) -> float:
        """Return the mean of KL(π ‖ π*) over states, nats."""
        pi = policy(state).base_dist
        variance = TEMPERATURE / self.curvature
        ratio = pi.variance / variance
        apart = (pi.mean - (state @ self.mix).tanh()).square() / variance
        return float(0.5 * (ratio - 1 - ratio.log() + apart).sum(-1).mean())


def run(dimensions: int, seed: int, looks: Sequence[int]) -> list[dict[str, object]]:
    """Project for as many steps as the last look; return a row for each look."""
    torch.manual_seed(seed)
    target = Target(dimensions)
    spaces = Box(-9, 9, (STATES,), np.float32), Box(-1, 1, (dimensions,), np.float32)
    policy = GaussianPolicy(*spaces, UNITS, bounded=True)
    optimiser = torch.optim.Adam(policy.parameters(), STEP, fused=True)
    states = torch.randn(1_000, STATES)
    policy.encoder.observe(states)
    rows: list[dict[str, object]] = []
    recent: list[float] = []
    spent = 0.0
    for step in range(1, looks[-1] + 1):
        state = torch.randn(BATCH, STATES)
        start = time.process_time()
        chosen = sample_actions(policy(state))
        q = target.q(state, chosen.action)[:, None]
        loss = policy.loss(chosen, q, torch.zeros_like(q), TEMPERATURE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        spent += time.process_time() - start
        if step % 10 == 0:
            with torch.no_grad():
                recent = [*recent, target.divergence(policy, states)][-STEADY // 10 :]
        if step in looks:
            figures = {"kl": recent[-1], "largest": max(recent), "ms": 1_000 * spent / step}
            rows.append({"dimensions": dimensions, "seed": seed, "steps": step} | figures)
    return rows


def table(kept: Kept, looks: Sequence[int] = LOOKS) -> list[str]:
    """Return a line for each number of dimensions, in Markdown."""
    head = f"| numbers of an action | KL to the optimum after {looks[2]:,} projections, nats | after {looks[-1]:,} |"
    lines = [f"{head} for each number | largest of the last {STEADY} | CPU ms a projection |", "|---" * 6 + "|"]
    for dimensions in DIMENSIONS:
        early, late, worst, cost = (
            kept.numbers(column, dimensions=dimensions, steps=steps)
            for column, steps in (("kl", looks[2]), ("kl", looks[-1]), ("largest", looks[-1]), ("ms", looks[-1]))
        )
        if late:
            cells = [f"{median(early):.4f}", f"{median(late):.4f} ({min(late):.4f} to {max(late):.4f})"]
            cells += [f"{median(late) / dimensions:.4f}", f"{max(worst):.4f}", f"{median(cost):.2f}"]
            lines.append(f"| {dimensions} | {' | '.join(cells)} |")
    return lines


def draw(kept: Kept, path: Path, looks: Sequence[int]) -> None:
    """Draw KL against projections for each number of dimensions, and cost against dimensions."""
    figure = Figure(figsize=(9, 3.4), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    for colour, dimensions in zip(COLOURS, DIMENSIONS, strict=True):
        each = [kept.numbers("kl", dimensions=dimensions, steps=look) for look in looks]
        left.plot(looks, [median(one) for one in each], "o-", color=colour, label=f"{dimensions}")
        left.fill_between(looks, [min(one) for one in each], [max(one) for one in each], color=colour, alpha=0.15)
    left.set(xscale="log", yscale="log", xlabel="projections", ylabel="KL to the optimum (nats)")
    left.minorticks_off()
    left.set_xticks(looks, [f"{look:,}" for look in looks])
    left.legend(frameon=False, fontsize=8, title="numbers of an action", ncols=2)
    cost = [median(kept.numbers("ms", dimensions=d, steps=looks[-1])) for d in DIMENSIONS]
    right.plot(DIMENSIONS, cost, "o-", color=COLOURS[0])
    right.set(xlabel="numbers of an action", ylabel="CPU ms a projection", ylim=(0, 1.15 * max(cost)))
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> int:
    """Run what is missing, draw, and print the table; returns 0."""
    options = command_line(__doc__, RESULTS, quick="one seed, fewer projections", seeds=5).parse_args()
    torch.set_num_threads(1)
    looks, kept = QUICK if options.quick else LOOKS, Kept(options.results, KEYS)
    for seed in range(1 if options.quick else options.seeds):
        for dimensions in DIMENSIONS:
            if (dimensions, seed, looks[-1]) not in kept:
                kept.add(run(dimensions, seed, looks))
    draw(kept, options.results.with_suffix(".png"), looks)
    print("\n".join(table(kept, looks)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
