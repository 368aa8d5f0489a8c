"""Finite worlds whose model, policy and replay are exact, for what is compared with the exact tier."""

from dataclasses import replace
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.programs import Model
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Policy, Spec, Transitions


def table_policy(table: Tensor) -> Policy:
    """The policy of a table of probabilities, `[S, A]`."""
    return lambda state: dist.Categorical(logits=table.float().log()[state])


def true_model(channel: Tensor) -> Model:
    """The program that knows the world `[S, A, F]`, zeros included."""

    def world(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=channel.float().log()[state, action]), obs=future)

    return Model(world)


def spec_of(mdp: TabularMDP) -> Spec:
    return Spec(Discrete(mdp.states), Discrete(mdp.actions), Discrete(mdp.states), hidden=(32,))


def exact_replay(mdp: TabularMDP) -> Transitions:
    """Every transition that can happen, weighted by its probability."""
    p = torch.where(mdp.terminal[:, None, None], 0.0, mdp.transition)
    s, a, s_next = p.nonzero(as_tuple=True)
    no = torch.zeros(len(s), dtype=torch.bool)
    reward, weight = mdp.reward[s, a].float(), p[s, a, s_next].float()
    return Transitions(s, a, reward, s_next, mdp.terminal[s_next], no, torch.zeros(len(s)), weight)


def drawn_replay(mdp: TabularMDP, count: int) -> Transitions:
    """`count` transitions of uniform states and actions, each of weight 1."""
    rows = exact_replay(mdp)
    chosen = rows[torch.multinomial(rows.weight, count, replacement=True)]
    return replace(chosen, weight=torch.ones(count))
