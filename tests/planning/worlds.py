"""Finite worlds whose model, replay and values are exact, as planners see them."""

from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.futures import NextState
from gio_pyro.planning import Problem, TableImagination
from gio_pyro.planning.families import Categoricals
from gio_pyro.signals import Fitted
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Spec, Transitions
from tests.finite import exact_replay, spec_of, table_policy, true_model


class ExactReplay(Replay):
    """Every transition that can happen, weighted by its probability."""

    def __init__(self, mdp: TabularMDP) -> None:
        super().__init__(1)
        self.rows = exact_replay(mdp)

    def merged(self) -> Transitions:
        return self.rows


def chain(states: int = 6, discount: float = 0.9) -> TabularMDP:
    """A corridor with a small reward at its beginning and a large one behind its end, which ends the episode."""
    transition, reward = torch.zeros(states, 3, states), torch.zeros(states, 3, states)
    for s in range(states):
        for a, to in enumerate((max(s - 1, 0), s, min(s + 1, states - 1))):
            transition[s, a, to] = 1
    reward[0, 0, 0] = 0.1
    reward[states - 2, 2, states - 1] = 2.0
    terminal = torch.arange(states) == states - 1
    return TabularMDP(transition, reward, discount=discount, terminal=terminal)


def random_world(seed: int, states: int = 5, actions: int = 3, *, sharpness: float = 3.0) -> TabularMDP:
    """A stochastic world; the last state is terminal."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(states, actions, states, generator=generator, dtype=torch.float64)
    reward = torch.rand(states, actions, generator=generator, dtype=torch.float64)
    terminal = torch.arange(states) == states - 1
    return TabularMDP(logits.softmax(-1), reward, discount=0.9, terminal=terminal)


def problem_of(mdp: TabularMDP, alpha: float, *, prior: Tensor | None = None, value: Tensor | None = None) -> Problem:
    """What a planner of this world is built from, with its true model."""
    uniform = torch.full((mdp.states, mdp.actions), 1.0 / mdp.actions)
    policy = table_policy(uniform)
    fitted = Fitted(spec_of(mdp), NextState(), true_model(mdp.transition), None, policy, ExactReplay(mdp))  # type: ignore[arg-type]

    def none(state: Tensor) -> Tensor:
        return torch.zeros(len(state), mdp.actions)

    imagination = TableImagination(fitted, lambda rows: rows, none)
    last = torch.zeros(mdp.states) if value is None else value
    return Problem(
        Spec(Discrete(mdp.states), Discrete(mdp.actions), Discrete(mdp.states)),
        Categoricals(mdp.actions),
        imagination,
        policy if prior is None else table_policy(prior),
        policy,
        lambda state, alpha: last[state],
        lambda: alpha,
        mdp.discount,
    )


def value_of(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """The discounted value of each state under a policy `[S, A]`, by a linear solve, `[S]`."""
    p = torch.einsum("sa,san->sn", policy, mdp.continuation)
    r = (policy * mdp.reward).sum(-1) * ~mdp.terminal
    return torch.linalg.solve(torch.eye(mdp.states, dtype=r.dtype) - mdp.discount * p * ~mdp.terminal[:, None], r)


def policy_of(planner: Any, mdp: TabularMDP) -> Tensor:
    """The policy of a planner that plans anew in every state, `[S, A]`."""
    log_q = planner.plan(torch.arange(mdp.states))[:, 0]
    return log_q.double().softmax(-1)
