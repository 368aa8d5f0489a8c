"""What goals are, chosen by the space of states and the settings of the explorer; kinds are imported where used."""

from dataclasses import dataclass
from typing import Any

from gymnasium.spaces import Discrete
from torch import Tensor
from torch.nn.functional import pad

from gio_pyro.errors import InputError, shown
from gio_pyro.explorers.finite_goals import FiniteGoals
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.signals import Fitted

GoalSpace = FiniteGoals | VectorGoals
"""States that are goals, by kind; `VectorGoals` is the base of others."""
SEEN, WALK, LATENT = "seen", "walk", "latent"
"""Where goals that are vectors come from."""
CODES = 4
"""Numbers of the latent space of goals."""


@dataclass(frozen=True)
class Wanted:
    """Settings of the explorer that say what goals are."""

    horizon: int
    """Steps within which a goal must have been reached before."""
    near: float
    """Distance at which a goal of numbers counts as reached, standard deviations."""
    parts: Any
    """Numbers of a state that belong together, "each", or None for whole states."""
    controllable: bool
    """Whether parts are drawn by what actions change in them."""
    among: str
    """`SEEN`, `WALK` or `LATENT`."""
    learning_rate: float
    """Adam's step size where goals are learned."""


def goal_space_of(fitted: Fitted, wanted: Wanted) -> GoalSpace:
    """Return what goals are.

    Args:
        fitted: the spaces, the future, the model and replay of the agent.
        wanted: the settings.

    Raises:
        InputError: settings that do not fit each other or the spaces.
    """
    space, w = fitted.spec.state_space, wanted
    if w.among not in (SEEN, WALK, LATENT):
        raise InputError(f"Expected among to be {SEEN}, {WALK} or {LATENT}, but got {shown(w.among)}; name one.")
    if w.parts is not None:
        return _parts(fitted, w)
    if w.controllable:
        raise InputError("Expected parts beside controllable, but got none; give them, such as parts='each'.")
    if isinstance(space, Discrete):
        return FiniteGoals(space, w.horizon)
    if w.among == WALK:
        from gio_pyro.explorers.walk_goals import WalkGoals

        return WalkGoals(fitted, w.horizon, max(1, w.horizon // 4), learning_rate=w.learning_rate)
    if w.among == LATENT:
        from gio_pyro.explorers.latent_goals import LatentGoals

        return LatentGoals(fitted, w.horizon, w.near, codes=CODES, learning_rate=w.learning_rate)
    return VectorGoals(space, w.horizon, w.near)  # type: ignore[arg-type]


def _parts(fitted: Fitted, w: Wanted) -> VectorGoals:
    from gio_pyro.explorers.part_goals import PartGoals, influence_of

    if w.among != SEEN:
        raise InputError(f"Expected parts of states that were seen, but got among={w.among!r} too; leave one out.")
    space = fitted.spec.state_space
    if not w.controllable:
        return PartGoals(space, w.horizon, w.near, w.parts)
    if not fitted.predicts_next_state:
        raise InputError(
            f"Expected the future NextState where goals are controllable, but got {fitted.future}; leave one out."
        )

    def influence(state: Tensor) -> Tensor:
        found = influence_of(fitted.model, fitted.policy, state)
        return pad(found, (0, state.shape[1] - len(found)))  # action masks are no part of the future

    return PartGoals(space, w.horizon, w.near, w.parts, influence)
