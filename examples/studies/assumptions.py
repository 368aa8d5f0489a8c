"""Do the assumptions of the convergence theorem hold on benchmark worlds?

    python examples/studies/assumptions.py                # an hour of one core; rows in the file are not run again
    python examples/studies/assumptions.py --table        # the tables alone

The theorem of the paper (arXiv 2310.08100, theorem 4.5) assumes that the optimal policy is not certain of its actions
(4.2), that the first policy can take every action that the optimal one takes (4.3), and that what is paid is bounded
(4.4). What becomes of policy iteration where one of them fails is another study, `when_assumptions_fail.py`; this one
measures them:

- **entropy** of the optimal policy, nats: the mean over states, and the smallest;
- **support**: KL(π* ‖ π_0), nats, the mean over states and the largest. It is infinite where π_0 lacks an action, and
  it is the constant of the rate of convergence (docs/theory.md);
- **paid**: the least and the most that is paid for one state, log q − log π in nats, and the largest |Q| in reward
  units beside its bound (|r| + α |I|) / (1 − γ), with the largest |r| and |I| that occurred.

In finite worlds the optimal policy is the exact one (`gio_pyro.tabular.policy_iteration`), over the states that can be
reached and are not terminal. In the others it is the learned one after the last step, over the last 2,000 states that
were visited; of continuous actions all is counted before the squash, which changes no KL. Default settings; the
temperatures are those of `examples/benchmarks/deep_control.py`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import torch
from kept import COLOURS, Kept, command_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.programs import sample_actions

RESULTS = Path(__file__).parent / "results" / "assumptions.csv"
KEYS = ("environment", "seed")
STATES = 2_000
"""Visited states over which learned policies are measured."""


@dataclass(frozen=True)
class World:
    """An environment, and for how long its policy is learned; 0 steps: solved exactly."""

    environment: str
    temperature: float | str
    steps: int = 0


WORLDS = (
    World("FrozenLake-v1", 0.01),
    World("CliffWalking-v1", 0.01),
    World("Taxi-v4", 0.01),
    World("CartPole-v1", 0.01, 20_000),
    World("Acrobot-v1", 0.05, 20_000),
    World("Pendulum-v1", 0.2, 6_000),
    World("MountainCarContinuous-v0", 0.2, 10_000),
    World("Hopper-v5", "auto:0.2", 20_000),
)
COLUMNS = ("entropy", "least_entropy", "kl", "largest_kl", "least_paid", "most_paid", "q", "q_bound")


def figures(entropy: Tensor, kl: Tensor, paid: Tensor, q: float, q_bound: float) -> dict[str, object]:
    """Return the columns of a row from what each state has."""
    values = (entropy.mean(), entropy.min(), kl.mean(), kl.max(), paid.min(), paid.max(), q, q_bound)
    return {name: float(value) for name, value in zip(COLUMNS, values, strict=True)}


def exact(world: World) -> dict[str, object]:
    """Return the row of a finite world: its optimum, from a uniform first policy."""
    mdp = tabular.TabularMDP.from_env(gym.make(world.environment))
    alpha = float(world.temperature)
    solved = tabular.policy_iteration(mdp, temperature=alpha)
    met = (mdp.start > 0).double()
    for _ in range(mdp.states):
        met = ((met @ mdp.reach.double() + met) > 0).double()
    states = (met > 0) & ~mdp.terminal
    policy = solved.policy[states]
    entropy = torch.special.entr(policy).sum(-1)
    kl = -entropy - torch.special.xlogy(policy, mdp.uniform[states]).sum(-1)
    paid = tabular.mutual_information(mdp.transition, solved.policy)[states]
    most = float(mdp.reward[states].abs().max() + alpha * paid.abs().max())
    return figures(entropy, kl, paid, float(solved.q[states].abs().max()), most / (1 - float(mdp.discount)))


def learned(world: World, seed: int) -> dict[str, object]:
    """Learn, and return the row of what the policy has become."""
    agent = gio.GIO(world.environment, temperature=world.temperature, seed=seed)
    first = agent.policy(torch.zeros(1, *agent.spec.state_space.shape))
    agent.learn(world.steps)
    visited = agent.replay.latest(STATES)
    with torch.no_grad():
        policy = agent.policy(visited.state)
        if not isinstance(policy, Categorical):  # before the squash
            policy, first = policy.base_dist, first.base_dist
        entropy, kl = policy.entropy(), kl_divergence(policy, first.expand(policy.batch_shape))
        paid = agent.intrinsic_reward(visited.state)
        q = agent.actor_critic.action_values(visited.state, sample_actions(agent.policy(visited.state))).abs().max()
    most = float(visited.reward.abs().max()) + float(agent.temperature.at(agent.steps)) * float(paid.abs().max())
    return figures(entropy, kl, paid, float(q), most / (1 - agent.settings.discount))


def table(kept: Kept) -> list[str]:
    """Return the figures of each world in Markdown, medians over seeds."""
    lines = [
        "| optimum of | how | seeds | entropy, nats: mean (least) | KL(π* ‖ π_0), nats: mean (largest) "
        "| paid for a state, nats | size of Q: largest (bound) |",
        "|---" * 7 + "|",
    ]
    for world in WORLDS:
        found = {name: kept.numbers(name, environment=world.environment) for name in COLUMNS}
        if not (seeds := len(found["entropy"])):
            continue
        n = {name: sorted(values)[seeds // 2] for name, values in found.items()}
        low, high = min(found["least_paid"]), max(found["most_paid"])
        how = f"learned, {world.steps:,} steps" if world.steps else "exact"
        lines.append(
            f"| {world.environment} | {how} | {seeds if world.steps else ''} "
            f"| {n['entropy']:.2f} ({n['least_entropy']:.2f}) | {n['kl']:.2f} ({n['largest_kl']:.2f}) "
            f"| {low:.2f} to {high:.2f} | {size(n['q'])} ({size(n['q_bound'])}) |"
        )
    return lines


def size(value: float) -> str:
    """Return a number with three digits, large ones as whole numbers."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(kept: Kept, path: Path) -> None:
    """Draw entropy, support and the share of the bound that Q reaches, a dot for each seed."""
    figure = Figure(figsize=(11, 3.6), layout="constrained", dpi=120)
    panels = figure.subplots(1, 3, sharey=True)
    names = [world.environment for world in WORLDS if kept.numbers("kl", environment=world.environment)]
    for (column, extreme, label), axes in zip(
        (
            ("entropy", "least_entropy", "entropy of the optimal policy, nats"),
            ("kl", "largest_kl", "KL(π* ‖ π_0), nats"),
            ("q", "q_bound", "largest |Q| as a share of its bound"),
        ),
        panels,
        strict=True,
    ):
        for place, name in enumerate(names):
            means, ends = kept.numbers(column, environment=name), kept.numbers(extreme, environment=name)
            if column == "q":
                means, ends = [q / bound for q, bound in zip(means, ends, strict=True)], []
            axes.plot(means, [place] * len(means), "o", color=COLOURS[0], alpha=0.7)
            axes.plot(ends, [place] * len(ends), "|", color=COLOURS[1], markersize=11)
        axes.set(xlabel=label, yticks=range(len(names)), yticklabels=names)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="0.9")
    panels[0].invert_yaxis()
    panels[2].axvline(1, color="0.5", linestyle="--", linewidth=0.8)
    panels[0].set_title("dot: mean over states, bar: its extreme", fontsize="small", loc="left")
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> int:
    """Run what is missing, draw, and print the table."""
    parser = command_line(__doc__, RESULTS, "the finite worlds only", seeds=5)
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for world in WORLDS if not options.table else ():
        for seed in range(options.seeds if world.steps and not options.quick else not world.steps):
            if (world.environment, seed) not in kept:
                row = learned(world, seed) if world.steps else exact(world)
                kept.add([{"environment": world.environment, "seed": seed, "steps": world.steps} | row])
            print("  ".join(kept[world.environment, seed].values()), flush=True)
    draw(kept, options.results.with_suffix(".png"))
    print("\n".join(table(kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
