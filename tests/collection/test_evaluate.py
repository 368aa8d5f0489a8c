"""Evaluation episodes on every kind of space."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import NormalizeObservation, NormalizeReward
from gymnasium.wrappers import vector as vector_wrappers

from gio_pyro import GIO
from gio_pyro.collection.evaluate import Evaluation, play_episodes, play_vector_episodes
from gio_pyro.collection.mask_handlers import SeparateMaskHandler
from gio_pyro.errors import InputError, TrainingError
from tests.agents import differences

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
        play_episodes(lambda *_: (0, None), Anything(), 0, deterministic=False, seed=0, max_steps=9)


def playing(**given: Any) -> Any:
    how = {"episodes": 1, "deterministic": False, "seed": 0, "max_steps": 3, **given}
    return play_episodes(lambda observation, deterministic: (Anything().action_space.sample(), None), Anything(), **how)


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


class Uneven(gym.Env[Any, Any]):
    """Its k-th episode has 1 + (3 k) % 5 steps, each paid 1; `long` times that in one of several."""

    observation_space, action_space = Box(0, 99, (1,)), Discrete(2)

    def __init__(self, long: int = 1) -> None:
        self.long, self.episode, self.at = long, -1, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.episode, self.at = self.episode + 1, 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at += 1
        length = self.long * (1 + 3 * self.episode % 5)
        assert self.at <= length, "stepped after the end"
        return np.full(1, self.at, dtype=np.float32), 1.0, self.at == length, False, {}


def together(env: Any, episodes: int, **kwargs: Any) -> Evaluation:
    how = {"seed": 0, "max_steps": 99, "mask_handler": SeparateMaskHandler(), **kwargs}
    return play_vector_episodes(lambda states, allowed: np.zeros(len(states), dtype=np.int64), env, episodes, **how)


@pytest.mark.parametrize("mode", list(AutoresetMode))
class TestTogether:
    def test_episodes_are_shared_out_beforehand_however_long_they_are(self, mode: AutoresetMode):
        """The second environment takes ten times as long: it plays as many episodes all the same."""
        env = SyncVectorEnv([Uneven, partial(Uneven, 10)], autoreset_mode=mode)
        played = together(env, 3)
        assert played.lengths[:2] == (1, 10)
        assert played.lengths[2] in (1, 2, 3, 4, 5)
        assert played.returns == tuple(map(float, played.lengths))
        assert len(together(env, 1).lengths) == 1

    def test_they_are_cut(self, mode: AutoresetMode):
        env = SyncVectorEnv([partial(Uneven, 10)] * 2, autoreset_mode=mode)
        assert together(env, 4, max_steps=4).lengths == (4, 4, 4, 4)

    def test_an_agent_is_judged_in_the_whole_vector(self, mode: AutoresetMode):
        env = gym.make_vec(
            "CartPole-v1", 2, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, max_episode_steps=60
        )
        for number, bound in enumerate((1e6, 1e-9)):  # one never falls, the other at once
            env.envs[number].unwrapped.theta_threshold_radians = env.envs[number].unwrapped.x_threshold = bound
        assert GIO(env, hidden=(4,)).evaluate(4).lengths == (60, 1, 60, 1)


def scaled(env: Any) -> Any:
    return vector_wrappers.TransformObservation(env, lambda seen: 100 * seen)


LEARNED: dict[str, Any] = {
    "attribute": lambda: gym.make("CartPole-v1"),
    "statistics": lambda: NormalizeReward(NormalizeObservation(gym.make("CartPole-v1"))),
    "vector": lambda: vector_wrappers.NormalizeReward(
        vector_wrappers.NormalizeObservation(scaled(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")))
    ),
}
SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 16, "learning_starts": 20}


@pytest.mark.parametrize("make", LEARNED.values(), ids=LEARNED)
def test_learning_goes_on_as_if_nobody_had_been_judged(make: Any):
    judged, other = GIO(make(), **SMALL).learn(40), GIO(make(), **SMALL).learn(40)
    found = judged.evaluate(3)
    assert found.returns == tuple(map(float, found.lengths))  # CartPole pays 1 a step, however it is normalised
    assert judged.evaluate(2, environment=gym.make("CartPole-v1", max_episode_steps=3)).lengths == (3, 3)
    assert not differences(judged.learn(40), other.learn(40), ignore=("/playing",))


class TestGiven:
    def test_an_environment_is_played_as_it_is_and_stays_open(self, monkeypatch: pytest.MonkeyPatch):
        agent = GIO("CartPole-v1", hidden=(4,))
        env = gym.make("CartPole-v1", max_episode_steps=5)
        monkeypatch.setattr(env, "close", lambda: pytest.fail("closed"))
        assert agent.evaluate(3, environment=env).lengths == (5, 5, 5)
        assert set(agent.evaluate(3, environment=SyncVectorEnv([lambda: env] * 1)).lengths) == {5}

    def test_an_id_is_made_and_closed(self, monkeypatch: pytest.MonkeyPatch):
        closed: list[Any] = []
        monkeypatch.setattr(gym.Wrapper, "close", lambda self: closed.append(self))
        GIO("CartPole-v1", hidden=(4,)).evaluate(1, environment="CartPole-v1")
        assert closed
        closed.clear()
        GIO("CartPole-v1", hidden=(4,)).evaluate(1)
        assert closed

    def test_ones_own_begins_a_new_episode_when_learning_goes_on(self):
        agent = GIO(gym.make("CartPole-v1"), **SMALL).learn(23)
        agent.evaluate(1, environment=gym.wrappers.TimeAwareObservation(agent.env).env)
        before = agent.replay.latest(1)
        after = agent.learn(1).replay.latest(1)
        assert after.episode.item() != before.episode.item()

    def test_other_spaces_are_refused_before_anything_is_played(self):
        with pytest.raises(InputError, match="the observation space that was learned with"):
            GIO("CartPole-v1", hidden=(4,)).evaluate(1, environment="Acrobot-v1")
