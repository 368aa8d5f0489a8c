"""What every adapter does with a reward: remember transitions, fit now and then, weigh what is paid."""

from typing import Any

import numpy as np

from gio_pyro.checks import whole
from gio_pyro.intrinsic_reward import IntrinsicReward
from gio_pyro.samples import KEYS
from gio_pyro.schedules import Weight, weight_of

Array = np.ndarray[Any, np.dtype[Any]]


class Bonus:
    """A reward with its weight, fitted after every `update_every` transitions.

    Args:
        reward: what pays; it keeps its own buffer of transitions.
        weight: β, reward units for each unit of the reward.
        update_every: environment steps between two updates.

    Attributes:
        steps: transitions seen.

    Raises:
        InputError: a weight that is none, or `update_every` below 1.
    """

    def __init__(self, reward: IntrinsicReward, weight: Weight, update_every: int) -> None:
        whole("update_every", update_every, 1)
        self.reward, self.update_every = reward, update_every
        self.weight = weight_of(weight)
        self.steps = 0
        self._waiting: dict[str, list[Array]] = {key: [] for key in KEYS}

    def see(self, **transitions: Array) -> None:
        """Take transitions `[n, ...]` in, by the keys of `gio_pyro.samples`, and fit when enough have come."""
        for key in KEYS:
            self._waiting[key].extend(np.asarray(transitions[key]))
        self.steps += len(transitions["rewards"])
        if len(self._waiting["rewards"]) >= self.update_every:
            self.reward.update({key: np.stack(values)[:, None] for key, values in self._waiting.items()})
            self._waiting = {key: [] for key in KEYS}

    def paid(self, **transitions: Array) -> Array:
        """Return what each of n transitions is paid, `[n]`, in the unit of the reward and not yet weighed."""
        samples = {key: np.asarray(transitions[key])[:, None] for key in KEYS}
        return np.asarray(self.reward.compute(samples))[:, 0]

    def weighed(self, paid: Array) -> Array:
        """Return what is added to the environment's reward at this step, reward units."""
        return self.weight(self.steps) * paid
