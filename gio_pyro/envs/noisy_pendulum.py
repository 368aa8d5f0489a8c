"""A pendulum whose states are cells of angle and speed, so that everything about it can be computed exactly."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from gio_pyro.envs.arguments import choice
from gio_pyro.envs.swing_up import UPRIGHT
from gio_pyro.envs.tables import Table, draw
from gio_pyro.errors import InputError, shown

ANGLES, SPEEDS = 24, 17
TORQUES = (-2.0, 0.0, 2.0)
"""N m."""
MAX_SPEED = 8.0
"""rad/s."""
SECONDS, SUBSTEPS = 0.2, 20
CELL = (2 * math.pi / ANGLES, 2 * MAX_SPEED / (SPEEDS - 1))
"""Sides of a cell: rad, and rad/s."""
Reals = NDArray[np.float64]


class NoisyPendulum(gym.Env[Any, Any]):
    """A pendulum of 24 x 17 cells, with three torques that are held for 0.2 s; a step pays 1 where it ends upright.

    The physics are those of Gymnasium's Pendulum-v1 (g = 10 m/s², m = 1 kg, l = 1 m, at most 8 rad/s, 2 N m either
    way). The state that follows is spread over the 16 cells around it, with the weights of a cubic B-spline in either
    direction: the mean is kept, and the noise has a variance of a third of a cell squared, wherever between the cells
    the state falls. (Bilinear weights would have a variance between 0 and a quarter, and empowerment would jump from
    cell to cell.) Weights beyond the largest speed go to the cell at the edge. Upright is within 18 degrees, which is
    three of the angles. An episode begins in any state, drawn uniformly, and never terminates.

    Args:
        observations: `"state"`, Discrete(408), or `"coordinates"`, cosine and sine of the angle, 0 upright, and the
            speed, rad/s, float32 `[3]`.

    Attributes:
        P: the transition table, `P[s][a] = [(probability, s', reward, terminated), ...]`.
        initial_state_distrib: distribution of the first state, float64 `[S]`.
        places: angle (rad) and speed (rad/s) of each state, float64 `[S, 2]`.
        views: the coordinates of each state, float32 `[S, 3]`.
        state: the current state, whatever is observed.

    Raises:
        InputError: an unknown kind of observations, or an action that is not 0, 1 or 2.
    """

    def __init__(self, *, observations: str = "state") -> None:
        choice("observations", observations, ("state", "coordinates"))
        self.observations, self.places = observations, places()
        angle, speed = self.places.T
        self.views = np.stack([np.cos(angle), np.sin(angle), speed], -1).astype(np.float32)
        self.probabilities = transition()
        self.P = _table(self.probabilities, np.cos(angle) >= UPRIGHT)
        count = len(self.places)
        self.initial_state_distrib = np.full(count, 1 / count)
        high = np.array([1, 1, MAX_SPEED], np.float32)
        self.observation_space: Any = Discrete(count) if observations == "state" else Box(-high, high)
        self.action_space: Any = Discrete(len(TORQUES))
        self.state = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin in a state drawn uniformly; `options` are ignored."""
        super().reset(seed=seed, options=options)
        self.state = int(self.np_random.integers(len(self.places)))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Hold a torque for 0.2 s."""
        if not self.action_space.contains(action):
            raise InputError(f"Expected an action 0, 1 or 2, for {TORQUES} N m, but got {shown(action)}.")
        _, self.state, reward, _ = draw(self.P[self.state][int(action)], self.np_random)
        return self._seen(), reward, False, False, {}

    def _seen(self) -> Any:
        return self.state if self.observations == "state" else self.views[self.state].copy()


def places() -> Reals:
    """Return angle, 0 upright, and speed of each state, `[S, 2]`."""
    angle, speed = np.meshgrid(np.arange(ANGLES) * CELL[0], np.linspace(-MAX_SPEED, MAX_SPEED, SPEEDS), indexing="ij")
    return np.stack([angle.ravel(), speed.ravel()], -1)


def transition() -> Reals:
    """Return p(s'|s, a), `[S, A, S]`."""
    torques = np.array(TORQUES)
    angle, speed = (np.repeat(x[:, None], len(TORQUES), 1) for x in places().T)
    for _ in range(SUBSTEPS):
        speed = (speed + (15 * np.sin(angle) + 3 * torques) * SECONDS / SUBSTEPS).clip(-MAX_SPEED, MAX_SPEED)
        angle = angle + speed * SECONDS / SUBSTEPS
    rows, in_rows = _spread(angle / CELL[0])
    columns, in_columns = _spread((speed + MAX_SPEED) / CELL[1])
    cells = (rows % ANGLES)[..., :, None] * SPEEDS + columns.clip(0, SPEEDS - 1)[..., None, :]
    weights = in_rows[..., :, None] * in_columns[..., None, :]
    p = np.zeros((len(angle), len(TORQUES), len(angle)))
    state, action = np.arange(len(angle))[:, None, None, None], np.arange(len(torques))[:, None, None]
    np.add.at(p, (state, action, cells), weights)
    return p


def _spread(place: Reals) -> tuple[NDArray[np.int64], Reals]:
    """Return the four cells around a place, counted from 0, and the weights of a cubic B-spline, `[..., 4]` each."""
    first = np.floor(place)
    t = place - first
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    return first.astype(np.int64)[..., None] + np.arange(-1, 3), np.stack(weights, -1) / 6


def _table(probabilities: Reals, upright: NDArray[np.bool_]) -> Table:
    """Return the table of Gymnasium's toy-text environments."""
    return {
        state: {
            action: [(float(row[to]), int(to), float(upright[to]), False) for to in row.nonzero()[0]]
            for action, row in enumerate(of_state)
        }
        for state, of_state in enumerate(probabilities)
    }
