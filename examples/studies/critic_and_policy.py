"""Why Pendulum fell back between 4,000 and 6,000 steps: the critic, the rate of its targets, the bounds of the policy.

    python examples/studies/critic_and_policy.py               # about two minutes a run, one core; --seeds 20 for more
    python examples/studies/critic_and_policy.py --only default --seeds 20
    python examples/studies/critic_and_policy.py --only "batch renorm" --seeds 5
    python examples/studies/critic_and_policy.py --only "the same, unbounded" --seeds 5
    python examples/studies/critic_and_policy.py --only residual --seeds 5

Everything else is the default with continuous actions. `return` is the mean over 20 episodes of the policy's most
probable actions; `value` is the critic's mean Q over drawn episodes, and `earned` the discounted soft return that
follows the same states and actions, within 200 steps; both in reward units. Rows in the CSV file are not run again.

The rows above the default, but for the last critic, and the first of batch renorm were measured with an equivalent
update on other evaluation episodes, on which the default returned -141 to -135 after 4,000 and 5,000 steps.
"""

import sys
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, command_line

import gio_pyro as gio
from gio_pyro.actor_critic import NetworkActorCritic
from gio_pyro.programs import detached, sample_actions

RESULTS = Path(__file__).parent / "results" / "critic_and_policy.csv"
KEYS = ("variant", "seed", "steps")
STEPS = (3_000, 4_000, 5_000, 6_000)
EPISODES, LENGTH = 20, 200
VARIANTS = MappingProxyType(
    {
        "as before: plain critic, τ = 0.005": {"critic": "plain", "target_rate": 0.005, "bounded_policy": False},
        "plain critic, τ = 0.02": {"critic": "plain", "target_rate": 0.02, "bounded_policy": False},
        "layer norm, τ = 0.005": {"target_rate": 0.005, "bounded_policy": False},
        "layer norm, τ = 0.02": {"target_rate": 0.02, "bounded_policy": False},
        "layer norm, τ = 0.05": {"bounded_policy": False},
        "layer norm, τ = 0.02, bounded policy": {"target_rate": 0.02},
        "default: layer norm, τ = 0.05, bounded policy": {},
        "batch renorm without targets, bounded policy": {"critic": "batch_renorm"},
        "the same, learned temperature": {"critic": "batch_renorm", "temperature": "auto:1.0"},
        "the same, unbounded policy, learned temperature": {
            "critic": "batch_renorm",
            "bounded_policy": False,
            "temperature": "auto:1.0",
        },
        "batch renorm, `UniformGuide`": {"critic": "batch_renorm", "guide": "UniformGuide"},
        "batch renorm, `UniformGuide`, unbounded policy": {
            "critic": "batch_renorm",
            "guide": "UniformGuide",
            "bounded_policy": False,
        },
        "batch renorm, `UniformGuide`, unbounded policy, learned temperature": {
            "critic": "batch_renorm",
            "guide": "UniformGuide",
            "bounded_policy": False,
            "temperature": "auto:1.0",
        },
        "residual blocks, τ = 0.05, bounded policy": {"critic": "residual"},
    }
)
"""Settings by the name of the row."""


def main() -> int:
    """Run what is missing and print the table; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=2)
    parser.add_argument("--only", default="", help="run variants whose name contains this")
    parser.add_argument("--compile", action="store_true", help="compile the update")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for variant, settings in VARIANTS.items():
        for seed in range(options.seeds if options.only in variant else 0):
            if (variant, seed, STEPS[-1]) not in kept:
                kept.add(run(variant, seed, compile=options.compile, **settings))
    print("\n".join(table(kept)))
    return 0


def run(variant: str, seed: int, **settings: Any) -> list[dict[str, object]]:
    """Learn once and return a row for each of `STEPS`."""
    agent, rows = gio.GIO("Pendulum-v1", seed=seed, **settings), []
    for steps in STEPS:
        agent.learn(steps - agent.steps)
        row = {"variant": variant, "seed": seed, "steps": steps}
        metrics = agent.metrics()
        value, earned = values(agent)
        row |= {"return": agent.evaluate(EPISODES, deterministic=True).mean, "value": value, "earned": earned}
        rows.append(row | {"entropy": metrics["train/entropy"], "nats": metrics["intrinsic/nats"]})
    print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    return rows


@torch.no_grad()
def values(agent: gio.GIO) -> tuple[float, float]:
    """Return the mean Q over the first `LENGTH` steps of drawn episodes, and the soft return that follows them."""
    control, alpha, discount = agent.actor_critic, float(agent.temperature.at(agent.steps)), agent.settings.discount
    assert isinstance(control, NetworkActorCritic)
    env = gym.make_vec("Pendulum-v1", EPISODES, vectorization_mode="sync", max_episode_steps=10 * LENGTH)
    observation, _ = env.reset(seed=agent.settings.seed)
    q, rewards, nats = [], [], []
    with torch.random.fork_rng():
        torch.manual_seed(agent.settings.seed)
        for _ in range(2 * LENGTH):
            state = torch.as_tensor(observation)
            chosen = sample_actions(control.policy(state))
            bonus = agent.reading.bonus(detached(control.policy), state, chosen)
            q.append(control.critic(state, chosen).squeeze(-1))
            nats.append(alpha * (bonus - chosen.log_prob).squeeze(-1))
            observation, reward, *_ = env.step(2 * chosen.action.tanh().numpy())
            rewards.append(torch.as_tensor(reward).float())
    env.close()
    earned, following = [], torch.zeros(EPISODES)
    for reward, paid in zip(reversed(rewards), reversed(nats), strict=True):
        earned.append(reward + following)  # of the action taken; what is paid for the policy itself is no part of Q
        following = discount * (paid + earned[-1])
    return float(torch.stack(q[:LENGTH]).mean()), float(torch.stack(earned[::-1][:LENGTH]).mean())


def table(kept: Kept) -> list[str]:
    """Return the returns after each number of steps as Markdown, seed by seed, of the variants that were run."""
    lines = ["| critic and policy | " + " | ".join(f"{steps:,} steps" for steps in STEPS) + " |", "|---" * 5 + "|"]
    for variant in VARIANTS:
        cells = [
            ", ".join(f"{value:.0f}" for value in kept.numbers("return", variant=variant, steps=steps))
            for steps in STEPS
        ]
        if any(cells):
            lines.append(f"| {variant} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
