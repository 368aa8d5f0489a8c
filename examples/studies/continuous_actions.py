"""What do the floors on the scales of model and guide cost, where actions are continuous?

    python examples/studies/continuous_actions.py                 # about 15 minutes of one core

World: F = 0.9 s + 0.5 u + noise with normal s, noise and policy, u ~ N(0.2 s, 0.5²), so that I(F; u | s) is a closed
form and the noise can be chosen for it: from 0.5 nats to 7, where F is nearly sure. `GaussianModel` and
`GaussianGuide`, one hidden layer of 64, are fitted together by `sleep` to 10,000 transitions of that policy, two
seeds, with other `floor_nats`. (The model sees tanh u, as always; the world is linear in u.) Then the bound (theory,
equation 3) is read on the model's futures, and the information under the fitted model is computed by quadrature:
bound − exact = (under the model − exact) − amortisation gap.

*The most that the floors allow.* The model's scale is at least e^−k of the deviation of F − s, so u and F tell each
other λ = (0.5/scale)² at most. The guide may claim a precision of h = min(λ, e^2k); with the mean of the posterior it
is paid

    ½ log(1 + h σ²) + ½ ( 1 − (1/σ² + h) / (1/σ² + λ) )

The second term is what a mean is worth that is better than the scale may say: up to half a nat on top of the first.

Bias, nats, mean of the seeds, which differ by 0.05 at most (standard error of a reading: 0.009 at most):

    exact    guide's floor_nats (model's 8)                 model's floor_nats (guide's 8)          defaults
    nats      1      2      3      4      6      8           1      2      3      4      6          (4 and 3)
    0.5     -0.01  -0.01  -0.01  -0.01  -0.01  -0.01       -0.01  -0.01  -0.01  -0.01  -0.01         -0.01
    2       -1.00  -0.31  -0.04  -0.04  -0.04  -0.04       -0.91  -0.08  -0.04  -0.04  -0.04         -0.04
    4       -2.97  -2.16  -1.25  -0.49  -0.26  -0.26       -2.90  -1.99  -1.09  -0.36  -0.26         -1.25
    7       -5.97  -5.16  -4.22  -3.32  -2.10  -1.97       -5.90  -4.99  -4.08  -3.24  -2.07         -4.23

- Where a floor binds, of the guide or of the model, a nat of it is worth 0.7 to 0.9 nats of reward; up to a floor of
  3 the bound ends within 0.1 of the most that is possible. Where it does not bind it is worth nothing, and more of it
  did no harm: no mean was worse by more than 0.01 with a more generous floor.
- The bound never read more than is there, nor, beyond a reading's error, than the floors allow. What a small floor of
  the guide hides shows as amortisation gap; what one of the model hides does not: the guide is then nearly exact,
  about a world that is noisier than the real one.
- With little noise the fit binds before generous floors do. At 7 nats and floors of 8 the model holds 5.6, as its
  scale, four times the noise, has to cover the error of its mean, and the guide reads 5.0 of them.
- The defaults, 4 and 3, pay 2 nats in full, and 2.8 for this policy where there are 4 or 7: by the formula, a
  saturated guide pays log σ of the policy plus a constant, whatever the noise.
"""

import math
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from kept import COLOURS, Kept, command_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.guides import GaussianGuide
from gio_pyro.inference import Inference, Sleep
from gio_pyro.models import GaussianModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, without_validation
from gio_pyro.types import Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "continuous_actions.csv"
STATE, EFFECT, GAIN, SPREAD = 0.9, 0.5, 0.2, 0.5
"""F = STATE s + EFFECT u + noise, u ~ N(GAIN s, SPREAD²), s ~ N(0, 1). What does not come from u or noise in F − s is
STATE − 1 + EFFECT GAIN = 0, so the deviation of F − s is what u and noise make of it."""
INFORMATION = (0.5, 2.0, 4.0, 7.0)
"""Exact I(F; u | s), nats: what the noise is chosen for, from large to nearly none."""
GENEROUS, FLOORS = 8.0, (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
DEFAULTS = (GaussianModel.floor_nats, GaussianGuide.floor_nats)
SWEEPS = {"guide": [(GENEROUS, k) for k in FLOORS], "model": [(k, GENEROUS) for k in FLOORS]}
"""Pairs of floors (model, guide), nats."""
QUICK = [(0.5, (GENEROUS, GENEROUS)), (4.0, (GENEROUS, 1.0))]
KEYS = ("information", "model_floor", "guide_floor", "steps", "seed")
TRANSITIONS, BATCH, HIDDEN, LEARNING_RATE = 10_000, 256, (64,), 3e-3
READ = 20_000
"""Draws of (s, u, F) that the bound is read on."""


def main() -> int:
    """Run what is missing, print the tables and draw the picture."""
    parser = command_line(__doc__, RESULTS, "two of the cells, one seed, 300 steps", seeds=2)
    parser.add_argument("--steps", type=int, default=1_500, help="gradient steps of each fit")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds, steps = (range(1), 300) if options.quick else (range(options.seeds), options.steps)
    pairs = dict.fromkeys([*SWEEPS["guide"], *SWEEPS["model"], DEFAULTS])
    cells = QUICK if options.quick else [(information, pair) for information in INFORMATION for pair in pairs]
    print(f"seeds {list(seeds)}, {steps} steps of {BATCH} of {TRANSITIONS} transitions, step size {LEARNING_RATE} to 0")
    kept = Kept(options.results, KEYS)
    for information, pair in cells:
        for seed in seeds:
            if (key := (information, *pair, steps, seed)) not in kept:
                kept.add([dict(zip(KEYS, key, strict=True)) | run(*key)])
        print(line(kept, information, pair, steps), flush=True)
    print(*per_nat(kept, steps), sep="\n")
    draw(kept, steps, options.results.with_suffix(".png"))
    return 0


def run(information: float, model_floor: float, guide_floor: float, steps: int, seed: int) -> dict[str, object]:
    """Fit one model and guide, and return what the bound reads beside what it should."""
    start = time.process_time()
    noise = noise_of(information)
    model, guide = fit(noise, model_floor, guide_floor, steps, seed)
    bound, error, under_model = measure(model, guide)
    return {
        "ceiling": ceiling(noise, model_floor, guide_floor),
        "bound": bound,
        "standard_error": error,
        "under_model": under_model,
        "bias": bound - information,
        "model_error": under_model - information,
        "amortisation_gap": under_model - bound,
        "cpu_seconds": round(time.process_time() - start, 1),
    }


def noise_of(information: float) -> float:
    """Return the deviation of the noise with which I(F; u | s) = ½ log(1 + (EFFECT SPREAD / noise)²) nats."""
    return EFFECT * SPREAD / math.sqrt(math.exp(2 * information) - 1)


def ceiling(noise: float, model_floor: float, guide_floor: float) -> float:
    """Return the most that the bound can be with these floors, nats: see the head of this file."""
    floor = math.log1p(math.exp(2 + model_floor)) - 2  # that scales stay below e² as well bends the floor, too
    scale = max(noise, math.hypot(EFFECT * SPREAD, noise) * math.exp(-floor))
    precision = (EFFECT / scale) ** 2
    held = min(precision, math.exp(2 * guide_floor))
    own = SPREAD**-2
    return 0.5 * math.log(1 + held / own) + 0.5 * (1 - (own + held) / (own + precision))


def policy(state: Tensor) -> dist.Independent:
    """Return π(·|s) over the number before the squash."""
    return dist.Normal(GAIN * state, torch.full_like(state, SPREAD)).to_event(1)


def collect(noise: float) -> Replay:
    """Return transitions that the policy itself has taken."""
    state = torch.randn(TRANSITIONS, 1)
    action = policy(state).sample()
    future = STATE * state + EFFECT * action + noise * torch.randn_like(state)
    zeros, no = torch.zeros(TRANSITIONS), torch.zeros(TRANSITIONS, dtype=torch.bool)
    replay = Replay(TRANSITIONS)
    replay.add(
        Transitions(state, action, zeros, future, no, no, policy(state).log_prob(action), torch.ones_like(zeros))
    )
    return replay


def fit(noise: float, model_floor: float, guide_floor: float, steps: int, seed: int) -> tuple[Model, Guide]:
    """Fit the library's programs with other floors, by its default objective; the step size falls to 0."""
    own = {"learning_rate": LEARNING_RATE}
    model_class = type("Model", (GaussianModel,), own | {"floor_nats": model_floor})
    guide_class = type("Guide", (GaussianGuide,), own | {"floor_nats": guide_floor})
    torch.manual_seed(seed)
    replay, box = collect(noise), Box(-np.inf, np.inf, (1,), dtype=np.float32)
    spec, first = Spec(box, box, box, hidden=HIDDEN), torch.zeros(1, 1)
    model = build_model(model_class, spec, policy, first)
    guide = build_guide(guide_class, spec, model, policy, first)
    rows = replay.all()
    for program in (model, guide):
        program.observe(rows.state, rows.action, rows.next_state)
    inference = Inference(model, guide, Sleep(1), learning_rate=LEARNING_RATE)
    assert inference.optimiser is not None
    falling = torch.optim.lr_scheduler.LinearLR(inference.optimiser, 1.0, 0.0, steps)
    with without_validation():
        for _ in range(steps):
            batch = replay.sample(BATCH)
            inference.step(policy, batch, batch.next_state)
            falling.step()
    return model, guide


@torch.no_grad()
def measure(model: Model, guide: Guide) -> tuple[float, float, float]:
    """Return the bound on the model's futures, its standard error, and the information under the model, nats.

    The model's mixture p_ψ(F|s) is an integral over actions, by quadrature around the one that made F: the posterior is
    no wider than the policy, nor than the model's scale over the world's slope.
    """
    torch.manual_seed(99)
    state = torch.randn(READ, 1)
    action = policy(state).sample()
    outcome = model.future(policy, state, action)
    future = outcome.sample()
    bound = guide.log_prob(policy, state, future, action) - policy(state).log_prob(action)
    place = torch.linspace(-9, 9, 91)
    width = (outcome.stddev / EFFECT).clamp_max(SPREAD)
    near = (action + width * place).reshape(-1, 1)
    states, futures = state.repeat_interleave(len(place), 0), future.repeat_interleave(len(place), 0)
    joint = policy(states).log_prob(near) + model.log_prob(policy, states, near, futures)
    mixture = torch.logsumexp(joint.reshape(READ, -1), -1) + (width.squeeze(-1) * (place[1] - place[0])).log()
    under_model = outcome.log_prob(future) - mixture
    return float(bound.mean()), float(bound.std()) / math.sqrt(READ), float(under_model.mean())


def line(kept: Kept, information: float, pair: tuple[float, float], steps: int) -> str:
    """Return the rows of one cell as text, every seed."""
    where = {"information": information, "model_floor": pair[0], "guide_floor": pair[1], "steps": steps}
    biases = ", ".join(f"{bias:+.3f}" for bias in kept.numbers("bias", **where))
    gap, wrong = mean(kept.numbers("amortisation_gap", **where)), mean(kept.numbers("model_error", **where))
    best = kept.numbers("ceiling", **where)[0] - information
    return (
        f"exact {information:3.1f} nats, floors: model {pair[0]:.0f}, guide {pair[1]:.0f}   bias {biases} nats "
        f"(at best {best:+.3f})   model error {wrong:+.3f}   amortisation gap {gap:.3f}"
    )


def per_nat(kept: Kept, steps: int) -> list[str]:
    """Return, for each sweep and noise, what a nat more of floor adds to the bound."""
    lines = []
    for name, pairs in SWEEPS.items():
        for information in INFORMATION:
            curve = means(kept, "bound", information, pairs, steps)
            rises = [f"{a:.0f}-{b:.0f}: {(v - u) / (b - a):+.2f}" for (a, u), (b, v) in pairwise(curve)]
            lines.append(f"exact {information:3.1f} nats, nats per nat of the {name}'s floor   " + "   ".join(rises))
    return lines


def means(
    kept: Kept, column: str, information: float, pairs: list[tuple[float, float]], steps: int
) -> list[tuple[float, float]]:
    """Return (the floor that moves, the mean over seeds) of the pairs that were run."""
    found = []
    for pair in pairs:
        where = {"information": information, "model_floor": pair[0], "guide_floor": pair[1], "steps": steps}
        if values := kept.numbers(column, **where):
            moving = pair[0] if pairs is SWEEPS["model"] else pair[1]
            found.append((moving, mean(values)))
    return found


def draw(kept: Kept, steps: int, path: Path) -> None:
    """Draw bias and amortisation gap against either floor, one line for each noise."""
    figure = Figure(figsize=(9.5, 6.4), layout="constrained", dpi=140)
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for (above, below), (name, pairs) in zip(panels.T, SWEEPS.items(), strict=True):
        other = "model" if name == "guide" else "guide"
        above.set_title(f"floor of the {name} (the {other}'s is {GENEROUS:g} nats)", fontsize=10)
        below.set_xlabel(f"floor on the scales of the {name} (nats per dimension)")
        for colour, information in zip(COLOURS, INFORMATION, strict=False):
            for axes, column in ((above, "bias"), (below, "amortisation_gap")):
                curve = np.array(means(kept, column, information, pairs, steps)).reshape(-1, 2)
                label = f"{information:g} nats, noise {noise_of(information):.2g}"
                axes.plot(*curve.T, "o-", color=colour, markersize=4, label=label)
            fine = [
                (GENEROUS, k) if name == "guide" else (k, GENEROUS) for k in np.linspace(FLOORS[0], FLOORS[-1], 200)
            ]
            best = [ceiling(noise_of(information), *pair) - information for pair in fine]
            above.plot(np.linspace(FLOORS[0], FLOORS[-1], 200), best, "--", color=colour, linewidth=1)
    panels[0, 0].set_ylabel("MI bound − exact MI (nats)")
    panels[1, 0].set_ylabel("amortisation gap (nats)")
    panels[0, 1].plot([], [], "--", color="0.4", linewidth=1, label="the most that the floors allow")
    panels[0, 1].legend(frameon=False, fontsize=8, title="exact MI", title_fontsize=8, loc="lower right")
    for axes in panels.flat:
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure).print_png(str(path))


if __name__ == "__main__":
    sys.exit(main())
