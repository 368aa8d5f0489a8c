"""The running belief of each environment, and the behaviour that acts on it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gio_pyro.collection import Behaviour
from gio_pyro.collection.collected import Step

Updated = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""From begins, belief, action, reward and observation of N environments to their beliefs after, `[N, D]`."""


class RunningBelief(nn.Module):
    """The belief in each of N environments, and what it is updated from: the last action and its reward.

    Args:
        belief: beliefs of the right shape, `[N, D]`.
        action: values of the site "action", `[N, ...]`.
    """

    belief: Tensor
    action: Tensor
    reward: Tensor
    begins: Tensor
    restarted: Tensor

    def __init__(self, belief: Tensor, action: Tensor) -> None:
        super().__init__()
        self.register_buffer("belief", torch.zeros_like(belief))
        self.register_buffer("action", torch.zeros_like(action))
        self.register_buffer("reward", torch.zeros(len(belief)))
        self.register_buffer("begins", torch.ones(len(belief), dtype=torch.bool))
        self.register_buffer("restarted", torch.zeros((), dtype=torch.int64))


class BelievingBehaviour:
    """A behaviour that updates the belief of each environment and passes it on as the state.

    Args:
        inner: acts on beliefs `[N, D]`.
        running: the beliefs.
        updated: the filter.
    """

    def __init__(self, inner: Behaviour, running: RunningBelief, updated: Updated) -> None:
        self.inner, self.running, self.updated = inner, running, updated

    def on_begin(self, begins: Any) -> None:
        """Receive which environments begin an episode, `[N]` booleans, before the first step."""
        self._set_begins(begins)

    def _set_begins(self, begins: Any) -> None:
        self.running.begins.copy_(torch.from_numpy(np.array(begins, dtype=np.bool_)))

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities for what is seen, `[N, ...]` each."""
        now = self.running
        belief = self.updated(now.begins, now.belief, now.action, now.reward, state)
        lost = ~belief.isfinite().all(-1)
        if bool(lost.any()):
            again = self.updated(lost | now.begins, belief.nan_to_num(), now.action, now.reward, state)
            belief = torch.where(lost.unsqueeze(-1), again, belief)
            now.restarted += lost.sum()
        now.belief.copy_(belief)
        action, log_mu = self.inner(belief)
        now.action.copy_(action)
        return action, log_mu

    def on_step(self, step: Step) -> None:
        """Keep the reward of a step, and which environments begin an episode."""
        self.running.reward.copy_(step.rows["reward"])
        self._set_begins(step.next_begins)
        passed = getattr(self.inner, "on_step", None)
        if passed is not None:
            passed(step)
