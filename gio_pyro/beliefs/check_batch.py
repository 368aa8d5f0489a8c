"""Random batches for checks of a world model and its filter: first instants of episodes, and later ones."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.programs.check_batch import BATCH, Inputs, copies_of, random_values, require_spaces
from gio_pyro.types import Seen, Transitions, WorldSpec

REAL = Box(-np.inf, np.inf, (), np.float32)
"""The space of rewards."""


def require_world_spec(spec: WorldSpec) -> None:
    """Raise `InputError` for what is no `WorldSpec`, and for spaces that are neither Discrete nor Box."""
    if not isinstance(spec, WorldSpec):
        raise InputError(
            f"Expected a gio.WorldSpec, but got one of type {type(spec).__name__}; make one from the "
            "spaces of observations and actions, and pass it last."
        )
    require_spaces({"observation": spec.observation_space, "action": spec.action_space})


@dataclass(frozen=True)
class WorldBatch(Inputs):
    """Beliefs, actions and what was seen, a batch of `BATCH`; at the first instant all but the observation is None."""

    belief: Tensor
    observation: Tensor
    action: Tensor | None
    reward: Tensor | None
    terminated: Tensor | None

    @classmethod
    def first(cls, spec: WorldSpec, size: int) -> "WorldBatch":
        """Return first instants of episodes."""
        belief, observation = torch.zeros(BATCH, size), random_values(spec.observation_space)
        return cls(copies_of({"belief": belief, "observation": observation}), belief, observation, None, None, None)

    def after(self, belief: Tensor, spec: WorldSpec) -> "WorldBatch":
        """Return instants after these with other actions and observations, given the beliefs before them."""
        given = {
            "belief": belief.detach().clone(),
            "observation": random_values(spec.observation_space),
            "action": random_values(spec.action_space),
            "reward": torch.randn(BATCH),
            "terminated": torch.arange(BATCH) == 0,
        }
        return WorldBatch(copies_of(given), **given)

    @property
    def seen(self) -> Seen:
        """What is seen."""
        return Seen(self.observation, self.reward, self.terminated)

    @property
    def step(self) -> tuple[Tensor, Tensor | None, Seen]:
        """The arguments of the programs."""
        return self.belief, self.action, self.seen

    def rows(self, index: Tensor) -> "WorldBatch":
        """Return some of the examples."""
        given = {name: getattr(self, name)[index] for name in self.copies}
        return replace(self, **given)

    def transitions(self, before: "WorldBatch") -> Transitions:
        """Return transitions from the observations of the batch before to these."""
        assert self.action is not None
        assert self.reward is not None
        assert self.terminated is not None
        zeros = torch.zeros(BATCH)
        flags = self.terminated, zeros > 0
        return Transitions(before.observation, self.action, self.reward, self.observation, *flags, zeros, zeros + 1)
