"""Transitions are whole, episodes are counted, and spaces may start anywhere."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.environment import Behaviour, Collector, Encoding, fresh_copy, make_env
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.types import Policy, Transitions


class Script(gym.Env[Any, Any]):
    """Plays given steps `(observation, reward, terminated, truncated)` over and over; resets to `first`."""

    def __init__(self, steps: Sequence[tuple[Any, Any, bool, bool]], first: Any = 0, start: int = 0) -> None:
        self.observation_space, self.action_space = Discrete(10, start=start), Discrete(3, start=start)
        self.script, self.first = steps, first
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        return self.first, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        now = self.script[len(self.actions) % len(self.script)]
        self.actions.append(action)
        return *now, {}


def uniform(state: Tensor) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), 3))


def four(state: Tensor) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), 4))


def behaviour(policy: Policy = uniform, share: float = 0.0) -> Behaviour:
    return Behaviour(policy, share, torch.device("cpu"))


def collector(env: gym.Env[Any, Any], seed: int = 5) -> Collector:
    return Collector(env, seed=seed)


def collect(env: gym.Env[Any, Any], steps: int) -> Transitions:
    return collector(env).collect(behaviour(), steps)


@pytest.fixture(autouse=True)
def _same_draws():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


THREE = [(1, 0.0, False, False), (2, 0.5, False, False), (3, 1.0, True, False)]
CUT = [(1, 0.0, False, False), (2, 0.5, False, True)]


def test_a_transition_is_what_happened():
    rows = collect(Script(THREE), 3)
    assert rows.state.tolist() == [0, 1, 2]
    assert rows.next_state.tolist() == [1, 2, 3]
    assert rows.reward.tolist() == [0.0, 0.5, 1.0]
    assert rows.terminated.tolist() == [False, False, True]
    assert rows.truncated.tolist() == [False] * 3
    assert rows.weight.tolist() == [1.0] * 3


def test_the_actions_recorded_are_those_taken():
    env = Script(THREE)
    assert collect(env, 30).action.tolist() == env.actions


def test_the_first_state_of_an_episode_is_never_a_next_state():
    rows = collect(Script(THREE, first=9), 12)
    assert 9 not in rows.next_state.tolist()
    assert rows.state.tolist() == [9, 1, 2] * 4


def test_a_truncated_episode_keeps_its_last_state_and_starts_again():
    rows = collect(Script(CUT, first=9), 6)
    assert rows.next_state.tolist() == [1, 2] * 3
    assert rows.state.tolist() == [9, 1] * 3
    assert rows.truncated.tolist() == [False, True] * 3
    assert not bool(rows.terminated.any())


def test_an_episode_goes_on_across_calls():
    collecting = collector(Script(THREE))
    states = [collecting.collect(behaviour(), 2).state.tolist() for _ in range(3)]
    assert states == [[0, 1], [2, 0], [1, 2]]


def test_a_collected_chain_of_states_is_unbroken():
    rows = collector(gym.make("FrozenLake-v1")).collect(behaviour(four), 400)
    ended = rows.terminated | rows.truncated
    assert torch.equal(rows.next_state[:-1][~ended[:-1]], rows.state[1:][~ended[:-1]])
    assert bool((rows.state[1:][ended[:-1]] == 0).all())


def test_every_collected_transition_can_happen():
    env = gym.make("CliffWalking-v1", max_episode_steps=50)
    rows = collector(env).collect(behaviour(four), 300)
    for s, a, r, n in zip(*(x.tolist() for x in (rows.state, rows.action, rows.reward, rows.next_state)), strict=True):
        assert any(p > 0 and (n, r) == (after, reward) for p, after, reward, _ in env.unwrapped.P[s][a])
    assert bool(rows.truncated.any())


def test_episodes_are_counted_with_return_and_length():
    collecting = collector(Script(THREE))
    collecting.collect(behaviour(), 8)
    assert collecting.episodes == 2
    assert list(collecting.returns) == [1.5, 1.5]
    assert list(collecting.lengths) == [3, 3]


def test_only_the_first_reset_is_seeded():
    env = Script(THREE)
    collector(env, seed=42).collect(behaviour(), 9)
    assert env.seeds == [42, None, None]


def test_spaces_that_do_not_start_at_zero_are_counted_from_zero():
    env = Script([(6, 0.0, False, False), (14, 0.0, False, False)], first=5, start=5)
    rows = collect(env, 2)
    assert rows.state.tolist() == [0, 1]
    assert rows.next_state.tolist() == [1, 9]
    assert [a - 5 for a in env.actions] == rows.action.tolist()


@pytest.mark.parametrize("observation", [np.int64(3), np.array(3), 3.0, True + 2])
def test_an_observation_may_be_any_whole_number(observation: Any):
    assert collect(Script([(observation, 0.0, False, False)]), 1).next_state.tolist() == [3]


@pytest.mark.parametrize("observation", [10, -1, 2.5, float("nan"), float("inf"), "x", None, [1, 2]])
def test_an_observation_outside_the_space_is_refused(observation: Any):
    with pytest.raises(InputError, match="Expected an observation between 0 and 9, but got"):
        collect(Script([(observation, 0.0, False, False)]), 1)


def test_a_first_observation_outside_the_space_is_refused():
    with pytest.raises(InputError, match="between 0 and 9, but got 77"):
        collect(Script(THREE, first=77), 1)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), -float("inf"), np.float64("nan")])
def test_a_reward_that_is_not_finite_stops_loudly(reward: float):
    with pytest.raises(TrainingError, match="Expected a finite reward, but the environment gave"):
        collect(Script([(1, reward, False, False)]), 1)


@pytest.mark.parametrize("reward", [None, "much", [1.0, 2.0]])
def test_a_reward_that_is_no_number_stops_with_an_error_of_this_library(reward: Any):
    with pytest.raises(TrainingError):
        collect(Script([(1, reward, False, False)]), 1)


@pytest.mark.parametrize("reward", [1, np.float64(1.0), np.float32(1.0), True, np.array(1.0)])
def test_a_reward_may_be_any_number(reward: Any):
    assert collect(Script([(1, reward, False, False)]), 1).reward.tolist() == [1.0]


def test_rewards_and_flags_have_the_dtypes_of_replay():
    rows = collect(Script([(1, np.float64(1.0), np.bool_(True), np.bool_(False))]), 2)
    assert (rows.reward.dtype, rows.terminated.dtype, rows.truncated.dtype) == (torch.float32, torch.bool, torch.bool)
    assert (rows.state.dtype, rows.action.dtype) == (torch.int64, torch.int64)


@pytest.mark.parametrize("bad", [(7, float("nan"), False, False), (99, 0.0, False, False)])
def test_after_a_bad_step_no_false_transition_is_recorded(bad: tuple[Any, Any, bool, bool]):
    env = Script([(1, 0.0, False, False), bad, (3, 0.0, False, False)])
    collecting = collector(env)
    collecting.collect(behaviour(), 1)
    with pytest.raises((TrainingError, InputError)):
        collecting.collect(behaviour(), 1)
    pair = collecting.collect(behaviour(), 1)
    assert (pair.state.item(), pair.next_state.item()) != (1, 3)


def test_an_environment_that_raises_is_told_in_one_error():
    class Broken(Script):
        def step(self, action: Any) -> Any:
            raise KeyError("lost")

    with pytest.raises(TrainingError, match="it raised KeyError: 'lost'"):
        collect(Broken(THREE), 1)


def skewed(state: Tensor) -> dist.Categorical:
    return dist.Categorical(probs=torch.tensor([0.7, 0.2, 0.1]).expand(len(state), 3))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_recorded_behaviour_is_the_probability_of_the_action(share: float):
    rows = collector(Script(THREE)).collect(behaviour(skewed, share), 60)
    mu = (1 - share) * torch.tensor([0.7, 0.2, 0.1]) + share / 3
    torch.testing.assert_close(rows.behaviour, mu[rows.action])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_actions_are_drawn_with_the_recorded_probability(share: float):
    acting, n = behaviour(skewed, share), 10_000
    action = torch.tensor([acting.act(0, (k + 0.5) / n)[0] for k in range(n)])
    mu = (1 - share) * torch.tensor([0.7, 0.2, 0.1]) + share / 3
    torch.testing.assert_close(torch.bincount(action, minlength=3) / n, mu, atol=2 / n, rtol=0)


def test_collected_actions_have_the_recorded_frequencies():
    action = collector(Script(THREE)).collect(behaviour(skewed, 0.3), 5_000).action
    mu = 0.7 * torch.tensor([0.7, 0.2, 0.1]) + 0.1
    frequency = torch.bincount(action, minlength=3) / 5_000
    assert float(((frequency - mu).abs() / (mu * (1 - mu) / 5_000).sqrt()).max()) < 5.0


@pytest.mark.parametrize("quantile", [0.0, 0.5, 1 - 2**-53])
def test_an_action_of_probability_zero_is_never_taken(quantile: float):
    def sure(state: Tensor) -> dist.Categorical:
        return dist.Categorical(logits=torch.tensor([-torch.inf, 0.0, -torch.inf]).expand(len(state), 3))

    assert behaviour(sure).act(0, quantile) == (1, 1.0)


def test_an_encoding_counts_from_the_start_of_the_space():
    encoding = Encoding.of(Discrete(4, start=-2))
    assert [encoding.index(v) for v in (-2, -1, 0, 1)] == [0, 1, 2, 3]
    assert encoding.space == Discrete(4)


def test_a_resumed_collector_begins_an_episode_without_the_seed():
    env = Script(THREE)
    collecting = collector(env)
    collecting.resume({"episodes": 7, "returns": [1.0, 2.0], "lengths": [3, 4], "seeded": True})
    rows = collecting.collect(behaviour(), 3)
    assert (collecting.episodes, list(collecting.returns), env.seeds) == (8, [1.0, 2.0, 1.5], [None])
    assert rows.state.tolist() == [0, 1, 2]


def test_an_environment_passes_through():
    env = Script(THREE)
    assert make_env(env) is env


@pytest.mark.parametrize("name", ["NoSuchWorld-v0", "not an id", "no_such_module:World-v0"])
def test_an_unknown_id_is_refused(name: str):
    with pytest.raises(InputError, match="a registered environment, but got"):
        make_env(name)


def test_an_argument_that_the_environment_does_not_take_is_refused():
    with pytest.raises(InputError, match="arguments that FrozenLake-v1 takes"):
        make_env("FrozenLake-v1", wheels=4)


@pytest.mark.parametrize("thing", [None, 3, object(), gym.make_vec("FrozenLake-v1", 2, vectorization_mode="sync")])
def test_what_is_no_environment_is_refused(thing: Any):
    with pytest.raises(InputError, match=r"an environment id or a gymnasium.Env, but got"):
        make_env(thing)


@pytest.mark.parametrize("name", ["observation", "action"])
def test_a_space_that_is_not_discrete_is_refused(name: str):
    env = Script(THREE)
    setattr(env, f"{name}_space", Box(0.0, 1.0, (2,)))
    with pytest.raises(InputError, match=f"Expected a Discrete {name} space, but .* has Box"):
        make_env(env)


def test_a_fresh_copy_is_another_environment_of_the_same_kind():
    env = gym.make("FrozenLake-v1", is_slippery=False)
    copy = fresh_copy(env)
    assert copy.unwrapped is not env.unwrapped
    assert copy.unwrapped.P[0] == env.unwrapped.P[0]


def test_an_environment_without_a_spec_cannot_be_copied():
    with pytest.raises(InputError, match="it has no spec"):
        fresh_copy(Script(THREE))
