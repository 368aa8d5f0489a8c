"""Environment steps a second on Pendulum-v1, beside Stable-Baselines3's SAC, and the size of a full replay buffer.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/speed.py              # about five minutes on one core

Equal networks (two layers of 256), batches of 256, one update a step, one thread. The machine may be busy: runs are
paired, in turn, and what counts is the median of their ratios. GIO fits a model and a guide besides,
and reads both twice in an update: about twice the arithmetic. The bound is half of SAC's steps, as the update stands.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch

import gio_pyro as gio
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.types import Transitions

RESULTS = Path(__file__).parent / "results" / "speed.csv"
ENVIRONMENT, SIZES, WARM_UP = "Pendulum-v1", (256, 256), 300
RATIO, WEIGHT = 0.5, 1.3
TITLES = {
    "sac": ("SAC", ""),
    "gio": ("GIO", f"{RATIO}"),
    "gio compiled": ("GIO, `compile=True`", ""),
    "gio, 8 environments": ("GIO, 8 environments", "more than one environment"),
}
"""Of each row: its name in the table, and the bound."""
Runner = Callable[[int], Any]


def main() -> int:
    """Measure, print, keep, and return the exit status: 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=80, help="environment steps of each run of a pair")
    parser.add_argument("--rows", type=int, default=1_000_000, help="transitions in the replay that is weighed")
    parser.add_argument("--no-compile", action="store_true", help="leave out the compiled update")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    runners = {"sac": sac(), "gio": ours()} | ({} if options.no_compile else {"gio compiled": ours(compile=True)})
    rates = paired(runners | {"gio, 8 environments": ours(environments=8)}, options.pairs, options.steps)
    rows = [
        (name, f"{statistics.median(rate):.1f}", f"{ratio(rate, rates['sac']):.3f}") for name, rate in rates.items()
    ]
    for name, rate, relative in rows:
        print(f"{name:<22} {rate:>8} steps/s   {relative} of SAC's (median of {options.pairs} paired ratios)")
    weight = weigh(options.rows)
    print(f"{options.rows:,} transitions weigh {weight:.3f} of their raw bytes (bound {WEIGHT})")
    keep(options.results, [*rows, (f"replay of {options.rows} over its raw bytes", f"{weight:.3f}", "")])
    print("\n".join(["", *table(options.results), ""]))
    return 0 if ratio(rates["gio"], rates["sac"]) >= RATIO and weight <= WEIGHT else 1


def table(path: Path) -> list[str]:
    """Return the table of a file as Markdown, and the sentence on the replay."""
    with path.open(newline="") as file:
        *rows, (_, weight, _) = list(csv.reader(file))[1:]
    lines = ["| | steps/s | of Stable-Baselines3's SAC | bound |", "|---" * 4 + "|"]
    for name, rate, relative in rows:
        title, bound = TITLES[name]
        lines.append(f"| {title} | {rate} | {float(relative):.2f} | {bound} |".replace("  ", " "))
    return [
        *lines,
        "",
        f"A replay buffer of 1,000,000 Pendulum transitions takes {weight} times the size of its arrays "
        f"(bound {WEIGHT}).",
    ]


def sac() -> Runner:
    """Return what takes steps with SAC, past its warm-up."""
    from stable_baselines3 import SAC

    agent = SAC("MlpPolicy", ENVIRONMENT, policy_kwargs={"net_arch": list(SIZES)}, seed=0, device="cpu")
    agent.learn(WARM_UP)
    return lambda steps: agent.learn(steps, reset_num_timesteps=False)


def ours(environments: int = 1, **settings: Any) -> Runner:
    """Return what takes steps with a GIO agent, past its warm-up; of several environments, one update for all."""
    env = ENVIRONMENT if environments == 1 else gym.make_vec(ENVIRONMENT, environments, vectorization_mode="sync")
    agent = gio.GIO(env, hidden=SIZES, learning_starts=WARM_UP - 40, seed=0, **settings)
    agent.learn(WARM_UP)
    return agent.learn


def paired(runners: dict[str, Runner], pairs: int, steps: int) -> dict[str, list[float]]:
    """Return steps a second of every runner, each list in the order of the pairs."""
    rates: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(pairs):
        for name, run in runners.items():
            start = time.perf_counter()
            run(steps)
            rates[name].append(steps / (time.perf_counter() - start))
    return rates


def ratio(rate: list[float], reference: list[float]) -> float:
    """Return the median of the paired ratios."""
    return statistics.median(mine / theirs for mine, theirs in zip(rate, reference, strict=True))


def weigh(count: int) -> float:
    """Return the bytes of a full replay over those of its state, action, reward, next state and two flags."""
    replay, chunk = Replay(count), 10_000
    state, flag = torch.zeros(chunk, 3), torch.zeros(chunk, dtype=torch.bool)
    one = torch.ones(chunk)
    rows = Transitions(state, torch.zeros(chunk, 1), one, state, flag, flag, 0 * one, one)
    for _ in range(0, count, chunk):
        replay.add(rows)
    raw = count * (2 * 3 * 4 + 4 + 4 + 2)
    return replay.bytes / raw


def keep(path: Path, rows: list[tuple[str, str, str]]) -> None:
    """Write the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("what", "median", "of SAC's, median of paired ratios"), *rows])


if __name__ == "__main__":
    sys.exit(main())
