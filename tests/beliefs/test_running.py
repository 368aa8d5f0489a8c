"""The running belief of each environment is what the filter makes of its episode."""

from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import Tensor

from gio_pyro import GIO
from tests.beliefs.agents import Rewarded, Short, Tiny, small

N = 3
LONG = 40
"""A burn-in longer than any episode."""


def vector(mode: AutoresetMode) -> SyncVectorEnv:
    return SyncVectorEnv([lambda i=i: Short(number=i) for i in range(N)], autoreset_mode=mode)


def recorded(agent: GIO) -> list[Tensor]:
    """Every belief `[N, D]` that the agent acts upon from now on."""
    found: list[Tensor] = []
    inner = agent.beliefs.updated

    def updated(*given: Tensor) -> Tensor:
        found.append(inner(*given).clone())
        return found[-1]

    agent.beliefs.updated = updated
    return found


def without_learning(environment: Any, **others: Any) -> GIO:
    """The filter stays as it is: nothing is fitted before the first batch."""
    own = {"filter": Rewarded, "batch_size": 900, "learning_starts": 1_000, "burn_in": LONG, "piece_length": LONG + 1}
    return small(environment, **own | others)


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_beliefs_of_several_environments_are_those_recomputed_from_replay(mode: AutoresetMode):
    agent = without_learning(vector(mode))
    beliefs = recorded(agent)
    for steps in (1, 7, 30, 2, 50, 40):  # learning is interrupted within episodes
        agent.learn(steps)
    rows = agent.replay.all()
    for stream in range(N):
        own = rows[rows.stream == stream]
        places, place = [], 0
        for ended in (own.terminated | own.truncated).tolist():
            places.append(place)
            place += 2 if ended and mode is AutoresetMode.NEXT_STEP else 1  # a mere reset
        torch.testing.assert_close(own.state, torch.stack([beliefs[place][stream] for place in places]))
        assert len(own.episode.unique()) > 5
        follows = own.episode[1:] == own.episode[:-1]
        torch.testing.assert_close(own.next_state[:-1][follows], own.state[1:][follows])
    torch.testing.assert_close(agent.beliefs.running.belief, beliefs[-1])


def test_the_belief_of_a_new_episode_does_not_depend_on_the_one_before():
    agent = without_learning(Short())
    agent.learn(60)
    rows = agent.replay.all()
    first = torch.cat([torch.tensor([True]), rows.episode[1:] != rows.episode[:-1]])
    seen = agent.replay.seen.all().state[first]
    torch.testing.assert_close(rows.state[first], agent.beliefs.world.begin(seen))


def test_the_final_belief_of_an_episode_is_that_of_its_final_observation():
    agent = without_learning(Short())
    agent.learn(60)
    rows, seen = agent.replay.all(), agent.replay.seen.all()
    torch.testing.assert_close(rows.next_state[:, Tiny.memory : Tiny.memory + 2], seen.next_state)
    torch.testing.assert_close(rows.state[:, Tiny.memory : Tiny.memory + 2], seen.state)


def test_a_short_burn_in_forgets_what_was_before():
    agent = without_learning(Short(longest=30), burn_in=3, piece_length=4)
    agent.learn(60)
    rows, seen = agent.replay.all(), agent.replay.seen.all()
    for number in (10, 25, 59):
        own = [n for n in range(60) if rows.episode[n] == rows.episode[number] and n <= number][-4:]
        belief = agent.beliefs.world.begin(seen.state[own[:1]])
        for n in own[:-1]:
            belief = agent.beliefs.world.update(belief, seen.action[n : n + 1], _seen(seen, n))
        torch.testing.assert_close(rows.state[number : number + 1], belief)


def _seen(rows: Any, number: int) -> Any:
    from gio_pyro.types import Seen

    one = rows[number : number + 1]
    return Seen(one.next_state, one.reward, one.terminated)


def test_beliefs_are_right_after_old_transitions_were_overwritten():
    agent = without_learning(vector(AutoresetMode.SAME_STEP), buffer_size=20, batch_size=20, learning_starts=1_000)
    agent.settings.__dict__["batch_size"] = 900  # nothing is fitted
    beliefs = recorded(agent)
    agent.learn(90)
    rows = agent.replay.all()
    assert len(rows) == 20
    whole = rows.episode > rows.episode.min()
    for row in range(20):
        episode = rows[rows.episode == rows.episode[row]]
        stream = int(rows.stream[row])
        known = int(episode.time[0]) > int(agent.replay.oldest) + N and bool(whole[row])
        if known:
            torch.testing.assert_close(rows.state[row], beliefs[int(rows.time[row]) // N][stream])


def test_an_environment_that_another_agent_has_moved_begins_anew():
    environment = gym.wrappers.TimeLimit(Short(longest=30), 30)
    first, second = (without_learning(environment) for _ in range(2))
    first.learn(5)
    second.learn(5)
    beliefs = recorded(first)
    first.learn(3)
    rows = first.replay.latest(3)
    torch.testing.assert_close(rows.state, torch.cat(beliefs))
    assert len(first.replay.all().episode.unique()) > 1
