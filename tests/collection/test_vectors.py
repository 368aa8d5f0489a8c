"""No transition crosses an episode: vectors of environments, however they reset."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from gio_pyro.collection import Collected
from gio_pyro.errors import InputError, TrainingError
from tests.collection.environments import Diary, DiaryVector, Draws, collect, collector, sync

MODES = list(AutoresetMode)


def diaries(count: int, **kwargs: Any) -> list[Callable[[], Diary]]:
    return [partial(Diary, who, **kwargs) for who in range(count)]


def check(collected: Collected, count: int, first_episode: int = 0) -> None:
    """Every row agrees with the diary; none is missing or repeated."""
    rows = collected.rows
    pages = [(0, first_episode, 0)] * count
    table = zip(
        collected.stream.tolist(),
        rows.state[:, :3].int().tolist(),
        rows.next_state[:, :3].int().tolist(),
        rows.reward.tolist(),
        rows.terminated.tolist(),
        rows.truncated.tolist(),
        collected.begins.tolist(),
        strict=True,
    )
    pages = [(who, first_episode, 0) for who in range(count)]
    for who, state, after, reward, terminated, truncated, begins in table:
        _, episode, at = pages[who]
        assert tuple(state) == pages[who]
        assert after == [who, episode, at + 1]
        assert reward == 100 * episode + at + 1
        ended, cut = at + 1 == Diary.length(who, episode), episode % 2 == 1
        assert (terminated, truncated) == (ended and not cut, ended and cut)
        assert begins == (at == 0)
        pages[who] = (who, episode + 1, 0) if ended else (who, episode, at + 1)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_no_transition_crosses_an_episode(mode: AutoresetMode, nested: bool, reuse: bool, copy: bool):
    collected = collect(sync(diaries(4, nested=nested, reuse=reuse), mode, copy), 300)
    assert 300 <= len(collected.rows) < 304
    assert set(collected.stream.tolist()) == {0, 1, 2, 3}
    check(collected, 4)


@pytest.mark.parametrize("nested", [True, False])
def test_infos_may_be_a_list(nested: bool):
    env = sync(diaries(3, nested=nested), AutoresetMode.SAME_STEP)
    check(collect(gym.wrappers.vector.DictInfoToList(env), 120), 3)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("name", ["final_obs", "final_observation", "terminal_observation"])
def test_the_last_observation_goes_by_several_names(name: str, listed: bool):
    class Named(DiaryVector):
        def step(self, actions: Any) -> Any:
            *given, info = super().step(actions)
            last = info.get("final_obs")
            if not listed:
                return *given, {} if last is None else {name: last}
            return *given, [{name: last[i]} if self.done[i] else {} for i in range(self.num_envs)]

    check(collect(Named(3, AutoresetMode.SAME_STEP), 120), 3)


@pytest.mark.parametrize("mode", MODES)
def test_no_transition_crosses_an_episode_in_other_processes(mode: AutoresetMode):
    env = AsyncVectorEnv(diaries(2), autoreset_mode=mode)
    try:
        check(collect(env, 60), 2)
    finally:
        env.close()


@pytest.mark.parametrize("mode", [None, AutoresetMode.SAME_STEP])
def test_no_transition_crosses_an_episode_of_a_vector_of_ones_own(mode: AutoresetMode | None):
    check(collect(DiaryVector(3, mode), 120), 3)


@pytest.mark.parametrize("mode", MODES)
def test_episodes_go_on_across_calls(mode: AutoresetMode):
    collecting = collector(sync(diaries(3), mode))
    behaviour = Draws(collecting.actions)
    parts = [collecting.collect(behaviour, 1) for _ in range(60)]
    whole = [torch.cat([getattr(part.rows, name) for part in parts]) for name in ("state", "next_state", "reward")]
    rows = collect(sync(diaries(3), mode), sum(len(part.rows) for part in parts)).rows
    for part, expected in zip(whole, (rows.state, rows.next_state, rows.reward), strict=True):
        assert torch.equal(part, expected)


@pytest.mark.parametrize("mode", MODES)
def test_one_environment_in_a_vector_is_one_environment(mode: AutoresetMode):
    alone, one = collect(Diary(0), 50), collect(sync(diaries(1), mode), 50)
    for name in ("state", "next_state", "action", "reward", "terminated", "truncated"):
        if name != "action" or mode != AutoresetMode.NEXT_STEP:  # which draws for the steps that only reset
            assert torch.equal(getattr(alone.rows, name), getattr(one.rows, name))
    assert torch.equal(alone.begins, one.begins)


@pytest.mark.parametrize("mode", MODES)
def test_episodes_are_counted_with_return_and_length(mode: AutoresetMode):
    collecting = collector(sync(diaries(2), mode))
    behaviour = Draws(collecting.actions)
    rows = collecting.collect(behaviour, 60).rows
    ended = int((rows.terminated | rows.truncated).sum())
    assert (collecting.episodes, len(collecting.returns), len(collecting.lengths)) == (ended, ended, ended)
    lengths = {Diary.length(who, episode) for who in range(2) for episode in range(ended)}
    assert set(collecting.lengths) <= lengths
    first = [sum(range(1, Diary.length(who, 0) + 1)) for who in range(2)]
    assert set(first) <= set(collecting.returns)


def test_actions_go_to_their_environment():
    env = gym.make_vec("CliffWalking-v1", 3, vectorization_mode="sync")
    collected = collect(env, 300)
    table = env.envs[0].unwrapped.P
    rows = collected.rows
    for s, a, n in zip(rows.state.tolist(), rows.action.tolist(), rows.next_state.tolist(), strict=True):
        assert any(p > 0 and n == after for p, after, _, _ in table[s][a])


@pytest.mark.parametrize("space", [gym.spaces.MultiDiscrete([2, 3]), gym.spaces.Box(-1, 2, (2, 2), dtype=np.float32)])
def test_every_kind_of_action_reaches_every_environment(space: gym.Space[Any]):
    taken: list[Any] = []

    class Noted(Diary):
        def __init__(self, who: int) -> None:
            super().__init__(who)
            self.action_space = space

        def step(self, action: Any) -> Any:
            assert action in space
            taken.append(np.copy(action))
            return super().step(action)

    collecting = collector(sync([partial(Noted, who) for who in range(3)], AutoresetMode.SAME_STEP))
    rows = collecting.collect(Draws(collecting.actions), 30).rows
    np.testing.assert_array_equal(np.stack(taken), collecting.actions.decode(rows.action.numpy()))


def test_runs_with_neighbouring_seeds_share_no_episode():
    seeds = []
    for seed in range(3):
        env = sync(diaries(3), AutoresetMode.NEXT_STEP)
        collector(env, seed=seed).collect(Draws(collector(env).actions), 3)
        seeds += [inner.seeds[0] for inner in env.envs]
    assert len(set(seeds)) == 9
    assert {type(seed) for seed in seeds} == {int}


def test_a_vector_of_ones_own_is_seeded_with_one_number():
    env = DiaryVector(2, None)
    collect(env, 30)
    assert len(env.seeds) == 1
    assert isinstance(env.seeds[0], int)


@pytest.mark.parametrize("mode", MODES)
def test_the_environments_seen_by_others_are_their_own(mode: AutoresetMode):
    env = sync(diaries(2), mode)
    before = list(env.envs)
    collect(env, 20)
    assert all(now is then for now, then in zip(env.envs, before, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_after_an_error_new_episodes_begin_everywhere(mode: AutoresetMode):
    class Fragile(Diary):
        broken = False

        def step(self, action: Any) -> Any:
            if Fragile.broken:
                raise ValueError("fell over")
            return super().step(action)

    env = sync([partial(Fragile, who) for who in range(2)], mode)
    collecting = collector(env)
    behaviour = Draws(collecting.actions)
    collecting.collect(behaviour, 9)
    Fragile.broken = True
    with pytest.raises(TrainingError, match="to take a step, but it raised ValueError: fell over"):
        collecting.collect(behaviour, 9)
    Fragile.broken = False
    collected = collecting.collect(behaviour, 40)
    assert collected.begins[:2].tolist() == [True, True]
    assert collected.rows.state[:2, 2].tolist() == [0.0, 0.0]


def test_two_collectors_that_share_a_vector_do_not_mix_their_episodes():
    env = sync(diaries(2), AutoresetMode.SAME_STEP)
    one, other = collector(env), collector(env)
    for collecting in (one, other, one):
        collected = collecting.collect(Draws(collecting.actions), 10)
        assert collected.begins[:2].tolist() == [True, True]
        assert collected.rows.state[:2, 2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("info", [{}, None, [], [{}, None], {"final_obs": None}, {"final_obs": []}], ids=str)
def test_a_vector_that_loses_last_observations_is_told(info: Any):
    class Forgetful(DiaryVector):
        def step(self, actions: Any) -> Any:
            return *super().step(actions)[:4], info

    with pytest.raises(TrainingError, match=r"Expected info\['final_obs'\] to hold the last observation"):
        collect(Forgetful(2, AutoresetMode.SAME_STEP), 30)


def test_an_unknown_way_to_reset_is_refused():
    env = DiaryVector(2, None)
    env.metadata = {"autoreset_mode": "whenever"}
    with pytest.raises(InputError, match="autoreset_mode"):
        collector(env)


def test_the_steps_that_only_reset_are_no_rewards_and_no_length():
    class Rude(DiaryVector):
        def step(self, actions: Any) -> Any:
            resets = self.done.copy()
            observation, reward, terminated, truncated, info = super().step(actions)
            return observation, np.where(resets, np.nan, reward), terminated | resets, truncated, info

    check(collect(Rude(3, None), 100), 3)


def test_a_vector_entry_point_is_stepped():
    collected = collect(gym.make_vec("CartPole-v1", 4), 400)
    rows = collected.rows
    assert float(rows.state.abs()[collected.begins].max()) <= 0.05
    ended = rows.terminated | rows.truncated
    for stream in range(4):
        mine = collected.stream == stream
        state, after, over = rows.state[mine], rows.next_state[mine], ended[mine]
        assert torch.equal(state[1:][~over[:-1]], after[:-1][~over[:-1]])
        assert not torch.equal(state[1:][over[:-1]], after[:-1][over[:-1]])
