"""The ids of the example worlds."""

from types import MappingProxyType

import gymnasium as gym

NAMESPACE = "gio/"
LIMITS = MappingProxyType(
    {"KlyubinMaze": 100, "Rooms": 200, "SparseMaze": 200, "NoisyTV": 100, "SlipperyLine": 100, "Maze": 200}
)
"""Classes in `gio_pyro.envs.catalogue` with their time limits, steps."""
HIDDEN: MappingProxyType[str, tuple[str, int | None]] = MappingProxyType(
    {
        "Tiger": ("hidden_catalogue:Tiger", 100),
        "TMaze": ("hidden_catalogue:TMaze", 100),
        "RepeatFirst": ("hidden_catalogue:RepeatFirst", None),
        "NoisyFrozenLake": ("hidden_catalogue:NoisyFrozenLake", 100),
        "LinearGaussian": ("linear_gaussian:LinearGaussianWorld", 200),
        "CartPolePositions": ("partial_views:CartPolePositions", 500),
        "PendulumAngle": ("partial_views:PendulumAngle", 200),
        "PendulumPixels": ("partial_views:PendulumPixels", 200),
    }
)
"""Worlds with hidden states: where in `gio_pyro.envs` they are made, and their time limits, steps."""
CONTROL: MappingProxyType[str, tuple[str, int | None]] = MappingProxyType(
    {"CartPoleSwingUp": ("swing_up:CartPoleSwingUp", 500), "NoisyPendulum": ("noisy_pendulum:NoisyPendulum", 100)}
)
"""Worlds of classic control that are seen whole: where in `gio_pyro.envs` they are made, and their time limits."""
IDS = tuple(f"{NAMESPACE}{name}-v0" for name in LIMITS)
"""Ids of the worlds with a map."""
HIDDEN_IDS = tuple(f"{NAMESPACE}{name}-v0" for name in HIDDEN)
"""Ids of the worlds with hidden states."""


def register() -> None:
    """Register the ids with Gymnasium, except those registered already."""
    maps = {name: (f"catalogue:{name}", limit) for name, limit in LIMITS.items()}
    for name, (place, limit) in {**maps, **HIDDEN, **CONTROL}.items():
        id_ = f"{NAMESPACE}{name}-v0"
        if id_ not in gym.registry:
            gym.register(id_, entry_point=f"gio_pyro.envs.{place}", max_episode_steps=limit)
