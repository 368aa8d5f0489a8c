"""Base class of explorers: a second policy that collects for the agent and maximises another reward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import ActionSamples
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.signals.reward_mix import EnvironmentReward
from gio_pyro.types import Transitions

Act = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""`act(state [n, ...], stream [n])` returns values of the site "action" `[n, ...]` and log μ of each, `[n]` nats. The
stream says which of the N environments each state is of."""


@dataclass(frozen=True)
class Source:
    """Settings, signal and sizes of the agent, from which an explorer is built; the agent passes it transitions."""

    fitted: Fitted
    settings: Settings
    """Settings of the agent."""
    reward_mix: EnvironmentReward
    """Reward of the explorer: the signal, times its weight, and the environment's reward, times its own."""
    streams: int
    """N, the number of environments."""
    action_values: Callable[[Tensor, ActionSamples], Tensor]
    """Q of K actions in each state of the agent's own critic, `[n, ...]` and the actions to `[n, K]`, reward units."""
    named: Callable[[str, Source], Explorer]
    """Build a further explorer of a name from the same source."""


class Explorer(nn.Module, ABC):
    """Collect transitions from which the agent's own policy learns off-policy; a subclass implements `behaviour`.

    `state_dict` has everything learned and the state in each environment, but not the `optimisers`, which the agent
    saves itself.

    Args:
        source: what it is built from.
    """

    seeks_signal = True
    """Whether it needs the agent to have a signal."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    @abstractmethod
    def behaviour(self, replay: Replay) -> Act:
        """Return the function that acts until the next update; log μ is that of the action given the observations."""

    def begin(self, stream: Tensor) -> None:
        """Start a turn in these environments `[n]`: an episode, or a long part of one."""

    def on_step(self, arrived: Tensor, stream: Tensor) -> None:
        """Receive the states `[n, ...]` that the explorer's own actions led to in these environments `[n]`."""

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new transitions of both policies, each once."""

    def improve(self, replay: Replay, step: int) -> Figures:
        """Update the explorer after `step` environment steps; return its metrics by name. Called at each improvement.

        The agent updates the signal.
        """
        return {}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by name, which are saved with the agent."""
        return {}
