"""What a checkpoint reads from an agent and fills again, as a protocol: checkpointing does not import the agent."""

from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from gio_pyro.settings import Settings
from gio_pyro.types import PyroProgram, Spec


class TrainedAgent(Protocol):
    """The attributes of `gio_pyro.GIO` that its checkpoints hold, or that say whether a checkpoint fits."""

    settings: Settings
    spec: Spec
    env: Any
    future: Any
    programs: dict[str, str | PyroProgram]
    device: torch.device
    unbounded: frozenset[str]
    """Places of numbers that are NaN or infinite in a new agent, and may be so in a checkpoint."""

    seen_space: Any
    """The space of what is seen, as replay keeps it."""

    masks: nn.Module
    beliefs: Any
    model: Any
    guide: Any
    actor_critic: Any
    policy: Any
    temperature: Any
    reward_mix: Any
    dreaming: Any
    explorer: Any
    planning: Any

    collector: Any
    replay: Any
    random: Any
    playing: Any
    steps: int
    unobserved: int
    largest_reward: float
    largest_paid: float
    sound: Tensor
    update: Any

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the optimisers by name; programs without parameters and tables have none."""


Agent = TypeVar("Agent", bound=TrainedAgent)
