"""Whole episodes on every kind of space."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from gio_pyro import GIO
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.rollout import play

OBSERVATIONS = {
    "Box": Box(-1, 1, (3,)),
    "float64": Box(-1, 1, (2, 2), dtype=np.float64),
    "image": Box(0, 255, (9, 9, 3), dtype=np.uint8),
    "colour frames": Box(0, 255, (2, 9, 8, 3), dtype=np.uint8),
    "Dict": Dict({"a": Box(-1, 1, (2,)), "b": Discrete(3)}),
    "Tuple": Tuple((Discrete(2), MultiBinary(3))),
    "MultiDiscrete": MultiDiscrete([2, 3]),
}
ACTIONS = {
    "Box": Box(-2, 3, (2,)),
    "a matrix": Box(np.zeros((2, 1)), np.ones((2, 1)), dtype=np.float64),
    "MultiDiscrete": MultiDiscrete([2, 3]),
    "MultiBinary": MultiBinary((2, 2)),
    "Discrete from 3": Discrete(4, start=3),
}


class Anything(gym.Env[Any, Any]):
    """Shows and takes anything; pays 1 a step for 4 steps, and refuses actions outside its space."""

    def __init__(self, observation: Any = OBSERVATIONS["Box"], action: Any = ACTIONS["Box"], wrong: Any = None) -> None:
        self.observation_space, self.action_space, self.wrong, self.at = observation, action, wrong, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.at += 1
        if self.wrong == "raises" and self.at == 2:
            raise OSError("no power")
        reward = self.wrong if isinstance(self.wrong, float) else 1.0
        return self.observation_space.sample(), reward, False, self.at == 4, {}


def registered(monkeypatch: pytest.MonkeyPatch, **kwargs: Any) -> Any:
    spec = EnvSpec(id="Any-v0", entry_point=Anything, disable_env_checker=True, kwargs=kwargs)
    monkeypatch.setitem(gym.registry, "Any-v0", spec)
    return gym.make("Any-v0")


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(
    ("observation", "action"), [*((o, ACTIONS["Box"]) for o in OBSERVATIONS.values())]
    + [(OBSERVATIONS["Dict"], a) for a in ACTIONS.values()],
    ids=[*(f"observation {name}" for name in OBSERVATIONS), *(f"action {name}" for name in ACTIONS)],
)  # fmt: skip
def test_episodes_are_played_on_every_space(
    monkeypatch: pytest.MonkeyPatch, observation: Any, action: Any, deterministic: bool
):
    agent = GIO(registered(monkeypatch, observation=observation, action=action), hidden=(4,), batch_size=8)
    agent.learn(12)
    played = agent.evaluate(2, deterministic=deterministic)
    assert played.returns == (4.0, 4.0)
    assert played.lengths == (4, 4)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "raises"])
def test_what_goes_wrong_is_one_sentence(monkeypatch: pytest.MonkeyPatch, wrong: Any):
    agent = GIO(registered(monkeypatch, wrong=wrong), hidden=(4,))
    with pytest.raises(TrainingError, match=r"finite reward|no power"):
        agent.evaluate(1)


def test_an_episode_that_does_not_end_is_cut(monkeypatch: pytest.MonkeyPatch):
    agent = GIO(registered(monkeypatch), hidden=(4,))
    assert agent.evaluate(2, max_steps=3).lengths == (3, 3)


def test_numbers_out_of_range_are_refused():
    with pytest.raises(InputError, match="episodes"):
        play(lambda *_: (0, None), Anything(), 0, deterministic=False, seed=0, max_steps=9)


def playing(**given: Any) -> Any:
    how = {"episodes": 1, "deterministic": False, "seed": 0, "max_steps": 3, **given}
    return play(lambda observation, deterministic: (Anything().action_space.sample(), None), Anything(), **how)


@pytest.mark.parametrize("name", ["episodes", "seed", "max_steps"])
def test_numbers_of_numpy_are_taken_and_truths_are_not(name: str):
    assert playing(**{name: np.int64(2)}) is not None
    with pytest.raises(InputError, match=f"^Expected {name} to be a whole number of at least .*, but got True; leave"):
        playing(**{name: True})


def test_an_observation_that_is_no_number_is_the_environments_fault(monkeypatch: pytest.MonkeyPatch):
    agent = GIO(registered(monkeypatch), hidden=(4,))
    monkeypatch.setattr(Box, "sample", lambda self: np.full(self.shape, np.nan, dtype=np.float32))
    with pytest.raises(TrainingError, match=r"^Expected a finite observation, but got"):
        agent.evaluate(1)
