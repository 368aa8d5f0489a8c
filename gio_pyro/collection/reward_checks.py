"""Refuse rewards from which nothing can be learned: NaN, infinite, or too large to be squared."""

import numpy as np

from gio_pyro.errors import TrainingError

LARGEST_REWARD = float(np.finfo(np.float32).max)
"""Magnitude above which a reward is infinite in float32."""
LARGEST_LEARNABLE = 1e16
"""Magnitude above which squared returns, part of the critic's loss, are infinite in float32."""


def check_size(reward: float) -> None:
    """Raise `TrainingError` for a reward that is NaN, infinite or too large."""
    if abs(reward) <= LARGEST_LEARNABLE:
        return
    if not abs(reward) <= LARGEST_REWARD:
        raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")
    raise TrainingError(
        f"Expected a reward of at most {LARGEST_LEARNABLE:g} in size, but the environment gave {reward:g}: "
        "squares of its returns would be infinite; scale it, e.g. by gymnasium.wrappers.TransformReward."
    )
