"""What does the best agent do that is paid for information or empowerment alone? Exactly, in `gio/NoisyPendulum-v0`.

    python examples/studies/pendulum_without_reward.py    # half a minute; rows in the file are not computed again

The world has a transition table, so that nothing is learned and no seed is drawn: empowerment E_n is computed for every
state (`tabular.empowerment`), and the policies that maximise the discounted sum of what is paid, by policy iteration
(`tabular.policy_iteration`) with γ = 0.99. Empowerment E_n(s') and the reward are paid beside an entropy of
temperature 0.01, as to an agent with a signal; information I(S'; A | s) has temperature 1, as without reward the
temperature is only a unit. What the policy is worth is its return, the steps of 100 that end upright, from any state.
"""

from pathlib import Path

import gymnasium as gym
import torch
from kept import Kept, command_line
from torch import Tensor

import gio_pyro.envs  # noqa: F401 - registers the world
from gio_pyro import tabular

RESULTS = Path(__file__).parent / "results" / "pendulum_without_reward.csv"
WORLD, STEPS, DISCOUNT, TEMPERATURE = "gio/NoisyPendulum-v0", 100, 0.99, 0.01
KEYS = ("paid",)
HORIZONS = (1, 2, 3, 4)
TOLERANCE = 2e-3
"""The largest advantage that is left. For information, smaller ones take thousands of iterations."""


def main() -> None:
    """Compute what is missing, print the table."""
    parser = command_line(__doc__, RESULTS, "without empowerment of more than one action")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    mdp = tabular.TabularMDP.from_env(gym.make(WORLD), discount=DISCOUNT)
    for paid in objectives(HORIZONS[:1] if options.quick else HORIZONS):
        if (paid,) not in kept:
            policy = best(mdp, paid)
            worth = float(tabular.expected_return(mdp, policy, STEPS))
            kept.add([{"paid": paid, "return": worth, "steps": STEPS}])
            print(f"{paid}: {worth:.2f}", flush=True)
    print("\n".join(table(kept)))


def objectives(horizons: tuple[int, ...]) -> list[str]:
    """Return what is paid, by name."""
    return ["reward", *(f"empowerment, n = {n}" for n in horizons), "information, next state", "nothing"]


def best(mdp: tabular.TabularMDP, paid: str) -> Tensor:
    """Return the policy that maximises what is paid, `[S, A]`."""
    if paid == "nothing":
        return mdp.uniform
    if paid == "information, next state":
        return tabular.policy_iteration(with_reward(mdp, 0 * mdp.reward), 1.0, tolerance=TOLERANCE).policy
    if paid != "reward":
        mdp = with_reward(mdp, mdp.transition @ tabular.empowerment(mdp, int(paid.split()[-1])))
    return tabular.policy_iteration(mdp, TEMPERATURE, guide=tabular.uniform, tolerance=TOLERANCE).policy


def with_reward(mdp: tabular.TabularMDP, reward: Tensor) -> tabular.TabularMDP:
    """Return the MDP with another reward, `[S, A]`."""
    return tabular.TabularMDP(mdp.transition, reward, discount=mdp.discount, start=mdp.start)


def table(kept: Kept) -> list[str]:
    """Return a line for each objective in Markdown."""
    lines = [f"| paid, and maximised exactly | return, of {STEPS} |", "|---|---|"]
    return [*lines, *(f"| {paid} | {float(row['return']):.1f} |" for (paid,), row in kept.rows.items())]


if __name__ == "__main__":
    main()
