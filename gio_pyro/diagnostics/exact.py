"""The learned agent beside the exact tier: what it earns, what it is paid, and how far both are from the truth.

Three numbers of mutual information, each averaged over the states that the learned policy visits in an episode:

    learned      L_q, read from the guide under the fitted model p_ψ: what the agent was paid
    under p_ψ    I_π with the fitted model's channel; the amortisation gap is this less `learned`, E KL(p_π ‖ q) ≥ 0
    exact        I_π with the environment's own transition table
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import ConvergenceWarning, InputError, MixedTerminationError
from gio_pyro.futures import exact_of, has_exact
from gio_pyro.programs import every_action, log_probs
from gio_pyro.tabular.information import safe_log
from gio_pyro.tabular.mdp import restricted_policy
from gio_pyro.utils.text import table

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

MOST_ROUNDS = 1_000
"""Rounds of policy iteration after which its policy is taken as it is."""


@dataclass(frozen=True)
class ExactReport:
    """Returns are undiscounted, per episode, under the environment's step limit; information is in nats."""

    return_uniform: float
    """Of the uniform policy, which is where learning starts."""
    return_learned: float
    """Of the learned policy, drawn from, not maximised."""
    return_optimal: float
    """The most that any policy can earn, even one that watches the clock."""
    return_regularised: float
    """Of the exact optimum of `reward_weight` times the return plus α times mutual information: what the agent is
    after, signals aside. Where the channel of the future depends on the policy it is where policy iteration ends, which
    need not be the optimum."""
    information_learned: float
    """What the guide pays: a bound on mutual information if it looks at the future, another method's reward if not."""
    information_model: float
    information_exact: float
    model_error: float
    """Mean KL(p(F|s,a) ‖ p_ψ(F|s,a)) over visited states and the policy's actions."""
    guide_sees_future: bool = True
    """Whether the guide looks at the future at all (its attribute `ignores_future` says if not)."""

    @property
    def share_of_gap(self) -> float:
        """How much of the way from the uniform to the optimal return was made; 1 is all, NaN where there is none."""
        gap = self.return_optimal - self.return_uniform
        return (self.return_learned - self.return_uniform) / gap if gap > 0 else float("nan")

    def __str__(self) -> str:
        """Return the figures as a table."""
        source = "from the guide" if self.guide_sees_future else "from the guide, which ignores the future"
        way = "" if math.isnan(self.share_of_gap) else f"   ({self.share_of_gap:.1%} of the way to the optimum)"
        rows = [
            ("return, uniform policy", f"{self.return_uniform:.4f}"),
            ("return, learned policy", f"{self.return_learned:.4f}{way}"),
            ("return, optimal policy", f"{self.return_optimal:.4f}"),
            ("return, exact optimum of the agent's objective", f"{self.return_regularised:.4f}"),
            (f"intrinsic reward, {source}", f"{self.information_learned:.4f} nats"),
            ("mutual information, fitted model", f"{self.information_model:.4f} nats"),
            ("mutual information, transition table", f"{self.information_exact:.4f} nats"),
            ("amortisation gap", f"{self.amortisation_gap:.4f} nats"),
            ("model error, KL", f"{self.model_error:.4f} nats"),
        ]
        return table(rows)

    @property
    def amortisation_gap(self) -> float:
        """What the guide loses against the exact posterior under the fitted model, nats."""
        return self.information_model - self.information_learned


def exact_world(agent: GIO) -> tabular.TabularMDP | None:
    """Return the agent's environment as tables, or None where tables cannot say what it does, or what its future is."""
    if getattr(agent.env.unwrapped, "P", None) is None or not isinstance(agent.spec.future_space, Discrete):
        return None
    if not has_exact(agent.future):
        return None
    try:
        return tabular.TabularMDP.from_env(agent.env, discount=agent.settings.discount)
    except MixedTerminationError:
        return None


def compare_with_exact(agent: GIO) -> ExactReport:
    """Judge an agent on its environment's transition table.

    Raises:
        InputError: the environment has no table `P`, or neither a step limit nor an end that the policy reaches; or the
            future is not finite or has no exact counterpart.
    """
    mdp = exact_world(agent)
    if mdp is None:
        raise InputError(
            "Expected an environment with a transition table `P` and a finite future that the exact tier knows, but "
            f"got {agent.env} and {agent.future}; use evaluate."
        )
    limit = agent.env.spec.max_episode_steps if agent.env.spec else None
    states = torch.arange(mdp.states, device=agent.device)
    pi = policy_table(agent, mdp)
    future = exact_of(agent.future)
    truth, channel = future(mdp, pi), fitted_channel(agent, states)
    if truth.shape != channel.shape:
        raise InputError(f"Expected an exact counterpart of {channel.shape[-1]} futures, but got {truth.shape[-1]}.")
    visits = tabular.episode_visits(mdp, pi, limit)
    divergence = torch.special.xlogy(truth, truth) - truth * safe_log(channel)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # nobody promises it where the channel moves with the policy
        alpha = float(agent.temperature.at(agent.steps))
        best = tabular.policy_iteration(
            _as_counted(mdp, agent), alpha, future=future, tolerance=1e-6, max_iterations=MOST_ROUNDS
        )
    return ExactReport(
        return_uniform=float(tabular.expected_return(mdp, mdp.uniform, limit)),
        return_learned=float(tabular.expected_return(mdp, pi, limit)),
        return_optimal=float(tabular.optimal_return(mdp, limit)),
        return_regularised=float(tabular.expected_return(mdp, best.policy, limit)),
        information_learned=float((visits * agent.intrinsic_reward(states).double().cpu()).sum()),
        information_model=float((visits * tabular.mutual_information(channel, pi)).sum()),
        information_exact=float((visits * tabular.mutual_information(truth, pi)).sum()),
        model_error=float((visits[:, None] * pi * divergence.sum(-1)).sum()),
        guide_sees_future=not agent.guide.ignores_future,
    )


def _as_counted(mdp: tabular.TabularMDP, agent: GIO) -> tabular.TabularMDP:
    """Return the world with the reward that the agent maximises: scaled by `reward_weight`, without any signal."""
    weight = agent.settings.reward_weight
    if weight is None or agent.settings.signal is not None:
        return mdp
    return tabular.TabularMDP(
        mdp.transition,
        weight * mdp.reward,
        discount=mdp.discount,
        terminal=mdp.terminal,
        start=mdp.start,
        outcomes=mdp.outcomes,
        allowed=mdp.allowed,
    )


def policy_table(agent: GIO, world: tabular.TabularMDP | None = None) -> Tensor:
    """Return π(a|s) of every state, `[S, A]` float64, on the CPU.

    Given the world's tables, actions that a state does not allow are left out: of a state where it never was, an agent
    cannot know them.
    """
    states = torch.arange(agent.collector.observations.count, device=agent.device)
    pi = torch.softmax(log_probs(agent.policy(states)).double().cpu(), -1)
    return pi if world is None else restricted_policy(world, pi)


@torch.no_grad()
def fitted_channel(agent: GIO, states: Tensor) -> Tensor:
    """Return p_ψ(F|s, a) for finitely many futures, `[S, A, F]` float64, on the CPU."""
    row, action = every_action(agent.policy, states)
    distribution = agent.model.future(agent.policy, states[row], action)
    values = distribution.enumerate_support(expand=False)
    p = distribution.log_prob(values).T.double().cpu().exp()
    return (p / p.sum(-1, keepdim=True)).reshape(len(states), -1, p.shape[-1])
