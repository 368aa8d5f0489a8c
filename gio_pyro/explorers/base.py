"""What an explorer is: another policy that collects for the agent, and is paid for something else."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.signals.reward_mix import RewardMix
from gio_pyro.types import Transitions

Act = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""`act(state [n, ...], stream [n])` returns values of the site "action" `[n, ...]` and log μ of each, `[n]` nats. The
stream says which of the N environments each state is of."""


@dataclass(frozen=True)
class Source:
    """What an explorer is built from; it belongs to the agent, which tells it of transitions and lets it learn."""

    fitted: Fitted
    settings: Settings
    """The agent's."""
    reward_mix: RewardMix
    """What the explorer is paid: the signal, times its weight."""
    streams: int
    """N, how many environments are stepped together."""


class Explorer(nn.Module, ABC):
    """Collects for the agent, whose own policy learns from it off-policy; a subclass says how by `behaviour`.

    `state_dict` has all that it learned and where it stands in each environment, but not its `optimisers`, which the
    agent saves itself.

    Args:
        source: what it is built from.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    @abstractmethod
    def behaviour(self, replay: Replay) -> Act:
        """Return what acts until the next update; log μ must be the probability of the action given what was seen."""

    def begin(self, stream: Tensor) -> None:
        """A turn begins in these environments `[n]`: an episode, or a long piece of one."""

    def on_step(self, arrived: Tensor, stream: Tensor) -> None:
        """Its own actions led to the states `[n, ...]` in these environments `[n]`."""

    def observe(self, rows: Transitions) -> None:
        """Take new transitions, whoever collected them, into statistics of inputs; each is told once."""

    def improve(self, replay: Replay, step: int) -> Figures:
        """Learn, after `step` environment steps, and return what was measured, by name; called with each improvement.

        The signal learns by itself; only what the explorer itself is made of learns here.
        """
        return {}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return what steps its parameters, by name, to be saved with the agent."""
        return {}
