"""Fit filters and world models to episodes of random actions, and compare them with the exact ones, five seeds each.

    python examples/benchmarks/filters.py                  # about an hour on one core
    python examples/benchmarks/filters.py --only Tiger

No control: actions are uniform, and only the bound on log p(x_0..T) is maximised. Three kinds of rows:

    exact      the true world model and the exact filter, in float64: the largest difference of information gain and
               state consistency over draws of the state, which Bayes' rule says is 0
    given      the true world model and a learned filter q: KL(q ‖ exact filter) along held-out episodes, and how far
               the bound is from the log-likelihood of what was seen
    learned    a learned world model, with an exact filter or a learned one: the log-likelihood under the true world
               less the bound, both of held-out episodes

All are nats a step. Rewards are not seen. Settings were chosen on seeds 0, 1 and 100. Rows already in the CSV file are
not run again. Exit status 1 if an aim is missed.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, Row, command_line
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

import gio_pyro.envs  # noqa: F401 - registers the worlds
from gio_pyro import tabular
from gio_pyro.beliefs.fit import bound_of, fit, random_play, whole_episodes
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.terms import terms_of
from gio_pyro.beliefs.world import World
from gio_pyro.models import FiniteStateSpace, GaussianStateSpace
from gio_pyro.types import Seen

RESULTS = Path(__file__).parent / "results" / "filters.csv"
KEYS = ("world", "world model", "filter", "seed", "updates")
AIM, EXACT_AIM = 0.02, 1e-5
"""Nats a step."""
STEPS = {"exact": 1_000, "given": 20_000, "learned": 50_000}
HELD_OUT = 5_000
"""Environment steps."""
LEAST = 1e-30
"""Probability that a world model leaves to impossible states, see `FiniteStateSpace`."""
OTHER = 1_000
"""Added to the seed for held-out episodes."""
LINEAR = "LinearGaussian"
WORLDS: dict[str, tuple[str, dict[str, Any]]] = {
    LINEAR: ("gio/LinearGaussian-v0", {}),
    "Tiger": ("gio/Tiger-v0", {}),
    "TMaze": ("gio/TMaze-v0", {}),
    "NoisyFrozenLake": ("gio/NoisyFrozenLake-v0", {}),
    "slippery NoisyFrozenLake": ("gio/NoisyFrozenLake-v0", {"is_slippery": True}),
}
PIECES: dict[str, Any] = {"piece_length": 24, "burn_in": 8, "compile": False}
AT_ONCE = {LINEAR: 64, "given": 32, "learned": 32}
"""Pieces in a gradient step."""
UPDATES = {LINEAR: 1_200, "given": 150, "learned": 360}
"""Gradient steps; a third of them with a falling step size."""
RATES = {LINEAR: 0.02, "learned": 0.1}
"""Step sizes of learned world models."""
STATES = {"Tiger": 4, "TMaze": 64, "NoisyFrozenLake": 24, "slippery NoisyFrozenLake": 24}
"""Of learned world models: more than there are, so that fewer fits end in a local optimum."""


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = command_line(__doc__, RESULTS, "few steps and updates, for tests", seeds=5)
    parser.add_argument("--only", default="", help="run worlds whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    named = {"steps": STEPS, "held out": HELD_OUT, **PIECES, "pieces": AT_ONCE, "updates": UPDATES, "rates": RATES}
    print("settings:", ", ".join(f"{key}={value}" for key, value in {**named, "states": STATES}.items()), flush=True)
    rows = Kept(options.results, KEYS)
    for seed in range(options.seeds):
        for world, kind, filter in (one for one in runs() if options.only in one[0]):
            updates = 0 if kind == "exact" else 6 if options.quick else UPDATES[world if world == LINEAR else kind]
            key = (world, kind, filter, seed, updates)
            if key not in rows:
                rows.add([run(*key, steps=400 if options.quick else STEPS[kind])])
            print(line(rows[key]), flush=True)
    print("\n".join(["", *table(rows), ""]))
    missed = [row for row in rows.rows.values() if not within(row)]
    print(f"{len(rows.rows) - len(missed)} of {len(rows.rows)} rows within their aims")
    return int(bool(missed))


def runs() -> Iterator[tuple[str, str, str]]:
    """Yield world, whether its model is given, exact or learned, and the filter."""
    yield LINEAR, "exact", "KalmanFilter"
    yield LINEAR, "given", "GaussianFilter"
    yield from ((LINEAR, "learned", filter) for filter in ("KalmanFilter", "GaussianFilter"))
    for world in WORLDS:
        if world != LINEAR:
            yield world, "exact", "ForwardFilter"
            yield world, "given", "CategoricalFilter"
            yield world, "learned", "ForwardFilter"


def run(world: str, kind: str, filter: str, seed: int, updates: int, steps: int) -> dict[str, object]:
    """Return one row."""
    env = gym.make(WORLDS[world][0], **WORLDS[world][1])
    start = time.process_time()
    replay = random_play(env, steps, seed=seed)
    episodes = whole_episodes(random_play(env, min(HELD_OUT, steps), seed=seed + OTHER))
    cooled, pieces = updates // 3, AT_ONCE.get(world, AT_ONCE.get(kind, 1))
    settings = PIECES | {"updates": updates - cooled, "cooled": cooled, "pieces": pieces, "seed": seed}
    model = learned(world) if kind == "learned" else given(world, env)
    fitted = fit(replay, env, world_model=model, filter=filter, **settings).world
    row: dict[str, object] = dict(zip(KEYS, (world, kind, filter, seed, updates), strict=True))
    belief, log_likelihood = exact(world, env, episodes)
    row["exact"] = float(log_likelihood.mean())
    row["gap"] = float(log_likelihood.mean()) - bound_of(fitted, episodes, draws=20 if world == LINEAR else 1)
    row["KL"] = float("nan") if kind == "learned" else divergence(fitted, episodes, belief)
    row["identity"] = identity(fitted, episodes) if kind == "exact" else float("nan")
    return row | {"seconds": time.process_time() - start}


@contextmanager
def doubled(world: World) -> Iterator[None]:
    """Use float64 in the block, and for the world from now on."""
    before = torch.get_default_dtype()
    world.double()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def given(world: str, env: Any) -> Any:
    """Return the true world model."""
    if world == LINEAR:
        return GaussianStateSpace.of(env.unwrapped.system, float(env.action_space.high[0]))
    model = FiniteStateSpace.of(tabular.POMDP.from_env(env))
    model.rewards = False
    return model


def learned(world: str) -> Any:
    """Return the class of the world model to fit."""
    if world == LINEAR:
        return type("Learned", (GaussianStateSpace,), {"rewards": False, "learning_rate": RATES[LINEAR]})
    options = {"rewards": False, "learning_rate": RATES["learned"], "states": STATES[world]}
    return type("Learned", (FiniteStateSpace,), options)


def exact(world: str, env: Any, piece: Piece) -> tuple[Any, Tensor]:
    """Return the exact beliefs at each instant there is, `[N, ...]` or normal, and log-likelihoods `[N]` nats."""
    shown, there = torch.cat([piece.first.unsqueeze(1), piece.observation], 1), piece.counted(0)
    if world == LINEAR:
        found = tabular.kalman(env.unwrapped.system, shown, float(env.action_space.high[0]) * piece.action.tanh())
        return MultivariateNormal(found.mean[there], found.covariance[there]), found.log_likelihood[there]
    pomdp, lengths = tabular.POMDP.from_env(env), piece.valid.sum(1).tolist()
    each = [
        tabular.forward_filter(pomdp, shown[i, : n + 1], piece.action[i, :n], terminated=piece.terminated[i, :n])
        for i, n in enumerate(lengths)
    ]
    return torch.cat([one.belief for one in each]), torch.cat([one.log_likelihood for one in each])


@torch.no_grad()
def divergence(world: World, piece: Piece, belief: Any) -> float:
    """Return the mean of KL(q ‖ exact filter), nats a step."""
    own = world.along(piece)[piece.counted(0)].double()
    if isinstance(belief, Tensor):
        return float((own * (own.clamp_min(LEAST).log() - belief.clamp_min(LEAST).log())).sum(-1).mean())
    n = belief.event_shape[0]
    return float(kl_divergence(MultivariateNormal(own[:, :n], own[:, n:].unflatten(-1, (n, n))), belief).mean())


@torch.no_grad()
def identity(world: World, piece: Piece) -> float:
    """Return the largest |information gain − state consistency| over draws of the state, nats."""
    piece = Piece(*(one.double() if one.is_floating_point() else one for one in piece.tensors()))
    action, seen = piece.later()
    with doubled(world):
        later = terms_of(world, world.along(piece)[:, :-1].flatten(0, 1), action, seen, draws=1)
        first = terms_of(world, world.before(piece.first), None, Seen(piece.first), draws=1)
    worst = (later.information - later.consistency).abs()[piece.valid.flatten()].max()
    return float(torch.maximum(worst, (first.information - first.consistency).abs().max()))


def within(row: Row) -> bool:
    """Whether a row keeps its aims."""
    if row["world model"] == "exact":
        return float(row["identity"]) <= EXACT_AIM
    figures = [float(row["gap"])] + ([float(row["KL"])] if row["world model"] == "given" else [])
    return all(figure <= AIM for figure in figures)


def line(row: Row) -> str:
    """Return a row as text."""
    named = "  ".join(f"{key} {row[key]}" for key in ("exact", "gap", "KL", "identity") if row[key] != "nan")
    return f"{', '.join(row[key] for key in KEYS[:4])}: {named}  {'ok' if within(row) else 'MISSED'}"


def table(rows: Kept) -> list[str]:
    """Return medians and largest values over the seeds as Markdown."""
    lines = [
        "| filter of | world model | filter | within aims | gap to log p: median, largest | KL to the exact filter |",
        "|---" * 6 + "|",
    ]
    for world, kind, filter in runs():
        key = {"world": world, "world model": kind, "filter": filter}
        mine = [row for row in rows.rows.values() if row.items() >= key.items()]
        if mine:
            kept = f"{sum(map(within, mine))} of {len(mine)}"
            gap, kl = (_summary([float(row[name]) for row in mine]) for name in ("gap", "KL"))
            if kind == "exact":
                kl = f"identity within {max(float(row['identity']) for row in mine):.0e}"
            lines.append(f"| {world} | {kind} | {filter} | {kept} | {gap} | {kl if kind != 'learned' else ''} |")
    return lines


def _summary(values: list[float]) -> str:
    return f"{statistics.median(values):.4f}, {max(values):.4f}"


if __name__ == "__main__":
    sys.exit(main())
