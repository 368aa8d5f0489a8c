"""Gymnasium's CartPole and Pendulum with part of their state hidden: velocities are not shown, or only a picture is."""

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.spaces import Box
from numpy.typing import NDArray

SIDE = 24
"""Height and width of the picture of the pendulum, pixels."""
ROD = (9.0, 1.5)
"""Length and half the width of the rod in it, pixels."""
POSITIONS = [0, 2]
"""Position and angle among the observations of CartPole."""


class CartPolePositions(CartPoleEnv):
    """CartPole-v1 that shows position and angle, `[2]`, but no velocities; `info["state"]` has all four."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        whole: Any = self.observation_space
        self.observation_space = Box(whole.low[POSITIONS], whole.high[POSITIONS], dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset as CartPole does; returns position and angle."""
        state, info = super().reset(seed=seed, options=options)
        return state[POSITIONS], {**info, "state": state}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action as in CartPole; returns position and angle."""
        state, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        return state[POSITIONS], reward, terminated, truncated, {**info, "state": state}


class PendulumAngle(PendulumEnv):
    """Pendulum-v1 that shows cosine and sine of the angle, `[2]`, but no velocity; `info["state"]` has all three."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.observation_space: Any = self._space()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset as Pendulum does; returns what is shown."""
        state, info = super().reset(seed=seed, options=options)
        return self._shown(state), {**info, "state": state}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action as in Pendulum; returns what is shown."""
        state, reward, terminated, truncated, info = super().step(action)  # type: ignore[no-untyped-call]
        return self._shown(state), float(reward), terminated, truncated, {**info, "state": state}

    def _space(self) -> Box:
        return Box(-1.0, 1.0, (2,), np.float32)

    def _shown(self, state: NDArray[np.float32]) -> Any:
        return state[:2]


class PendulumPixels(PendulumAngle):
    """Pendulum-v1 as one grey picture, uint8 `[24, 24, 1]`, which shows no velocity; `info["state"]` has all three."""

    def _space(self) -> Box:
        return Box(0, 255, (SIDE, SIDE, 1), np.uint8)

    def _shown(self, state: NDArray[np.float32]) -> Any:
        return rod_picture(float(state[0]), float(state[1]))


def rod_picture(cosine: float, sine: float) -> NDArray[np.uint8]:
    """Return the picture of a rod at an angle from upright, anticlockwise, uint8 `[24, 24, 1]`: white on black.

    Pixels on the edge are grey in proportion to their distance from it, so that small changes of the angle show.
    """
    length, half = ROD
    row, column = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    tip = np.array([-length * cosine, -length * sine])  # rows go down
    along = ((row * tip[0] + column * tip[1]) / length**2).clip(0.0, 1.0)
    distance = np.hypot(row - along * tip[0], column - along * tip[1])
    return np.asarray((half + 0.5 - distance).clip(0.0, 1.0) * 255).round().astype(np.uint8)[..., None]
