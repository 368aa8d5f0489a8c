"""Play the episodes of one environment in several copies of it at once, so that the policy runs once for all of them.

Every episode has its own seed (`episode_seeds`) and is played to its end in whichever copy is free, so each counts once
and short ones are not over-represented. Where copies share something, or episodes depend on earlier ones, episodes
would differ from those played one after another. To detect this, the first one is played again with the same actions
while the others are halfway, and must give the same states, rewards and flags.
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gio_pyro.collection.actions import Actions
from gio_pyro.collection.choosing import Choosing
from gio_pyro.collection.environment_adapter import Array, environment_name
from gio_pyro.collection.infos import mask_of
from gio_pyro.collection.interface_checks import check_reset, check_step
from gio_pyro.collection.make import Env
from gio_pyro.collection.mask_handlers import MaskHandler
from gio_pyro.collection.masks import Masks
from gio_pyro.collection.observations import Observations
from gio_pyro.collection.wrapper_statistics import unnormalised_rewards
from gio_pyro.errors import TrainingError


def episode_seeds(seed: int, episodes: int) -> list[int]:
    """Return the seed of each episode: `seed` itself, then independent ones derived from it.

    They do not depend on the number of episodes: a longer evaluation begins with the episodes of a shorter one.
    """
    return [seed, *np.random.SeedSequence(seed).generate_state(episodes - 1).tolist()][:episodes]


@dataclass
class Copy:
    """A copy of the environment, and the episode that is being played in it."""

    env: Env
    below: Callable[[Any], Any]
    """From the reward of a step to its unnormalised one."""
    place: int = 0
    """Which of the copies it is."""
    number: int = 0
    """Of the episode."""
    state: Array = field(default_factory=lambda: np.zeros(0))
    """`[1, ...]`, without the mask."""
    flags: Array | None = None
    """`[A]` the actions allowed now; None where actions are continuous."""
    masked: bool = False
    """Whether the environment gave the flags."""
    total: float = 0.0
    length: int = 0
    over: bool = False


class ParallelEpisodes:
    """Episodes played in copies of an environment.

    Args:
        choose: chooses actions.
        copies: the copies, at most as many as episodes.
        seeds: of each episode.
        max_steps: steps after which an episode is cut.
        mask_handler: where action masks are kept.
    """

    def __init__(
        self,
        choose: Choosing,
        copies: Sequence[Env],
        seeds: Sequence[int],
        *,
        max_steps: int,
        mask_handler: MaskHandler,
    ) -> None:
        env = copies[0]
        self.choose, self.copies, self.seeds, self.max_steps = choose, copies, seeds, max_steps
        self.observations = Observations.of(env.observation_space, quiet=True)
        self.actions = Actions.of(env.action_space)
        self.masks = Masks(environment_name(env), self.actions, mask_handler, 1)
        self._actions_of_first: list[Any] = []
        self._digest_of_first = hashlib.sha256()

    def play(self) -> list[tuple[float, int]] | None:
        """Return the return and length of each episode; None if they depend on one another.

        Whatever an environment raises is passed on.
        """
        waiting, played = deque(range(len(self.seeds))), [(0.0, 0)] * len(self.seeds)
        with ExitStack() as opened:
            running = [
                Copy(env, opened.enter_context(unnormalised_rewards(env)), place)
                for place, env in enumerate(self.copies)
            ]
            for copy in running:
                self._begin(copy, waiting.popleft())
            while running:
                self._step(running)
                for copy in running:
                    if copy.over:
                        played[copy.number] = copy.total, copy.length
                        if copy.number == 0 and not self._repeats(copy):
                            return None
                        if waiting:
                            self._begin(copy, waiting.popleft())
                running = [copy for copy in running if not copy.over]
        return played

    def _begin(self, copy: Copy, number: int) -> None:
        copy.number, copy.total, copy.length, copy.over = number, 0.0, 0, False
        self.choose.begin(copy.place)
        self._see(copy, *check_reset(copy.env.reset(seed=self.seeds[number])))
        if number == 0:
            self._digest_of_first.update(copy.state.tobytes())

    def _see(self, copy: Copy, observation: Any, info: Any) -> None:
        copy.state = self.observations.encode_one(observation)
        if self.masks.finite:
            mask = mask_of(observation, info)
            copy.flags, copy.masked = self.masks.flags(mask, over=False), mask is not None

    def _step(self, running: list[Copy]) -> None:
        """Take one step in each running copy."""
        for copy, action in zip(running, self._actions(running), strict=True):
            if copy.number == 0:
                self._actions_of_first.append(action)
            self._advance(copy, action)

    def _actions(self, running: list[Copy]) -> list[Any]:
        """Return the environment's action in each copy."""
        states, allowed = np.concatenate([copy.state for copy in running]), None
        if self.masks.finite:
            flags = np.stack([copy.flags for copy in running if copy.flags is not None])
            given = np.array([copy.masked for copy in running])
            states = self.masks.handler.keep(states, flags, given)
            allowed = flags if given.any() else None
        chosen = self.choose(states, allowed, [copy.place for copy in running])
        if isinstance(chosen[0], np.integer) and not self.actions.parts:
            return [self.actions.decode_one(chosen[row : row + 1]) for row in range(len(running))]
        return [np.asarray(action) for action in self.actions.decode(chosen)]

    def _advance(self, copy: Copy, action: Any) -> None:
        observation, reward, terminated, truncated, info = check_step(copy.env.step(action))
        if not math.isfinite(reward):
            raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")
        copy.total += float(copy.below(reward))
        copy.length += 1
        copy.over = terminated or truncated or copy.length == self.max_steps
        if not copy.over:
            self._see(copy, observation, info)
        if copy.number == 0:
            self._digest_of_first.update(repr((reward, terminated, truncated)).encode() + copy.state.tobytes())

    def _repeats(self, copy: Copy) -> bool:
        """Whether the first episode, played again with the same actions, gives the same states, rewards and flags."""
        before, self._digest_of_first = self._digest_of_first.digest(), hashlib.sha256()
        self._begin(copy, 0)
        for action in self._actions_of_first:
            if copy.over:
                return False
            self._advance(copy, action)
        return copy.over and self._digest_of_first.digest() == before
