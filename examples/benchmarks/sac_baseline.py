"""Stable-Baselines3's SAC, for comparison: its own defaults, with networks of the size that gio_pyro uses.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/sac_baseline.py HalfCheetah-v5 --steps 100000 --seeds 2   # about 30 minutes a seed

Twenty evaluation episodes with the mean action follow the last step. Rows already in the CSV file are not run again.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy

RESULTS = Path(__file__).parent / "results" / "sac_baseline.csv"
COLUMNS = ("environment", "hidden", "steps", "seed", "return", "episodes", "seconds")
EVALUATION_SEED = 1_000_003


def main() -> int:
    """Run what is missing and print every row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        key = tuple(map(str, (options.environment, options.hidden, options.steps, seed)))
        if key not in done(options.results):
            append(options.results, run(*key))
        print(*done(options.results)[key], flush=True)
    return 0


def run(environment: str, hidden: str, steps: str, seed: str) -> tuple[str, ...]:
    """Train once and return the row for the CSV file."""
    start = time.perf_counter()
    network = {"net_arch": [int(hidden)] * 2}
    agent = SAC("MlpPolicy", environment, policy_kwargs=network, seed=int(seed), device="cpu")
    agent.learn(int(steps))
    seconds = time.perf_counter() - start
    env = agent.get_env()
    assert env is not None
    env.seed(EVALUATION_SEED + int(seed))
    mean, _ = evaluate_policy(agent, env, n_eval_episodes=20, deterministic=True)
    return (environment, hidden, steps, seed, f"{mean:.6g}", "20", f"{seconds:.1f}")


def done(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the rows that are there, by environment, network size, steps and seed."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {tuple(row[:4]): tuple(row) for row in list(csv.reader(file))[1:]}


def append(path: Path, row: tuple[str, ...]) -> None:
    """Add one row, with the header first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        writer.writerow(row)


if __name__ == "__main__":
    sys.exit(main())
