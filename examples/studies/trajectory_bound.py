"""Compare the trajectory bound, theory equation 8, with the one-step bound, equation 7: same programs, two objectives.

    python examples/studies/trajectory_bound.py       # about two minutes on an idle core

Three random worlds of 8 states (one of them the end, entered with probability 0.05), 3 actions and futures F = s', so
that (8) is a sum of terms (7). The model is the true channel and does not learn; the policy π is random, replay was
collected by a uniform one. `Elbo`, `TrajectoryElbo(T)` and `WeightedTrajectoryElbo(T, K)` are given as many
transitions a step: 256 that are known, however many rows of pieces lie beyond the end of an episode. Measured are

    bias       the amortisation gap E KL(p_π ‖ q) after 600 steps of Adam, its step size falling from 0.1 to 0: of
               `CategoricalGuide`, a table that holds the posterior, and of a table that cannot see s, which does not
    variance   of the guide's gradient over 200 batches, where h is half of log p(F|s, a): trace of the covariance over
               the squared length of the mean
    cost       median processor seconds of `Inference.step` with its batch, the objectives taking turns
    tightness  log-evidence less bound on the same pieces, where q is uniform

What came out (means of the three worlds; information I(F; A | s) 0.379, 0.538, 0.419 nats):

                         gap, table        gap, blind   variance      milliseconds
    (7)                  0.00007           0.46         0.12          4.4
    (8), T = 1 to 16     0.00007           0.46         0.12 to 0.13  4.3 to 4.8
    weighted, K = 2      0.0021 to 0.0023  0.39 to 0.44 1.7 to 4.3    5.0 to 5.4
    weighted, K = 8      0.0046 to 0.0066  0.37 to 0.40 1.0 to 6.5    5.4 to 6.2

**(8) is (7).** With T = 1 they agree digit for digit; neighbours instead of independent draws neither gain nor lose. At
T = 16 the mean variance was 7 % larger, less than the worlds differ.

**Weights tighten the bound and spoil the gradient.** A table that holds the posterior ends 30 times (K = 2) and 70 to
100 times (K = 8) further from it after as many steps. It is slow rather than wrong: at the posterior all weights are
equal, and a longer run with K = 8, T = 8 (run separately) ended at 0.0030 after 1,500 steps, 0.0022 after 3,000, 0.0057
after 600. With T = 1 eight particles have over three times the variance of two: the tighter the bound, the less it says
about q (Rainforth and others, 2018). Longer pieces undo the tightness: with K = 8 the variance falls up to T = 8, yet
the gap hardly does.

**A guide that cannot hold the posterior gains from weights**, the one reason for them here: 0.37 nats instead of 0.46,
where q = π leaves the information itself, 0.45, and the best blind guide 0.34 (computed separately, by descent on the
exact gap). In the first world the one-step bound made the guide worse than no learning at all (0.465 against 0.379).
`sleep` optimises that gap directly; it was not run here.

**The weights of a sequence multiply.** (8) with a uniform q lacks 1.20 nats a transition at every T. Eight particles
leave 0.10 at T = 1, but 0.30 at T = 4 and 0.58 at T = 16; 128 particles 0.004, 0.022 and 0.24.

Three worlds of one kind, one sequence of draws, one step size: orders of magnitude, not constants. Actions are
enumerated in (7) and (8) and drawn in the weighted bound, so part of its noise is the price of drawing. The times were
taken on a busy machine. Seeds stand for worlds, policies and replays; rows already in the CSV file are not run again.
"""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from kept import COLOURS, Kept, command_line
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.data.training_batches import sequence_batch
from gio_pyro.futures import NextState
from gio_pyro.guides import CategoricalGuide, UniformGuide
from gio_pyro.guides.categorical import tilted
from gio_pyro.inference import Elbo, Inference, Objective, TrajectoryElbo, WeightedTrajectoryElbo, sequence_length_of
from gio_pyro.nn.gradient_step import adam
from gio_pyro.programs import Guide, Model, build_guide, without_validation
from gio_pyro.tabular import mutual_information
from gio_pyro.types import Policy, PyroProgram, Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "trajectory_bound.csv"
STATES, ACTIONS, END = 8, 3, 0.05
"""The last state is the end, entered with probability END from every other, whatever is done."""
STREAMS, LENGTH, BATCH, EARLY = 50, 200, 256, 5
"""Replay is STREAMS · LENGTH transitions; a batch has BATCH known ones; the gap is also read after 1/EARLY of a fit."""
STEPS, PARTICLES, TIGHT = (1, 2, 4, 8, 16), (2, 8), (2, 8, 32, 128)
"""T; K of the objectives that are fitted; K of the bounds whose slack is read."""
LEARNING_RATE = CategoricalGuide.learning_rate
ROWS = 2048
"""Transitions of each world in a batch that a slack is read on."""
KEYS = ("measure", "guide", "objective", "steps", "particles", "count", "seed")
ORDER = ("elbo", "trajectory_elbo", "weighted_trajectory_elbo")


class BlindGuide(nn.Module):
    """q(a|s, F) ∝ π(a|s) exp table[F, a], one for each world: blind to where F was reached from, so never exact."""

    learning_rate = CategoricalGuide.learning_rate

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, actions, futures = spec.sizes()
        self.table = nn.Parameter(torch.zeros(states // STATES, futures, actions))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", tilted(policy, state, self.table[state // STATES, future]))


GUIDES: dict[str, PyroProgram] = {"table": CategoricalGuide, "blind": BlindGuide, "uniform": UniformGuide}


@dataclass(frozen=True)
class Plan:
    """How much is run: T, K, and how many seeds, gradient steps, batches and timed steps."""

    lengths: tuple[int, ...]
    particles: tuple[int, ...]
    tight: tuple[int, ...]
    guides: tuple[str, ...]
    seeds: int
    steps: int
    batches: int
    rounds: int

    def objectives(self, particles: tuple[int, ...]) -> list[Objective]:
        """Return the objectives that are compared, the one-step bound first."""
        plain = [TrajectoryElbo(t) for t in self.lengths]
        return [Elbo(), *plain, *(WeightedTrajectoryElbo(t, k) for k in particles for t in self.lengths)]

    def fitted(self, guide: str) -> list[Objective]:
        """Return the objectives that a guide is fitted by; every other T does for the blind one."""
        some = self.lengths[::2] if guide == "blind" else self.lengths
        return [o for o in self.objectives(self.particles) if sequence_length_of(o) in some]


def main() -> int:
    """Run what is missing, print the tables and draw the picture."""
    parser = command_line(__doc__, RESULTS, "T 1 and 4, K 2, one guide, one seed, 150 steps", seeds=3)
    parser.add_argument("--steps", type=int, default=600, help="gradient steps of each fit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(STEPS, PARTICLES, TIGHT, ("table", "blind"), options.seeds, options.steps, 200, 40)
    if options.quick:
        plan = Plan((1, 4), (2,), (2, 8), ("table",), 1, 150, 20, 3)
    kept = Kept(options.results, KEYS)
    print(
        f"{plan}\nbatches of {BATCH}, replay of {STREAMS * LENGTH} transitions, Adam's step size {LEARNING_RATE} to 0"
    )
    with without_validation():
        worlds = Worlds(plan.seeds)
        print("information of each world, nats: " + ", ".join(f"{nats:.3f}" for nats in worlds.information))
        known = ", ".join(f"T={t} {worlds.share(t):.0%}" for t in plan.lengths)
        print(f"rows of pieces before an episode's end: {known}", flush=True)
        variances(kept, plan, worlds)
        slacks(kept, plan, worlds)
        costs(kept, plan)
        fits(kept, plan, worlds)
    report(kept, plan)
    draw(kept, plan, options.results.with_suffix(".png"))
    return 0


class Worlds:
    """Random worlds whose channels the model knows, a policy for each, and replay that uniform policies collected.

    They stand side by side, world w in the states from w · STATES, so that one gradient step is one in each of them:
    no state, and no parameter of a guide, belongs to two. Futures are counted from 0 in each.
    """

    def __init__(self, seeds: int) -> None:
        self.count, self.seeds = seeds, range(seeds)
        made = [world(seed) for seed in self.seeds]
        self.channel, self.pi = (torch.stack(tables) for tables in zip(*made, strict=True))
        joint = self.pi[..., None] * self.channel
        self.evidence = joint.sum(2)
        self.posterior = (joint / self.evidence[:, :, None]).transpose(2, 3)
        self.log_pi = self.pi.log().float().flatten(0, 1)
        self.log_channel = self.channel.log().float().flatten(0, 1)
        self.model = Model(self._program)
        self.replays = [self._collect(w) for w in self.seeds]
        counts = [torch.bincount(replay.all().state, minlength=seeds * STATES) for replay in self.replays]
        self.visits = torch.stack(counts).sum(0).reshape(seeds, STATES).double() / (STREAMS * LENGTH)
        self.information = (self.visits * mutual_information(self.channel, self.pi)).sum(-1)
        self._pools: dict[int, Transitions] = {}

    def policy(self, state: Tensor) -> dist.Categorical:
        """Return π(·|s)."""
        return dist.Categorical(logits=self.log_pi[state])

    def _program(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=self.log_channel[state, action]), obs=future)

    def _collect(self, w: int) -> Replay:
        """Return episodes of a uniform policy, each begun in a uniform state."""
        torch.manual_seed(1_000 + w)
        replay, no, zeros = Replay(STREAMS * LENGTH), torch.zeros(STREAMS, dtype=torch.bool), torch.zeros(STREAMS)
        state, first = torch.randint(STATES - 1, (STREAMS,)), w * STATES
        for _ in range(LENGTH):
            action = torch.randint(ACTIONS, (STREAMS,))
            after = torch.multinomial(self.channel[w, state, action], 1).squeeze(-1)
            ended, log_mu = after == STATES - 1, zeros - math.log(ACTIONS)
            rows = Transitions(first + state, action, zeros, first + after, ended, no, log_mu, zeros + 1)
            replay.add(rows, stream=range(STREAMS))
            state = torch.where(ended, torch.randint(STATES - 1, (STREAMS,)), after)
        return replay

    def guide(self, name: str) -> Guide:
        """Return a guide as it is before it learns."""
        spec = Spec(Discrete(self.count * STATES), Discrete(ACTIONS), Discrete(STATES))
        return build_guide(GUIDES[name], spec, self.model, self.policy, torch.arange(1))

    def pool(self, steps: int) -> Transitions:
        """Return a piece of `steps` from every transition of every world, as the library draws them."""
        if steps not in self._pools:
            drawn = [sequence_batch(NextState(), replay, None, steps)[0] for replay in self.replays]
            self._pools[steps] = Transitions(*map(torch.cat, zip(*(rows.tensors() for rows in drawn), strict=True)))
        return self._pools[steps]

    def share(self, steps: int) -> float:
        """Return which share of the rows of pieces come before the end of their episode."""
        return float(self.pool(steps).weight.mean())

    def batches(self, steps: int, known: int = BATCH) -> Callable[[], tuple[Transitions, Tensor]]:
        """Return what draws, from each world, pieces of `steps` with about `known` transitions before an end."""
        pool, each = self.pool(steps), STREAMS * LENGTH
        size, first = round(known / (steps * self.share(steps))), each * torch.arange(self.count)[:, None]

        def draw() -> tuple[Transitions, Tensor]:
            piece = (first + torch.randint(each, (self.count, size))).flatten()
            rows = pool[(piece[:, None] * steps + torch.arange(steps)).flatten()]
            return rows, rows.next_state % STATES

        return draw

    @torch.no_grad()
    def gaps(self, guide: Guide) -> list[float]:
        """Return E KL(p_π ‖ q) of each world at the states of replay and the futures of the policy, nats."""
        state, future = torch.cartesian_prod(torch.arange(self.count * STATES), torch.arange(STATES)).unbind(-1)
        log_q = guide.posterior(self.policy, state, future).logits.double().reshape(self.posterior.shape)
        slack = torch.special.xlogy(self.posterior, self.posterior) - self.posterior * log_q
        return (self.visits[..., None] * self.evidence * slack.sum(-1)).sum((1, 2)).tolist()


def world(seed: int) -> tuple[Tensor, Tensor]:
    """Return a random channel `[S, A, S]` and a random policy `[S, A]`."""
    torch.manual_seed(seed)
    inner = torch.softmax(2 * torch.randn(STATES, ACTIONS, STATES - 1, dtype=torch.float64), -1)
    channel = torch.cat([(1 - END) * inner, torch.full((STATES, ACTIONS, 1), END)], -1)
    return channel, torch.softmax(torch.randn(STATES, ACTIONS, dtype=torch.float64), -1)


def labels(objective: Objective) -> tuple[str, int, int]:
    """Return an objective's name, T and K; K is 1 where actions are enumerated."""
    name = ORDER[(Elbo, TrajectoryElbo, WeightedTrajectoryElbo).index(type(objective))]  # type: ignore[arg-type]
    return name, sequence_length_of(objective), int(getattr(objective, "particles", 1))


def missing(kept: Kept, plan: Plan, *key: object) -> bool:
    """Return whether a row is still to be run for some world."""
    return any((*key, seed) not in kept for seed in range(plan.seeds))


def keep(kept: Kept, key: tuple[object, ...], found: list[float]) -> None:
    """Add one row for each world."""
    kept.add([dict(zip(KEYS, (*key, seed), strict=True)) | {"value": value} for seed, value in enumerate(found)])


def fits(kept: Kept, plan: Plan, worlds: Worlds) -> None:
    """Fit each guide by each objective and keep its gap, early and at the end."""
    for name in plan.guides:
        for objective in plan.fitted(name):
            key = (name, *labels(objective), plan.steps)
            if missing(kept, plan, "gap", *key):
                early, final = fit(worlds, worlds.guide(name), objective, plan.steps)
                keep(kept, ("early_gap", *key), early)
                keep(kept, ("gap", *key), final)


def fit(worlds: Worlds, guide: Guide, objective: Objective, steps: int) -> tuple[list[float], list[float]]:
    """Return the gaps after 1/EARLY of the steps and after all, the step size falling to 0."""
    torch.manual_seed(0)
    own, batches = list(guide.parameters()), worlds.batches(sequence_length_of(objective))
    optimiser = adam(own, LEARNING_RATE)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    early: list[float] = []
    for step in range(steps):
        if step == steps // EARLY:
            early = worlds.gaps(guide)
        loss = -objective(worlds.model, guide, worlds.policy, *batches())
        own[0].grad = torch.autograd.grad(loss, own)[0]
        optimiser.step()
        falling.step()
    return early, worlds.gaps(guide)


def variances(kept: Kept, plan: Plan, worlds: Worlds) -> None:
    """Keep the variance of the gradient relative to its mean, at a guide half way to the posterior."""
    guide = worlds.guide("table")
    with torch.no_grad():
        guide.program.table.copy_(0.5 * worlds.log_channel.transpose(1, 2))  # type: ignore[attr-defined]
    for objective in plan.objectives(plan.particles):
        key = ("relative_variance", "table", *labels(objective), plan.batches)
        if missing(kept, plan, *key):
            keep(kept, key, relative_variances(worlds, guide, objective, plan.batches))


def relative_variances(worlds: Worlds, guide: Guide, objective: Objective, count: int) -> list[float]:
    """Return the trace of the gradient's covariance over the squared norm of its mean, both without bias."""
    torch.manual_seed(0)
    batches, found, own = worlds.batches(sequence_length_of(objective)), [], list(guide.parameters())
    for _ in range(count):
        value = objective(worlds.model, guide, worlds.policy, *batches())
        found.append(torch.autograd.grad(value, own)[0].reshape(worlds.count, -1).double())
    gradients = torch.stack(found)
    trace = gradients.var(0).sum(-1)
    return (trace / (gradients.mean(0).square().sum(-1) - trace / count)).tolist()


@torch.no_grad()
def slacks(kept: Kept, plan: Plan, worlds: Worlds) -> None:
    """Keep how far the bounds are below the exact evidence of the same pieces where q is uniform, nats a transition."""
    guide, evidence = worlds.guide("uniform"), worlds.evidence.flatten(0, 1).log()
    for objective in plan.objectives(plan.tight)[1:]:
        key = ("slack", "uniform", *labels(objective), plan.batches)
        if not missing(kept, plan, *key):
            continue
        torch.manual_seed(0)
        batches, total = worlds.batches(sequence_length_of(objective), ROWS), torch.zeros(worlds.count)
        for _ in range(max(1, plan.batches // 40)):
            batch, future = batches()
            for w, rows in enumerate(torch.arange(len(batch)).chunk(worlds.count)):
                own, outcome = batch[rows], future[rows]
                exact = own.mean(evidence[own.state, outcome])
                total[w] += exact - objective(worlds.model, guide, worlds.policy, own, outcome)
        keep(kept, key, (total / max(1, plan.batches // 40)).tolist())


def costs(kept: Kept, plan: Plan) -> None:
    """Keep the median seconds of a gradient step as an agent takes it, in one world; the objectives take turns."""
    keys = {o: ("seconds", "table", *labels(o), plan.rounds) for o in plan.objectives(plan.particles)}
    if all((*key, 0) in kept for key in keys.values()):
        return
    worlds = Worlds(1)
    sizes = {
        o: sequence_length_of(o) * round(BATCH / (sequence_length_of(o) * worlds.share(sequence_length_of(o))))
        for o in keys
    }
    runs = {o: Inference(worlds.model, worlds.guide("table"), o, learning_rate=LEARNING_RATE) for o in keys}
    seconds: dict[Objective, list[float]] = {o: [] for o in keys}
    for _ in range(plan.rounds):
        for objective, inference in runs.items():
            start = time.process_time()
            inference.step(
                worlds.policy,
                *sequence_batch(NextState(), worlds.replays[0], sizes[objective], sequence_length_of(objective)),
            )
            seconds[objective].append(time.process_time() - start)
    for objective, key in keys.items():
        keep(kept, key, [statistics.median(seconds[objective])])


def values(kept: Kept, plan: Plan, measure: str, guide: str, label: tuple[str, int, int]) -> list[float]:
    """Return the numbers of this plan, one a world."""
    count = {"gap": plan.steps, "early_gap": plan.steps, "seconds": plan.rounds}.get(measure, plan.batches)
    seeds = range(1 if measure == "seconds" else plan.seeds)
    found = [(measure, guide, *label, count, seed) for seed in seeds]
    return [float(kept[key]["value"]) for key in found if key in kept]


def report(kept: Kept, plan: Plan) -> None:
    """Print means over the worlds, with the range of the worlds in brackets."""
    columns = [(measure, name) for name in plan.guides for measure in ("early_gap", "gap")]
    columns += [("relative_variance", "table"), ("seconds", "table")]
    print(f"{'objective':<25}{'T':>3}{'K':>3}" + "".join(f"{m + ', ' + g:>30}" for m, g in columns))
    for label in map(labels, plan.objectives(plan.particles)):
        cells = [summary(values(kept, plan, measure, guide, label)) for measure, guide in columns]
        print(f"{label[0]:<25}{label[1]:>3}{label[2]:>3}" + "".join(f"{cell:>30}" for cell in cells))
    print("\nnats a transition below the exact evidence, q uniform" + "".join(f"{f'T={t}':>12}" for t in plan.lengths))
    for particles in (1, *plan.tight):
        kind = ORDER[min(particles, 2)]
        cells = [statistics.mean(values(kept, plan, "slack", "uniform", (kind, t, particles))) for t in plan.lengths]
        print(f"{f'K={particles}':>53}" + "".join(f"{cell:>12.4f}" for cell in cells))


def summary(found: list[float]) -> str:
    """Return mean and range, or nothing of nothing."""
    return f"{statistics.mean(found):.2g} ({min(found):.2g} to {max(found):.2g})" if found else ""


def draw(kept: Kept, plan: Plan, path: Path) -> None:
    """Draw gap, variance, cost and tightness against T."""
    figure = Figure(figsize=(10.5, 8), layout="constrained", dpi=130)
    bias, variance, cost, tight = figure.subplots(2, 2).flat
    for axes, measure, guides in (
        (bias, "gap", plan.guides),
        (variance, "relative_variance", ("table",)),
        (cost, "seconds", ("table",)),
    ):
        for guide in guides:
            compared(axes, kept, plan, measure, guide)
    for colour, particles in zip(COLOURS, (1, *plan.tight), strict=False):
        label = "trajectory bound, K = 1" if particles == 1 else f"weighted, K = {particles}"
        curve(tight, kept, plan, ("slack", "uniform", particles), color=colour, label=label)
    for axes, title, unit in (
        (bias, f"Bias: the guides after {plan.steps:,} steps", "amortisation gap E KL(p_π ‖ q) (nats)"),
        (variance, "Variance of the gradient, half way to the posterior", "trace of covariance / |mean|²  (no unit)"),
        (cost, "Cost of a gradient step of 256 transitions", "processor time (seconds)"),
        (tight, "Tightness, where q is uniform", "exact evidence − bound (nats a transition)"),
    ):
        axes.set(xlabel="T, transitions in a piece", ylabel=unit, xscale="log")
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set_xticks(plan.lengths, [str(t) for t in plan.lengths])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    for axes in (bias, variance, tight):
        axes.set_yscale("log")
    cost.set_ylim(0)
    variance.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 0.15))
    tight.legend(frameon=False, fontsize=8, loc="lower right")
    if "blind" in plan.guides:
        bias.plot([], [], color="0.2", label="guide: a table of (s, F)")
        bias.plot([], [], color="0.2", linestyle="--", label="guide blind to s")
        bias.legend(handles=bias.lines[-2:], frameon=False, fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.75))
    FigureCanvasAgg(figure).print_png(str(path))


def compared(axes: Axes, kept: Kept, plan: Plan, measure: str, guide: str) -> None:
    """Draw one measure of every objective that was fitted, against T, and of the one-step bound as a level."""
    style = "--" if guide == "blind" else "-"
    for colour, particles in zip(COLOURS, (1, *plan.particles), strict=False):
        label = "trajectory bound" if particles == 1 else f"weighted trajectory bound, K = {particles}"
        curve(axes, kept, plan, (measure, guide, particles), color=colour, linestyle=style, label=label)
    one = statistics.mean(values(kept, plan, measure, guide, ("elbo", 1, 1)))
    axes.axhline(one, color="0.3", linewidth=1.2, linestyle=":", label="one-step bound")


def curve(axes: Axes, kept: Kept, plan: Plan, which: tuple[str, str, int], **style: Any) -> None:
    """Draw the mean over the worlds of `which` (measure, guide, K) against T, and every world as a dot."""
    measure, guide, particles = which
    rows = {t: values(kept, plan, measure, guide, (ORDER[min(particles, 2)], t, particles)) for t in plan.lengths}
    rows = {t: row for t, row in rows.items() if row}
    axes.plot(list(rows), [statistics.mean(row) for row in rows.values()], linewidth=1.6, **style)
    for t, row in rows.items():
        axes.plot([t] * len(row), row, ".", color=style["color"], markersize=4)


if __name__ == "__main__":
    sys.exit(main())
