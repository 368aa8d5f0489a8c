"""Worlds with hidden states: their spaces, seeds and tables, and what the exact tier says of them."""

import warnings
from collections import Counter
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from gymnasium.utils.env_checker import check_env

import gio_pyro as gio
from gio_pyro.cli.learned_empowerment import _compare_with_exact
from gio_pyro.diagnostics.exact import exact_world
from gio_pyro.envs import HIDDEN_IDS, HiddenState, Maze, NoisyFrozenLake, RepeatFirst, Tiger, TMaze
from gio_pyro.errors import InputError
from gio_pyro.tabular import POMDP, TabularMDP, belief_return, forward_filter, point_based
from gio_pyro.tabular.reading import next_states_and_rewards

TABLES = [f"gio/{name}-v0" for name in ("Tiger", "TMaze", "RepeatFirst", "NoisyFrozenLake")]
USUAL = ("A Box observation space m", "For Box action spaces")
"""What Gymnasium's checker says of unbounded observations, and of the actions of Pendulum."""


@pytest.mark.parametrize("id_", HIDDEN_IDS)
def test_gymnasium_finds_nothing_else_to_warn_of(id_: str):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(gym.make(id_).unwrapped, skip_render_check=True)
    assert [str(one.message) for one in said if not any(usual in str(one.message) for usual in USUAL)] == []


def episode(env: gym.Env[Any, Any], seed: int, steps: int = 30) -> list[Any]:
    seen, info = env.reset(seed=seed)
    env.action_space.seed(seed)
    events = [(np.asarray(seen).tolist(), np.asarray(info["state"]).tolist())]
    for _ in range(steps):
        seen, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert env.observation_space.contains(seen)
        events.append((np.asarray(seen).tolist(), np.asarray(info["state"]).tolist(), reward, terminated))
        if terminated or truncated:
            break
    return events


@pytest.mark.parametrize("id_", HIDDEN_IDS)
def test_a_seed_says_how_an_episode_goes(id_: str):
    env = gym.make(id_)
    first, again = episode(env, 3), episode(gym.make(id_), 3)
    assert first == again == episode(env, 3)
    assert len({str(episode(env, seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize("id_", TABLES)
def test_what_happens_has_the_frequencies_of_the_tables(id_: str):
    """4 standard deviations of a binomial, for each of the pairs (s, a) that were met."""
    env, pomdp = gym.make(id_), POMDP.from_env(gym.make(id_))
    moves: Counter[Any] = Counter()
    symbols: Counter[Any] = Counter()
    env.action_space.seed(0)
    seen, info = env.reset(seed=0)
    for _ in range(4_000):
        state, action = info["state"], env.action_space.sample()
        seen, _, terminated, truncated, info = env.step(action)
        moves[state, action, info["state"]] += 1
        symbols[action, info["state"], seen] += 1
        if terminated or truncated:
            seen, info = env.reset()
    for found, table in ((moves, pomdp.mdp.transition), (symbols, pomdp.observation)):
        counts = torch.zeros(table.shape, dtype=torch.float64)
        for place, count in found.items():
            counts[place] = count
        total = counts.sum(-1, keepdim=True)
        assert ((counts - total * table).abs() <= 4 * (total * table * (1 - table)).sqrt() + 1e-9 + total * 1e-12).all()


@pytest.mark.parametrize("id_", TABLES)
def test_a_belief_follows_an_episode(id_: str):
    env, pomdp = gym.make(id_), POMDP.from_env(gym.make(id_))
    env.action_space.seed(1)
    seen, info = env.reset(seed=1)
    observations, actions, rewards, ended = [seen], [], [], []
    while len(actions) < 30 and not any(ended):
        actions.append(env.action_space.sample())
        seen, reward, terminated, _, info = env.step(actions[-1])
        observations, rewards, ended = [*observations, seen], [*rewards, reward], [*ended, terminated]
    found = forward_filter(pomdp, observations, actions, rewards=rewards, terminated=ended)
    assert found.belief[-1, info["state"]] > 0
    blind = forward_filter(pomdp, observations, actions)
    assert found.log_likelihood.sum() <= blind.log_likelihood.sum() + 1e-12


def test_the_tiger_of_the_environment_has_the_value_of_the_literature():
    pomdp = POMDP.from_env(gym.make("gio/Tiger-v0"), discount=0.95)
    assert belief_return(pomdp, 3) == pytest.approx(-1 - 0.95 + 0.9025 * (7.225 - 2.25 - 0.255))
    found = point_based(pomdp, tolerance=0.1)
    assert found.lower <= 19.3714 <= found.upper


def test_a_tiger_that_ends():
    env = Tiger(accuracy=1.0, ends=True, render_mode="ansi")
    _, info = env.reset(seed=0)
    tiger = info["state"]
    heard, reward, *_ = env.step(0)
    assert (heard, reward) == (tiger, -1.0)
    assert env.render() == f"heard {('left', 'right')[tiger]} (state {tiger})\n"
    assert env.step(2 - tiger)[1:3] == (10.0, True)
    assert point_based(POMDP.from_env(env, discount=0.5)).lower == pytest.approx(-1 + 0.5 * 10)


@pytest.mark.parametrize("length", [1, 4])
def test_the_maze_is_worth_its_reward_at_the_junction(length: int):
    """Forward `length` times, then the arm of the cue: γ^length. Without the cue both arms are worth 0."""
    pomdp = POMDP.from_env(TMaze(length=length), discount=0.9)
    found = point_based(pomdp, tolerance=1e-6)
    assert (found.lower, found.upper) == (pytest.approx(0.9**length), pytest.approx(0.9**length))
    assert belief_return(pomdp, length + 1) == pytest.approx(0.9**length)
    assert belief_return(pomdp, length) == 0.0


def test_the_way_through_the_maze():
    env = TMaze(length=2, right=4.0, wrong=-0.1)
    cue, _ = env.reset(seed=0)
    assert [env.step(a)[0] for a in (3, 1, 0, 0, 0)] == [cue, cue, 2, 3, 3]
    assert env.step(2 + cue)[1:3] == (4.0, True)
    env.reset(seed=0)
    assert [env.step(a)[1] for a in (0, 0, 3 - cue)] == [0.0, 0.0, -0.1]


def test_to_repeat_the_first_pays_1_whatever_the_delay():
    """All episodes end, so that discount 1 is possible; without memory one answer in k is right."""
    for delay in (0, 3, 20):
        pomdp = POMDP.from_env(RepeatFirst(cues=3, delay=delay), discount=1.0)
        found = point_based(pomdp)
        assert (found.lower, found.upper) == (pytest.approx(1.0), pytest.approx(1.0))
        assert belief_return(pomdp, delay + 2, lambda b, t: [[1.0, 0.0, 0.0]] * len(b)) == pytest.approx(1 / 3)


def test_an_episode_of_memory():
    env = gym.make("gio/RepeatFirst-v0")
    cue, _ = env.reset(seed=2)
    seen = [env.step(0)[0] for _ in range(21)]
    assert seen[-1] == 4
    assert set(seen[:-1]) == {0, 1, 2, 3}
    assert env.step(cue)[1:3] == (1.0, True)


def test_the_lake_behind_the_fog_is_frozen_lake():
    env, lake = NoisyFrozenLake(is_slippery=True), gym.make("FrozenLake-v1")
    assert env.P == lake.unwrapped.P
    mdp = TabularMDP.from_env(lake)
    assert (POMDP.from_env(env).mdp.transition == mdp.transition).all()
    assert NoisyFrozenLake(desc=["SF", "FG"]).desc.shape == (2, 2)


def test_a_wrapper_leaves_the_way_of_the_environment_as_it_is():
    """The same seed gives the same states, whatever is seen."""
    foggy, clear = HiddenState(gym.make("FrozenLake-v1"), np.full((16, 2), 0.5)), gym.make("FrozenLake-v1")
    assert {foggy.reset(seed=seed)[0] for seed in range(20)} == {0, 1}
    foggy.reset(seed=4)
    clear.reset(seed=4)
    for action in (2, 1, 2, 1):
        assert foggy.step(action)[-1]["state"] == clear.step(action)[0]


def test_fog_shows_a_neighbour():
    table = NoisyFrozenLake(accuracy=0.7).observation_table[0]
    assert table[0, [0, 1, 4]].tolist() == pytest.approx([0.7, 0.15, 0.15])
    assert table[5, [1, 4, 5, 6, 9]].tolist() == pytest.approx([0.075, 0.075, 0.7, 0.075, 0.075])
    pomdp = POMDP.from_env(NoisyFrozenLake(accuracy=1.0), discount=0.9)
    assert belief_return(pomdp, 6) == pytest.approx(0.9**5)


def test_any_table_of_observations():
    """Seen through a table that depends on the action: symbol 0 at the start, then the parity of the action."""
    table = np.eye(2)[[[a % 2] * 3 for a in range(4)]]
    env = HiddenState(Maze("S.G"), table)
    assert env.observation_space == Discrete(2)
    assert [env.reset(seed=0)[0], *(env.step(a)[0] for a in (1, 0, 3))] == [0, 1, 0, 1]
    assert POMDP.from_env(env).first_observation.tolist() == [[1.0, 0.0]] * 3


@pytest.mark.parametrize(
    ("env", "observation", "message"),
    [
        ("CartPole-v1", np.ones((2, 1)), "environment with a table P that shows its state"),
        ("gio/Tiger-v0", np.ones((2, 1)), "environment with a table P that shows its state"),
        ("FrozenLake-v1", np.ones((3, 1)), r"observation table of shape \[16, X\] or \[4, 16, X\]"),
        ("FrozenLake-v1", np.ones((16, 2)), "rows of observation to be distributions"),
        ("FrozenLake-v1", "fog", "observation as a table of probabilities"),
    ],
)
def test_what_cannot_be_hidden(env: str, observation: Any, message: str):
    with pytest.raises(InputError, match=message):
        HiddenState(gym.make(env), observation)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tiger(accuracy=2.0), "accuracy to be a probability"),
        (lambda: Tiger(render_mode="human"), "render_mode to be None or 'ansi'"),
        (lambda: TMaze(length=0), "length to be a whole number from 1"),
        (lambda: TMaze(right=float("nan")), "right to be a finite number"),
        (lambda: RepeatFirst(cues=1), "cues to be a whole number from 2"),
        (lambda: NoisyFrozenLake(accuracy=-0.1), "accuracy to be a probability"),
        (lambda: NoisyFrozenLake(map_name="5x5"), "map_name to be one of '4x4', '8x8'"),
        (lambda: HiddenState(gym.make("FrozenLake-v1"), np.eye(16), np.eye(3)), r"first of shape \(16, 16\)"),
    ],
)
def test_arguments_out_of_range(make: Any, message: str):
    with pytest.raises(InputError, match=message):
        make()


def test_an_action_that_there_is_not():
    with pytest.raises(InputError, match=r"action from 0 \(listen\) to 2 \(open right\), but got 3"):
        Tiger().step(3)


@pytest.mark.parametrize("id_", TABLES[:2])
def test_an_agent_does_not_take_symbols_for_states(id_: str):
    """What it sees are symbols: the table of transitions is of other numbers, and is left to the exact tier."""
    agent = gio.GIO(id_).learn(200)
    assert exact_world(agent) is None
    assert next_states_and_rewards(agent.env) == ()


def test_learned_empowerment_of_symbols_is_not_compared_with_that_of_states(capsys: pytest.CaptureFixture[str]):
    _compare_with_exact(Tiger(), 1, torch.zeros(2))
    assert "the states of the transition table are hidden" in capsys.readouterr().out
