"""How wrong is the learned mutual information, by size of world, noise and kind of guide?

    python examples/studies/posterior_bias.py                     # about 13 minutes of one core

Worlds of S states and 4 actions: each action has a next state of its own in each state, drawn at random, and with
probability `noise` any state follows instead. Transitions are taken by the uniform policy from states drawn evenly,
so a pair (s, a) is seen 5 to 1,250 times. A model, a table or a network, is fitted to them, then the guides beside
it, by `sleep`; what they pay is computed with every action and future enumerated, so that nothing but learning is in
the error:

    learned − exact  =  ( by counts − exact )  +  ( under the model − by counts )  −  ( under the model − learned )
                        data: few visits          fit: the model is not            amortisation gap of the guide
                        (relative frequencies)    the relative frequencies

What came out is in docs/posterior_bias.md.
"""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from kept import COLOURS, Kept, command_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.guides import BayesGuide, CategoricalGuide, CategoricalNetworkGuide
from gio_pyro.inference import Inference, Sleep
from gio_pyro.models import CategoricalModel, CategoricalNetworkModel
from gio_pyro.programs import Guide, Model, Program, build_guide, build_model, without_validation
from gio_pyro.types import Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "posterior_bias.csv"
ACTIONS, SIZES, NOISES, BUDGETS = 4, (4, 16, 64, 256), (0.1, 0.5, 0.9), (5_000, 20_000)
HIDDEN = (64,)
KEYS = ("states", "noise", "transitions", "seed", "model", "guide")


class NetworkModel(CategoricalNetworkModel):
    """The library's network at three times its step size."""

    learning_rate = 3e-3


class NetworkGuide(CategoricalNetworkGuide):
    """The library's network at ten times its step size."""

    learning_rate = 1e-2


MODELS = {
    "table": (CategoricalModel, {"table": 200}),
    "network": (NetworkModel, {"network, early": 400, "network": 1_200}),
}
"""Of each model: its program, and after how many gradient steps it is read, under which name."""
GUIDES = {"table": (CategoricalGuide, 150, None), "network": (NetworkGuide, 200, 32)}
"""Of each guide that learns: its program, gradient steps, and transitions in a batch (None: all, equal ones merged)."""
BATCHES = {"table": None, "network": 256}
PAIRS = (
    ("table", "bayes"),
    ("table", "table"),
    ("table", "network"),
    ("network, early", "bayes"),
    ("network", "bayes"),
    ("network", "network"),
)
"""Models and guides that are read together."""
LOOKS = {"table": (COLOURS[0], "o"), "network, early": (COLOURS[4], "^"), "network": (COLOURS[1], "s")}
LINES = {"bayes": "-", "table": "--", "network": ":"}
LABELS = {"table": "table", "network, early": "network (400 steps)", "network": "network (1,200 steps)"}


def main() -> int:
    """Run what is missing, print every cell and draw the picture."""
    parser = command_line(__doc__, RESULTS, "4 states, noise 0.5, 5,000 transitions, one seed, tables", seeds=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes, noises, budgets = (SIZES[:1], NOISES[1:2], BUDGETS[:1]) if options.quick else (SIZES, NOISES, BUDGETS)
    seeds, models = (range(1), ("table",)) if options.quick else (range(options.seeds), tuple(MODELS))
    print(f"seeds {list(seeds)}; hidden {HIDDEN}; gradient steps of models { {m: MODELS[m][1] for m in models} }")
    print(f"of guides { {name: steps for name, (_, steps, _) in GUIDES.items()} }")
    kept = Kept(options.results, KEYS)
    for cell in [(s, n, b) for s in sizes for n in noises for b in budgets]:
        for seed in seeds:
            for model in models:
                wanted = [(*cell, seed, *pair) for pair in PAIRS if pair[0] in MODELS[model][1]]
                if not all(key in kept for key in wanted):
                    kept.add(run(*cell, seed, model))
        print(*lines(kept, *cell), sep="\n", flush=True)
    draw(kept, sizes, noises, budgets, options.results.with_suffix(".png"))
    print("\n".join(table(kept)))
    return 0


def run(states: int, noise: float, transitions: int, seed: int, name: str) -> list[dict[str, object]]:
    """Fit one model and the guides beside it, and return a row for each pair."""
    torch.manual_seed(seed)
    truth = channel_of(states, noise, seed)
    replay, start = collect(truth, transitions), time.process_time()
    program, readings = MODELS[name]
    spec = Spec(Discrete(states), Discrete(ACTIONS), Discrete(states), hidden=HIDDEN)
    first = torch.zeros(1, dtype=torch.long)
    model = build_model(program, spec, uniform, first)
    bayes = build_guide(BayesGuide, spec, model, uniform, first)
    observe(model, replay)
    by_counts = information(counted(replay, states))
    dynamics, rows, done = Inference(model, bayes, nothing, learning_rate=1e-3), [], 0
    for reading, steps in readings.items():
        fit(dynamics, replay, steps - done, BATCHES[name])
        done = steps
        for guide_name, guide in guides_beside(reading, spec, model, bayes, replay):
            numbers = read(model, guide, states, information(truth), by_counts)
            key = (states, noise, transitions, seed, reading, guide_name)
            rows.append(dict(zip(KEYS, key, strict=True)) | numbers)
    seconds = round((time.process_time() - start) / len(rows), 1)
    return [row | {"cpu_seconds": seconds} for row in rows]


def channel_of(states: int, noise: float, seed: int) -> Tensor:
    """Return p(s'|s, a) `[S, A, S]`: with probability `noise` any state, else one that is the action's own."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(states, states, generator=g).argsort(-1)[:, :ACTIONS]
    return (1 - noise) * torch.nn.functional.one_hot(target, states).double() + noise / states


def uniform(state: Tensor) -> dist.Categorical:
    """Return the policy that collects and that is asked about."""
    return dist.Categorical(logits=torch.zeros(len(state), ACTIONS))


def collect(channel: Tensor, count: int) -> Replay:
    """Return transitions from states drawn evenly."""
    state, action = torch.randint(len(channel), (count,)), torch.randint(ACTIONS, (count,))
    future = torch.multinomial(channel[state, action], 1).squeeze(-1)
    zeros, no = torch.zeros(count), torch.zeros(count, dtype=torch.bool)
    replay = Replay(count)
    replay.add(Transitions(state, action, zeros, future, no, no, zeros - math.log(ACTIONS), torch.ones(count)))
    return replay


def counted(replay: Replay, states: int) -> Tensor:
    """Return the channel of relative frequencies, `[S, A, S]`; uniform where nothing was seen."""
    rows = replay.merged()
    counts = torch.zeros(states, ACTIONS, states, dtype=torch.float64)
    counts.index_put_((rows.state, rows.action, rows.next_state), rows.weight.double(), accumulate=True)
    total = counts.sum(-1, keepdim=True)
    return torch.where(total > 0, counts / total.clamp_min(1), 1 / states)


def information(channel: Tensor) -> float:
    """Return the mutual information under the uniform policy, averaged over states, nats."""
    return float(tabular.mutual_information(channel, torch.full(channel.shape[:-1], 1 / ACTIONS)).mean())


def nothing(*_: object) -> Tensor:
    """Return the objective of a guide that has nothing to learn."""
    return torch.zeros(())


def observe(program: Program, replay: Replay) -> None:
    """Pass all transitions to a program, for its statistics."""
    rows = replay.merged()
    program.observe(rows.state, rows.action, rows.next_state)


def fit(inference: Inference, replay: Replay, steps: int, size: int | None) -> None:
    """Take gradient steps on batches of `size`."""
    with without_validation():
        for _ in range(steps):
            batch = replay.batch(size)
            inference.step(uniform, batch, batch.next_state)


def guides_beside(reading: str, spec: Spec, model: Model, bayes: Guide, replay: Replay) -> Iterator[tuple[str, Guide]]:
    """Yield the guides that are read with a model, those that learn fitted to it while it stays as it is."""
    for _, name in (pair for pair in PAIRS if pair[0] == reading):
        if name == "bayes":
            yield name, bayes
            continue
        program, steps, size = GUIDES[name]
        guide = build_guide(program, spec, model, uniform, torch.zeros(1, dtype=torch.long))
        observe(guide, replay)
        model.requires_grad_(False)
        fit(Inference(model, guide, Sleep(4), learning_rate=1e-3), replay, steps, size)
        model.requires_grad_(True)
        yield name, guide


@torch.no_grad()
def read(model: Model, guide: Guide, states: int, exact: float, by_counts: float) -> dict[str, float]:
    """Return what the guide pays on average, every action and future enumerated, and the parts of its error, nats."""
    state, action = torch.arange(states).repeat_interleave(ACTIONS), torch.arange(ACTIONS).repeat(states)
    channel = model.future(uniform, state, action).probs.double().reshape(states, ACTIONS, states)
    channel = channel / channel.sum(-1, keepdim=True)
    pieces = torch.arange(states * states).split(8_192)
    log_q = torch.cat([guide.posterior(uniform, pair // states, pair % states).logits for pair in pieces]).double()
    ratio = log_q.reshape(states, states, ACTIONS).mT + math.log(ACTIONS)
    learned = float((channel / ACTIONS * ratio).sum((-1, -2)).mean())
    under_model = information(channel)
    return {
        "exact": exact,
        "by_counts": by_counts,
        "under_model": under_model,
        "learned": learned,
        "bias": learned - exact,
        "error_of_the_data": by_counts - exact,
        "error_of_the_fit": under_model - by_counts,
        "amortisation_gap": under_model - learned,
    }


def lines(kept: Kept, states: int, noise: float, transitions: int) -> Iterator[str]:
    """Yield the rows of one cell as text, the bias of every seed."""
    for model, guide in PAIRS:
        where = {"states": states, "noise": noise, "transitions": transitions, "model": model, "guide": guide}
        if not (biases := kept.numbers("bias", **where)):
            continue
        exact, data, fitted, gap = (
            mean(kept.numbers(c, **where))
            for c in ("exact", "error_of_the_data", "error_of_the_fit", "amortisation_gap")
        )
        yield (
            f"S {states:3d}  noise {noise}  {transitions:6,} transitions  {model + ' + ' + guide:<22} exact {exact:.3f}"
            f"  bias {', '.join(f'{bias:+.3f}' for bias in biases)}  = data {data:+.3f}  fit {fitted:+.3f}"
            f"  amortisation {-gap:+.3f} nats"
        )


def table(kept: Kept) -> list[str]:
    """Return the mean bias of each pair of model and guide in Markdown, a table for each number of transitions."""
    shown = [pair for pair in PAIRS if pair[0] in MODELS]
    tables = []
    for budget in BUDGETS:
        head = " | ".join(f"{model}, {guide.replace('bayes', 'Bayes')}" for model, guide in shown)
        lines = [f"| bias after {budget:,} transitions, states | noise | exact | {head} |", "|---" * 8 + "|"]
        for states in SIZES:
            for noise in NOISES:
                where = {"states": states, "noise": noise, "transitions": budget}
                pairs = [kept.numbers("bias", **where, model=model, guide=guide) for model, guide in shown]
                if exact := kept.numbers("exact", **where):
                    cells = " | ".join(f"{mean(biases):+.2f}" if biases else "" for biases in pairs)
                    lines.append(f"| {states} | {noise} | {mean(exact):.2f} | {cells} |")
        if len(lines) > 2:
            tables.append("\n".join(lines))
    return "\n\n".join(tables).splitlines()


def draw(kept: Kept, sizes: tuple[int, ...], noises: tuple[float, ...], budgets: tuple[int, ...], path: Path) -> None:
    """Draw the bias against the number of states, a panel for each noise and budget."""
    figure = Figure(figsize=(3 + 3 * len(noises), 0.9 + 2.8 * len(budgets)), layout="constrained", dpi=140)
    panels = figure.subplots(len(budgets), len(noises), sharex=True, sharey=True, squeeze=False)
    for row, budget in zip(panels, budgets, strict=True):
        for axes, noise in zip(row, noises, strict=True):
            for model, guide in PAIRS:
                where = {"noise": noise, "transitions": budget, "model": model, "guide": guide}
                curve = [(s, mean(v)) for s in sizes if (v := kept.numbers("bias", states=s, **where))]
                colour, marker = LOOKS[model]
                style = {"color": colour, "marker": marker, "markersize": 4, "linestyle": LINES[guide]}
                axes.plot(
                    *np.array(curve).reshape(-1, 2).T,
                    **style,
                    label=f"{LABELS[model]}, {guide.replace('bayes', 'Bayes')}",
                )
            most = [(s, math.log(ACTIONS) - v[0]) for s in sizes if (v := kept.numbers("exact", states=s, noise=noise))]
            axes.plot(*zip(*most, strict=True), color="0.6", linewidth=1, linestyle="-.", label="log A − exact")
            axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
            axes.set_xscale("log", base=2)
            axes.set_xticks(sizes, [str(size) for size in sizes])
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_title(f"noise {noise}, {budget:,} transitions", fontsize=9)
    figure.supxlabel("states", fontsize=10)
    figure.supylabel("learned − exact mutual information (nats)", fontsize=10)
    style = {"frameon": False, "fontsize": 8, "loc": "outside right center", "title": "model, guide"}
    figure.legend(*panels[0, 0].get_legend_handles_labels(), **style, title_fontsize=8)
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    sys.exit(main())
