"""Complete transitions and episode counts, with one environment."""

import gc
import weakref
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from gio_pyro.collection import Collector
from gio_pyro.errors import GioWarning, InputError, TrainingError
from tests.collection.environments import CPU, Diary, Draws, Script, collect, collector

THREE = [(1, 0.0, False, False), (2, 0.5, False, False), (3, 1.0, True, False)]
CUT = [(1, 0.0, False, False), (2, 0.5, False, True)]


def go(collecting: Collector, steps: int) -> Any:
    return collecting.collect(Draws(collecting.actions), steps)


def test_a_transition_is_what_happened():
    rows = collect(Script(THREE), 3).rows
    assert rows.state.tolist() == [0, 1, 2]
    assert rows.next_state.tolist() == [1, 2, 3]
    assert rows.reward.tolist() == [0.0, 0.5, 1.0]
    assert rows.terminated.tolist() == [False, False, True]
    assert rows.truncated.tolist() == [False] * 3
    assert rows.weight.tolist() == [1.0] * 3
    assert rows.log_behaviour.exp().tolist() == pytest.approx([1 / 3] * 3)


def test_the_actions_recorded_are_those_taken_and_plain_numbers():
    env = Script(THREE)
    assert collect(env, 30).rows.action.tolist() == env.actions
    assert {type(action) for action in env.actions} == {int}


def test_the_first_state_of_an_episode_is_never_a_next_state():
    rows = collect(Script(THREE, first=9), 12).rows
    assert 9 not in rows.next_state.tolist()
    assert rows.state.tolist() == [9, 1, 2] * 4


def test_a_truncated_episode_keeps_its_last_state_and_starts_again():
    rows = collect(Script(CUT, first=9), 6).rows
    assert rows.next_state.tolist() == [1, 2] * 3
    assert rows.state.tolist() == [9, 1] * 3
    assert rows.truncated.tolist() == [False, True] * 3
    assert not bool(rows.terminated.any())


def test_an_episode_goes_on_across_calls():
    collecting = collector(Script(THREE))
    parts = [go(collecting, 2) for _ in range(3)]
    assert [part.rows.state.tolist() for part in parts] == [[0, 1], [2, 0], [1, 2]]
    assert [part.begins.tolist() for part in parts] == [[True, False], [False, True], [False, False]]
    assert {stream for part in parts for stream in part.stream.tolist()} == {0}


def test_a_collected_chain_of_states_is_unbroken():
    collected = collect(gym.make("FrozenLake-v1"), 400)
    rows, ended = collected.rows, collected.rows.terminated | collected.rows.truncated
    assert torch.equal(rows.next_state[:-1][~ended[:-1]], rows.state[1:][~ended[:-1]])
    assert bool((rows.state[1:][ended[:-1]] == 0).all())
    assert torch.equal(collected.begins[1:], ended[:-1])


def test_every_collected_transition_can_happen():
    env = gym.make("CliffWalking-v1", max_episode_steps=50)
    rows = collect(env, 300).rows
    for s, a, r, n in zip(*(x.tolist() for x in (rows.state, rows.action, rows.reward, rows.next_state)), strict=True):
        assert any(p > 0 and (n, r) == (after, reward) for p, after, reward, _ in env.unwrapped.P[s][a])
    assert bool(rows.truncated.any())


def test_episodes_are_counted_with_return_and_length():
    collecting = collector(Script(THREE))
    go(collecting, 8)
    assert collecting.episodes == 2
    assert list(collecting.returns) == [1.5, 1.5]
    assert list(collecting.lengths) == [3, 3]
    assert {type(n) for n in collecting.lengths} == {int}


def test_only_the_first_reset_is_seeded_and_none_is_made_before_it_is_played():
    env = Script(THREE)
    go(collector(env, seed=42), 9)
    assert env.seeds == [42, None, None]


def test_the_environment_sees_the_calls_of_a_plain_loop():
    env, plain = gym.make("FrozenLake-v1"), gym.make("FrozenLake-v1")
    rows = collect(env, 200).rows
    state, _ = plain.reset(seed=5)
    for i, action in enumerate(rows.action.tolist()):
        assert rows.state[i] == state
        state, _, terminated, truncated, _ = plain.step(action)
        assert rows.next_state[i] == state
        if (terminated or truncated) and i < 199:
            state, _ = plain.reset()
    assert env.unwrapped.np_random.bit_generator.state == plain.unwrapped.np_random.bit_generator.state


def test_spaces_that_do_not_start_at_zero_are_counted_from_zero():
    env = Script([(6, 0.0, False, False), (14, 0.0, False, False)], first=5, start=5)
    rows = collect(env, 2).rows
    assert rows.state.tolist() == [0, 1]
    assert rows.next_state.tolist() == [1, 9]
    assert [a - 5 for a in env.actions] == rows.action.tolist()


@pytest.mark.parametrize("observation", [10, -1, 2.5, float("nan"), "x", None, [1, 2]])
def test_an_observation_outside_the_space_is_refused(observation: Any):
    with pytest.raises(InputError, match="Expected an observation between 0 and 9, but got"):
        collect(Script([(observation, 0.0, False, False)]), 1)


def test_a_first_observation_outside_the_space_is_refused():
    with pytest.raises(InputError, match="between 0 and 9, but got 77"):
        collect(Script(THREE, first=77), 1)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -float("inf"), np.float64("nan"), 1e300])
def test_a_reward_that_is_not_finite_stops_loudly(reward: float):
    with pytest.raises(TrainingError, match="Expected a finite reward, but the environment gave"):
        collect(Script([(1, reward, False, False)]), 1)


def test_rewards_and_flags_have_the_dtypes_of_replay():
    collected = collect(Script([(1, np.float64(1.0), np.bool_(True), np.bool_(False))]), 2)
    rows = collected.rows
    assert (rows.reward.dtype, rows.terminated.dtype, rows.truncated.dtype) == (torch.float32, torch.bool, torch.bool)
    assert (rows.state.dtype, rows.action.dtype, rows.weight.dtype) == (torch.int64, torch.int64, torch.float32)
    assert (collected.stream.dtype, collected.begins.dtype) == (torch.int64, torch.bool)


def test_rewards_are_rounded_to_float32_as_torch_rounds():
    values = np.random.default_rng(0).normal(size=50).tolist()
    rows = collect(Script([(1, value, False, False) for value in values]), 50).rows
    assert torch.equal(rows.reward, torch.tensor(values))


@pytest.mark.parametrize("bad", [(7, float("nan"), False, False), (99, 0.0, False, False), (1, None, False, False)])
def test_after_a_bad_step_an_episode_begins(bad: tuple[Any, Any, bool, bool]):
    env = Script([(1, 0.0, False, False), bad, (3, 2.0, True, False)])
    collecting = collector(env)
    go(collecting, 1)
    with pytest.raises((TrainingError, InputError)):
        go(collecting, 1)
    after = go(collecting, 1)
    assert (after.rows.state.item(), after.rows.next_state.item(), after.begins.item()) == (0, 3, True)
    assert (env.seeds, list(collecting.returns)) == ([5, None], [2.0])


def test_a_behaviour_that_raises_leaves_the_episode_as_it_was():
    def broken(state: Tensor) -> tuple[Tensor, Tensor]:
        raise KeyError("policy")

    collecting = collector(Script(THREE))
    go(collecting, 1)
    with pytest.raises(KeyError):
        collecting.collect(broken, 1)
    assert go(collecting, 1).rows.state.tolist() == [1]


class Broken(Script):
    def __init__(self, when: str) -> None:
        super().__init__(THREE)
        self.when = when

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        if self.when == "reset":
            raise KeyError("lost\n again.")
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        raise KeyError("lost\n again.")


@pytest.mark.parametrize("when", ["reset", "take a step"])
def test_an_environment_that_raises_is_told_in_one_sentence(when: str):
    with pytest.raises(TrainingError, match=rf"the environment to {when}, but it raised KeyError: 'lost\\n again.'\."):
        collect(Broken(when), 1)


def test_a_closed_environment_is_told():
    env = gym.make_vec("CartPole-v1", 2, vectorization_mode="async")
    env.close()
    with pytest.raises(TrainingError, match="to reset, but it raised ClosedEnvironmentError"):
        collect(env, 1)


def test_an_observation_that_is_not_finite_stops_loudly():
    env = Diary()
    env.length = lambda who, episode: 9  # type: ignore[method-assign]
    collecting = collector(env)
    go(collecting, 1)
    env.who = float("nan")  # type: ignore[assignment]
    with pytest.raises(TrainingError, match="Expected a finite observation, but the environment gave nan"):
        go(collecting, 1)


@pytest.mark.parametrize("nested", [False, True])
def test_an_environment_may_reuse_its_observation(nested: bool):
    plain, reused = (collect(Diary(reuse=reuse, nested=nested), 40) for reuse in (False, True))
    assert torch.equal(plain.rows.state, reused.rows.state)
    assert torch.equal(plain.rows.next_state, reused.rows.next_state)


def test_bounded_actions_reach_the_environment_squashed():
    seen = []

    class Wide(Script):
        def step(self, action: Any) -> Any:
            seen.append(action)
            return super().step(action)

    env = Wide(THREE)
    env.action_space = gym.spaces.Box(-3, 1, (2, 2), dtype=np.float32)
    rows = collect(env, 5).rows
    assert rows.action.shape == (5, 4)
    expected = -3 + (torch.tanh(rows.action.double()) + 1) / 2 * 4
    np.testing.assert_allclose(np.stack(seen).reshape(5, 4), expected.numpy(), rtol=1e-6)
    assert all(action in env.action_space for action in seen)


def test_images_cross_as_they_are():
    pytest.importorskip("minigrid")
    from minigrid.wrappers import ImgObsWrapper

    rows = collect(ImgObsWrapper(gym.make("MiniGrid-Empty-5x5-v0")), 20).rows
    assert (rows.state.shape, rows.state.dtype) == ((20, 7, 7, 3), torch.uint8)


def test_what_minigrid_says_in_words_is_left_out():
    pytest.importorskip("minigrid")
    with pytest.warns(GioWarning, match="but mission cannot be flattened") as told:
        rows = collect(gym.make("MiniGrid-Empty-5x5-v0"), 20).rows
    assert len(told) == 1
    assert rows.state.shape == (20, 4 + 7 * 7 * 3)


def test_a_resumed_count_begins_another_episode():
    env = Script(THREE)
    collecting = collector(env)
    ended = {"episodes": 7, "returns": [1.0, 2.0], "lengths": [3, 4]}
    collecting.resume({**ended, "next_seed": None, "running": None, "statistics": [[]]})
    another = collecting.snapshot()["next_seed"]
    assert another not in (None, collecting.seed)
    rows = go(collecting, 3).rows
    assert (collecting.episodes, list(collecting.returns), env.seeds) == (8, [1.0, 2.0, 1.5], [another])
    assert rows.state.tolist() == [0, 1, 2]
    assert collecting.snapshot()["lengths"] == [3, 4, 3]


def test_two_collectors_that_share_an_environment_do_not_mix_their_episodes():
    env = Script([(1, 1.0, False, False), (2, 1.0, False, False)])
    one, other = collector(env, seed=1), collector(env, seed=2)
    for collecting in (one, other, one):
        collected = go(collecting, 2)
        assert collected.rows.state.tolist() == [0, 1]
        assert collected.begins.tolist() == [True, False]
    assert env.seeds == [1, 2, None]


def test_an_environment_that_nobody_holds_is_given_back():
    env = Script(THREE)
    seen = weakref.ref(env)
    collect(env, 2)
    del env
    gc.collect()
    assert seen() is None


def test_only_the_last_hundred_episodes_are_remembered():
    collecting = Collector(Script([(1, 1.0, True, False)]), seed=0, device=CPU)
    go(collecting, 130)
    assert (collecting.episodes, len(collecting.returns), len(collecting.lengths)) == (130, 100, 100)
