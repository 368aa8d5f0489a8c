"""Action masks, as environments give them, and what states make of them.

`info["action_mask"]` is Gymnasium's convention, one flag for each action; an entry "action_mask" of a dictionary of
observations is PettingZoo's. Of an action of several parts it is a tuple of masks, one for each part as
`MultiDiscrete.sample` takes them, or all of them in one vector; a combination is allowed where all of its parts are.

A missing mask allows everything. So does one without any flag where the episode is over, and nothing is decided; where
it goes on, that is refused.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.collection.actions import Actions, Array
from gio_pyro.collection.infos import entry
from gio_pyro.collection.observations import MASK
from gio_pyro.distributions.masks import LastNumbers, TableMasks
from gio_pyro.errors import GioWarning, InputError, TrainingError, shown
from gio_pyro.utils.checks import numbers
from gio_pyro.utils.randomness import undisturbed

NO_MASKS = (
    "Expected an environment without action masks here, but it forbids some actions; give a mask with every reset, "
    "too, in an environment that can be copied."
)
"""What is said to masks that nobody expected."""


class Keeping(Protocol):
    """What becomes of masks."""

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space of the states with their masks."""
        ...

    def keep(self, states: Array, flags: Array, told: Array) -> Array:
        """Return states `[N, ...]` with the flags `[N, A]`; `told` `[N]` says where the environment gave any."""
        ...


class Learned:
    """Finite states keep theirs in a table."""

    def __init__(self, table: TableMasks) -> None:
        self.table = table

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space as it is."""
        return states

    def keep(self, states: Array, flags: Array, told: Array) -> Array:
        """Learn the masks that were given.

        Raises:
            TrainingError: one state at once with masks that have no action in common.
        """
        for row in np.flatnonzero(told).tolist():
            state = int(states[row])
            common = flags[told & (states == state)].all(0)
            if not common.any():
                raise TrainingError(
                    f"Expected one mask for each state, but state {state} came with masks that have no action in "
                    "common; let the observation show what is allowed."
                )
            self.table.learn(state, common)
        return states


class Beside:
    """States of numbers have theirs as their last numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return a Box of A more numbers."""
        assert isinstance(states, Box)
        zero = np.zeros(self.count, dtype=np.float32)
        return Box(np.concatenate([states.low, zero]), np.concatenate([states.high, zero + 1]), dtype=np.float32)

    def keep(self, states: Array, flags: Array, told: Array) -> Array:
        """Put the flags behind the states."""
        return np.concatenate([states, flags.astype(states.dtype)], axis=1)


class Unexpected:
    """Nobody reads masks, so that none may forbid anything."""

    def __init__(self, why: str) -> None:
        self.why = why

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space as it is."""
        return states

    def keep(self, states: Array, flags: Array, told: Array) -> Array:
        """Return the states; raises `TrainingError` where an action is forbidden."""
        if not flags[told].all():
            raise TrainingError(self.why)
        return states


class Aside:
    """Nothing becomes of them: whoever acts asks `Masks.now`."""

    def space(self, states: Space[Any]) -> Space[Any]:
        """Return the space as it is."""
        return states

    def keep(self, states: Array, flags: Array, told: Array) -> Array:
        """Return the states."""
        return states


def aside(keeping: Keeping) -> Keeping:
    """Return what becomes of masks where a policy is only watched: its own table stays as it is."""
    return keeping if isinstance(keeping, Beside) else Aside()


class Masks:
    """The masks of N environments.

    Args:
        name: of the environment, for messages.
        actions: what they are masks of.
        keeping: what becomes of them.
        count: N.
    """

    def __init__(self, name: str, actions: Actions, keeping: Keeping, count: int) -> None:
        self.name, self.actions, self.keeping = name, actions, keeping
        self.finite = isinstance(actions.space, Discrete)
        size = int(actions.space.n) if isinstance(actions.space, Discrete) else 0
        self.now: Array = np.ones((count, size), dtype=np.bool_)
        self.told: Array = np.zeros(count, dtype=np.bool_)
        self.warned = False

    def beside(self, states: Array, given: Sequence[Any], over: Array, fresh: Array | None = None) -> Array:
        """Return the states `[N, ...]` to act upon, with their masks.

        Args:
            states: without.
            given: the mask of each environment as it came; None where none did.
            over: `[N]` booleans: the episode ended here.
            fresh: `[N]` booleans: what is new; the others are where they were. All by default.

        Raises:
            TrainingError: see `flags`.
        """
        if not self.finite:
            return states
        for row in range(len(states)) if fresh is None else np.flatnonzero(fresh).tolist():
            self.told[row] = given[row] is not None
            self.now[row] = self.flags(given[row], over=bool(over[row]))
        return self.keeping.keep(states, self.now, self.told)

    def last(self, state: Array, given: Any) -> Array:
        """Return the last state `[1, ...]` of an episode, after which another has begun already, with its mask."""
        if not self.finite:
            return state
        return self.keeping.keep(state, self.flags(given, over=True)[None], np.array([given is not None]))

    def asked(self, states: Array, observation: Any, given: Any, *, many: bool) -> tuple[Array, Array | None]:
        """Return states `[N, ...]` that somebody asks about, with masks, and the flags `[N, A]` if there were any.

        Args:
            states: without masks.
            observation: what they were made of.
            given: the mask, or N of them; None takes what a dictionary of observations says.
            many: whether it is a batch.

        Raises:
            InputError: masks of another shape or number.
        """
        given = observation.get(MASK) if given is None and isinstance(observation, Mapping) else given
        if not self.finite or given is None:
            if isinstance(self.keeping, Beside):
                self._warn()
            return self._asked(states, None), None
        try:
            rows = [entry(given, row) for row in range(len(states))] if many else [given]
            flags = np.stack([self.flags(one, over=False) for one in rows])
        except TrainingError as error:  # here it is the caller's mask, not the environment's
            raise InputError(str(error).replace(f"from {self.name}", "beside an observation")) from error
        return self._asked(states, flags), flags

    def _asked(self, states: Array, flags: Array | None) -> Array:
        if not isinstance(self.keeping, Beside):
            return states
        every = np.ones((len(states), self.keeping.count), dtype=np.bool_)
        return self.keeping.keep(states, every if flags is None else flags, every[:, 0])

    def _warn(self) -> None:
        """Say once that masks are missing."""
        if not self.warned:
            self.warned = True
            text = (
                f"Expected action_masks beside an observation of {self.name}, which gives masks, but got none; all "
                'actions are taken for allowed: pass info["action_mask"].'
            )
            warnings.warn(text, GioWarning, stacklevel=4)

    def flags(self, given: Any, *, over: bool) -> Array:
        """Return one mask as flags `[A]` of the site's values; all True where it is None.

        Raises:
            TrainingError: another shape, something else than flags, or no flag although the episode goes on.
        """
        if given is None:
            return np.ones(self.now.shape[1], dtype=np.bool_)
        given = numbers("an action_mask", given).numpy(force=True) if isinstance(given, Tensor) else given
        flags = self.actions.allowed(given)
        if flags is None:
            raise TrainingError(
                f"Expected an {MASK} of {self.actions.mask_form()} from {self.name}, but got {_form(given)}; give one "
                "flag, 0 or 1, for each action."
            )
        if not flags.any() and not over:
            raise TrainingError(
                f"Expected an {MASK} that allows something from {self.name}, but it allows none of {len(flags)} "
                "actions; end the episode there."
            )
        return flags if flags.any() else ~flags


def keeping_of(
    states: Space[Any], actions: Space[Any], copied: Callable[[], Any]
) -> tuple[Keeping, TableMasks | LastNumbers | None]:
    """Return what becomes of an environment's masks, and how they are read from states.

    Of finite states they are learned in a table. States of numbers have theirs behind them, if the environment gives
    any: it is asked for one, by resetting a copy.

    Args:
        states: the space of the environment's states, without masks.
        actions: the space of the site "action".
        copied: makes a single copy of the environment, which is closed after; may raise whatever it likes.

    Raises:
        InputError: masks beside images.
    """
    if not isinstance(actions, Discrete):
        return Aside(), None
    if isinstance(states, Discrete):
        table = TableMasks(int(states.n), int(actions.n))
        return Learned(table), table
    if not _gives_masks(copied):
        return Unexpected(NO_MASKS), None
    if len(states.shape or ()) != 1:
        raise InputError(
            f"Expected observations that become one vector beside action masks, but got images of {states.shape}; wrap "
            "the environment so that it shows a vector, for instance with gymnasium.wrappers.FlattenObservation."
        )
    return Beside(int(actions.n)), LastNumbers(int(actions.n))


def _gives_masks(copied: Callable[[], Any]) -> bool:
    """Whether a copy of the environment gives a mask when it is reset; no random stream of the process moves."""
    try:
        with undisturbed():
            env = copied()
            found = mask_of(*env.reset(seed=0)[:2])
            env.close()
    except Exception:  # what cannot be copied or reset is asked later, by those whose business it is
        return False
    return found is not None


def mask_of(observation: Any, info: Any) -> Any:
    """Return the mask that came with an observation, as it was given; None where none did."""
    found = info.get(MASK) if isinstance(info, Mapping) else None
    return observation.get(MASK) if found is None and isinstance(observation, Mapping) else found


def masks_of(observation: Any, info: Any, count: int) -> list[Any]:
    """Return the mask of each of N environments, whose observations are batched and infos batched or in a list."""
    if isinstance(info, Mapping) and MASK in info:
        return [_of_row(info, row) for row in range(count)]
    if isinstance(observation, Mapping) and MASK in observation:
        return [entry(observation[MASK], row) for row in range(count)]
    if isinstance(info, Sequence) and len(info) == count:
        return [mask_of(None, one) for one in info]
    return [None] * count


def last_mask(observation: Any, info: Any, row: int) -> Any:
    """Return the mask that came with the last observation of an episode which environment `row` has ended."""
    if isinstance(info, Sequence):
        info = info[row] if row < len(info) else None
        return mask_of(observation, info.get("final_info") if isinstance(info, Mapping) else None)
    final = info.get("final_info")
    if isinstance(final, Mapping) and MASK in final:
        return _of_row(final, row)
    return mask_of(observation, None if final is None or isinstance(final, Mapping) else entry(final, row))


def _of_row(info: Mapping[str, Any], row: int) -> Any:
    there = info.get(f"_{MASK}")
    return None if there is not None and not there[row] else entry(info[MASK], row)


def _form(given: Any) -> str:
    try:
        array = np.asarray(given)
    except ValueError:
        return f"{len(given)} parts of different sizes"
    if array.dtype.kind not in "biuf":
        return shown(given)
    return f"shape {array.shape}" if ((array == 0) | (array == 1)).all() else shown(given)
