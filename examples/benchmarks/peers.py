"""Does it control as well as what people use? Stable-Baselines3 on the same environments, for as many steps.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/peers.py                    # what is missing, ten hours of one core; then the table
    python examples/benchmarks/peers.py --only Pendulum    # one environment
    python examples/benchmarks/peers.py --table            # the table alone

SAC with its own defaults, DQN with the settings that RL Baselines3 Zoo tuned for each environment
(https://github.com/DLR-RM/rl-baselines3-zoo, hyperparams/dqn.yml of 22e3ff2). The rows of this library are those of
deep_control.py and of the question `control` of evidence.py: one table of settings for each kind of action, and a
temperature. A result is the mean return of 20 episodes with the most probable action, for each seed those in which this
library is judged. Statistics are those of `gio report`.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import evidence
import torch
from evidence import scores
from judged import mean_return
from kept import Kept, command_line

from gio_pyro.agent import OTHER_SEED
from gio_pyro.sweep.comparison import compare
from gio_pyro.sweep.results import Result

HERE = Path(__file__).parent / "results"
RESULTS, OWN = HERE / "peers.csv", HERE / "deep_control.csv"
KEYS = ("environment", "method", "steps", "seed")
OURS = "gio_pyro"
SOFT = f"{OURS}, UniformGuide"
NAMES = {"gio": OURS, "soft": SOFT, "information, next state": OURS, "entropy": SOFT}
"""Names in the table by those of deep_control.py and evidence.py."""


@dataclass(frozen=True)
class Peer:
    """An algorithm of Stable-Baselines3 in an environment."""

    environment: str
    steps: int
    algorithm: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """What the table calls it."""
        return f"{self.algorithm}, {'tuned' if self.settings else 'defaults'}"


WIDE = {"net_arch": [256, 256]}
OFTEN = {
    "learning_rate": 6.3e-4,
    "batch_size": 128,
    "buffer_size": 50_000,
    "learning_starts": 0,
    "target_update_interval": 250,
    "train_freq": 4,
    "gradient_steps": -1,
    "exploration_fraction": 0.12,
    "exploration_final_eps": 0.1,
    "policy_kwargs": WIDE,
}
"""The Zoo's settings of Acrobot and LunarLander."""
PEERS = (
    Peer("Pendulum-v1", 6_000, "SAC"),
    *(
        Peer(environment, 100_000, "SAC")
        for environment in ("LunarLanderContinuous-v3", "Hopper-v5", "Walker2d-v5", "HalfCheetah-v5")
    ),
    Peer(
        "CartPole-v1",
        50_000,
        "DQN",
        {
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1_000,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04,
            "policy_kwargs": WIDE,
        },
    ),
    Peer("Acrobot-v1", 50_000, "DQN", OFTEN),
    Peer("LunarLander-v3", 100_000, "DQN", OFTEN),
)


def run(peer: Peer, seed: int) -> dict[str, object]:
    """Train and evaluate; return the row."""
    import stable_baselines3

    torch.set_num_threads(1)
    start = time.process_time()
    agent = getattr(stable_baselines3, peer.algorithm)("MlpPolicy", peer.environment, seed=seed, **peer.settings)
    agent.learn(peer.steps)
    mean = mean_return(agent, peer.environment, evaluation_seed(peer.environment, seed))
    row = {"environment": peer.environment, "method": peer.method, "steps": peer.steps, "seed": seed}
    return row | {"return": mean, "seconds": round(time.process_time() - start)}


def evaluation_seed(environment: str, seed: int) -> int:
    """Return the seed of the episodes on which the rows of this library were judged."""
    asked = environment in evidence.QUESTIONS["control"].environments
    return OTHER_SEED + (seed if asked else 100 * seed)  # as gio train does, or as deep_control.py


def results(kept: Kept) -> list[Result]:
    """Return the runs of the peers, and those of this library with as many steps."""
    deep, asked = Kept(OWN, KEYS).rows.values(), Kept(evidence.RESULTS, evidence.KEYS).rows.values()
    both = [*deep, *(row for row in asked if row["question"] == "control")]
    own = [row | {"method": NAMES[row["method"]]} for row in both if row["method"] in NAMES]
    begun = {row["environment"] for row in kept.rows.values()}
    budgets = {(peer.environment, str(peer.steps)) for peer in PEERS if peer.environment in begun}
    rows = [row for row in (*own, *kept.rows.values()) if (row["environment"], row["steps"]) in budgets]
    return [Result(row["environment"], row["method"], int(row["seed"]), float(row["return"]), "", {}) for row in rows]


def table(kept: Kept) -> list[str]:
    """Return a line for each method in each environment, in Markdown."""
    steps = {peer.environment: peer.steps for peer in PEERS}
    lines = ["| beside Stable-Baselines3 | environment | steps | seeds | IQM | 95 % interval | lowest to highest |"]
    lines.append("|---" * 7 + "|")
    for comparison in compare(results(kept)):
        for method in comparison.methods:
            what = [method.name, comparison.environment, f"{steps[comparison.environment]:,}"]
            lines.append(f"| {' | '.join([*what, *scores(method)])} |")
    return lines


def main() -> None:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    parser.add_argument("--only", default="", help="environments whose id contains this")
    parser.add_argument("--steps", type=int, help="instead of those of the table; for a trial")
    options = parser.parse_args()
    kept = Kept(options.results, KEYS)
    for peer in PEERS if not options.table else ():
        if options.only not in peer.environment:
            continue
        peer = replace(peer, steps=options.steps or peer.steps)
        for seed in range(options.seeds):
            if (peer.environment, peer.method, peer.steps, seed) not in kept:
                kept.add([run(peer, seed)])
                print(peer.environment, peer.method, seed, kept.numbers("return", environment=peer.environment)[-1])
    print("\n".join(table(kept)))


if __name__ == "__main__":
    main()
