"""The common part of all adapters: store transitions, fit the reward at intervals, scale it by its weight."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import Space

from gio_pyro.adapters.intrinsic_reward import IntrinsicReward
from gio_pyro.collection.samples import KEYS
from gio_pyro.schedules.weights import Weight, weight_of
from gio_pyro.utils.checks import instance, whole
from gio_pyro.utils.trees import SpaceConverter, tree_map

Array = np.ndarray[Any, np.dtype[Any]]
Rows = Mapping[str, Any]
"""Transitions `[n, ...]` by the keys of `gio_pyro.collection.samples`, in order of time; observations may be nested."""


class Bonus:
    """An intrinsic reward with its weight, fitted after every `update_every` transitions.

    Every transition keeps its stream, so that it is followed by the next one of its own environment.

    Args:
        reward: the intrinsic reward, which has its own replay buffer.
        weight: β, reward units per unit of the intrinsic reward.
        update_every: environment steps between two updates.
        spaces: the observation and the action space of one environment, which must be those of the reward.

    Attributes:
        steps: transitions observed so far.

    Raises:
        InputError: an invalid weight, `update_every` below 1, or spaces that are not those of the reward.
    """

    def __init__(
        self,
        reward: IntrinsicReward,
        weight: Weight,
        update_every: int,
        spaces: tuple[Space[Any], Space[Any]] | None = None,
    ) -> None:
        whole("update_every", update_every, 1)
        self.reward, self.update_every = instance("reward", reward, IntrinsicReward), update_every
        self.weight = weight_of(weight)
        made = reward.observations.raw, reward.actions.raw
        self.convert = SpaceConverter(made if spaces is None else spaces, made)
        self.steps = self._unfitted = 0
        self._waiting: list[dict[str, Any]] = []

    def observe(self, stream: Sequence[int], rows: Rows) -> Array:
        """Observe transitions `[n]` of the environments `stream`, and fit after every `update_every` of them.

        Returns:
            The number of each transition in the reward's replay, `[n]`; −1 where the signal has no episodic memory.
        """
        samples = self._samples(rows, stream)
        numbers = np.full(len(stream), -1)
        self.steps += len(stream)
        self._unfitted += len(stream)
        if self.reward.signal.episodic:
            numbers = np.asarray(self.reward.observe(samples))[:, 0]
        else:
            self._waiting.append(samples)
        if self._unfitted >= self.update_every:
            if self._waiting:
                self.reward.update(_joined(self._waiting))
            else:
                self.reward.fit()
            self._waiting, self._unfitted = [], 0
        return numbers

    def compute(self, stream: Sequence[int], rows: Rows, numbers: Array | None = None) -> Array:
        """Return the intrinsic reward of n transitions, `[n]` in its own unit, without the weight.

        Args:
            stream: `[n]` the environment of each.
            rows: the transitions.
            numbers: `[n]` what `observe` returned for them; None for transitions that come next in their stream.
        """
        samples = self._samples(rows, stream)
        if numbers is not None:
            samples["numbers"] = numbers[:, None]
        return np.asarray(self.reward.compute(samples))[:, 0]

    def scaled(self, intrinsic: Array) -> Array:
        """Return β times the intrinsic reward at this step, reward units."""
        return self.weight(self.steps) * intrinsic

    def _samples(self, rows: Rows, stream: Sequence[int]) -> dict[str, Any]:
        found = {key: tree_map(lambda leaf: leaf[:, None].copy(), rows[key]) for key in KEYS}
        return found | {"streams": np.asarray(stream, dtype=np.int64)[:, None]}


def _joined(pieces: Sequence[Rows]) -> dict[str, Any]:
    """Return samples concatenated along time."""
    return {
        key: tree_map(lambda *leaves: np.concatenate(leaves), *(piece[key] for piece in pieces)) for key in pieces[0]
    }
