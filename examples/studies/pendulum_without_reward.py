"""What does the best agent do that is paid for information or empowerment alone? Exactly, in `gio/NoisyPendulum-v0`.

    python examples/studies/pendulum_without_reward.py    # half a minute; rows in the file are not computed again

The world has a transition table, so that nothing is learned and no seed is drawn: empowerment E_n is computed for every
state (`tabular.empowerment`), and the policies that maximise the discounted sum of what is paid, by policy iteration
(`tabular.policy_iteration`) with γ = 0.99. Empowerment E_n(s') and the reward are paid beside an entropy of
temperature 0.01, as to an agent with a signal; information I(S'; A | s) has temperature 1, as without reward the
temperature is only a unit. What the policy is worth is its return, the steps of 100 that end upright, from any state.

    python examples/benchmarks/evidence.py reward_free_pendulum
    cd evidence/reward_free_pendulum/empowerment_of_1_action
    python ../../../examples/studies/pendulum_without_reward.py --judge *-seed-*

says of agents that learned E_n themselves what they fall short of: the error of E_n, mean over states, the return of
their most probable actions, and that of the policy that is best for E_n as they believe it. Where these two are the
same, the estimate is at fault, and not the control. (Agents of the question `reward_free_pendulum_seen`, likewise.)
"""

import argparse
from pathlib import Path

import gymnasium as gym
import torch
from gymnasium.spaces import Discrete
from kept import Kept
from torch import Tensor
from torch.nn.functional import one_hot

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.envs import NoisyPendulum

HERE = Path(__file__).parent / "results"
RESULTS, LEARNED = HERE / "pendulum_without_reward.csv", HERE / "pendulum_without_reward-learned.csv"
WORLD, STEPS, DISCOUNT, TEMPERATURE = "gio/NoisyPendulum-v0", 100, 0.99, 0.01
KEYS, LEARNED_KEYS = ("paid",), ("seen", "horizon", "seed")
HORIZONS = (1, 2, 3, 4)
TOLERANCE = 2e-3
"""The largest advantage that is left. For information, smaller ones take thousands of iterations."""


def main() -> None:
    """Compute what is missing, or judge runs, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", nargs="*", type=Path, default=[], help="run folders of agents that learned E_n")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept, learned = Kept(RESULTS, KEYS), Kept(LEARNED, LEARNED_KEYS)
    mdp = tabular.TabularMDP.from_env(gym.make(WORLD), discount=DISCOUNT)
    for paid in objectives(HORIZONS):
        if (paid,) not in kept:
            kept.add([{"paid": paid, "return": worth(mdp, best(mdp, paid)), "steps": STEPS}])
    for folder in options.judge:
        learned.add([judged(mdp, gio.GIO.load(folder))])
    print("\n".join(table(kept, learned)))


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
        mdp = paid_for(mdp, tabular.empowerment(mdp, int(paid.split()[-1])))
    return greedy(mdp)


def greedy(mdp: tabular.TabularMDP) -> Tensor:
    """Return the policy that maximises the reward, and a little entropy, `[S, A]`."""
    return tabular.policy_iteration(mdp, TEMPERATURE, guide=tabular.uniform, tolerance=TOLERANCE).policy


def paid_for(mdp: tabular.TabularMDP, empowerment: Tensor) -> tabular.TabularMDP:
    """Return the MDP whose reward is the empowerment of the next state."""
    return with_reward(mdp, mdp.transition @ empowerment)


def with_reward(mdp: tabular.TabularMDP, reward: Tensor) -> tabular.TabularMDP:
    """Return the MDP with another reward, `[S, A]`."""
    return tabular.TabularMDP(mdp.transition, reward, discount=mdp.discount, start=mdp.start)


def worth(mdp: tabular.TabularMDP, policy: Tensor) -> float:
    """Return the expected return of an episode."""
    return float(tabular.expected_return(mdp, policy, STEPS))


def judged(mdp: tabular.TabularMDP, agent: gio.GIO) -> dict[str, object]:
    """Return a row of what an agent with the signal Empowerment learned."""
    signal, finite = agent.reward_mix.signal, isinstance(agent.spec.state_space, Discrete)
    horizon = signal.learner.horizon
    state = torch.arange(mdp.states) if finite else torch.as_tensor(NoisyPendulum().views)
    with torch.no_grad():
        believed = signal.estimate(state).double()
        policy = one_hot(agent.policy(state).probs.argmax(-1), mdp.actions).double()
    return {
        "seen": "index" if finite else "angle and speed",
        "horizon": horizon,
        "seed": agent.settings.seed,
        "steps": agent.steps,
        "error": float((believed - tabular.empowerment(mdp, horizon)).abs().mean()),
        "return": worth(mdp, policy),
        "best": worth(mdp, greedy(paid_for(mdp, believed))),
    }


def table(kept: Kept, learned: Kept) -> list[str]:
    """Return a line for each objective, and for each agent, in Markdown."""
    lines = [f"| paid, and maximised exactly | return, of {STEPS} |", "|---|---|"]
    lines += [f"| {paid} | {float(row['return']):.1f} |" for (paid,), row in kept.rows.items()]
    lines += [
        "",
        "| learned E_n | state seen as | seed | mean error, nats | return, exactly | of the best policy for it |",
        "|---" * 6 + "|",
    ]
    for (seen, n, seed), row in learned.rows.items():
        numbers = f"{float(row['error']):.3f} | {float(row['return']):.1f} | {float(row['best']):.1f}"
        lines.append(f"| n = {n} | {seen} | {seed} | {numbers} |")
    return lines


if __name__ == "__main__":
    main()
