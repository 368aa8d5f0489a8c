"""Numbers of any size: an agent learns from them and goes on after a reload, or refuses them in one sentence.

Cost: 5 s.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gio_pyro import GIO
from gio_pyro.errors import GioError, TrainingError


class Scaled(gym.Env[Any, Any]):
    """Noise of a given size, as observation and as reward."""

    def __init__(self, seen: float = 1.0, paid: float = 1.0, finite: bool = False) -> None:
        self.seen, self.paid, self.finite = seen, paid, finite
        self.observation_space = Discrete(3) if finite else Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Discrete(2)

    def _drawn(self) -> Any:
        return int(self.np_random.integers(3)) if self.finite else np.float32(self.np_random.normal(size=2) * self.seen)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 10
        return self._drawn(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return self._drawn(), float(self.np_random.normal() * self.paid), self.left == 0, False, {}


def learned(env: Scaled) -> GIO:
    settings = {} if env.finite else {"hidden": (8,), "batch_size": 16, "train_freq": 10, "learning_starts": 20}
    return GIO(env, seed=0, device="cpu", log_interval=20, **settings).learn(60)


@pytest.mark.parametrize("size", [1e-12, 1e6, 1e12, 1e17])
def test_observations_of_any_size_that_float32_can_square_are_learned_from(size: float):
    agent = learned(Scaled(seen=size))
    assert all(np.isfinite(value) for value in agent.metrics().values())


@pytest.mark.parametrize("size", [1e19, 1e30])
def test_larger_observations_are_refused_at_once_with_their_size(size: float):
    with pytest.raises(
        TrainingError, match=r"^Expected an observation below 1e\+18 in size, but the environment gave "
    ):
        learned(Scaled(seen=size))


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("size", [1e15, -1e15])
def test_large_rewards_are_learned_from_and_go_on_after_a_reload(size: float, finite: bool, tmp_path: Path):
    env = Scaled(paid=size, finite=finite)
    learned(env).save(tmp_path)
    again = GIO.load(tmp_path, environment=Scaled(paid=size, finite=finite))
    assert np.isfinite(again.learn(40).metrics()["train/ent_coef"])


@pytest.mark.parametrize("finite", [True, False])
@pytest.mark.parametrize("size", [1e20, -1e30])
def test_larger_rewards_are_refused_when_they_come(size: float, finite: bool):
    with pytest.raises(TrainingError, match=r"^Expected a reward of at most 1e\+16 in size, but the environment gave "):
        learned(Scaled(paid=size, finite=finite))


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 2**32},
        {"learning_rate": 1e300},
        {"learning_rate": 0.0},
        {"discount": 1.0},
        {"temperature": "linear:1:2"},
        {"temperature": "auto:"},
        {"temperature": "nan"},
        {"buffer_size": 0},
        {"batch_size": 10, "buffer_size": 5},
        {"train_freq": 2**50},
        {"hidden": (2**21,)},
        {"hidden": ()},
        {"hidden": "large"},
    ],
    ids=str,
)
def test_a_setting_out_of_range_is_one_sentence(settings: dict[str, Any]):
    with pytest.raises(GioError) as error:
        GIO(Scaled(), **settings)
    assert str(error.value).startswith("Expected ")
    assert len(str(error.value)) <= 300
    assert next(iter(settings)) in str(error.value)


@pytest.mark.parametrize("settings", [{"buffer_size": 1}, {"train_freq": 10_000}, {"log_interval": 10**9}], ids=str)
def test_settings_at_the_edge_of_their_range_are_taken(settings: dict[str, Any]):
    env = Scaled(finite=True)
    assert GIO(env, seed=0, device="cpu", **settings).learn(0).learn(20).steps == 20
