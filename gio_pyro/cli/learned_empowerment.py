"""`gio empowerment --variational`: learn the bound, and compare it with the exact value where there is a table."""

from collections.abc import Mapping
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.cli import output
from gio_pyro.cli.environment_flags import make_environment, vector_arguments
from gio_pyro.empowerment import learn_empowerment
from gio_pyro.errors import GioError, InputError
from gio_pyro.tabular.reading import has_hidden_states
from gio_pyro.utils.text import table

AT_ONCE = 16
"""Number of environments that action sequences are executed in together."""


def learned_empowerment(
    one: Any, name: str, arguments: Mapping[str, Any], horizon: int, *, steps: int, updates: int, seed: int
) -> Tensor:
    """Learn the empowerment of every state of an environment and return it, `[S]` nats.

    Args:
        one: the environment; copies of it are made to learn in.
        name: its id.
        arguments: keyword arguments that it was made with.
        horizon: n, number of actions.
        steps: environment steps.
        updates: gradient steps.
        seed: seed of learning.

    Raises:
        InputError: states that cannot be listed, or numbers out of range.
    """
    if not isinstance(one.observation_space, Discrete):
        raise InputError(
            f"Expected Discrete observations, whose states can be listed, but {name} has {one.observation_space}; use "
            "gio_pyro.empowerment.learn_empowerment, which evaluates states of your choice."
        )
    many = make_environment(name, arguments, vector=vector_arguments(AT_ONCE))
    learned = learn_empowerment(many, horizon, steps, updates=updates, seed=seed)
    nats = learned(torch.arange(int(one.observation_space.n))).double()
    _compare_with_exact(one, horizon, nats)
    return nats


def _compare_with_exact(env: Any, horizon: int, nats: Tensor) -> None:
    """Print the exact values and the mean error, where there is a transition table that is small enough.

    States that are never reached are set to NaN in `nats`, since nothing was learned about them.
    """
    if has_hidden_states(env):
        print("There is no exact value to compare with: the states of the transition table are hidden.")
        return
    try:
        mdp = tabular.TabularMDP.from_env(env)
        exact = tabular.empowerment(mdp, horizon)
    except GioError as error:
        print(f"There is no exact value to compare with: {error}")
        return
    met = tabular.reachable(mdp) & ~mdp.terminal
    rows = [(f"exact, {name}", text) for name, text in output.nats_rows(exact[met])]
    off = (nats - exact)[met].abs()
    rows.append(("mean error", f"{off.mean():.4f} nats, over {int(met.sum())} states that can be reached"))
    nats[~met] = torch.nan
    print(table(rows))
