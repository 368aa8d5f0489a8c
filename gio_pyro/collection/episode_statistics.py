"""Returns and lengths of running and finished episodes."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from gio_pyro.collection.environment_adapter import StepResult


class EpisodeStatistics:
    """Accumulates returns and lengths of the episodes of N environments.

    Attributes:
        returns: undiscounted returns of the last 100 episodes that ended, reward units.
        lengths: lengths of these episodes, steps.
        episodes: number of episodes that have ended.
    """

    def __init__(self, count: int) -> None:
        self.returns: deque[float] = deque(maxlen=100)
        self.lengths: deque[int] = deque(maxlen=100)
        self.episodes = 0
        self._return, self._length = np.zeros(count), np.zeros(count, dtype=np.int64)

    def reset_running(self) -> None:
        """Discard the running episodes."""
        self._return[:], self._length[:] = 0.0, 0

    def add(self, result: StepResult) -> None:
        """Add the rewards of a step."""
        self._return += result.reward
        self._length += result.real
        ended = result.terminated | result.truncated
        if True in ended.tolist():  # for few environments faster than NumPy's any
            self.returns.extend(self._return[ended].tolist())
            self.lengths.extend(self._length[ended].tolist())
            self.episodes += int(ended.sum())
            self._return[ended], self._length[ended] = 0.0, 0

    def add_one(self, reward: float, *, ended: bool) -> None:
        """Add the reward of a step where there is one environment; `ended` says whether its episode is over."""
        self._return[0] += reward
        self._length[0] += 1
        if ended:
            self.returns.append(float(self._return[0]))
            self.lengths.append(int(self._length[0]))
            self.episodes += 1
            self._return[0], self._length[0] = 0.0, 0

    def finished(self) -> dict[str, Any]:
        """Return the statistics of finished episodes, as plain values."""
        return {"episodes": self.episodes, "returns": list(self.returns), "lengths": list(self.lengths)}

    def running(self) -> dict[str, Any]:
        """Return the statistics of running episodes, as plain values."""
        return {"return": self._return.tolist(), "length": self._length.tolist()}

    def load_finished(self, ended: Mapping[str, Any]) -> None:
        """Load what `finished` returned."""
        self.episodes = int(ended["episodes"])
        self.returns.extend(float(r) for r in ended["returns"])
        self.lengths.extend(int(n) for n in ended["lengths"])

    def load_running(self, running: Mapping[str, Any]) -> None:
        """Load what `running` returned."""
        self._return[:], self._length[:] = running["return"], running["length"]
