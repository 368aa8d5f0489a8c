"""What becomes of monotone improvement where an assumption of its proof fails?

    python examples/studies/when_assumptions_fail.py              # about two minutes of one core

Theory, section 2, promises that with the exact posterior, a channel p(F|s,a) that does not depend on the policy, and
a first policy of full support, no round of (5) and (6) lowers the value of any state, and that the loop ends at the
global optimum. Here 200 random worlds (seeds 0 to 199; 4 states, 3 actions, rewards -1, 0 or 1, discount 0.9,
temperature 0.3) are solved without sampling, 100 rounds each, with one assumption broken at a time. Whatever a wrong
guide pays, J is the *true* one of each policy: equation 4 with the exact posterior, averaged over states, in reward
units. The best J known of a world is the highest of three ends of the exact loop, from a uniform and two random
policies, and of where 200 steps of gradient ascent on J itself lead from there; in the rows with another guide or π_0
it is that of the control. What moves by less than 1e-9 does not count as a fall.

What came out is in docs/assumptions.md, with what the assumptions amount to on benchmark worlds (`assumptions.py`).
"""

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
from kept import COLOURS, Kept, command_line
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import ConvergenceWarning
from gio_pyro.tabular.guides import Guide

RESULTS = Path(__file__).parent / "results" / "when_assumptions_fail.csv"
STATES, ACTIONS, DISCOUNT, TEMPERATURE = 4, 3, 0.9, 0.3
ROUNDS, SHOWN, STARTS, ASCENT = 100, 20, 3, 200
NEVER = 0.0
"""A tolerance that ends the loop only where no action has any advantage; the rounds that are left repeat it."""
ROUNDING = 1e-9
"""Reward units: what falls by less has not fallen."""
KEYS = ("case", "rounds", "world")


@dataclass(frozen=True)
class Worlds:
    """Random worlds, one for each seed: next states softmax of 2 · normal, rewards of −1, 0 or 1 for each arrival."""

    seeds: tuple[int, ...]

    @cached_property
    def one_by_one(self) -> list[tabular.TabularMDP]:
        """Return each world on its own."""
        return [random_world(seed) for seed in self.seeds]

    @cached_property
    def mdp(self) -> tabular.TabularMDP:
        """Return all of them as one batch, which is solved together."""
        transition, reward = (torch.stack([getattr(w, n) for w in self.one_by_one]) for n in ("transition", "reward"))
        return tabular.TabularMDP(transition, reward, discount=DISCOUNT)

    def drawn(self, purpose: int, shape: tuple[int, ...]) -> Tensor:
        """Return normal numbers, `[B, *shape]`, that depend on each world's seed and on what they are for."""
        rows = [torch.Generator().manual_seed(1_000_000 * purpose + seed) for seed in self.seeds]
        return torch.stack([torch.randn(*shape, dtype=torch.float64, generator=g) for g in rows])

    def uniform(self) -> Tensor:
        """Return the uniform policy, `[B, S, A]`."""
        return torch.full_like(self.mdp.reward, 1 / ACTIONS)

    def without_one(self, left: float) -> Tensor:
        """Return a policy that gives probability `left` to one action of each state, the others alike, `[B, S, A]`."""
        out = torch.nn.functional.one_hot(self.drawn(1, (STATES, ACTIONS)).argmax(-1), ACTIONS).double()
        return out * left + (1 - out) * (1 - left) / (ACTIONS - 1)

    def start(self, number: int) -> Tensor:
        """Return one of several policies of full support, the uniform one first, `[B, S, A]`."""
        return self.uniform() if number == 0 else torch.softmax(2 * self.drawn(1 + number, (STATES, ACTIONS)), -1)


def random_world(seed: int) -> tabular.TabularMDP:
    """Return the world of a seed, its pairs (s', r) at hand."""
    g = torch.Generator().manual_seed(seed)
    transition = torch.softmax(2 * torch.randn(STATES, ACTIONS, STATES, dtype=torch.float64, generator=g), -1)
    reward = torch.randint(-1, 2, (STATES, ACTIONS, STATES), generator=g).double()
    outcomes = tabular.TabularMDP(transition, reward, discount=DISCOUNT).outcomes
    return tabular.TabularMDP(transition, reward, discount=DISCOUNT, outcomes=outcomes)


Futures = Callable[[Worlds], tabular.Future]
Guides = Callable[[Worlds, tabular.Future], Guide]


def always(future: tabular.Future) -> Futures:
    """The same future in all worlds."""
    return lambda worlds: future


NEXT_STATE = always(tabular.next_state)


def the_return(worlds: Worlds) -> tabular.Future:
    """The sum of three rewards, its channel made world by world."""
    future = tabular.discounted_return(3)

    def batched(mdp: tabular.TabularMDP, policy: Tensor) -> Tensor:
        channels = [future(world, pi) for world, pi in zip(worlds.one_by_one, policy, strict=True)]
        width = max(channel.shape[-1] for channel in channels)
        return torch.stack([torch.nn.functional.pad(channel, (0, width - channel.shape[-1])) for channel in channels])

    return batched


def bayes(worlds: Worlds, future: tabular.Future) -> Guide:
    """The exact posterior of the present policy."""
    return tabular.bayes


def of_the_first(worlds: Worlds, future: tabular.Future) -> Guide:
    """The exact posterior of the uniform policy, for ever."""
    return tabular.fixed_posterior(tabular.posterior(worlds.mdp, worlds.uniform(), future))


def late(worlds: Worlds, future: tabular.Future) -> Guide:
    """The exact posterior of the policy of the round before."""
    seen: list[Tensor] = []

    def guide(mdp: tabular.TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        seen.append(policy)
        return tabular.fixed_posterior(tabular.posterior(mdp, seen[-2:][0], future))(mdp, policy, channel)

    return guide


def mixed(worlds: Worlds, future: tabular.Future) -> Guide:
    """A tenth of uniform in the exact posterior."""

    def guide(mdp: tabular.TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        q = 0.9 * tabular.posterior(mdp, policy, future) + 0.1 / ACTIONS
        return tabular.fixed_posterior(q)(mdp, policy, channel)

    return guide


def distorted(worlds: Worlds, future: tabular.Future) -> Guide:
    """The exact posterior times exp(0.5 normal), an error of each (s, F, a) that stays."""
    error = 0.5 * worlds.drawn(20, (STATES, STATES, ACTIONS))

    def guide(mdp: tabular.TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        q = torch.softmax(tabular.posterior(mdp, policy, future).log() + error, -1)
        return tabular.fixed_posterior(q)(mdp, policy, channel)

    return guide


@dataclass(frozen=True)
class Case:
    """What policy iteration is run with."""

    title: str
    future: Futures = NEXT_STATE
    guide: Guides = bayes
    left: float | None = None
    """What π_0 gives to one action of each state; None for a uniform π_0."""
    temperature: float = TEMPERATURE


CASES = {
    "control": Case("nothing (control)"),
    "missing": Case("π₀ lacks an action", left=0.0),
    "rare": Case("π₀ gives it 1e-12", left=1e-12),
    "cold": Case("temperature 0.003", temperature=0.003),
    "final_state": Case("F: two steps on, blind", always(tabular.final_state(2))),
    "state_after": Case("F: two steps on, π acts", always(tabular.state_after(2))),
    "trajectory": Case("F: trajectory of 2, π acts", always(tabular.trajectory(2))),
    "return": Case("F: return of 3, π acts", the_return),
    "fixed": Case("guide: posterior of π₀", guide=of_the_first),
    "late": Case("guide: one round late", guide=late),
    "mixed": Case("guide: 10 % uniform", guide=mixed),
    "distorted": Case("guide: distorted", guide=distorted),
}
QUICK = ("control", "missing", "late")


def main() -> int:
    """Run what is missing, print a line for each case, and draw the picture."""
    parser = command_line(__doc__, RESULTS, f"12 worlds, the cases {', '.join(QUICK)}")
    parser.add_argument("--worlds", type=int, default=200, help="their seeds are 0, 1, …")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # rounds are counted here, not waited for
    names, seeds = (QUICK, range(12)) if options.quick else (tuple(CASES), range(options.worlds))
    print(f"worlds {seeds[0]} to {seeds[-1]}: {STATES} states, {ACTIONS} actions, discount {DISCOUNT}, {ROUNDS} rounds")
    print(f"temperature {TEMPERATURE} unless said otherwise; the best of {STARTS} starts and {ASCENT} steps of ascent")
    kept = Kept(options.results, KEYS)
    for name in names:
        if missing := tuple(seed for seed in seeds if (name, ROUNDS, seed) not in kept):
            kept.add(run(name, Worlds(missing)))
    draw(kept, names, options.results.with_suffix(".png"))
    print("\n".join(table(kept, names)))
    return 0


def run(name: str, worlds: Worlds) -> list[dict[str, object]]:
    """Run policy iteration on every world, and return a row for each."""
    case, start = CASES[name], time.process_time()
    future = case.future(worlds)
    first = worlds.uniform() if case.left is None else worlds.without_one(case.left)
    policies, own = iterate(worlds, case, future, first)
    values = own if case.guide is bayes else torch.stack([value(worlds, case, future, pi) for pi in policies])
    best = torch.maximum(best_found(worlds, case.future, case.temperature), values[-1].mean(-1))
    seconds = time.process_time() - start
    return [
        {"case": name, "rounds": ROUNDS, "world": seed}
        | figures(values[:, i], own[:, i], best[i], policies[-1][i])
        | {"cpu_seconds": round(seconds / len(worlds.seeds), 3)}
        for i, seed in enumerate(worlds.seeds)
    ]


def iterate(worlds: Worlds, case: Case, future: tabular.Future, first: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return every policy on the way, `[B, S, A]`, and the values by the guide's own account, `[n + 1, B, S]`."""
    policies: list[Tensor] = []
    guide = case.guide(worlds, future)

    def watched(mdp: tabular.TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policies.append(policy)
        return guide(mdp, policy, channel)

    settings = {"tolerance": NEVER, "max_iterations": ROUNDS}
    done = tabular.policy_iteration(worlds.mdp, case.temperature, first, guide=watched, future=future, **settings)
    left = ROUNDS + 1 - len(done.history)
    return policies + policies[-1:] * left, torch.cat([done.history, *[done.history[-1:]] * left])


def value(worlds: Worlds, case: Case, future: tabular.Future, policy: Tensor) -> Tensor:
    """Return what a policy is truly worth in each state, equation 4 with the exact posterior, `[B, S]`."""
    return tabular.policy_iteration(worlds.mdp, case.temperature, policy, future=future, max_iterations=0).value


@cache
def best_found(worlds: Worlds, futures: Futures, temperature: float) -> Tensor:
    """Return the largest J, `[B]`, where the exact loop ends from several full starts, and where ascent leads on."""
    case = Case("reference", futures, temperature=temperature)
    future = futures(worlds)
    ends = [iterate(worlds, case, future, worlds.start(i))[0][-1] for i in range(STARTS)]
    worth = torch.stack([value(worlds, case, future, pi).mean(-1) for pi in ends])
    highest = torch.stack(ends)[worth.argmax(0), torch.arange(len(worlds.seeds))]
    climbed = value(worlds, case, future, ascent(worlds, case, future, highest)).mean(-1)
    return torch.maximum(worth.amax(0), climbed)


def ascent(worlds: Worlds, case: Case, future: tabular.Future, policy: Tensor) -> Tensor:
    """Return the policies that Adam finds from `policy` by the gradient of J itself in their logits."""

    def softened(mdp: tabular.TabularMDP, pi: Tensor) -> Tensor:
        channel = future(mdp, pi) + 1e-12  # the gradient of p log p is infinite at 0
        return channel / channel.sum(-1, keepdim=True)

    logits = policy.clamp_min(1e-12).log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.02)
    for _ in range(ASCENT):
        optimiser.zero_grad()
        (-value(worlds, case, softened, torch.softmax(logits, -1)).mean(-1).sum()).backward()
        optimiser.step()
    return torch.softmax(logits.detach(), -1)


def figures(values: Tensor, own: Tensor, best: Tensor, last: Tensor) -> dict[str, object]:
    """Return the numbers of one world, reward units; J is the mean over states, where the world starts evenly."""
    gains, of_states, by_guide = values.mean(-1).diff(), values.diff(dim=0).amin(-1), own.mean(-1).diff()
    entropy = torch.special.entr(last).sum(-1).mean()
    return {
        "first": float(values[0].mean()),
        "last": float(values[-1].mean()),
        "best": float(best),
        "gap": float(best - values[-1].mean()),
        "entropy_nats": float(entropy),
        "falls": int((gains < -ROUNDING).sum()),
        "largest_fall": float((-gains).amax().clamp_min(0)),
        "falls_of_a_state": int((of_states < -ROUNDING).sum()),
        "largest_fall_of_a_state": float((-of_states).amax().clamp_min(0)),
        "falls_by_the_guide": int((by_guide < -ROUNDING).sum()),
    } | {f"gain_{n + 1}": f"{round(float(gain), 12):.3g}" for n, gain in enumerate(gains[:SHOWN])}


def table(kept: Kept, names: Sequence[str] = tuple(CASES)) -> list[str]:
    """Return a line for each case in Markdown."""
    lines = [
        "| what is broken | worlds in which J falls | rounds | by at most | median gain in round 1, 5, 20 "
        "| gap to the best: median | largest | entropy, nats |",
        "|---" * 8 + "|",
    ]
    for name in names:

        def column(wanted: str, name: str = name) -> np.ndarray:
            return np.array(kept.numbers(wanted, case=name, rounds=ROUNDS))

        falls, gap = column("falls"), column("gap")
        gap[gap < ROUNDING] = 0
        gains = ", ".join(f"{np.median(column(f'gain_{n}')):.2g}" for n in (1, 5, 20))
        most = f"{column('largest_fall').max():.2g}" if falls.any() else "-"
        lines.append(
            f"| {CASES[name].title} | {(falls > 0).sum()} of {len(falls)} | {int(falls.sum())} | {most} | {gains} "
            f"| {np.median(gap):.2g} | {gap.max():.2g} | {column('entropy_nats').mean():.2f} |"
        )
    return lines


def draw(kept: Kept, names: Sequence[str], path: Path) -> None:
    """Draw the gain of each round over the worlds, one panel for each case."""
    rows = -(-len(names) // 4)
    figure = Figure(figsize=(11, 0.8 + 2.3 * rows), layout="constrained", dpi=140)
    panels = figure.subplots(rows, 4, sharex=True, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        gains = np.array([kept.numbers(f"gain_{n + 1}", case=name, rounds=ROUNDS) for n in range(SHOWN)])
        panel(axes, gains)
        falling = (np.array(kept.numbers("falls", case=name, rounds=ROUNDS)) > 0).sum()
        axes.set_title(f"{CASES[name].title}\nJ falls in {falling} of {gains.shape[1]} worlds", fontsize=9)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel(f"round (falls are counted in all {ROUNDS})", fontsize=10)
    figure.supylabel("gain of J in the round (reward units)", fontsize=10)
    panels[0, 0].legend(frameon=False, fontsize=7, loc="lower right")
    FigureCanvasAgg(figure).print_png(str(path))


def panel(axes: Axes, gains: np.ndarray) -> None:
    """Draw gains `[rounds, worlds]`: all worlds, half of them, the median, and each fall as a dot."""
    x = np.arange(1, len(gains) + 1)
    low, quarter, middle, three, high = np.quantile(gains, (0, 0.25, 0.5, 0.75, 1), axis=1)
    axes.fill_between(x, low, high, color=COLOURS[0], alpha=0.15, linewidth=0, label="all worlds")
    axes.fill_between(x, quarter, three, color=COLOURS[0], alpha=0.4, linewidth=0, label="half of them")
    axes.plot(x, middle, color=COLOURS[0], linewidth=1.2, label="median")
    round_, world = np.nonzero(gains < -ROUNDING)
    axes.plot(round_ + 1, gains[round_, world], ".", color=COLOURS[1], markersize=4, alpha=0.6, label="a fall")
    axes.set_yscale("symlog", linthresh=1e-7, linscale=0.5)
    axes.set_yticks([-1e-1, -1e-3, -1e-5, 0, 1e-5, 1e-3, 1e-1])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.axhline(0, color="0.4", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    sys.exit(main())
