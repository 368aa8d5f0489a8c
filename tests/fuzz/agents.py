"""One valid call of what learns: `GIO`, `IntrinsicReward`, `Settings`, and the signals and adapters around them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Discrete

import gio_pyro as gio
from gio_pyro import signals
from gio_pyro.adapters.bonus import Bonus
from gio_pyro.models import DirichletModel
from gio_pyro.schedules.temperature import parse_temperature
from gio_pyro.schedules.weights import weight_of
from tests.signals.worlds import FINITE, fitted, some

from .harness import Call


class Coin(gym.Env[Any, Any]):
    """Two states, drawn anew in every step, in episodes of three."""

    observation_space, action_space = Discrete(2), Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.step_ = 0
        return 0, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.step_ += 1
        return int(self.np_random.integers(2)), float(action), self.step_ >= 3, False, {}


COIN = Coin()


def samples() -> dict[str, Any]:
    zero = np.zeros((2, 1))
    return {
        "observations": zero.astype(int),
        "actions": zero.astype(int),
        "rewards": zero,
        "terminateds": zero.astype(bool),
        "truncateds": zero.astype(bool),
        "next_observations": zero.astype(int),
    }


@cache
def agent() -> gio.GIO:
    return gio.GIO(Coin(), seed=0, device="cpu").learn(10)


@cache
def reward() -> gio.IntrinsicReward:
    return gio.IntrinsicReward(Coin(), updates=1, batch_size=2, hidden=(2,), device="cpu")


FUTURES = {
    "environment": COIN,
    "model": "CategoricalModel",
    "guide": "CategoricalGuide",
    "future": "NextState",
    "device": "cpu",
}
GIVEN = FUTURES | {"world_model": None, "filter": None}
SETTINGS: dict[str, Any] = {
    **{name: field.default for name, field in gio.Settings.__dataclass_fields__.items()},
    "hidden": (2,),
    "signal": "Control",
    "explorer": None,
}


def changed(**parts: Any) -> Callable[..., Any]:
    """A function of samples, one part of which is given."""

    def use(**given: Any) -> Any:
        return reward().compute(samples() | given)

    return use


CALLS: dict[str, Callable[[], Call]] = {
    "GIO": lambda: (gio.GIO, GIVEN | SETTINGS | {"recipe": "gio"}),
    "Settings": lambda: (gio.Settings, dict(SETTINGS)),
    "GIO.learn": lambda: (
        agent().learn,
        {"steps": 1, "total_timesteps": None, "callback": None, "progress_bar": False, "stop": None},
    ),
    "GIO.learn, as Stable-Baselines3 calls it": lambda: (
        agent().learn,
        {"steps": None, "total_timesteps": 1, "callback": None, "progress_bar": False, "stop": None},
    ),
    "GIO.predict": lambda: (
        agent().predict,
        {"observation": 0, "state": None, "episode_start": None, "deterministic": True, "action_masks": None},
    ),
    "GIO.evaluate": lambda: (
        agent().evaluate,
        {"episodes": 1, "deterministic": True, "seed": 0, "max_steps": 5, "environment": None},
    ),
    "GIO.intrinsic_reward": lambda: (agent().intrinsic_reward, {"state": torch.zeros(3, dtype=torch.long)}),
    "imitate": lambda: (
        gio.imitate,
        {"agent": agent(), "observations": [0], "next_observations": [1], "iterations": 1, "seed": 0},
    ),
    "learn_seeds": lambda: (
        gio.learn_seeds,
        {"environment": "Pendulum-v1", "seeds": (0, 1), "steps": 2, "callback": None},
    ),
    "IntrinsicReward": lambda: (
        gio.IntrinsicReward,
        FUTURES
        | {
            "signal": "Control",
            "objective": "sleep",
            "optim": "SGD(lr=0.1)",
            "updates": 1,
            "batch_size": 2,
            "buffer_size": 10,
            "learning_rate": 0.1,
            "hidden": (2,),
            "seed": 0,
        },
    ),
    "IntrinsicReward.compute": lambda: (reward().compute, {"samples": samples()}),
    "IntrinsicReward.update": lambda: (reward().update, {"samples": samples()}),
    "IntrinsicReward.load_state_dict": lambda: (reward().load_state_dict, {"state": reward().state_dict()}),
    "samples": lambda: (changed(), samples()),
    "parse": lambda: (parse_temperature, {"given": 0.5}),
    "weight_of": lambda: (weight_of, {"weight": 0.5}),
    "Bonus": lambda: (Bonus, {"reward": reward(), "weight": 0.5, "update_every": 10, "spaces": None}),
}

SIGNALS: dict[str, Callable[[], Call]] = {
    "signal_named": lambda: (signals.signal_named, {"text": "Control", "fitted": fitted(DirichletModel, FINITE)}),
}
CHOICES: dict[str, dict[str, Any]] = {
    "Control": {},
    "Disagreement": {"kind": "jensen_shannon"},
    "InformationGain": {},
    "LearningProgress": {"rate": 0.5},
    "LinearEmbedding": {"size": 2, "learning_rate": 0.1},
    "PredictionError": {"features": "icm", "learning_rate": 0.1, "lag": 0},
    "ReconstructionError": {"codes": 2, "learning_rate": 0.1, "linear": True},
    "RegionalProgress": {"regions": 2, "rate": 0.5},
    "RandomNetworkDistillation": {"outputs": 2, "learning_rate": 0.1},
}


@cache
def source() -> signals.Fitted:
    return fitted(DirichletModel, FINITE)


for _name, _settings in CHOICES.items():
    _kind = getattr(signals, _name)
    SIGNALS[_name] = lambda kind=_kind, settings=_settings: (kind, {"fitted": source(), **settings})
    SIGNALS[f"{_name}()"] = lambda kind=_kind, settings=_settings: (kind(source(), **settings), {"rows": some(FINITE)})
    for _method in ("observe", "update", "read"):
        SIGNALS[f"{_name}.{_method}"] = lambda kind=_kind, settings=_settings, method=_method: (
            getattr(kind(source(), **settings), method),
            {"rows": some(FINITE)},
        )
