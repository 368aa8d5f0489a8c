"""A wrapper that tells how long the tip of Acrobot-v1 is up, to see what an agent does that is paid nothing for it.

    PYTHONPATH=examples/benchmarks gio train Acrobot-v1 --wrapper upright:Upright --reward-weight 0

The return of an episode is the share of the second half of its steps in which the tip is above the line that Acrobot-v1
is to reach. Acrobot-v1 ends there, and an agent that lives on information does not want an end; here only its time
limit ends an episode.
"""

from typing import Any, SupportsFloat

import gymnasium as gym


class Upright(gym.Wrapper[Any, Any, Any, Any]):
    """Pays 2 / T for each step from T / 2 on in which the tip is up, where T is the time limit."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        spec: Any = env.spec
        self.limit, self.taken = int(spec.max_episode_steps), 0

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        self.taken = 0
        return self.env.reset(**given)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take a step; it pays what the class says."""
        seen, _, up, _, info = self.env.step(action)
        self.taken += 1
        half = self.limit // 2
        return seen, float(up and self.taken > self.limit - half) / half, False, self.taken >= self.limit, info
