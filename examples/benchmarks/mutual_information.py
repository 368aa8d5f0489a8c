"""Is the number right where it is known? Mutual information of the tasks of "Beyond Normal", from 5,000 pairs.

    python examples/benchmarks/mutual_information.py                 # 21 tasks, 5 seeds: 35 minutes on one core
    python examples/benchmarks/mutual_information.py --only "normal 1x1" --seeds 1

X is the action, drawn by a policy that is known; Y is the future; there is no state. The tasks are those of
`information_tasks.py` (Czyż et al., 2023, arXiv 2306.11078), the programs those of `information_programs.py`, with the
same settings for all tasks. Before they are fitted, bijections that leave I(X; Y) as it is map

    X to A ~ N(0, 1)     by the known law of X (`Task.source`),
    Y to F               each coordinate to normal scores by its rank among the fitted pairs; then whitened,
    A and F              to their canonical coordinates, those of the largest correlations first.

The pairs are divided into five folds of 1,000. `gio_pyro.inference` fits five guides by maximum likelihood (the
objective `forward_kl`; its weights are 1, as the policy itself drew the pairs), guide k to all folds but k. Of each the
moving average of the parameters is kept, as it was when it was best at its own fold. Guide k sees A turned by its own
random orthogonal matrix, which leaves π as it is. q is the equal mixture of the five, a normalised density. The model
is fitted together with the first guide, on the same folds. The columns, in nats:

    lower      E[ log q(a|F) − log π(a) ] over 10,000 new pairs, and its standard error. In expectation at most I for
               any guide, as I − lower = E KL(p(a|F) ‖ q) and π is known (theory, equation 3). This is guaranteed.
    upper      The same mean over the 5,000 pairs, at each with the mixture of only the four guides that were fitted to
               it; at least the average of the five guides' own means over their 4,000 pairs (Jensen). In expectation at
               least I if those guides are at least as likely there as the true posterior. Maximum likelihood ensures
               that if a guide can represent the posterior and its fit does not stop too early. Nothing ensures it
               without such assumptions: pairs cannot exclude a dependence too fine to be seen, such as X written in the
               last digits of Y.
    estimate   The mean of both. For a single guide of k numbers that can represent the posterior and N pairs, both err
               by about k / 2N, in opposite directions (Akaike, 1974). For a mixture this is a rule of thumb.
    model      E[ log p_ψ(F|a) − log p̂_ψ(F) ] over 1,000 futures of the model itself: at least the information of the
               *model* (Jensen), and the upper bound of `gio diagnose`. As it has the model's error, it is no bound on
               I. p̂_ψ is estimated from 16 actions, half of the guide and half of the policy.
    KSG, CCA   The first estimator of Kraskov, Stögbauer and Grassberger (2004) with 3 neighbours, X and Y standardised;
               and −½ Σ log (1 − ρ²) for canonical correlations ρ. Both from the 5,000 pairs, without the law of X.

The settings were chosen on seed 0 of uniform noise, Student 5x5, dense 25x25, both spirals and the swiss roll, and the
linear part of the programs also on seeds 1 and 2 of dense and sparse 25x25. When the mixture replaced a single guide of
the same kind, all rows of that guide were known; the number of guides, dropout and learning rate were chosen on seed 0
of the same six tasks and on seed 1 of spiral 3x3, and nothing was changed after the table was computed.

`held`: whether the exact value lies between lower − 2 standard errors and upper + 2 standard errors. Rows already in
the CSV file are not run again; seconds are of processor time, for lower, upper and model together. `--first` is the
first seed: several processes can share the seeds, each with its own `--results`.
"""

import copy
import math
import statistics
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from information_programs import BINS, MixtureGuide, Network, NormalModel, SplineGuide, SplineModel
from information_tasks import Map, Task, tasks
from kept import Kept, Row, announce, command_line
from scipy.special import digamma
from torch import Tensor

from gio_pyro.inference import ForwardKL, Inference
from gio_pyro.programs import Guide, Model, build_guide, build_model, without_validation
from gio_pyro.types import Policy, Spec, Transitions

RESULTS = Path(__file__).parent / "results" / "mutual_information.csv"
KEYS = ("task", "pairs", "seed")
AIM = 0.05
"""Nats that an estimate may be off."""
AT_ONCE = 16_384
"""Pairs that a program scores in one call."""
SETTINGS = MappingProxyType(
    {"pairs": 5_000, "folds": 5, "held_out": 10_000, "hidden": (128,), "dropout": Network.drop, "bins": BINS}
    | {
        "learning_rate": SplineGuide.learning_rate,
        "batch": 500,
        "epochs": 60,
        "patience": 8,
        "decay": 0.98,
        "imagined": 1_000,
        "draws": 16,
        "neighbours": 3,
    }
)


def main() -> None:
    """Run what is missing and print the rows and the table."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", help="names of tasks")
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--pairs", type=int, default=SETTINGS["pairs"], help="pairs to fit to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = {**SETTINGS, "epochs": options.epochs, "pairs": options.pairs}
    announce(settings, {})
    kept, every = Kept(options.results, KEYS), tasks()
    for seed in range(options.first, options.seeds):
        for name in options.only or every:
            key = (name, options.pairs, seed)
            if key not in kept:
                kept.add([run(every[name], seed, settings)])
            print(line(kept[key]), flush=True)
    print("\n".join(["", *table(kept, options.pairs)]))


def run(task: Task, seed: int, settings: Mapping[str, Any] = SETTINGS) -> dict[str, object]:
    """Draw the pairs, fit, and return the row."""
    count, held_out = settings["pairs"], settings["held_out"]
    generator = torch.Generator().manual_seed(seed)
    x, y = task.draw(count, generator)
    more_x, more_y = task.draw(held_out, generator)
    start = time.process_time()
    to_action, to_future = bijections(task.source(x), y)
    with torch.random.fork_rng(devices=[]), without_validation():
        torch.manual_seed(seed)
        fitted = Pairs(to_action(task.source(x)), to_future(y))
        others = Pairs(to_action(task.source(more_x)), to_future(more_y))
        fold = torch.randperm(count) % settings["folds"]
        model, members = fit(fitted, fold, settings)
        guide = program_of(MixtureGuide([member.program for member in members]), fitted, settings, model)
        lower, upper = information(guide, others), information_within(members, fitted, fold)
        own = imagined(model, others[torch.arange(settings["imagined"])].action)
        in_model = model_information(model, guide, own, settings["draws"])
    seconds = time.process_time() - start
    low, error, high = float(lower.mean()), standard_error(lower), float(upper.mean())
    held = low - 2 * error <= task.information <= high + 2 * standard_error(upper)
    row = {"task": task.name, "pairs": count, "seed": seed, "exact": task.information, "lower": low, "lower_se": error}
    row |= {"upper": high, "upper_se": standard_error(upper), "estimate": (low + high) / 2, "held": held}
    row |= {"model": float(in_model.mean()), "ksg": ksg(x, y, settings["neighbours"]), "cca": cca(x, y)}
    return row | {"seconds": f"{seconds:.1f}"}


@dataclass(frozen=True)
class Pairs:
    """Actions and futures, `[N, ...]` each."""

    action: Tensor
    future: Tensor

    def __len__(self) -> int:
        return len(self.action)

    def __getitem__(self, rows: Tensor) -> "Pairs":
        return Pairs(self.action[rows], self.future[rows])

    @property
    def state(self) -> Tensor:
        """A state that is always 0, `[N, 1]`."""
        return torch.zeros(len(self), 1)

    def transitions(self) -> Transitions:
        """Return the pairs as transitions of `policy`."""
        zeros, no, state = torch.zeros(len(self)), torch.zeros(len(self), dtype=torch.bool), self.state
        behaviour = policy_of(self.action.shape[-1])(state).log_prob(self.action)
        return Transitions(state, self.action, zeros, state, no, no, behaviour, torch.ones(len(self)))


def policy_of(size: int) -> Policy:
    """Return the policy of standard normal actions, `[B]` of event shape `[size]`."""
    return lambda state: dist.Normal(torch.zeros(len(state), size), 1.0).to_event(1)


def box(size: int) -> Box:
    """Return the space of `size` real numbers."""
    return Box(-np.inf, np.inf, (size,))


def fit(pairs: Pairs, fold: Tensor, settings: Mapping[str, Any] = SETTINGS) -> tuple[Model, list[Guide]]:
    """Return a model and guides fitted to pairs: guide k to all but fold k, the model together with guide 0.

    Args:
        pairs: N of them.
        fold: the number of the fold of each pair, `[N]`.
        settings: see `SETTINGS`.
    """
    alone, model = (program_of(program, pairs, settings) for program in (NormalModel, SplineModel))
    members = []
    for number in range(settings["folds"]):
        beside = model if number == 0 else alone
        members.append(program_of(SplineGuide, pairs, settings, beside))
        train(beside, members[-1], pairs[fold != number], pairs[fold == number], settings)
    return model, members


def program_of(program: Any, pairs: Pairs, settings: Mapping[str, Any], model: Model | None = None) -> Any:
    """Return a model, or a guide for `model`, with the linear part of these pairs."""
    policy, state = policy_of(pairs.action.shape[-1]), pairs.state[:1]
    spec = Spec(*(box(x.shape[-1]) for x in (pairs.state, pairs.action, pairs.future)), hidden=settings["hidden"])
    if model is None:
        built = build_model(program, spec, policy, state, trusted=True)
    else:
        built = build_guide(program, spec, model, policy, state, trusted=True)
    built.observe(pairs.state, pairs.action, pairs.future)
    return built


def train(model: Model, guide: Guide, pairs: Pairs, validation: Pairs, settings: Mapping[str, Any]) -> None:
    """Fit both to pairs; of each the best average at the validation pairs is kept."""
    policy = policy_of(pairs.action.shape[-1])
    inference = Inference(model, guide, ForwardKL(), learning_rate=settings["learning_rate"])
    scored = [(model, likelihood), (guide, information)]
    best = [Best(program, score) for program, score in scored if list(program.parameters())]
    for epoch in range(settings["epochs"] + 1):
        for one in best:
            one.judge(validation, epoch)
        if all(epoch - one.epoch >= settings["patience"] for one in best):
            break
        for few in torch.randperm(len(pairs)).split(settings["batch"]):
            inference.step(policy, pairs[few].transitions(), pairs[few].future)
            for one in best:
                one.follow(settings["decay"])
    for one in best:
        one.restore()


class Best:
    """The moving average of a program's parameters, kept as it was when its score was highest.

    Args:
        program: the program that is fitted.
        score: `(program, pairs) -> [N]`, nats.
    """

    def __init__(self, program: Model | Guide, score: Callable[..., Tensor]) -> None:
        self.program, self.average, self.score = program, copy.deepcopy(program), score
        self.value, self.epoch = -float("inf"), 0

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move the average to the parameters by the share 1 − decay."""
        for mean, parameter in zip(self.average.parameters(), self.program.parameters(), strict=True):
            mean.lerp_(parameter, 1 - decay)

    def judge(self, pairs: Pairs, epoch: int) -> None:
        """Keep the average if the mean score of these pairs is the highest so far."""
        value = float(self.score(self.average, pairs).mean())
        if value > self.value:
            self.value, self.epoch, self.state = value, epoch, copy.deepcopy(self.average.state_dict())

    def restore(self) -> None:
        """Put the best average into the program."""
        self.program.load_state_dict(self.state)


@torch.no_grad()
def information(guide: Guide, pairs: Pairs) -> Tensor:
    """Return log q(a|F) − log π(a) of each pair, `[N]` nats."""
    policy = policy_of(pairs.action.shape[-1])
    log_q = guide.log_prob(policy, pairs.state, pairs.future, pairs.action)
    return log_q - policy(pairs.state).log_prob(pairs.action)


def information_within(members: Sequence[Guide], pairs: Pairs, fold: Tensor) -> Tensor:
    """Return log q(a|F) − log π(a) of each pair, `[N]` nats; q is the mixture of the guides that were fitted to it."""
    each = torch.stack([information(guide, pairs).where(fold != k, -torch.inf) for k, guide in enumerate(members)])
    return each.logsumexp(0) - math.log(len(members) - 1)


@torch.no_grad()
def likelihood(model: Model, pairs: Pairs) -> Tensor:
    """Return log p_ψ(F|a) of each pair, `[N]` nats."""
    return model.log_prob(policy_of(pairs.action.shape[-1]), pairs.state, pairs.action, pairs.future)


@torch.no_grad()
def imagined(model: Model, action: Tensor) -> Pairs:
    """Return actions with futures drawn from p_ψ(F|a)."""
    state = torch.zeros(len(action), 1)
    return Pairs(action, model.future(policy_of(action.shape[-1]), state, action).sample())


@torch.no_grad()
def model_information(model: Model, guide: Guide, pairs: Pairs, draws: int) -> Tensor:
    """Return log p_ψ(F|a) − log p̂_ψ(F) of futures of the model, `[N]` nats (see `gio_pyro.diagnostics.bounds`)."""
    policy, found = policy_of(pairs.action.shape[-1]), []
    for rows in torch.arange(len(pairs)).split(AT_ONCE // draws):
        part = pairs[rows]
        q, pi = guide.posterior(policy, part.state, part.future), policy(part.state)
        action = torch.cat([of.sample(torch.Size([draws // 2])) for of in (q, pi)])
        log_pi = pi.log_prob(action)
        log_weight = log_pi - torch.logaddexp(q.log_prob(action), log_pi) + math.log(2)
        each = Pairs(action.flatten(0, 1), part.future.repeat(len(action), 1))
        log_p = torch.logsumexp(likelihood(model, each).unflatten(0, log_pi.shape) + log_weight, 0)
        found.append(likelihood(model, part) - log_p + math.log(len(action)))
    return torch.cat(found)


def bijections(action: Tensor, y: Tensor) -> tuple[Map, Map]:
    """Return the maps of actions and of Y to the coordinates that programs are fitted in, from N pairs of both.

    Actions are turned, so that they stay standard normal: the axes are the canonical directions, made orthogonal.
    """
    scores = normal_scores(y)
    seen = scores(y)
    mean, lower = seen.mean(0), torch.linalg.cholesky(torch.atleast_2d(torch.cov(seen.T)))

    def whitened(y: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(lower, (scores(y) - mean).T, upper=False).T

    own = torch.linalg.cholesky(torch.atleast_2d(torch.cov(action.T)))
    cross = action.T @ whitened(y) / len(y)
    u, _, v = torch.linalg.svd(torch.linalg.solve_triangular(own, cross, upper=False))
    axes, signs = torch.linalg.qr(torch.linalg.solve_triangular(own.T, u, upper=True))
    axes = axes * signs.diag().sign()
    return lambda a: (a @ axes).float(), lambda y: (whitened(y) @ v.T).float()


def normal_scores(y: Tensor) -> Map:
    """Return a map of each coordinate to Φ⁻¹ of its rank among `y` `[N, m]`, linear between them and a bit beyond.

    Further outside it is constant: an evaluation then loses information and gains none.
    """
    known, count = y.T.sort(-1).values.contiguous(), len(y)
    levels = torch.special.ndtri((torch.arange(count, dtype=y.dtype) + 0.5) / count)

    def scores(y: Tensor) -> Tensor:
        columns = y.T.contiguous()
        low = (torch.searchsorted(known, columns) - 1).clamp(0, count - 2)
        left, right = known.gather(-1, low), known.gather(-1, low + 1)
        part = ((columns - left) / (right - left)).clamp(-1, 2)
        return (levels[low] + part * (levels[low + 1] - levels[low])).T

    return scores


def ksg(x: Tensor, y: Tensor, neighbours: int) -> float:
    """Return the first estimator of Kraskov, Stögbauer and Grassberger (2004), nats, of `[N, n]`, `[N, m]`."""
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    counts = []
    for i in torch.arange(len(x)).split(500):
        apart = [torch.cdist(v[i], v, p=float("inf")) for v in (x, y)]
        radius = torch.maximum(*apart).kthvalue(neighbours + 1, dim=-1).values[:, None]  # its own distance is 0
        counts.append(torch.stack([(each < radius).sum(-1) for each in apart]))
    within = torch.cat(counts, -1).numpy()
    return float(digamma(neighbours) + digamma(len(x)) - digamma(within).sum(0).mean())


def cca(x: Tensor, y: Tensor) -> float:
    """Return the information of a normal of the same canonical correlations, nats."""
    (x, _), (y, _) = (torch.linalg.qr(v - v.mean(0)) for v in (x, y))
    return float(-0.5 * torch.log1p(-torch.linalg.svdvals(x.T @ y).square()).sum())


def standard_error(values: Tensor) -> float:
    """Return the standard error of a mean."""
    return float(values.std()) / len(values) ** 0.5


def table(kept: Kept, pairs: int = SETTINGS["pairs"]) -> list[str]:
    """Return the sentence of `summary`, and the medians over seeds as Markdown."""
    rows = [row for row in kept.rows.values() if row["pairs"] == str(pairs)]
    lines = [summary(rows), ""]
    lines += ["| task | exact | lower | upper | estimate | largest error | held | model | KSG | CCA | seconds |"]
    lines += ["|---" * 11 + "|"]
    for task in dict.fromkeys(row["task"] for row in rows):
        columns = {name: kept.numbers(name, task=task, pairs=pairs) for name in COLUMNS}
        middle = {name: statistics.median(values) for name, values in columns.items()}
        most = max((value - middle["exact"] for value in columns["estimate"]), key=abs)
        held = [row["held"] == "True" for row in rows if row["task"] == task]
        cells = [f"{middle[name]:.3f}" for name in COLUMNS[:-1]]
        cells[4:4] = [f"{most:+.3f}", f"{sum(held)} of {len(held)}"]
        lines.append(f"| {task} | {' | '.join(cells)} | {middle['seconds']:.0f} |")
    return lines


def summary(rows: list[Row]) -> str:
    """Return how many estimates are right, and how many pairs of bounds."""
    errors = {
        name: [abs(float(row[name]) - float(row["exact"])) for row in rows] for name in ("estimate", "ksg", "cca")
    }
    ours, ksg, cca = (sum(error <= AIM for error in of) for of in errors.values())
    wrong = dict.fromkeys(row["task"] for row, error in zip(rows, errors["estimate"], strict=True) if error > AIM)
    held = sum(row["held"] == "True" for row in rows)
    text = f"Within {AIM} nats of the exact value are {ours} of {len(rows)} estimates (KSG: {ksg}, CCA: {cca}), and "
    text += f"{held} pairs of bounds hold it. Further off: {', '.join(wrong) or 'none'}."
    return textwrap.fill(text, 120, break_on_hyphens=False)


COLUMNS = ("exact", "lower", "upper", "estimate", "model", "ksg", "cca", "seconds")


def line(row: dict[str, str]) -> str:
    """Return a row as text."""
    number = {name: float(row[name]) for name in (*COLUMNS, "lower_se", "upper_se")}
    return (
        f"{row['task']:26} seed {row['seed']}  exact {number['exact']:.3f}  lower {number['lower']:.3f} ± "
        f"{number['lower_se']:.3f}  upper {number['upper']:.3f} ± {number['upper_se']:.3f}  estimate "
        f"{number['estimate']:.3f}  model {number['model']:.3f}  KSG {number['ksg']:.3f}  "
        f"CCA {number['cca']:.3f}  held {row['held']}  {row['seconds']} s"
    )


if __name__ == "__main__":
    main()
