"""A pendulum whose states are cells of angle and speed, so that its empowerment can be computed exactly.

The physics are those of Gymnasium's Pendulum-v1 (g = 10 m/s², m = 1 kg, l = 1 m, |speed| ≤ 8 rad/s) with three torques
that are held for 0.2 s. The state that follows is spread over the 16 cells around it, with the weights of a cubic
B-spline in either direction: the mean is kept, and the noise has a variance of a third of a cell squared, wherever
between the cells the state falls. (Bilinear weights would have a variance between 0 and a quarter, and empowerment
would jump from cell to cell.) Weights beyond the largest speed go to the cell at the edge.
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
    rows, in_rows = _spread(angle / CELL[0])
    columns, in_columns = _spread((speed + MAX_SPEED) / CELL[1])
    cells = (rows % ANGLES)[..., :, None] * SPEEDS + columns.clamp(0, SPEEDS - 1)[..., None, :]
    weights = in_rows[..., :, None] * in_columns[..., None, :]
    p = torch.zeros(ANGLES * SPEEDS, len(TORQUES), ANGLES * SPEEDS, dtype=torch.float64)
    return p.scatter_add_(2, cells.flatten(2), weights.flatten(2))


def _spread(place: Tensor) -> tuple[Tensor, Tensor]:
    """Return the four cells around a place, counted from 0, and the weights of a cubic B-spline, `[..., 4]` each."""
    first = place.floor()
    t = place - first
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    return first.long()[..., None] + torch.arange(-1, 3), torch.stack(weights, -1) / 6


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
