"""Check the action masks of N environments and add them to states.

Of an action with several parts the mask is a tuple of masks, one for each part as `MultiDiscrete.sample` takes them, or
one vector of all of them; a combination is allowed where all its parts are. A missing mask allows every action. A mask
without any allowed action is accepted at the end of an episode only.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.collection.actions import Actions, Array
from gio_pyro.collection.infos import MASK, entry
from gio_pyro.collection.mask_handlers import AppendMaskHandler, MaskHandler
from gio_pyro.errors import GioWarning, InputError, TrainingError, shown
from gio_pyro.utils.checks import real_tensor


class Masks:
    """The current action masks of N environments.

    Args:
        name: of the environment, for messages.
        actions: the encoding of its actions.
        handler: stores the masks or adds them to the states.
        count: N.

    Attributes:
        allowed: `[N, A]` booleans, the actions allowed now; A = 0 where actions are continuous.
        given: `[N]` booleans, True where the environment provided the mask.
    """

    def __init__(self, name: str, actions: Actions, handler: MaskHandler, count: int) -> None:
        self.name, self.actions, self.handler = name, actions, handler
        self.finite = isinstance(actions.space, Discrete)
        size = int(actions.space.n) if isinstance(actions.space, Discrete) else 0
        self.allowed: Array = np.ones((count, size), dtype=np.bool_)
        self.given: Array = np.zeros(count, dtype=np.bool_)
        self.warned = False

    def update(self, states: Array, given: Sequence[Any], over: Array, rows: Array | None = None) -> Array:
        """Update the current masks; returns the states `[N, ...]` to act upon, with masks added.

        Args:
            states: `[N, ...]`, without masks.
            given: N masks as the environment provided them, or None.
            over: `[N]` booleans, True where the episode ended here.
            rows: `[N]` booleans, the environments to update; all by default.

        Raises:
            TrainingError: see `flags`.
        """
        if not self.finite:
            return states
        for row in range(len(states)) if rows is None else np.flatnonzero(rows).tolist():
            self.given[row] = given[row] is not None
            self.allowed[row] = self.flags(given[row], over=bool(over[row]))
        return self.handler.keep(states, self.allowed, self.given)

    def add_to_final(self, state: Array, given: Any) -> Array:
        """Return the final state `[1, ...]` of an episode with its mask added; the current masks stay."""
        if not self.finite:
            return state
        return self.handler.keep(state, self.flags(given, over=True)[None], np.array([given is not None]))

    def add_to_query(self, states: Array, observation: Any, given: Any, *, many: bool) -> tuple[Array, Array | None]:
        """Return states `[N, ...]` of a call of `predict` with masks added, and the flags `[N, A]` if there are any.

        Args:
            states: `[N, ...]`, without masks.
            observation: the observations they encode.
            given: the mask, or N of them; None reads them from a dictionary observation.
            many: whether this is a batch.

        Raises:
            InputError: masks of another shape or number.
        """
        given = observation.get(MASK) if given is None and isinstance(observation, Mapping) else given
        if not self.finite or given is None:
            if isinstance(self.handler, AppendMaskHandler):
                self._warn()
            return self._append(states, None), None
        try:
            rows = [entry(given, row) for row in range(len(states))] if many else [given]
            flags = np.stack([self.flags(one, over=False) for one in rows])
        except TrainingError as error:  # here it is the caller's mask, not the environment's
            raise InputError(str(error).replace(f"from {self.name}", "beside an observation")) from error
        return self._append(states, flags), flags

    def _append(self, states: Array, flags: Array | None) -> Array:
        if not isinstance(self.handler, AppendMaskHandler):
            return states
        every = np.ones((len(states), self.handler.count), dtype=np.bool_)
        return self.handler.keep(states, every if flags is None else flags, every[:, 0])

    def _warn(self) -> None:
        """Warn once about missing masks."""
        if not self.warned:
            self.warned = True
            text = (
                f"Expected action_masks beside an observation of {self.name}, which gives masks, but got none; all "
                'actions are taken for allowed: pass info["action_mask"].'
            )
            warnings.warn(text, GioWarning, stacklevel=4)

    def flags(self, given: Any, *, over: bool) -> Array:
        """Return one mask as flags `[A]` of the site's values; all True for None.

        Raises:
            TrainingError: another shape, values other than flags, or no allowed action although the episode goes on.
        """
        if given is None:
            return np.ones(self.allowed.shape[1], dtype=np.bool_)
        given = real_tensor("an action_mask", given).numpy(force=True) if isinstance(given, Tensor) else given
        flags = self.actions.parse_mask(given)
        if flags is None:
            raise TrainingError(
                f"Expected an {MASK} of {self.actions.mask_shape()} from {self.name}, but got {_describe_mask(given)}; "
                "give one flag, 0 or 1, for each action."
            )
        if not flags.any() and not over:
            raise TrainingError(
                f"Expected an {MASK} that allows something from {self.name}, but it allows none of {len(flags)} "
                "actions; end the episode there."
            )
        return flags if flags.any() else ~flags


def _describe_mask(given: Any) -> str:
    try:
        array = np.asarray(given)
    except ValueError:
        return f"{len(given)} parts of different sizes"
    if array.dtype.kind not in "biuf":
        return shown(given)
    return f"shape {array.shape}" if ((array == 0) | (array == 1)).all() else shown(given)
