"""Build the rollouts in the model that the settings ask for."""

from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.network import NetworkDreams, NetworkOutcomes
from gio_pyro.dreaming.table import TableDreams
from gio_pyro.errors import InputError
from gio_pyro.settings import Settings, finite_world
from gio_pyro.signals import Fitted


def dreams_of(settings: Settings, fitted: Fitted) -> NoRollouts:
    """Return the rollouts that the settings ask for, without them what a planner needs to be fitted, or `NoRollouts`.

    Raises:
        InputError: a future that does not contain the next state, so that its model cannot be rolled out.
    """
    s, spec = settings, fitted.spec
    if not s.dream_horizon and s.planner is None:
        return NoRollouts()
    if not callable(fitted.future.outcome):
        where, what = ("the policy dreams", "dream_horizon") if s.dream_horizon else ("a planner draws", "the planner")
        raise InputError(
            f"Expected a future that holds the next state where {where}, but got {fitted.future}; take "
            f"NextState or NextStateAndReward, or leave {what} out."
        )
    if finite_world(spec.state_space, spec.action_space):
        return TableDreams(fitted, s.dream_horizon, s.dream_share, samples=s.samples) if s.dream_horizon else NoRollouts()
    if not s.dream_horizon:
        return NetworkOutcomes(fitted, learning_rate=s.learning_rate)
    return NetworkDreams(fitted, s.dream_horizon, s.dream_share, learning_rate=s.learning_rate)
