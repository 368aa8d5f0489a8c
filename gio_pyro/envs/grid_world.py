"""The Gymnasium environment of all grid worlds, which samples from a transition table."""

from collections.abc import Sequence
from typing import Any, TypedDict

import gymnasium as gym
import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from gio_pyro.envs.arguments import choice
from gio_pyro.envs.maps import Layout
from gio_pyro.envs.rendering import OBSERVATION_SIDE, RENDER_SIDE, RGBImage, channel_colour, layout_text, picture
from gio_pyro.envs.tables import Table, draw
from gio_pyro.errors import InputError, shown

RealVector = np.ndarray[Any, np.dtype[np.float32]]


class View(TypedDict, total=False):
    """Observation and rendering arguments of every world."""

    observations: str
    """`"state"` (the default): the index of the state; `"coordinates"`: its row and column; `"pixels"`: an image."""
    render_mode: str | None
    """`"ansi"`, `"rgb_array"` or None (the default)."""


class GridWorld(gym.Env[Any, Any]):
    """A grid world that samples transitions from its table with `np_random`, one number a step.

    Args:
        layout: the map.
        table: the transition table; state = cell · channels + channel.
        actions: names of the actions.
        channels: number of channels of the screen; None without one, so that states are cells.
        observations: `"state"`, Discrete; `"coordinates"`, a Box of row, column and, with a screen, its channel; or
            `"pixels"`, a Box of uint8 `[4 · rows, 4 · columns, 3]`.
        render_mode: `"ansi"`, `"rgb_array"` or None.

    Attributes:
        P: the transition table, `P[s][a] = [(probability, s', reward, terminated), ...]`.
        initial_state_distrib: distribution of the first state, float64 `[S]`: uniform over starts and channels.
        desc: the map, one character for each cell, `[rows, columns]`.
        state: the current state, whatever is observed.
        actions: names of the actions.

    Raises:
        InputError: an unknown kind of observations or render mode.
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 8}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        layout: Layout,
        table: Table,
        actions: Sequence[str],
        *,
        channels: int | None = None,
        observations: str = "state",
        render_mode: str | None = None,
    ) -> None:
        choice("observations", observations, ("state", "coordinates", "pixels"))
        choice("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.layout, self.P, self.actions = layout, table, tuple(actions)
        self.channels, self.observations, self.render_mode = channels, observations, render_mode
        self.desc = np.array([*layout.marks]).reshape(layout.rows, layout.columns)
        each = channels or 1
        self._starts = [cell * each + channel for cell in layout.starts for channel in range(each)]
        self.initial_state_distrib = np.zeros(len(table))
        self.initial_state_distrib[self._starts] = 1 / len(self._starts)
        self.state = self._starts[0]
        self.action_space = Discrete(len(self.actions))
        self.observation_space = self._observed(len(table))

    def _observed(self, states: int) -> Space[Any]:
        """Return the space of observations."""
        rows, columns = self.layout.rows, self.layout.columns
        if self.observations == "state":
            return Discrete(states)
        if self.observations == "pixels":
            return Box(0, 255, (OBSERVATION_SIDE * rows, OBSERVATION_SIDE * columns, 3), np.uint8)
        most = [rows - 1, columns - 1, *([] if self.channels is None else [self.channels - 1])]
        high = np.maximum(most, 1)
        return Box(np.zeros(len(high), np.float32), high.astype(np.float32))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset to a start drawn uniformly; returns the observation and an empty info. `options` are ignored."""
        super().reset(seed=seed, options=options)
        self.state = self._starts[int(self.np_random.integers(len(self._starts)))]
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take an action; raises `InputError` for an invalid one. Truncation is left to `TimeLimit`."""
        if not self.action_space.contains(action):
            raise InputError(
                f"Expected an action from 0 ({self.actions[0]}) to {len(self.actions) - 1} ({self.actions[-1]}), but "
                f"got {shown(action)}; give a whole number."
            )
        _, self.state, reward, terminated = draw(self.P[self.state][int(action)], self.np_random)
        return self._observation(), reward, terminated, False, {}

    def render(self) -> Any:
        """Return text, an image uint8 `[24 · rows, 24 · columns, 3]`, or None, depending on `render_mode`."""
        if self.render_mode == "rgb_array":
            return self.picture(self.state, side=RENDER_SIDE)
        if self.render_mode == "ansi":
            cell, channel = self._cell_and_channel(self.state)
            suffix = "" if channel is None else f"\nchannel {channel}"
            return layout_text(self.layout, cell) + suffix + "\n"
        return None

    def picture(self, state: int, *, side: int = OBSERVATION_SIDE) -> RGBImage:
        """Return the image of a state, uint8 `[side · rows, side · columns, 3]`, different for every state.

        Raises:
            InputError: an invalid state, or a side of a cell below 4 pixels.
        """
        if state not in self.P or side < OBSERVATION_SIDE:
            raise InputError(
                f"Expected a state from 0 to {len(self.P) - 1} and a side of at least {OBSERVATION_SIDE} pixels, "
                f"but got {shown(state)} and {shown(side)}."
            )
        cell, channel = self._cell_and_channel(state)
        colour = None if channel is None else channel_colour(channel, self.channels or 1)
        return picture(self.layout, cell, screen=colour, side=side)

    def _cell_and_channel(self, state: int) -> tuple[int, int | None]:
        """Return the agent's cell and the channel, None without a screen."""
        return (state, None) if self.channels is None else divmod(state, self.channels)

    def _observation(self) -> Any:
        if self.observations == "state":
            return self.state
        return self.picture(self.state) if self.observations == "pixels" else self.coordinates(self.state)

    def coordinates(self, state: int) -> RealVector:
        """Return row, column and, with a screen, the channel of a state, float32."""
        cell, channel = self._cell_and_channel(state)
        place = divmod(cell, self.layout.columns)
        return np.array(place if channel is None else (*place, channel), np.float32)
