"""`gio empowerment --variational`: learned where it can be, and judged where it can be judged."""

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.cli import report
from gio_pyro.cli.worlds import several, world
from gio_pyro.empowerment import learn_empowerment
from gio_pyro.errors import GioError, InputError

AT_ONCE = 16
"""Environments that sequences are taken in together."""


def learned_empowerment(
    one: Any, name: str, arguments: Mapping[str, Any], horizon: int, *, steps: int, updates: int, seed: int
) -> Tensor:
    """Learn the empowerment of every state of an environment and return it, `[S]` nats.

    Args:
        one: the environment; more of it are made to learn in.
        name: its id.
        arguments: what it was made with.
        horizon: n actions.
        steps: environment steps.
        updates: gradient steps.
        seed: of everything.

    Raises:
        InputError: states that cannot be listed, or numbers out of range.
    """
    if not isinstance(one.observation_space, Discrete):
        raise InputError(
            f"Expected Discrete observations, whose states can be listed, but {name} has {one.observation_space}; use "
            "gio_pyro.empowerment.learn_empowerment, which is then asked about states of your choice."
        )
    many = world(name, arguments, vector=several(AT_ONCE))
    learned = learn_empowerment(many, horizon, steps, updates=updates, seed=seed)
    nats = learned(torch.arange(int(one.observation_space.n))).double()
    beside(one, horizon, nats)
    return nats


def beside(env: Any, horizon: int, nats: Tensor) -> None:
    """Print the exact values and the error, where there is a transition table that is small enough."""
    try:
        mdp = tabular.TabularMDP.from_env(env)
        exact = tabular.empowerment(mdp, horizon)
    except GioError as error:
        print(f"There is no exact value to compare with: {error}")
        return
    met = tabular.reachable(mdp) & ~mdp.terminal
    rows = [(f"exact, {name}", text) for name, text in report.nats_rows(exact[met])]
    off = (nats - exact)[met].abs()
    rows.append(("mean error", f"{off.mean():.4f} nats, over {int(met.sum())} states that can be met"))
    nats[~met] = torch.nan  # nothing was learned about the others
    print(report.table(rows))
