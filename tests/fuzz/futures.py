"""One valid call of every public function of `gio_pyro.futures`."""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete

from gio_pyro import futures
from gio_pyro.types import Sequences, Transitions
from tests.signals.worlds import FINITE, policy_of

from .exact import PI, mdp
from .harness import Call

STATES = Discrete(4)
POLICY = policy_of(FINITE)


def rows(*shape: int) -> Transitions:
    zero, no = torch.zeros(*shape), torch.zeros(*shape, dtype=torch.bool)
    whole = torch.zeros(*shape, dtype=torch.long)
    return Transitions(whole, whole, zero, whole, no, no, zero, zero + 1)


def pieces() -> Sequences:
    return Sequences(rows(5, 2), torch.ones(5, 2, dtype=torch.bool))


def halves(values: Any) -> Any:
    return values // 2


LATER: dict[str, Any] = {
    "StateAfter": futures.StateAfter(2),
    "FinalState": futures.FinalState(2),
    "Trajectory": futures.Trajectory(2),
    "Return": futures.Return(2, 0.9, levels=(0.0, 1.0)),
    "Features": futures.Features(futures.StateAfter(2), halves, Discrete(2)),
}
SHORT: dict[str, Any] = {
    "NextState": futures.NextState(),
    "NextStateAndReward": futures.NextStateAndReward((0.0, 1.0)),
    "Features": futures.Features(futures.NextState(), halves, Discrete(2)),
}


def methods() -> dict[str, Callable[[], Call]]:
    """The methods of every future."""
    found: dict[str, Callable[[], Call]] = {}
    for name, future in LATER.items():
        found[f"{name}.read"] = lambda f=future: (f.read, {"pieces": pieces(), "state_space": STATES})
        found[f"{name}.weight"] = lambda f=future: (f.weight, {"policy": POLICY, "pieces": pieces()})
    for name, future in SHORT.items():
        found[f"{name}.of"] = lambda f=future: (f.of, {"transitions": rows(5)})
    for name in ("NextState", "NextStateAndReward"):
        found[f"{name}.outcome"] = lambda f=SHORT[name]: (
            f.outcome,
            {"found": torch.tensor([0, 1]), "state_space": STATES},
        )
    for name, future in (SHORT | LATER).items():
        found[f"{name}.space"] = lambda f=future: (f.space, {"state_space": STATES})
        found[f"{name}.exact()"] = lambda f=future: (f.exact(), {"mdp": mdp(), "policy": PI})
        if future.baseline is not None:
            found[f"{name}.anchor"] = lambda f=future: (f.baseline, {"state": torch.zeros(5, 2)})
    for name in ("StateAfter", "FinalState", "Trajectory", "Return"):
        found[f"{name}.source"] = lambda f=LATER[name]: (f.source, {"policy": POLICY})
    return found


CALLS: dict[str, Callable[[], Call]] = {
    "Features": lambda: (
        futures.Features,
        {"future": futures.NextState(), "function": halves, "to": Discrete(2)},
    ),
    "NextState": lambda: (futures.NextState, {}),
    "NextStateAndReward": lambda: (futures.NextStateAndReward, {"rewards": (0.0, 1.0)}),
    "FinalState": lambda: (futures.FinalState, {"steps": 2, "most_weight": 10.0}),
    "StateAfter": lambda: (futures.StateAfter, {"steps": 2, "most_weight": 10.0}),
    "DiscountedState": lambda: (futures.DiscountedState, {"steps": 2, "discount": 0.9, "most_weight": 10.0}),
    "Trajectory": lambda: (futures.Trajectory, {"steps": 2, "most_weight": 10.0}),
    "Return": lambda: (
        futures.Return,
        {"steps": 2, "discount": 0.9, "levels": (0.0, 1.0), "most_weight": 10.0},
    ),
    "exact_of": lambda: (futures.exact_of, {"future": futures.NextState()}),
    "has_exact": lambda: (futures.has_exact, {"future": futures.NextState()}),
    "future_from": lambda: (futures.future_from, {"future": "StateAfter(2)"}),
    "written": lambda: (futures.written, {"future": futures.StateAfter(2)}),
    "steps_of": lambda: (futures.steps_of, {"future": futures.StateAfter(2)}),
    "reads_reward": lambda: (futures.reads_reward, {"future": futures.NextState(), "spec": FINITE}),
    "spec_of": lambda: (
        futures.spec_of,
        {
            "future": futures.NextState(),
            "states": STATES,
            "actions": Box(-1, 1, (2,)),
            "parts": (),
            "hidden": (8, 8),
            "masks": None,
        },
    ),
    "unwrapped_future": lambda: (futures.unwrapped_future, {"future": futures.StateAfter(2)}),
    "without_masks": lambda: (futures.without_masks, {"future": futures.NextState(), "count": 2}),
    **methods(),
}
