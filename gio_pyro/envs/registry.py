"""The ids of the example worlds."""

from types import MappingProxyType

import gymnasium as gym

NAMESPACE = "gio/"
LIMITS = MappingProxyType(
    {"KlyubinMaze": 100, "Rooms": 200, "SparseMaze": 200, "NoisyTV": 100, "SlipperyLine": 100, "Maze": 200}
)
"""Classes in `gio_pyro.envs.catalogue` with their time limits, steps."""
IDS = tuple(f"{NAMESPACE}{name}-v0" for name in LIMITS)


def register() -> None:
    """Register the ids with Gymnasium, except those registered already."""
    for id_, (name, limit) in zip(IDS, LIMITS.items(), strict=True):
        if id_ not in gym.registry:
            gym.register(id_, entry_point=f"gio_pyro.envs.catalogue:{name}", max_episode_steps=limit)
