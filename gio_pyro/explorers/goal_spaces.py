"""What goals are, chosen by the space of states and the settings of the explorer."""

from typing import Any

from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.explorers.finite_goals import FiniteGoals
from gio_pyro.explorers.part_goals import PartGoals, influence_of
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.futures import NextState
from gio_pyro.signals import Fitted

GoalSpace = FiniteGoals | VectorGoals
"""States that are goals, by kind; `VectorGoals` is the base of others."""


def goal_space_of(fitted: Fitted, horizon: int, near: float, parts: Any, *, controllable: bool) -> GoalSpace:
    """Return what goals are.

    Args:
        fitted: the spaces, the future and the model of the agent.
        horizon: steps within which a goal must have been reached before.
        near: distance at which a goal of numbers counts as reached, standard deviations.
        parts: numbers of a state that belong together, "each", or None for whole states.
        controllable: whether parts are drawn by what actions change in them.

    Raises:
        InputError: parts of states that are no vectors, or `controllable` without parts or a model of the next state.
    """
    space = fitted.spec.state_space
    if parts is None:
        if controllable:
            raise InputError("Expected parts beside controllable, but got none; give them, such as parts='each'.")
        if isinstance(space, Discrete):
            return FiniteGoals(space, horizon)
        assert isinstance(space, Box)
        return VectorGoals(space, horizon, near)
    if not controllable:
        return PartGoals(space, horizon, near, parts)
    if type(fitted.future) is not NextState:
        raise InputError(
            f"Expected the future NextState where goals are controllable, but got {fitted.future}; leave one out."
        )

    def influence(state: Tensor) -> Tensor:
        return influence_of(fitted.model, fitted.policy, state)

    return PartGoals(space, horizon, near, parts, influence)
