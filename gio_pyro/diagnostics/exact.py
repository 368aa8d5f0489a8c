"""Compare a trained agent with the exact values of its environment's transition table.

There are three values of mutual information, each a mean over the states that the learned policy visits in an episode:

    learned      L_q, the guide's lower bound under the fitted model p_ψ: the intrinsic reward
    under p_ψ    I_π with the fitted model's channel; the amortisation gap is this minus `learned`, E KL(p_π ‖ q) ≥ 0
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
from gio_pyro.tabular.reading import has_hidden_states
from gio_pyro.utils.text import table

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

MOST_ROUNDS = 1_000
"""Most rounds of policy iteration."""


@dataclass(frozen=True)
class ExactReport:
    """Returns are undiscounted, per episode, under the environment's step limit; information is in nats."""

    return_uniform: float
    """Of the uniform policy, with which learning starts."""
    return_learned: float
    """Of the learned policy, with sampled actions."""
    return_optimal: float
    """Of the optimal policy, which may depend on the time step."""
    return_regularised: float
    """Of the exact optimum of `reward_weight` times the return plus α times mutual information: what the agent is
    after, signals aside. Where the channel of the future depends on the policy it is where policy iteration ends, which
    need not be the optimum."""
    information_learned: float
    """Mean intrinsic reward: a lower bound on mutual information, unless the guide ignores the future."""
    information_model: float
    information_exact: float
    model_error: float
    """Mean KL(p(F|s,a) ‖ p_ψ(F|s,a)) over visited states and the policy's actions."""
    guide_sees_future: bool = True
    """Whether the guide depends on the future (see `ignores_future`)."""

    @property
    def share_of_gap(self) -> float:
        """Learned return on a scale where uniform is 0 and optimal is 1; NaN where these are equal."""
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
        """Loss of the guide against the exact posterior under the fitted model, nats."""
        return self.information_model - self.information_learned


def exact_world(agent: GIO) -> tabular.TabularMDP | None:
    """Return the environment's transition table, or None where it or the future has no exact counterpart.

    An agent with a world model has none: its states are beliefs.
    """
    if (
        agent.beliefs.learns
        or getattr(agent.env.unwrapped, "P", None) is None
        or not isinstance(agent.spec.future_space, Discrete)
    ):
        return None
    if not has_exact(agent.future) or has_hidden_states(agent.env):
        return None
    try:
        return tabular.TabularMDP.from_env(agent.env, discount=agent.settings.discount)
    except MixedTerminationError:
        return None


def compare_with_exact(agent: GIO) -> ExactReport:
    """Compare an agent with the exact values of its environment's transition table.

    Raises:
        InputError: an agent with a world model; an environment without a table `P`, or with neither a step limit nor a
            terminal state that the policy reaches; or a future that is not finite, or has no exact counterpart.
    """
    if agent.beliefs.learns:
        raise InputError(
            "Expected an agent whose states are those of the transition table, but its states are beliefs of a world "
            "model; use evaluate."
        )
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # not guaranteed where the channel depends on the policy
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

    Given the transition table, actions that a state does not allow get probability 0, in states that the agent never
    visited, too.
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
