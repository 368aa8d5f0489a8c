"""A pole to be swung up, with a reward that is nearly always 0."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.spaces import Box
from numpy.typing import NDArray

from gio_pyro.errors import InputError, shown

UPRIGHT = 0.95
"""The least cosine of the angle that pays: 18 degrees."""
MIDDLE = 1.0
"""The farthest that the cart may be from the middle where it pays, m."""
FASTEST = (20.0, 4 * np.pi)
"""Bounds of the speed of the cart, m/s, which its rail is too short to reach, and of the angular speed, rad/s."""


class CartPoleSwingUp(CartPoleEnv):
    """The cart and pole of CartPole-v1, hanging down at first; a step pays 1 while the pole stands near the middle.

    All other rewards are 0, as in the task cartpole swingup_sparse of the DeepMind Control Suite (Tassa et al. 2018,
    arXiv 1801.00690). Masses, lengths and the time of a step are those of CartPole-v1. The cart stops at the ends of
    its rail, 2.4 m from the middle; no episode terminates.

    Observations are position (m), speed (m/s), cosine and sine of the angle, 0 upright, and angular speed (rad/s),
    float32 `[5]`. The action, float32 `[1]` in [-1, 1], is the force in units of 10 N.

    Raises:
        InputError: an action that is not a number in [-1, 1].
    """

    state: NDArray[np.float64]

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(render_mode=render_mode)
        high = np.array([self.x_threshold, FASTEST[0], 1, 1, FASTEST[1]], np.float32)
        self.observation_space: Any = Box(-high, high)
        self.action_space: Any = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Hang the pole down, all numbers of the state within 0.05 of rest; `options` are ignored."""
        super().reset(seed=seed)
        self.state = np.array([0, 0, np.pi, 0]) + self.np_random.uniform(-0.05, 0.05, 4)
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Push for 0.02 s."""
        pushed = np.asarray(action, np.float64).reshape(-1)
        if pushed.shape != (1,) or not np.abs(pushed[0]) <= 1:
            raise InputError(f"Expected an action [1] within -1 and 1, but got {shown(action)}; clip it.")
        self.state = self._moved(self.force_mag * float(pushed[0]))
        x, _, angle, _ = self.state
        if self.render_mode == "human":
            self.render()  # type: ignore[no-untyped-call]
        return self._seen(), float(np.cos(angle) >= UPRIGHT and abs(x) <= MIDDLE), False, False, {}

    def _moved(self, force: float) -> NDArray[np.float64]:
        """Return the state after a step of Euler's method (Barto, Sutton and Anderson 1983, with gravity downwards)."""
        x, speed, angle, turn = self.state
        cosine, sine = np.cos(angle), np.sin(angle)
        pull = (force + self.polemass_length * turn**2 * sine) / self.total_mass
        inertia = self.length * (4 / 3 - self.masspole * cosine**2 / self.total_mass)
        turning = (self.gravity * sine - cosine * pull) / inertia
        pushing = pull - self.polemass_length * turning * cosine / self.total_mass
        x, speed = x + self.tau * speed, np.clip(speed + self.tau * pushing, -FASTEST[0], FASTEST[0])
        if abs(x) >= self.x_threshold:
            x, speed = np.clip(x, -self.x_threshold, self.x_threshold), 0.0
        angle = angle + self.tau * turn
        turn = np.clip(turn + self.tau * turning, -FASTEST[1], FASTEST[1])
        return np.array([x, speed, (angle + np.pi) % (2 * np.pi) - np.pi, turn])

    def _seen(self) -> NDArray[np.float32]:
        x, speed, angle, turn = self.state
        return np.array([x, speed, np.cos(angle), np.sin(angle), turn], np.float32)
