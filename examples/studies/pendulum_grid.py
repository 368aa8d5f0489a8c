"""A pendulum whose states are cells of angle and speed, so that its empowerment can be computed exactly.

The physics are those of Gymnasium's Pendulum-v1 (g = 10 m/s², m = 1 kg, l = 1 m, |speed| ≤ 8 rad/s) with three torques
that are held for 0.2 s, and noise in the speed. The state that follows is split among the four cells around it, with
the weights of bilinear interpolation: the mean is kept, and the splitting is further noise.
"""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

ANGLES, SPEEDS = 24, 17
TORQUES = (-2.0, 0.0, 2.0)
"""N m."""
MAX_SPEED = 8.0
"""rad/s."""
SECONDS, SUBSTEPS = 0.2, 20
NOISE = (-0.5, 0.5)
"""Equally likely shocks of the speed in each step, rad/s."""
CELL = (2 * math.pi / ANGLES, 2 * MAX_SPEED / (SPEEDS - 1))
"""Sides of a cell: rad, and rad/s."""


def places() -> Tensor:
    """Return angle, 0 where it stands upright, and speed of each state, `[S, 2]`."""
    angle = torch.arange(ANGLES, dtype=torch.float64) * CELL[0]
    speed = torch.linspace(-MAX_SPEED, MAX_SPEED, SPEEDS, dtype=torch.float64)
    return torch.cartesian_prod(angle, speed)


def transition() -> Tensor:
    """Return p(s'|s, a), `[S, A, S]`."""
    torques = torch.tensor(TORQUES, dtype=torch.float64)
    angle, speed = (x[:, None].expand(-1, len(TORQUES)) for x in places().unbind(-1))
    for _ in range(SUBSTEPS):
        speed = (speed + (15 * angle.sin() + 3 * torques) * SECONDS / SUBSTEPS).clamp(-MAX_SPEED, MAX_SPEED)
        angle = angle + speed * SECONDS / SUBSTEPS
    p = torch.zeros(ANGLES * SPEEDS, len(TORQUES), ANGLES * SPEEDS, dtype=torch.float64)
    for shock in NOISE:
        row = angle / CELL[0]
        column = (((speed + shock).clamp(-MAX_SPEED, MAX_SPEED) + MAX_SPEED) / CELL[1]).clamp(0, SPEEDS - 1 - 1e-9)
        for up in (0, 1):
            for right in (0, 1):
                weight = _weight(row, up) * _weight(column, right) / len(NOISE)
                cell = ((row.floor() + up) % ANGLES) * SPEEDS + column.floor() + right
                p.scatter_add_(2, cell.long()[..., None], weight[..., None])
    return p


def _weight(place: Tensor, above: int) -> Tensor:
    share = place - place.floor()
    return share if above else 1 - share


def seen() -> Tensor:
    """Return what is observed in each state: cosine and sine of the angle, and the speed, `[S, 3]` float32."""
    angle, speed = places().unbind(-1)
    return torch.stack([angle.cos(), angle.sin(), speed], -1).float()


class PendulumGrid(gym.Env[Any, Any]):
    """The pendulum as an environment with a table `P`; an episode begins in any state and never ends by itself."""

    def __init__(self) -> None:
        self.chances = transition().numpy()
        self.views = seen().numpy()
        count = len(self.views)
        self.P = {
            s: {
                a: [(float(row[to]), int(to), 0.0, False) for to in row.nonzero()[0]]
                for a, row in enumerate(self.chances[s])
            }
            for s in range(count)
        }
        self.initial_state_distrib = np.full(count, 1 / count)
        high = np.array([1, 1, MAX_SPEED], np.float32)
        self.observation_space, self.action_space = Box(-high, high), Discrete(len(TORQUES))
        self.state = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin in a state drawn uniformly."""
        super().reset(seed=seed, options=options)
        self.state = int(self.np_random.integers(len(self.views)))
        return self.views[self.state], {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Hold a torque for 0.2 s."""
        cumulative = self.chances[self.state, int(action)].cumsum()
        self.state = min(int(cumulative.searchsorted(self.np_random.random(), side="right")), len(self.views) - 1)
        return self.views[self.state], 0.0, False, False, {}


def make() -> gym.Env[Any, Any]:
    """Return the pendulum with episodes of 100 steps."""
    return gym.wrappers.TimeLimit(PendulumGrid(), 100)
