"""Interrupted runs resume bit for bit: running episodes are restored."""

import io
import warnings
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode

from gio_pyro.collection import Collected, Collector
from gio_pyro.collection.episode_recorder import generator_state
from gio_pyro.errors import GioWarning
from tests.agents import differences
from tests.collection.environments import Diary, DiaryVector, Draws, collector, sync
from tests.slow import slow_but


def minigrid(image: bool) -> gym.Env[Any, Any]:
    pytest.importorskip("minigrid")
    from minigrid.wrappers import ImgObsWrapper

    env = gym.make("MiniGrid-Empty-8x8-v0", max_steps=30)
    return ImgObsWrapper(env) if image else env


def cheetah() -> gym.Env[Any, Any]:
    pytest.importorskip("mujoco")
    return gym.make("HalfCheetah-v5", max_episode_steps=25)


SINGLE: dict[str, Callable[[], Any]] = {
    "Pendulum": partial(gym.make, "Pendulum-v1", max_episode_steps=30),
    "CartPole": partial(gym.make, "CartPole-v1"),
    "FrozenLake": partial(gym.make, "FrozenLake-v1"),
    "Taxi": partial(gym.make, "Taxi-v4", max_episode_steps=17),
    "Blackjack": partial(gym.make, "Blackjack-v1"),
    "MiniGrid image": partial(minigrid, True),
    "MiniGrid": partial(minigrid, False),
    "HalfCheetah": cheetah,
    "normalised": lambda: wrappers.NormalizeReward(wrappers.NormalizeObservation(gym.make("CartPole-v1"))),
}
VECTORS: dict[str, Callable[[], Any]] = {
    f"{name} {mode.value}": partial(sync, [partial(gym.make, name, **kwargs)] * 3, mode)
    for name, kwargs in (("CartPole-v1", {}), ("FrozenLake-v1", {}), ("Pendulum-v1", {"max_episode_steps": 13}))
    for mode in AutoresetMode
}


def normalised_vector() -> Any:
    inner = sync([SINGLE["normalised"]] * 3, AutoresetMode.NEXT_STEP)
    return wrappers.vector.NormalizeReward(wrappers.vector.NormalizeObservation(inner))


VECTORS["normalised twice"] = normalised_vector


def stored(record: dict[str, Any]) -> dict[str, Any]:
    """Through a file that holds tensors and plain types only."""
    file = io.BytesIO()
    torch.save(record, file)
    file.seek(0)
    return dict(torch.load(file, weights_only=True))


def same(one: Collected, other: Collected) -> bool:
    rows = all(torch.equal(getattr(one.rows, f.name), getattr(other.rows, f.name)) for f in fields(one.rows))
    return rows and torch.equal(one.stream, other.stream) and torch.equal(one.begins, other.begins)


def counts(collecting: Collector) -> dict[str, Any]:
    """What is recorded of the episodes that ended."""
    return {name: value for name, value in collecting.snapshot().items() if name != "running"}


def quiet(make: Callable[[], Any], seed: int = 3) -> Collector:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Expected observations of numbers")
        return collector(make(), seed=seed)


def resumed(record: dict[str, Any], make: Callable[[], Any]) -> Collector:
    fresh = quiet(make)
    fresh.resume(stored(record))
    return fresh


@pytest.mark.parametrize("make", [*SINGLE.values(), *VECTORS.values()], ids=[*SINGLE, *VECTORS])
@pytest.mark.parametrize("steps", slow_but([1, 40, 77], 1, 77))
def test_a_resumed_run_is_the_run(make: Callable[[], Any], steps: int):
    going = quiet(make)
    behaviour = Draws(going.actions)
    going.collect(behaviour, steps)
    fresh = resumed(going.snapshot(), make)
    again = Draws(fresh.actions, behaviour.calls)
    for _ in range(2):
        assert same(going.collect(behaviour, steps), fresh.collect(again, steps))
    assert not differences(counts(going), counts(fresh))
    states = [[generator_state(recorder.env) for recorder in each.environments.recorders] for each in (going, fresh)]
    assert states[0] == states[1]


@pytest.mark.parametrize("make", [SINGLE["FrozenLake"], VECTORS["FrozenLake-v1 NextStep"]])
def test_a_run_may_be_interrupted_anywhere(make: Callable[[], Any]):
    going, often = quiet(make), quiet(make)
    one, other = Draws(going.actions), Draws(often.actions)
    for _ in range(25):
        expected = going.collect(one, 1)
        assert same(expected, often.collect(other, 1))
        often = resumed(often.snapshot(), make)
    assert counts(going) == counts(often)
    assert going.snapshot()["running"]["return"] == often.snapshot()["running"]["return"]


def test_a_run_that_has_not_begun_begins_with_its_seed():
    fresh = resumed(quiet(SINGLE["CartPole"]).snapshot(), SINGLE["CartPole"])
    other = quiet(SINGLE["CartPole"])
    assert same(fresh.collect(Draws(fresh.actions), 9), other.collect(Draws(other.actions), 9))


def test_the_environment_that_ran_may_be_passed_again():
    env = gym.make("FrozenLake-v1")
    going = collector(env)
    behaviour = Draws(going.actions)
    going.collect(behaviour, 13)
    record = stored(going.snapshot())
    expected = going.collect(behaviour, 30)
    again = collector(env)
    again.resume(record)
    assert same(expected, again.collect(Draws(again.actions, 13), 30))


def falls(record: dict[str, Any], make: Callable[[], Any], words: str) -> Collector:
    """Resume where it cannot be exact: one warning, and a new episode."""
    with pytest.warns(GioWarning, match=f"Expected to go on with the running episode of .*{words}") as told:
        fresh = resumed(record, make)
    assert len(told) == 1
    collected = fresh.collect(Draws(fresh.actions), 5)
    assert bool(collected.begins[: fresh.environments.count].all())
    return fresh


def run(make: Callable[[], Any], steps: int = 5) -> dict[str, Any]:
    going = quiet(make)
    going.collect(Draws(going.actions), steps)
    return going.snapshot()


class Moody(Diary):
    """Shows what its random generator does not decide."""

    mood = 0

    def _shown(self) -> Any:
        Moody.mood += 1
        return np.array([self.who, Moody.mood, self.at], dtype=np.float32)


class WeightedBatch(Diary):
    paid = 0.0

    def __init__(self) -> None:
        super().__init__(who=2)

    def step(self, action: Any) -> Any:
        WeightedBatch.paid += 0.5
        observation, _, *rest = super().step(action)
        return observation, WeightedBatch.paid, *rest


class Fading(gym.ObservationWrapper[Any, Any, Any]):
    """Shows less and less."""

    shown = 0

    def observation(self, observation: Any) -> Any:
        Fading.shown += 1
        return observation / Fading.shown


class Around(gym.vector.VectorWrapper[Any, Any, Any, Any, Any]):
    """Might do anything."""


class Counting(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper with state that outlives episodes."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self.taken = 0

    def step(self, action: Any) -> Any:
        self.taken += 1
        return super().step(action)


class Unseeded(Diary):
    np_random = None  # type: ignore[assignment]

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.episode, self.at = 0, 0
        return self._shown(), {}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(Moody, 2), "led elsewhere"),
        (WeightedBatch, "earned something else"),
        (Unseeded, "has no random generator"),
        (partial(DiaryVector, 2, None), "this kind of vector environment"),
        (partial(gym.make_vec, "CartPole-v1", 2), "this kind of vector environment"),
        (lambda: Fading(Diary(2)), "led elsewhere"),
        (lambda: Around(sync([partial(Diary, 2)], AutoresetMode.NEXT_STEP)), "what wraps its vector"),
    ],
)
def test_what_cannot_be_brought_back_is_told_once(make: Callable[[], Any], words: str):
    falls(run(make, 5), make, words)


def test_what_wrappers_of_ones_own_forget_is_told_once():
    record = run(lambda: Counting(gym.make("CartPole-v1", max_episode_steps=9)), 40)
    make = partial(Counting, gym.make("CartPole-v1", max_episode_steps=9))
    with pytest.warns(GioWarning, match=r"but Counting\.taken begins anew; set it if it matters") as told:
        resumed(record, make)
    assert len(told) == 1


@pytest.mark.parametrize("make", [SINGLE["CartPole"], lambda: wrappers.NormalizeReward(SINGLE["CartPole"]())])
def test_statistics_of_other_wrappers_are_not_taken_over(make: Callable[[], Any]):
    with pytest.warns(GioWarning, match=r"wrappers with running statistics of training.*statistics start empty"):
        resumed(run(SINGLE["normalised"]), make)


def test_statistics_that_are_no_numbers_are_refused():
    record = run(SINGLE["normalised"])
    record["statistics"][0][0]["return_rms.var"] *= float("nan")
    with pytest.raises(ValueError, match="not finite"):
        resumed(record, SINGLE["normalised"])


def test_environments_in_other_processes_begin_anew():
    env = gym.make_vec("CartPole-v1", 2, vectorization_mode="async")
    try:
        going = collector(env)
        going.collect(Draws(going.actions), 5)
        falls(going.snapshot(), lambda: env, "this kind of vector environment")
    finally:
        env.close()


def test_a_very_long_episode_begins_anew(monkeypatch: pytest.MonkeyPatch):
    for module in ("episode_recorder", "episode_restore"):
        monkeypatch.setattr(f"gio_pyro.collection.{module}.MAX_RECORDED_STEPS", 10)
    make = partial(gym.make, "Pendulum-v1")
    record = run(make, 11)
    assert len(record["running"]["episodes"][0]["actions"]) == 10
    falls(record, make, "for more than 10 steps")
    resumed(run(make, 10), make)


def test_an_environment_that_raises_on_the_way_begins_anew():
    record = run(lambda: Diary(2), 3)

    class Fragile(Diary):
        asked = 0

        def step(self, action: Any) -> Any:
            Fragile.asked += 1
            if Fragile.asked == 2:
                raise ValueError("fell over")
            return super().step(action)

    falls(record, Fragile, "playing its episode again raised ValueError")


def test_another_environment_begins_anew():
    falls(run(SINGLE["Pendulum"]), SINGLE["CartPole"], "playing its episode again")
    falls(run(VECTORS["CartPole-v1 NextStep"]), SINGLE["CartPole"], "recorded with 3 environments")


def test_what_begins_anew_begins_the_same_and_repeats_nothing():
    make = partial(gym.make_vec, "CartPole-v1", 2)
    first = quiet(make)
    opening = first.collect(Draws(first.actions), 20)
    record = first.snapshot()
    starts = []
    for _ in range(2):
        with pytest.warns(GioWarning, match="a new episode begins"):
            fresh = resumed(record, make)
        kept = resumed_again = fresh.snapshot()
        assert kept["running"] is None
        starts.append(resumed(resumed_again, make).collect(Draws(fresh.actions), 4).rows.state)
        assert torch.equal(starts[-1], fresh.collect(Draws(fresh.actions), 4).rows.state)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], opening.rows.state[:4])


def test_a_run_whose_environment_another_has_moved_begins_anew():
    env = gym.make("FrozenLake-v1")
    one, other = collector(env), collector(env)
    one.collect(Draws(one.actions), 3)
    other.collect(Draws(other.actions), 3)
    assert one.snapshot()["running"] is None
    assert other.snapshot()["running"] is not None


def test_recording_does_not_grow_with_the_episodes():
    going = quiet(SINGLE["FrozenLake"])
    going.collect(Draws(going.actions), 600)
    assert len(going.snapshot()["running"]["episodes"][0]["actions"]) <= 100


def test_numbers_that_somebody_else_drew_are_not_drawn_again():
    going = quiet(SINGLE["FrozenLake"])
    behaviour = Draws(going.actions)
    going.collect(behaviour, 10)
    going.env.unwrapped.np_random.random(7)
    fresh = resumed(going.snapshot(), SINGLE["FrozenLake"])
    assert same(going.collect(behaviour, 60), fresh.collect(Draws(fresh.actions, 10), 60))


@pytest.mark.parametrize("vector", [False, True])
def test_an_environment_may_change_the_action_that_it_is_given(vector: bool):
    class Halving(gym.ActionWrapper[Any, Any, Any]):
        def action(self, action: Any) -> Any:
            action *= 0.5
            return action

    def one() -> gym.Env[Any, Any]:
        return Halving(gym.make("Pendulum-v1"))

    make = partial(sync, [one, one], AutoresetMode.SAME_STEP) if vector else one
    going = quiet(make)
    behaviour = Draws(going.actions)
    going.collect(behaviour, 10)
    fresh = resumed(going.snapshot(), make)
    again = Draws(fresh.actions, behaviour.calls)
    assert same(going.collect(behaviour, 20), fresh.collect(again, 20))
