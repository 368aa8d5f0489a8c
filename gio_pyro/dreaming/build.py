"""Build the rollouts in the model that the settings ask for."""

from gymnasium.spaces import Discrete

from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.network import NetworkDreams, NetworkOutcomes
from gio_pyro.dreaming.table import TableDreams
from gio_pyro.errors import InputError
from gio_pyro.signals import Fitted


def dreams_of(
    fitted: Fitted, *, horizon: int, share: float, samples: int, learning_rate: float, planned: bool = False
) -> NoRollouts:
    """Return the rollouts that are asked for, without them what a planner needs to be fitted, or `NoRollouts`.

    Args:
        fitted: the spaces, the future, the programs and replay.
        horizon: steps of a dream; 0 for none.
        share: of dreams in what the policy learns from.
        samples: futures drawn for each pair of a table where they cannot be enumerated.
        learning_rate: Adam's step size for reward and termination.
        planned: whether a planner draws from the model, too.

    Raises:
        InputError: a future that does not contain the next state, so that its model cannot be rolled out.
    """
    if not horizon and not planned:
        return NoRollouts()
    if not callable(fitted.future.outcome):
        where, what = ("the policy dreams", "dream_horizon") if horizon else ("a planner draws", "the planner")
        raise InputError(
            f"Expected a future that holds the next state where {where}, but got {fitted.future}; take "
            f"NextState or NextStateAndReward, or leave {what} out."
        )
    if isinstance(fitted.spec.state_space, Discrete) and isinstance(fitted.spec.action_space, Discrete):
        return TableDreams(fitted, horizon, share, samples=samples) if horizon else NoRollouts()
    if not horizon:
        return NetworkOutcomes(fitted, learning_rate=learning_rate)
    return NetworkDreams(fitted, horizon, share, learning_rate=learning_rate)
