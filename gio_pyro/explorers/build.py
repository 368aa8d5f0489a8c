"""Build the explorer that the settings name, and what schedules it."""

from gio_pyro.explorers.base import Source
from gio_pyro.explorers.names import explorer_named
from gio_pyro.explorers.scheduler import ExplorerScheduler, NoExplorer
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.signals.reward_mix import EnvironmentReward, RewardMix, signal_mix_of


def scheduler_of(settings: Settings, fitted: Fitted, reward_mix: EnvironmentReward, streams: int) -> NoExplorer:
    """Return what schedules the explorer that the settings name, or the null object without one.

    Args:
        settings: `explorer`, `explorer_share`, and the weights of the signal and the reward.
        fitted: what the explorer is built from.
        reward_mix: the agent's, whose signal the explorer seeks.
        streams: N, the number of environments stepped together.
    """
    if settings.explorer is None or not isinstance(reward_mix, RewardMix):
        return NoExplorer()
    source = Source(fitted, settings, signal_mix_of(settings, reward_mix.signal), streams)
    return ExplorerScheduler(explorer_named(settings.explorer, source), settings.explorer_share, streams)
