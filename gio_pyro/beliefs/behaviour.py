"""The running belief of each environment, and the behaviour that acts on it."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gio_pyro.collection import Behaviour
from gio_pyro.collection.collected import Step
from gio_pyro.errors import TrainingError

Updated = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""From begins, belief, action, reward and observation of N environments to their beliefs after, `[N, D]`."""
MOST_LOST = 100
"""Successive steps of an environment at which a belief is not finite and begins anew; more are an error."""


def begun_again(belief: Tensor, begin: Callable[[], Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Return beliefs `[N, D]`, those that are not finite begun anew, and which these are, `[N]` booleans.

    Args:
        belief: beliefs of a filter.
        begin: returns the beliefs at a first step, `[N, D]`.
        name: of the filter.

    Raises:
        TrainingError: a belief is not finite at a first step either.
    """
    lost = ~belief.isfinite().all(-1)
    if bool(lost.any()):
        belief = torch.where(lost.unsqueeze(-1), begin(), belief)
        if not bool(belief.isfinite().all()):
            raise TrainingError(
                f"Expected a finite belief from {name} at the first step of an episode, but got NaN or infinity; look "
                "for NaN in its parameters, or lower the learning rate."
            )
    return belief, lost


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
    lost: Tensor

    def __init__(self, belief: Tensor, action: Tensor) -> None:
        super().__init__()
        self.register_buffer("belief", torch.zeros_like(belief))
        self.register_buffer("action", torch.zeros_like(action))
        self.register_buffer("reward", torch.zeros(len(belief)))
        self.register_buffer("begins", torch.ones(len(belief), dtype=torch.bool))
        self.register_buffer("restarted", torch.zeros((), dtype=torch.int64))
        self.register_buffer("lost", torch.zeros(len(belief), dtype=torch.int64))

    def restart(self, lost: Tensor, name: str) -> None:
        """Count beliefs that began anew, `[N]` booleans.

        Raises:
            TrainingError: one did at each of the last `MOST_LOST` steps.
        """
        self.restarted += lost.sum()
        self.lost.copy_(torch.where(lost, self.lost + 1, 0))
        if bool(lost.any()) and int(self.lost.max()) >= MOST_LOST:
            self.lost.zero_()
            raise TrainingError(
                f"Expected finite beliefs from {name}, but they were NaN or infinite at each of the last {MOST_LOST} "
                "steps; look for log 0 or 0/0 in it, or lower the learning rate."
            )


class BelievingBehaviour:
    """A behaviour that updates the belief of each environment and passes it on as the state.

    Args:
        inner: acts on beliefs `[N, D]`.
        running: the beliefs.
        updated: the filter.
        name: of the filter, for messages.
    """

    def __init__(self, inner: Behaviour, running: RunningBelief, updated: Updated, name: str = "the filter") -> None:
        self.inner, self.running, self.updated, self.name = inner, running, updated, name

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
        first = torch.ones_like(now.begins)
        begin = partial(self.updated, first, torch.zeros_like(now.belief), now.action, now.reward, state)
        belief, lost = begun_again(belief, begin, self.name)
        now.restart(lost, self.name)
        now.belief.copy_(belief)
        action, log_mu = self.inner(belief)
        now.action.copy_(action)
        return action, log_mu

    def on_step(self, step: Step) -> None:
        """Keep the reward of a step, and which environments begin an episode; pass on the beliefs before and after."""
        now, rows = self.running, step.rows
        now.reward.copy_(rows["reward"])
        passed = getattr(self.inner, "on_step", None)
        if passed is not None:
            none = torch.zeros_like(now.begins)
            after = self.updated(none, now.belief, now.action, now.reward, rows["next_state"]).nan_to_num()
            passed(step._replace(rows=rows | {"state": now.belief, "next_state": after}))
        self._set_begins(step.next_begins)
