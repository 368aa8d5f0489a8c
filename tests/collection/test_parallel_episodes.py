"""Episodes played in several copies are those played one after another."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import NormalizeObservation, NormalizeReward

from gio_pyro import GIO
from gio_pyro.agent import gio as agent_module
from gio_pyro.collection import evaluate, independent_copies
from gio_pyro.collection.independent_copies import MAX_COPIES
from gio_pyro.collection.parallel_episodes import episode_seeds
from tests.masked import Board

SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 16, "learning_starts": 20}


class Drawn(gym.Env[Any, Any]):
    """Its length, from 1 to 40 steps, is drawn from the seed; pays the action and a number drawn at each step."""

    observation_space, action_space = Box(-99, 99, (2,)), Discrete(2)

    def __init__(self) -> None:
        self.at = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at, self.limit = 0, self.length()
        return self.seen(), {}

    def length(self) -> int:
        return int(self.np_random.integers(1, 41))

    def seen(self) -> Any:
        return np.array([self.at, self.limit], dtype=np.float32)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.at += 1
        return self.seen(), float(self.np_random.normal() + action), self.at == self.limit, False, {}


class Lengthening(Drawn):
    """Its k-th episode has k steps."""

    episode = 0

    def length(self) -> int:
        self.episode += 1
        return self.episode


class Shared(Drawn):
    """All of one kind draw from one generator."""

    generator = np.random.default_rng(0)

    def length(self) -> int:
        return int(self.generator.integers(1, 41))


class Single(Drawn):
    """Only the one that was reset last can be stepped."""

    last: int = 0

    def length(self) -> int:
        type(self).last = id(self)
        return super().length()

    def step(self, action: Any) -> Any:
        assert self.last == id(self), "another one was reset"
        return super().step(action)


def one_by_one(agent: GIO, monkeypatch: pytest.MonkeyPatch, episodes: int, **how: Any) -> evaluate.Evaluation:
    """What `evaluate` finds with a single copy."""
    with monkeypatch.context() as changed:
        changed.setattr(independent_copies, "MAX_COPIES", 1)
        return agent.evaluate(episodes, **how)


def batch_sizes(agent: GIO, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of states in each call of the policy, from now on."""
    found: list[int] = []
    choose = agent._choose
    monkeypatch.setattr(agent, "_choose", lambda states, *a, **k: found.append(len(states)) or choose(states, *a, **k))
    return found


WORLDS: dict[str, Any] = {
    "Pendulum": lambda: gym.make("Pendulum-v1", max_episode_steps=50),
    "CartPole": lambda: gym.make("CartPole-v1"),
    "slippery FrozenLake": lambda: gym.make("FrozenLake-v1"),
    "Taxi, with masks": lambda: gym.make("Taxi-v3" if "Taxi-v3" in gym.registry else "Taxi-v4", max_episode_steps=30),
    "masks in a vector": lambda: Board("vector"),
    "masks in a dictionary": lambda: Board("dict"),
    "masks of parts": lambda: Board("vector", "parts"),
    "running statistics": lambda: NormalizeReward(NormalizeObservation(gym.make("CartPole-v1"))),
    "lengths from the seed": Drawn,
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.filterwarnings("ignore:.*out of date")
def test_deterministic_episodes_are_those_played_one_by_one(world: str, monkeypatch: pytest.MonkeyPatch):
    agent = GIO(WORLDS[world](), **(SMALL if "FrozenLake" not in world and "Taxi" not in world else {})).learn(60)
    slow = one_by_one(agent, monkeypatch, 7, deterministic=True, seed=3)
    sizes = batch_sizes(agent, monkeypatch)
    fast = agent.evaluate(7, deterministic=True, seed=3)
    assert sizes[0] == 7
    assert fast.lengths == slow.lengths
    np.testing.assert_allclose(fast.returns, slow.returns, rtol=1e-4)


def test_each_episode_counts_once_however_short_it_is(monkeypatch: pytest.MonkeyPatch):
    """With more episodes than copies, a copy that is free plays the next one; all of them are counted."""
    monkeypatch.setattr(independent_copies, "MAX_COPIES", 4)
    agent = GIO(Drawn(), **SMALL)
    lengths = []
    for seed in episode_seeds(5, 30):
        env = Drawn()
        env.reset(seed=seed)
        lengths.append(env.limit)
    sizes = batch_sizes(agent, monkeypatch)
    assert agent.evaluate(30, seed=5).lengths == tuple(lengths)
    assert max(sizes) == 4
    assert sum(sizes) == sum(lengths)


@pytest.mark.parametrize("kind", [Lengthening, Single])
def test_episodes_that_depend_on_one_another_are_played_one_by_one(kind: Any, monkeypatch: pytest.MonkeyPatch):
    agent = GIO(kind(), **SMALL).learn(40)
    stream = agent.playing.state
    slow = one_by_one(agent, monkeypatch, 5)
    agent.playing.state = stream
    assert agent.evaluate(5) == slow
    if kind is Lengthening:
        first = slow.lengths[0]
        assert slow.lengths == tuple(range(first, first + 5))


def test_copies_that_share_something_are_found_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(agent_module, "play_episodes", lambda *a, **k: "one by one")
    assert GIO(Shared(), **SMALL).evaluate(6) == "one by one"


def test_a_mistake_of_the_environment_is_reported_as_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Drawn, "step", lambda self, action: (self.seen(), float("nan"), False, False, {}))
    with pytest.raises(Exception, match=r"^Expected a finite reward, but the environment gave nan"):
        GIO(Drawn(), **SMALL).evaluate(3)


def test_an_environment_that_was_given_is_itself_played(monkeypatch: pytest.MonkeyPatch):
    agent, given = GIO(Drawn(), **SMALL), Drawn()
    sizes = batch_sizes(agent, monkeypatch)
    agent.evaluate(3, environment=given)
    assert given.at == given.limit
    assert set(sizes) == {1}


class TestCopies:
    def test_there_are_as_many_as_asked_up_to_a_limit(self):
        with independent_copies.independent_copies(Drawn(), 3) as copies:
            assert len({id(copy) for copy in copies}) == 3
        with independent_copies.independent_copies(Drawn(), 99) as copies:
            assert len(copies) == MAX_COPIES

    @pytest.mark.parametrize("ones", [np.ones, lambda size: torch.ones(size, dtype=torch.float64)])
    def test_there_are_fewer_where_memory_is_short(self, ones: Any, monkeypatch: pytest.MonkeyPatch):
        freed = [np.ones(16_000_000)]

        class Large(Drawn):
            def reset(self, **how: Any) -> Any:
                self.content = ones(8_000_000)
                freed.clear()  # memory that the process frees meanwhile does not hide what a copy takes
                return super().reset(**how)

        monkeypatch.setattr(independent_copies, "free_bytes", lambda: 1200e6)
        with independent_copies.independent_copies(Large(), 20) as copies:
            assert 2 <= len(copies) <= 5  # 64 MB each, a quarter of 1200 MB in all

    def test_there_are_fewer_where_copying_takes_long(self):
        env = Drawn()
        env.table = {number: [number + 0.5] for number in range(20_000)}  # type: ignore[attr-defined]
        with independent_copies.independent_copies(env, 20) as copies:
            assert len(copies) <= 2

    def test_there_are_none_of_what_cannot_be_copied(self):
        env = Drawn()
        env.lock = torch.multiprocessing.get_context("spawn").Lock()  # type: ignore[attr-defined]
        with independent_copies.independent_copies(env, 4) as copies:
            assert not copies

    def test_they_are_closed_and_do_not_disturb_the_original(self, monkeypatch: pytest.MonkeyPatch):
        closed: list[Any] = []
        monkeypatch.setattr(Drawn, "close", lambda self: closed.append(self))
        env = Drawn()
        env.reset(seed=0)
        before = env.np_random.bit_generator.state
        with independent_copies.independent_copies(env, 3) as copies:
            for copy in copies:
                copy.reset(seed=1)
                copy.step(0)
        assert closed == copies[::-1]
        assert env.np_random.bit_generator.state == before
        assert env.at == 0


def test_the_seeds_of_fewer_episodes_come_first():
    assert episode_seeds(7, 3) == episode_seeds(7, 9)[:3]
    assert episode_seeds(7, 1) == [7]
    assert len(set(episode_seeds(0, 50) + episode_seeds(1, 50))) == 100
