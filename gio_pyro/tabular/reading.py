"""Transition tables as Gymnasium's toy-text worlds have them, checked: `P[s][a] = [(p, s', r, terminated), ...]`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gio_pyro.errors import InputError, describe_error, shown
from gio_pyro.tabular.information import LARGEST_REWARD, SUM_TOLERANCE, as_flags
from gio_pyro.utils.checks import MAX_DENSE, invalid_argument, real, switch, whole
from gio_pyro.utils.memory import require_memory

FORM = "(probability, next state, reward, terminated)"
MOST_ACTIONS = 100_000
COPIES = 4
"""Tables `[S, A, S]` that there are at once while a world is read."""


def rows_of(table: Any) -> tuple[Tensor, list[list[int]]]:
    """Return the rows (s, a, p, s', r, terminated) of a table `P`, `[N, 6]` float64, and which actions each state has.

    `P` and what is in it may be dictionaries, counted from 0, or lists. A state may have fewer actions than others.

    Raises:
        InputError: blames `P`: no table, states that are missing, rows of another form, or probabilities that are no
            distribution.
    """
    states = _count(table, "P", "its states")
    if not states:
        raise InputError("Expected env.P to have its states, but it is empty; see TabularMDP.from_env for its form.")
    offered = [_actions(_at(table, s, "P"), s) for s in range(states)]
    if not any(offered):
        raise InputError("Expected env.P to offer an action in some state, but it has none; fill its rows.")
    rows = [row for s in range(states) for a in offered[s] for row in _outcomes(table[s], s, a, states)]
    return torch.tensor(rows, dtype=torch.float64), offered


def offers(offered: list[list[int]], mask: Any) -> Tensor:
    """Return which actions each state has, `[S, A]` booleans, where `mask(state)` may leave some out."""
    actions = max(max(some, default=-1) for some in offered) + 1
    if (size := len(offered) ** 2 * actions) > MAX_DENSE:
        raise InputError(
            f"Expected env.P with a table of at most {MAX_DENSE:,} numbers, but {len(offered)} states and {actions} "
            f"actions have {size:,}; take a smaller world."
        )
    require_memory(
        COPIES * 8 * size,
        f"the tables of {len(offered)} states and {actions} actions",
        "take a smaller world, or learn it (gio.GIO)",
    )
    has = torch.zeros(len(offered), actions, dtype=torch.bool)
    for s, some in enumerate(offered):
        has[s, some] = True
    if not callable(mask):
        return has
    try:
        flags = torch.stack([as_flags("action_mask(state)", mask(s)) for s in range(len(offered))])
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"Expected action_mask(state) to give one flag an action, but got {describe_error(error, 150)}."
        ) from error
    if flags.shape != has.shape:
        raise InputError(f"Expected action_mask(state) of {actions} flags, but got shape {tuple(flags.shape[1:])}.")
    return has & flags


def _actions(row: Any, s: int) -> list[int]:
    """Return the numbers of the actions that a row of `P`, a dictionary or a sequence, has."""
    count = _count(row, f"P[{s}]", f"the actions of state {s}")
    keys = list(row) if hasattr(row, "keys") else range(count)
    wanted = f"the actions of env.P[{s}] to be whole numbers from 0 to {MOST_ACTIONS}"
    return [whole("an action", _as_whole(key), 0, MOST_ACTIONS, wanted=wanted) for key in keys]


def _count(table: Any, where: str, what: str) -> int:
    """Return how many entries there are; raises `InputError` where that is no question to ask."""
    if not hasattr(table, "__getitem__") or not hasattr(table, "__len__") or isinstance(table, str | bytes | type):
        raise InputError(
            f"Expected env.{where} to be a dictionary or list of {what}, but got {shown(table)}; see "
            "TabularMDP.from_env for its form."
        )
    return len(table)


def _at(table: Any, key: int, where: str) -> Any:
    try:
        return table[key]
    except Exception as error:  # of somebody else's class, too
        raise InputError(
            f"Expected env.{where} to have an entry {key}, as its {len(table)} are counted from 0, but reading it "
            f"raised {describe_error(error, 80)}."
        ) from error


def _outcomes(of_state: Any, s: int, a: int, states: int) -> Iterator[tuple[float, ...]]:
    """Yield the rows of one state and action."""
    where = f"P[{s}][{a}]"
    outcomes, total = _at(of_state, a, f"P[{s}]"), 0.0
    if not isinstance(outcomes, Iterable) or isinstance(outcomes, str | bytes | dict | type):
        raise invalid_argument(f"a list of outcomes {FORM} in env.{where}", outcomes)
    for outcome in outcomes:
        row = _row(outcome, where, states)
        total += row[0]
        yield (float(s), float(a), *row)
    if not abs(total - 1) <= SUM_TOLERANCE:
        raise InputError(
            f"Expected the rows of the transition table to sum to 1, but row {(s, a)} of env.P sums to {total:.6g}; "
            "normalise it or add the missing outcome."
        )


def _row(outcome: Any, where: str, states: int) -> tuple[float, float, float, float]:
    try:
        p, s_next, r, done = outcome
    except (TypeError, ValueError) as error:
        raise invalid_argument(f"outcomes {FORM} in env.{where}", outcome) from error
    if _usual(p, s_next, r, done) and 0.0 <= p <= 1.0 and 0 <= s_next < states and abs(r) <= LARGEST_REWARD:
        return p, float(s_next), float(r), float(done)
    return (
        real("p", p, 0.0, sys.float_info.max, wanted="non-negative probabilities in env.P", advice=f"correct {where}"),
        float(whole(f"the next states of env.{where}", _as_whole(s_next), 0, states - 1)),
        real(f"the rewards of env.{where}", r, -LARGEST_REWARD, LARGEST_REWARD),
        float(switch(f"terminated in env.{where}", done)),
    )


def _as_whole(number: Any) -> Any:
    """Return 2 for 2.0, and anything else as it is."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _usual(p: Any, s_next: Any, r: Any, done: Any) -> bool:
    """Whether a row is of the plainest kinds: large worlds have many."""
    whole_ = isinstance(s_next, int | np.integer) and isinstance(done, bool | np.bool_)
    return isinstance(p, float) and isinstance(r, float | int) and whole_
