"""Finite worlds whose state is hidden: what is seen is drawn from a table of observations."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from gio_pyro.envs.tables import Table
from gio_pyro.errors import InputError, shown

Array = NDArray[np.float64]


class HiddenState(gym.Wrapper[Any, Any, Any, Any]):
    """Hide the state of an environment with a transition table: show a symbol that the state it arrives in draws.

    Symbols have random numbers of their own, seeded by `reset(seed=...)`; the environment itself goes on as without the
    wrapper. `info["state"]` has the hidden state. `tabular.POMDP.from_env` reads the tables.

    Args:
        env: an environment with `env.unwrapped.P` whose observations are its states, such as those of toy-text.
        observation: O(x|a, s'), `[A, S, X]`; or O(x|s'), `[S, X]`.
        first: O_0(x|s_0), `[S, X]`, of the first observation. By default O where it does not depend on the action,
            otherwise symbol 0, which says nothing.

    Attributes:
        observation_table: O, `[A, S, X]`.
        first_observation_table: O_0, `[S, X]`.

    Raises:
        InputError: an environment without a table or with other observations, or tables that do not fit it.
    """

    def __init__(self, env: gym.Env[Any, Any], observation: Any, first: Any = None) -> None:
        super().__init__(env)
        space, table = env.observation_space, getattr(env.unwrapped, "P", None)
        if table is None or not isinstance(space, Discrete) or space.n != len(table) or _is_hidden(env):
            raise InputError(
                f"Expected an environment with a table P that shows its state, but got {shown(env)}; wrap one of "
                "toy-text, such as FrozenLake-v1."
            )
        actions = int(env.action_space.n)  # type: ignore[attr-defined]
        self.observation_table, self.first_observation_table = _as_tables(observation, first, actions, len(table))
        self.observation_space = Discrete(self.observation_table.shape[-1])
        self.symbols: np.random.Generator = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; returns the first symbol, and info with the hidden state."""
        if seed is not None:
            self.symbols = np.random.default_rng([seed, 1])
        state, info = self.env.reset(seed=seed, options=options)
        return draw(self.symbols, self.first_observation_table[state]), {**info, "state": int(state)}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action; returns the symbol of the state it leads to, and info with that state."""
        state, reward, terminated, truncated, info = self.env.step(action)
        symbol = draw(self.symbols, self.observation_table[int(action), state])
        return symbol, reward, terminated, truncated, {**info, "state": int(state)}


class HiddenWorld(gym.Env[Any, Any]):
    """A finite world with hidden states, which samples transitions and symbols from its tables with `np_random`.

    Args:
        table: the transition table, `table[s][a] = [(probability, s', reward, terminated), ...]`.
        start: distribution of the first state, `[S]`.
        observation: O(x|a, s'), `[A, S, X]`; or O(x|s'), `[S, X]`.
        first: O_0(x|s_0), `[S, X]`, see `HiddenState`.
        actions: names of the actions.
        symbols: names of the observations.

    Attributes:
        P: the transition table.
        initial_state_distrib: distribution of the first state, float64 `[S]`.
        observation_table: O, `[A, S, X]`.
        first_observation_table: O_0, `[S, X]`.
        state: the hidden state, also `info["state"]`.
        actions: names of the actions.
        symbols: names of the observations.
    """

    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        table: Table,
        start: Sequence[float],
        observation: Any,
        first: Any = None,
        *,
        actions: Sequence[str],
        symbols: Sequence[str],
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "ansi"):
            raise InputError(f"Expected render_mode to be None or 'ansi', but got {shown(render_mode)}.")
        self.P, self.initial_state_distrib = table, np.asarray(start, dtype=np.float64)
        self.observation_table, self.first_observation_table = _as_tables(observation, first, len(actions), len(table))
        self.actions, self.symbols, self.render_mode = tuple(actions), tuple(symbols), render_mode
        self.action_space, self.observation_space = Discrete(len(actions)), Discrete(len(symbols))
        self.state, self._seen = int(self.initial_state_distrib.argmax()), 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Draw the first state and symbol. `options` are ignored."""
        super().reset(seed=seed, options=options)
        self.state = draw(self.np_random, self.initial_state_distrib)
        self._seen = draw(self.np_random, self.first_observation_table[self.state])
        return self._seen, {"state": self.state}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take an action; raises `InputError` for an invalid one. Truncation is left to `TimeLimit`."""
        if not self.action_space.contains(action):
            raise InputError(
                f"Expected an action from 0 ({self.actions[0]}) to {len(self.actions) - 1} ({self.actions[-1]}), but "
                f"got {shown(action)}; give a whole number."
            )
        row = self.P[self.state][int(action)]
        _, self.state, reward, terminated = row[draw(self.np_random, np.array([outcome[0] for outcome in row]))]
        self._seen = draw(self.np_random, self.observation_table[int(action), self.state])
        return self._seen, reward, terminated, False, {"state": self.state}

    def render(self) -> Any:
        """Return the name of what is seen and the number of the state, or None, depending on `render_mode`."""
        return f"{self.symbols[self._seen]} (state {self.state})\n" if self.render_mode == "ansi" else None


def draw(generator: np.random.Generator, probabilities: Array) -> int:
    """Return an index drawn with these probabilities, from one random number."""
    total = np.cumsum(probabilities)
    return int(np.searchsorted(total, generator.random() * total[-1], side="right").clip(max=len(total) - 1))


def _is_hidden(env: Any) -> bool:
    return hasattr(env.unwrapped, "observation_table") or env.has_wrapper_attr("observation_table")


def _as_tables(observation: Any, first: Any, actions: int, states: int) -> tuple[Array, Array]:
    """Return O `[A, S, X]` and O_0 `[S, X]`; raises `InputError` unless they are distributions of these shapes."""
    table = _as_rows("observation", observation)
    if table.shape[:-1] not in ((states,), (actions, states)):
        raise InputError(
            f"Expected an observation table of shape [{states}, X] or [{actions}, {states}, X], but got {table.shape}."
        )
    if first is None:
        first = table if table.ndim == 2 else np.eye(1, table.shape[-1]).repeat(states, 0)
    opening = _as_rows("first", first)
    if opening.shape != (states, table.shape[-1]):
        raise InputError(f"Expected first of shape {(states, table.shape[-1])}, but got {opening.shape}.")
    return np.broadcast_to(table, (actions, *table.shape[-2:])).copy(), opening


def _as_rows(name: str, table: Any) -> Array:
    try:
        rows = np.asarray(table, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected {name} as a table of probabilities, but got {shown(table)}.") from error
    if rows.ndim < 2 or not rows.size or not (rows >= 0).all() or not np.allclose(rows.sum(-1), 1, rtol=0, atol=1e-6):
        raise InputError(f"Expected the rows of {name} to be distributions, but some are not; make each sum to 1.")
    return np.asarray(rows / rows.sum(-1, keepdims=True))
