"""The world as the loop sees it: spaces that are understood, transitions that are whole, episodes that are counted."""

import math
from collections import deque
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import gymnasium as gym
import torch
from gymnasium.spaces import Discrete

from gio_pyro.errors import InputError, TrainingError, told
from gio_pyro.programs import log_probs
from gio_pyro.types import Policy, Transitions

Env = gym.Env[Any, Any]


def make_env(environment: str | Env, **kwargs: Any) -> Env:
    """Return the environment, made from its id where a string is given.

    Raises:
        InputError: an unknown id, arguments it does not take, or spaces that are not supported yet.
    """
    env = environment
    if isinstance(environment, str):
        try:
            env = gym.make(environment, **kwargs)
        except Exception as error:
            text = told(error, None)
            if isinstance(error, TypeError):
                raise InputError(f"Expected arguments that {environment} takes, but got {kwargs}: {text}.") from error
            raise InputError(f"Expected a registered environment, but got {environment!r}: {text}.") from error
    if not isinstance(env, gym.Env):
        raise InputError(f"Expected an environment id or a gymnasium.Env, but got {type(env).__name__}.")
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        if not isinstance(space, Discrete):
            raise InputError(
                f"Expected a Discrete {name} space, but {env.spec.id if env.spec else env} has {space}; "
                "other spaces are not supported yet."
            )
    return env


@dataclass(frozen=True)
class Encoding:
    """Between the values of a Discrete space, which may start anywhere, and indices from 0."""

    first: int
    count: int

    @classmethod
    def of(cls, space: gym.Space[Any]) -> "Encoding":
        """Return the encoding of a Discrete space."""
        assert isinstance(space, Discrete)
        return cls(int(space.start), int(space.n))

    @property
    def space(self) -> Discrete:
        """The same space counted from 0."""
        return Discrete(self.count)

    def index(self, value: Any) -> int:
        """Return the index of a value; raises `InputError` for one outside the space."""
        number = _as_integer(value)
        if number is None or not 0 <= number - self.first < self.count:
            raise InputError(
                f"Expected an observation between {self.first} and {self.first + self.count - 1}, but got {value!r}."
            )
        return number - self.first


def _as_integer(value: Any) -> int | None:
    try:
        return int(value) if float(value).is_integer() else None
    except (TypeError, ValueError, OverflowError):
        return None


class Behaviour:
    """What collects: the policy as it is now, with a share of its actions replaced by uniform ones.

    The policy is asked once for each state that is met; a `Behaviour` is for one round, while the policy rests.

    Args:
        policy: π.
        uniform_share: exploration, in [0, 1].
        device: where the policy wants its states.
    """

    def __init__(self, policy: Policy, uniform_share: float, device: torch.device) -> None:
        self.policy, self.uniform_share, self.device = policy, uniform_share, device
        self._rows: dict[int, list[float]] = {}

    def probabilities(self, state: int) -> list[float]:
        """Return μ(·|s), one number for each action."""
        if state not in self._rows:
            pi = log_probs(self.policy(torch.tensor([state], device=self.device)))[0].exp()
            self._rows[state] = ((1 - self.uniform_share) * pi + self.uniform_share / len(pi)).tolist()
        return self._rows[state]

    def act(self, state: int, uniform: float) -> tuple[int, float]:
        """Return the action at the quantile `uniform`, in [0, 1), of μ(·|s), and its probability."""
        row = self.probabilities(state)
        for action, probability in enumerate(row):
            uniform -= probability
            if uniform < 0:
                return action, probability
        action = max(range(len(row)), key=row.__getitem__)  # the row sums to 1 only up to rounding
        return action, row[action]


_LAST_USER: "WeakKeyDictionary[Env, Collector]" = WeakKeyDictionary()
"""Which collector stepped an environment last, so that agents that share one do not mix their episodes."""


class Collector:
    """Steps one environment and keeps count of its episodes."""

    def __init__(self, env: Env, *, seed: int) -> None:
        self.env, self.seed = env, seed
        self.states, self.actions = Encoding.of(env.observation_space), Encoding.of(env.action_space)
        self.returns: deque[float] = deque(maxlen=100)
        self.lengths: deque[int] = deque(maxlen=100)
        self.episodes = 0
        self._state: int | None = None
        self._seeded = False
        self._return, self._length = 0.0, 0

    def counts(self) -> dict[str, Any]:
        """Return what `resume` takes, as plain values."""
        return {
            "episodes": self.episodes,
            "returns": list(self.returns),
            "lengths": list(self.lengths),
            "seeded": self._seeded,
        }

    def resume(self, counts: dict[str, Any]) -> None:
        """Take over the counts of an earlier run; its unfinished episode is dropped and the next step begins one."""
        self.episodes, self._seeded = int(counts["episodes"]), bool(counts["seeded"])
        self.returns.extend(float(r) for r in counts["returns"])
        self.lengths.extend(int(n) for n in counts["lengths"])
        self._state = None

    def collect(self, behaviour: Behaviour, steps: int) -> Transitions:
        """Take `steps` steps and return them as transitions, `[steps]`.

        Raises:
            TrainingError: the environment gave a reward that is NaN or infinite.
            InputError: an observation outside its space.
        """
        rows = []
        if _LAST_USER.get(self.env) is not self:
            self._state = None  # another agent has moved the environment since
            _LAST_USER[self.env] = self
        for uniform in torch.rand(steps, dtype=torch.float64).tolist():
            if self._state is None:
                self._begin()
            assert self._state is not None
            action, mu = behaviour.act(self._state, uniform)
            state, self._state = self._state, None  # whatever goes wrong now, the next step begins an episode
            observation, reward, terminated, truncated = self._step(action + self.actions.first)
            if not math.isfinite(reward):
                raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")
            self._state = self.states.index(observation)
            rows.append((state, action, reward, self._state, terminated, truncated, mu))
            self._count(reward, terminated or truncated)
        return _as_transitions(rows)

    def _step(self, action: int) -> tuple[Any, float, bool, bool]:
        try:
            observation, reward, terminated, truncated, _ = self.env.step(action)
            return observation, float(reward), bool(terminated), bool(truncated)
        except Exception as error:
            raise TrainingError(
                f"Expected the environment to take a step, but it raised {told(error, None)}."
            ) from error

    def _begin(self) -> None:
        try:
            observation, _ = self.env.reset(seed=None if self._seeded else self.seed)
        except Exception as error:
            raise TrainingError(f"Expected the environment to reset, but it raised {told(error, None)}.") from error
        self._seeded = True
        self._state = self.states.index(observation)
        self._return, self._length = 0.0, 0

    def _count(self, reward: float, ended: bool) -> None:
        self._return += reward
        self._length += 1
        if ended:
            self.returns.append(self._return)
            self.lengths.append(self._length)
            self.episodes += 1
            self._state = None


def _as_transitions(rows: list[tuple[int, int, float, int, bool, bool, float]]) -> Transitions:
    state, action, reward, next_state, terminated, truncated, mu = zip(*rows, strict=True)
    return Transitions(
        state=torch.tensor(state),
        action=torch.tensor(action),
        reward=torch.tensor(reward),
        next_state=torch.tensor(next_state),
        terminated=torch.tensor(terminated, dtype=torch.bool),
        truncated=torch.tensor(truncated, dtype=torch.bool),
        behaviour=torch.tensor(mu),
        weight=torch.ones(len(rows)),
    )


def fresh_copy(env: Env) -> Env:
    """Return a new environment like `env`, for evaluation; raises `InputError` where it cannot be made again."""
    if env.spec is None:
        raise InputError("Expected an environment that Gymnasium can make again, but it has no spec; register it.")
    return gym.make(env.spec)
