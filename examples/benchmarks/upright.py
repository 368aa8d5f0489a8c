"""A wrapper that pays for being upright, to see what an agent does that is paid nothing by its environment.

    PYTHONPATH=examples/benchmarks gio train Pendulum-v1 --wrapper upright:Upright --reward-weight 0

The return of an episode is the share of the second half of its steps in which the pendulum stands within 18 degrees of
upright, or the acrobot's tip is above the line that Acrobot-v1 is to reach. No episode ends before its time limit:
Acrobot-v1 ends one there, and an agent that lives on information does not want that.
"""

import math
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np

UPRIGHT = math.cos(math.radians(18))


class Upright(gym.Wrapper[Any, Any, Any, Any]):
    """Pays 2 / T for each upright step from T / 2 on, where T is the time limit of Pendulum-v1 or Acrobot-v1."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        spec: Any = env.spec
        self.upright = {"Pendulum-v1": pendulum, "Acrobot-v1": acrobot}[spec.id]
        self.limit, self.taken = int(spec.max_episode_steps), 0

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self.taken = 0
        return self.env.reset(**given)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step; it pays what the class says."""
        seen, _, _, _, info = self.env.step(action)
        self.taken += 1
        late = self.taken > self.limit - self.limit // 2
        pays = late and self.upright(seen)
        return seen, float(pays) / (self.limit // 2), False, self.taken >= self.limit, info


def pendulum(seen: np.ndarray) -> bool:
    """Return whether the pendulum is within 18 degrees of upright; it sees cosine, sine and speed."""
    return bool(seen[0] >= UPRIGHT)


def acrobot(seen: np.ndarray) -> bool:
    """Return whether the tip is more than a link above the axis; it sees cosine and sine of two angles, and speeds."""
    first, first_sine, second, second_sine = seen[:4]
    return bool(-first - (first * second - first_sine * second_sine) > 1)
