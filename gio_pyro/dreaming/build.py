"""Build the rollouts in the model that the settings ask for."""

from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.network import NetworkDreams
from gio_pyro.dreaming.table import TableDreams
from gio_pyro.errors import InputError
from gio_pyro.settings import Settings, finite_world
from gio_pyro.signals import Fitted


def dreams_of(settings: Settings, fitted: Fitted) -> NoRollouts:
    """Return the rollouts that the settings ask for, or `NoRollouts`.

    Raises:
        InputError: a future that does not contain the next state, so that its model cannot be rolled out.
    """
    s, spec = settings, fitted.spec
    if not s.dream_horizon:
        return NoRollouts()
    if not callable(fitted.future.outcome):
        raise InputError(
            f"Expected a future that holds the next state where the policy dreams, but got {fitted.future}; take "
            "NextState or NextStateAndReward, or leave dream_horizon out."
        )
    if finite_world(spec.state_space, spec.action_space):
        return TableDreams(fitted, s.dream_horizon, s.dream_share, samples=s.samples)
    return NetworkDreams(fitted, s.dream_horizon, s.dream_share, learning_rate=s.learning_rate)
