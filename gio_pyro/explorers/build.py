"""Build the explorer that the settings name, and what schedules it."""

from collections.abc import Callable

from torch import Tensor

from gio_pyro.errors import InputError, shown
from gio_pyro.explorers.base import Source
from gio_pyro.explorers.names import explorer_named
from gio_pyro.explorers.scheduler import ExplorerScheduler, NoExplorer
from gio_pyro.programs import ActionSamples
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.signals.reward_mix import EnvironmentReward, RewardMix, signal_mix_of


def scheduler_of(
    settings: Settings,
    fitted: Fitted,
    reward_mix: EnvironmentReward,
    streams: int,
    action_values: Callable[[Tensor, ActionSamples], Tensor],
) -> NoExplorer:
    """Return what schedules the explorer that the settings name, or the null object without one.

    Raises:
        InputError: an explorer that seeks a signal, without one.

    Args:
        settings: `explorer`, `explorer_share`, and the weights of the signal and the reward.
        fitted: what the explorer is built from.
        reward_mix: the agent's, whose signal the explorer seeks.
        streams: N, the number of environments stepped together.
        action_values: Q of K actions in each state, of the agent's critic.
    """
    if settings.explorer is None:
        return NoExplorer()
    mix = signal_mix_of(settings, reward_mix.signal) if isinstance(reward_mix, RewardMix) else reward_mix
    source = Source(fitted, settings, mix, streams, action_values, explorer_named)
    explorer = explorer_named(settings.explorer, source)
    if explorer.seeks_signal and mix is reward_mix:
        raise InputError(
            f"Expected a signal for the explorer {shown(settings.explorer)} to seek, but got none; name one, such as "
            "signal PredictionError."
        )
    return ExplorerScheduler(explorer, settings.explorer_share, streams)
