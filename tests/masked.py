"""Worlds that forbid some actions, and end with a plain error where one of these is taken."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

LIMIT = 10


class Board(gym.Env[Any, Any]):
    """States 0 to 2 in turn, shown as numbers, vectors or dictionaries; action i is forbidden in state i.

    Args:
        shows: number, vector, dict (with the mask as an entry), or nothing (the same number always).
        acts: Discrete (default), parts (MultiDiscrete), or switches (MultiBinary), of which the last two have a mask
            for each part.
        form: from flags to what `info` holds; None leaves the mask out.
    """

    def __init__(self, shows: str = "number", acts: str = "one", form: Any = np.int8, limit: int = LIMIT) -> None:
        kinds = {
            "number": Discrete(3),
            "nothing": Discrete(1),
            "vector": Box(-1, 1, (2,)),
            "dict": Dict(observation=Box(-1, 1, (2,)), action_mask=MultiBinary(3)),
        }
        self.observation_space = kinds[shows]
        sites = {"one": Discrete(3, start=5), "parts": MultiDiscrete([3, 2]), "switches": MultiBinary(3)}
        self.action_space = sites[acts]
        self.shows, self.acts, self.form, self.limit = shows, acts, form, limit
        self.t = self.taken = 0

    def flags(self) -> Any:
        """What the first part may be, or of switches, whether each may be on."""
        return np.arange(3) != self.t % 3

    def info(self) -> dict[str, Any]:
        if self.form is None or self.shows == "dict":
            return {}
        if callable(self.form) and not isinstance(self.form, type):
            return {"action_mask": self.form(self.flags(), self.t)}
        flags = self.flags()
        if self.acts == "parts":
            return {"action_mask": (flags.astype(self.form), np.ones(2, dtype=self.form))}
        if self.acts == "switches":
            return {"action_mask": np.stack([np.ones(3), flags], 1).reshape(-1).astype(self.form)}
        return {"action_mask": flags.astype(self.form)}

    def seen(self) -> Any:
        vector = np.array([self.t % 3 - 1, (self.t // 3) % 2], dtype=np.float32)
        both = {"observation": vector, "action_mask": self.flags().astype(np.int8)}
        return {"number": self.t % 3, "nothing": 0, "vector": vector, "dict": both}[self.shows]

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = int(self.np_random.integers(3))
        self.end = self.t + self.limit
        return self.seen(), self.info()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self.acts == "switches":
            legal = not (np.asarray(action).astype(bool) & ~self.flags()).any()
        else:
            first = int(np.asarray(action).reshape(-1)[0]) - (5 if self.acts == "one" else 0)
            legal = bool(self.flags()[first])
        if not legal:
            raise ValueError(f"illegal move {action}")
        self.t += 1
        self.taken += 1
        return self.seen(), 1.0, False, self.t >= self.end, self.info()


class Crossing(gym.Env[Any, Any]):
    """Four states with a table `P`; each offers some of three noisy moves, and says so in `info`."""

    observation_space, action_space = Discrete(4), Discrete(3)
    offers = ((0, 1), (1, 2), (0, 2), (0, 1, 2))

    def __init__(self) -> None:
        self.P = {s: {a: self._row(s, a) for a in moves} for s, moves in enumerate(self.offers)}

    def _row(self, s: int, a: int) -> list[tuple[float, int, float, bool]]:
        there = (s + a + 1) % 4
        return [(0.9, there, float(there == 0), False), (0.1, s, 0.0, False)]

    def info(self) -> dict[str, Any]:
        return {"action_mask": np.isin(np.arange(3), self.offers[self.s]).astype(np.int8)}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.s, self.t = int(self.np_random.integers(4)), 0
        return self.s, self.info()

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        rows = self.P[self.s][int(action)]  # a move that is not offered is a KeyError
        _, self.s, reward, _ = rows[int(self.np_random.random() > rows[0][0])]
        self.t += 1
        return self.s, reward, False, self.t >= 20, self.info()
