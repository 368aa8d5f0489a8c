"""Read and check transition tables of Gymnasium's toy-text environments: `P[s][a] = [(p, s', r, terminated), ...]`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import NormalizeReward
from torch import Tensor

from gio_pyro.errors import InputError, MixedTerminationError, describe_error, shown
from gio_pyro.tabular.information import LARGEST_REWARD, SUM_TOLERANCE, as_flags
from gio_pyro.utils.checks import MAX_DENSE, invalid_argument, real, real_tensor, switch, whole
from gio_pyro.utils.memory import require_memory

OUTCOME_FORM = "(probability, next state, reward, terminated)"
OBSERVATION_TABLES = ("observation_table", "first_observation_table")
"""Attributes of environments whose states are hidden, `[A, S, X]` and `[S, X]`."""
MAX_ACTIONS = 100_000
READING_COPIES = 4
"""Copies of a table `[S, A, S]` in memory while an environment is read."""


def read_rows(table: Any) -> tuple[Tensor, list[list[int]]]:
    """Return the rows (s, a, p, s', r, terminated) of a table `P`, `[N, 6]` float64, and the actions of each state.

    `P` and its entries may be lists, or dictionaries with keys from 0. States may have different actions.

    Raises:
        InputError: `P` is not a table, lacks states, has rows of another form, or probabilities that are not
            distributions.
    """
    states = _length(table, "P", "its states")
    if not states:
        raise InputError("Expected env.P to have its states, but it is empty; see TabularMDP.from_env for its form.")
    offers = [_read_actions(_entry(table, s, "P"), s) for s in range(states)]
    if not any(offers):
        raise InputError("Expected env.P to offer an action in some state, but it has none; fill its rows.")
    rows = [row for s in range(states) for a in offers[s] for row in _read_outcomes(table[s], s, a, states)]
    return torch.tensor(rows, dtype=torch.float64), offers


def next_states_and_rewards(env: Any) -> tuple[tuple[int, float], ...]:
    """Return the pairs (s', r) of `env.unwrapped.P` that can occur, increasing; a state never entered has one, too.

    Those are the pairs of states that are reachable from the start and not terminal. Empty where there is no table, and
    where a wrapper around the environment changes its rewards.

    Raises:
        InputError: `P` is not a transition table.
    """
    table, layer = getattr(getattr(env, "unwrapped", None), "P", None), env
    while isinstance(layer, gym.Wrapper) and not isinstance(layer, gym.RewardWrapper | NormalizeReward):
        layer = layer.env
    if table is None or isinstance(layer, gym.Wrapper) or has_hidden_states(env):
        return ()
    rows, _ = read_rows(table)
    (s, s_next, done), p, states = (rows[:, i].long() for i in (0, 3, 5)), rows[:, 2], len(table)
    start = read_start(getattr(env.unwrapped, "initial_state_distrib", None), states)
    start = default_start(s_next, p, done.bool(), states) if start is None else start
    rows = rows[(p > 0) & _acting_states(s, s_next, p, done.bool(), start)[s]]
    entered = {(int(state), reward) for state, reward in rows[:, 3:5].unique(dim=0).tolist()}
    others = set(range(states)) - {state for state, _ in entered}
    return tuple(sorted(entered | {(state, float(rows[:, 4].min())) for state in others}))


def has_hidden_states(env: Any) -> bool:
    """Return whether an environment shows symbols drawn by its state, rather than the state of its table `P`."""
    return layer_attribute(env, OBSERVATION_TABLES[0]) is not None


def layer_attribute(env: Any, name: str) -> Any:
    """Return an attribute of the outermost wrapper that has it, or of the environment; None if there is none."""
    layer = env
    while layer is not None:
        if name in getattr(layer, "__dict__", {}) or hasattr(type(layer), name):
            return getattr(layer, name)
        layer = getattr(layer, "__dict__", {}).get("env")
    return None


def read_action_masks(offers: list[list[int]], mask: Any) -> Tensor:
    """Return the mask of allowed actions, `[S, A]` booleans: those in `P` that `mask(state)`, if callable, allows."""
    actions = max(max(some, default=-1) for some in offers) + 1
    if (size := len(offers) ** 2 * actions) > MAX_DENSE:
        raise InputError(
            f"Expected env.P with a table of at most {MAX_DENSE:,} numbers, but {len(offers)} states and {actions} "
            f"actions have {size:,}; use a smaller MDP."
        )
    require_memory(
        READING_COPIES * 8 * size,
        f"the tables of {len(offers)} states and {actions} actions",
        "use a smaller MDP, or learn it (gio.GIO)",
    )
    has = torch.zeros(len(offers), actions, dtype=torch.bool)
    for s, some in enumerate(offers):
        has[s, some] = True
    if not callable(mask):
        return has
    try:
        flags = torch.stack([as_flags("action_mask(state)", mask(s)) for s in range(len(offers))])
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"Expected action_mask(state) to give one flag an action, but got {describe_error(error, 150)}."
        ) from error
    if flags.shape != has.shape:
        raise InputError(f"Expected action_mask(state) of {actions} flags, but got shape {tuple(flags.shape[1:])}.")
    return has & flags


def default_start(s_next: Tensor, p: Tensor, done: Tensor, states: int) -> Tensor:
    """Return uniform weights over states in which no transition terminates, `[S]`, or over all if there are none."""
    live = torch.ones(states)
    live[s_next[done & (p > 0)]] = 0.0
    return live if bool(live.any()) else torch.ones(states)


def terminal_states(s: Tensor, s_next: Tensor, p: Tensor, done: Tensor, start: Tensor) -> Tensor:
    """Return which states are entered with `terminated` from states reachable from the start, `[S]` booleans."""
    reached = _acting_states(s, s_next, p, done, start)
    terminal = torch.zeros_like(reached)
    terminal[s_next[reached[s] & (p > 0) & done]] = True
    both = (terminal & reached).nonzero().squeeze(-1)
    if len(both):
        raise MixedTerminationError(
            f"Expected each state to be terminal or not, but state {int(both[0])} is entered both with and without "
            "termination; give the environment a separate state for the end."
        )
    return terminal


def _acting_states(s: Tensor, s_next: Tensor, p: Tensor, done: Tensor, start: Tensor) -> Tensor:
    """Return the states in which actions are taken, reachable from the start without `terminated`, `[S]` booleans."""
    reached = start > 0
    while True:
        live = reached[s] & (p > 0) & ~done
        grown = reached.clone()
        grown[s_next[live]] = True
        if bool((grown == reached).all()):
            return reached
        reached = grown


def read_start(start: object, states: int) -> Tensor | None:
    """Return an environment's start distribution, `[S]`, not yet normalised, or None if it has none."""
    if start is None:
        return None
    found = real_tensor("env.initial_state_distrib", start)
    if found.shape != (states,) or not bool((found >= 0).all()) or not 0 < float(found.sum()) < torch.inf:
        raise InputError(
            f"Expected env.initial_state_distrib to give each of {states} states a probability, but got {shown(start)}."
        )
    return found


def _read_actions(row: Any, s: int) -> list[int]:
    """Return the indices of the actions in an entry of `P`, a dictionary or a sequence."""
    count = _length(row, f"P[{s}]", f"the actions of state {s}")
    keys = list(row) if hasattr(row, "keys") else range(count)
    wanted = f"the actions of env.P[{s}] to be whole numbers from 0 to {MAX_ACTIONS}"
    return [whole("an action", _as_integer(key), 0, MAX_ACTIONS, wanted=wanted) for key in keys]


def _length(table: Any, where: str, what: str) -> int:
    """Return the number of entries; raises `InputError` unless it is a dictionary or sequence."""
    if not hasattr(table, "__getitem__") or not hasattr(table, "__len__") or isinstance(table, str | bytes | type):
        raise InputError(
            f"Expected env.{where} to be a dictionary or list of {what}, but got {shown(table)}; see "
            "TabularMDP.from_env for its form."
        )
    return len(table)


def _entry(table: Any, key: int, where: str) -> Any:
    try:
        return table[key]
    except Exception as error:  # the class is the environment's own
        raise InputError(
            f"Expected env.{where} to have an entry {key}, as its {len(table)} are counted from 0, but reading it "
            f"raised {describe_error(error, 80)}."
        ) from error


def _read_outcomes(of_state: Any, s: int, a: int, states: int) -> Iterator[tuple[float, ...]]:
    """Yield the rows (s, a, p, s', r, terminated) of one state and action."""
    where = f"P[{s}][{a}]"
    outcomes, total = _entry(of_state, a, f"P[{s}]"), 0.0
    if not isinstance(outcomes, Iterable) or isinstance(outcomes, str | bytes | dict | type):
        raise invalid_argument(f"a list of outcomes {OUTCOME_FORM} in env.{where}", outcomes)
    for outcome in outcomes:
        row = _read_outcome(outcome, where, states)
        total += row[0]
        yield (float(s), float(a), *row)
    if not abs(total - 1) <= SUM_TOLERANCE:
        raise InputError(
            f"Expected the rows of the transition table to sum to 1, but row {(s, a)} of env.P sums to {total:.6g}; "
            "normalise it or add the missing outcome."
        )


def _read_outcome(outcome: Any, where: str, states: int) -> tuple[float, float, float, float]:
    try:
        p, s_next, r, done = outcome
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"outcomes {OUTCOME_FORM} in env.{where}", outcome) from error
    if _is_plain(p, s_next, r, done) and 0.0 <= p <= 1.0 and 0 <= s_next < states and abs(r) <= LARGEST_REWARD:
        return p, float(s_next), float(r), float(done)
    return (
        real("p", p, 0.0, sys.float_info.max, wanted="non-negative probabilities in env.P", advice=f"correct {where}"),
        float(whole(f"the next states of env.{where}", _as_integer(s_next), 0, states - 1)),
        real(f"the rewards of env.{where}", r, -LARGEST_REWARD, LARGEST_REWARD),
        float(switch(f"terminated in env.{where}", done)),
    )


def _as_integer(number: Any) -> Any:
    """Return an integer-valued float as an int, and any other value unchanged."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _is_plain(p: Any, s_next: Any, r: Any, done: Any) -> bool:
    """Return whether a row has plain numeric types, which need no further conversion: a fast path for large tables."""
    integers = isinstance(s_next, int | np.integer) and isinstance(done, bool | np.bool_)
    return isinstance(p, float) and isinstance(r, float | int) and integers
