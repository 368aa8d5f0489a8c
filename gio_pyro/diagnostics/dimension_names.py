"""Names of the dimensions of observations, actions and futures, for figures and files.

The classic control tasks of Gymnasium have the names of their documentation; other spaces are numbered, as in
`observation[3]`.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import Space

from gio_pyro.futures import NextState, NextStateAndReward, Return, StateAfter, Trajectory, unwrapped_future

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

OBSERVATIONS = MappingProxyType(
    {
        "Pendulum": ("cos θ", "sin θ", "θ̇"),
        "CartPole": ("cart position", "cart velocity", "pole angle", "pole velocity"),
        "Acrobot": ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "θ̇₁", "θ̇₂"),
        "MountainCar": ("position", "velocity"),
        "MountainCarContinuous": ("position", "velocity"),
    }
)
ACTIONS = MappingProxyType({"Pendulum": ("torque",), "MountainCarContinuous": ("force",)})
"""By the id of the environment, without its version."""


def observation_names(agent: GIO) -> tuple[str, ...]:
    """Return the names of a state's numbers, flattened; one name, `observation`, for a finite state.

    With a world model states are beliefs, `belief[3]`.
    """
    if agent.beliefs.learns:
        return numbered("belief", agent.spec.state_space)
    return _known(OBSERVATIONS, agent) or numbered("observation", agent.spec.state_space)


def seen_names(agent: GIO) -> tuple[str, ...]:
    """Return the names of the numbers that are seen, flattened, also where the state is a belief."""
    return _known(OBSERVATIONS, agent, agent.seen_space) or numbered("observation", agent.seen_space)


def action_names(agent: GIO) -> tuple[str, ...]:
    """Return the names of an action's numbers; one name, `action`, for a finite action."""
    return _known(ACTIONS, agent, agent.spec.action_space) or numbered("action", agent.spec.action_space)


def future_names(agent: GIO) -> tuple[str, ...]:
    """Return the names of a future's numbers, flattened.

    Futures that are made of states have the names of the observation, with `(t+2)` behind them in a trajectory.
    """
    future, space = unwrapped_future(agent.future), agent.spec.future_space
    states, count = observation_names(agent), math.prod(space.shape or ())
    if isinstance(future, NextState | StateAfter) and space.shape:
        return states[:count]
    if isinstance(future, NextStateAndReward) and space.shape:
        return (*states[: count - 1], "reward")
    if isinstance(future, Return) and space.shape == (1,):
        return ("return",)
    if isinstance(future, Trajectory) and space.shape:
        each = states[: count // future.steps]
        return tuple(f"{name} (t+{step})" for step in range(1, future.steps + 1) for name in each)
    return numbered("future", space)


def numbered(name: str, space: Space[Any]) -> tuple[str, ...]:
    """Return a name for each number of a space, such as `observation[3]` or `observation[2, 0, 1]`."""
    if not space.shape:
        return (name,)
    return tuple(f"{name}[{', '.join(map(str, index))}]" for index in np.ndindex(*space.shape))


def _known(
    table: MappingProxyType[str, tuple[str, ...]], agent: GIO, space: Space[Any] | None = None
) -> tuple[str, ...]:
    spec = agent.env.spec
    names = table.get(spec.id.rpartition("/")[2].partition("-")[0], ()) if spec else ()
    shape = (agent.spec.state_space if space is None else space).shape
    return names if shape == (len(names),) else ()
