"""Where action masks are kept: in a table of finite states, appended to vector states, or nowhere."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from gio_pyro.collection.actions import Array
from gio_pyro.collection.infos import mask_of
from gio_pyro.collection.mask_memories import LastNumbers, TableMasks
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.utils.randomness import preserve_random_state

UNEXPECTED_MASKS = (
    "Expected an environment without action masks here, but it forbids some actions; give a mask with every reset, "
    "too, in an environment that can be copied."
)
MASKS_BESIDE_BELIEFS = (
    "Expected an environment without action masks for an agent with a world model, whose states are beliefs and hold "
    "none, but it gives some; leave the world model or the masks out."
)


class MaskHandler(Protocol):
    """Stores the action masks of N environments, or adds them to the states."""

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space of the states once masks are added."""
        ...

    def keep(self, states: Array, flags: Array, given: Array) -> Array:
        """Return states `[N, ...]` with masks added.

        Args:
            states: `[N, ...]`, without masks.
            flags: `[N, A]` booleans, the allowed actions.
            given: `[N]` booleans, True where the environment provided the mask.
        """
        ...


class TableMaskHandler:
    """Stores the mask of each finite state in a table; states stay unchanged."""

    def __init__(self, table: TableMasks) -> None:
        self.table = table

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space unchanged."""
        return states

    def keep(self, states: Array, flags: Array, given: Array) -> Array:
        """Store the given masks and return the states.

        Raises:
            TrainingError: two masks of the same state without a common action.
        """
        for row in np.flatnonzero(given).tolist():
            state = int(states[row])
            common = flags[given & (states == state)].all(0)
            if not common.any():
                raise TrainingError(
                    f"Expected one mask for each state, but state {state} came with masks that have no action in "
                    "common; let the observation show what is allowed."
                )
            self.table.learn(state, common)
        return states


class AppendMaskHandler:
    """Appends the A flags to vector states, as their last numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return a Box with A further numbers in [0, 1]."""
        assert isinstance(states, Box)
        zero = np.zeros(self.count, dtype=np.float32)
        return Box(np.concatenate([states.low, zero]), np.concatenate([states.high, zero + 1]), dtype=np.float32)

    def keep(self, states: Array, flags: Array, given: Array) -> Array:
        """Return `[N, D + A]`: states followed by flags."""
        return np.concatenate([states, flags.astype(states.dtype)], axis=1)


class RejectMaskHandler:
    """Raises if a mask forbids an action, for callers that cannot use masks; `why` is the error's text."""

    def __init__(self, why: str) -> None:
        self.why = why

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space unchanged."""
        return states

    def keep(self, states: Array, flags: Array, given: Array) -> Array:
        """Return the states; raises `TrainingError` if an action is forbidden."""
        if not flags[given].all():
            raise TrainingError(self.why)
        return states


class SeparateMaskHandler:
    """Leaves masks out of the states; read them from `Masks.allowed`."""

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space unchanged."""
        return states

    def keep(self, states: Array, flags: Array, given: Array) -> Array:
        """Return the states unchanged."""
        return states


def evaluation_mask_handler(mask_handler: MaskHandler) -> MaskHandler:
    """Return the handler to evaluate a policy with: it never writes to the table of the training handler."""
    return mask_handler if isinstance(mask_handler, AppendMaskHandler) else SeparateMaskHandler()


def mask_handler_of(
    states: Space[Any], actions: Space[Any], make_copy: Callable[[], Any], *, hidden: bool = False
) -> tuple[MaskHandler, TableMasks | LastNumbers | None]:
    """Return the mask handler for an environment, and the function that reads masks from states.

    Masks of finite states are stored in a table. Those of vector states are appended to the states if the environment
    provides any, which is found out by resetting a copy.

    Args:
        states: the space of the environment's states, without masks.
        actions: the space of the site "action".
        make_copy: makes one copy of the environment, closed afterwards; may raise any exception.
        hidden: whether states are beliefs, which hold no masks.

    Raises:
        InputError: an image environment with masks, or masks beside beliefs.
    """
    if not isinstance(actions, Discrete):
        return SeparateMaskHandler(), None
    if hidden:
        if _gives_masks(make_copy):
            raise InputError(MASKS_BESIDE_BELIEFS)
        return RejectMaskHandler(MASKS_BESIDE_BELIEFS), None
    if isinstance(states, Discrete):
        table = TableMasks(int(states.n), int(actions.n))
        return TableMaskHandler(table), table
    if not _gives_masks(make_copy):
        return RejectMaskHandler(UNEXPECTED_MASKS), None
    if len(states.shape or ()) != 1:
        raise InputError(
            f"Expected observations that become one vector beside action masks, but got images of {states.shape}; wrap "
            "the environment so that it shows a vector, for instance with gymnasium.wrappers.FlattenObservation."
        )
    return AppendMaskHandler(int(actions.n)), LastNumbers(int(actions.n))


def _gives_masks(make_copy: Callable[[], Any]) -> bool:
    """Whether resetting a copy of the environment gives a mask; the process's random state is restored."""
    try:
        with preserve_random_state():
            env = make_copy()
            found = mask_of(*env.reset(seed=0)[:2])
            env.close()
    except Exception:  # errors of copying and resetting are reported where the copy is needed
        return False
    return found is not None
