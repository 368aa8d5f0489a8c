"""Dreaming in the loop: off by default, resumed bit for bit, paid like real rows, and told when it cannot be.

Cost: 12 s.
"""

from pathlib import Path
from typing import Any

import gymnasium
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.dreaming import NetworkDreams, NoRollouts, TableDreams
from gio_pyro.errors import InputError
from tests.signals.test_reward_mix import NAMED, QUICK

from ..agents import differences, untouched
from ..environments import make

SMALL: dict[str, Any] = {"learning_starts": 20, "batch_size": 16, "hidden": (8, 8), "log_interval": 30}
DREAM: dict[str, Any] = {"dream_horizon": 3, "dream_share": 0.5}
WORLDS: dict[str, tuple[dict[str, Any], type]] = {
    "gio/SlipperyLine-v0": (QUICK, TableDreams),
    "CartPole-v1": (SMALL, NetworkDreams),
    "Pendulum-v1": (SMALL | {"future": "NextStateAndReward()"}, NetworkDreams),
}


def test_nobody_dreams_who_does_not_ask():
    first, second = GIO("FrozenLake-v1", **QUICK), GIO("FrozenLake-v1", dream_horizon=0, dream_share=0.0, **QUICK)
    assert isinstance(first.dreaming, NoRollouts)
    rows = first.learn(40).replay.all()
    assert first.dreaming.beside(rows) is rows
    assert first.dreaming.update(rows) == {}
    assert not differences(first, second.learn(40))


@pytest.mark.parametrize("env", WORLDS)
def test_it_goes_on_bit_for_bit(tmp_path: Path, env: str):
    settings, kind = WORLDS[env]
    with untouched():
        agent = GIO(env, **settings, **DREAM).learn(40)
    assert isinstance(agent.dreaming, kind)
    agent.save(tmp_path)
    other = GIO.load(tmp_path)
    assert not differences(agent.learn(20), other.learn(20))
    assert len(agent.replay) == agent.steps == 60
    assert torch.isfinite(torch.tensor(list(agent.figures.values()))).all()


def test_dreams_change_what_is_learned_and_not_what_the_programs_are_fitted_to():
    """The first round collects the same with the same draws; the programs see replay, the policy more."""
    awake = GIO("gio/SlipperyLine-v0", **QUICK).learn(20)
    dreamt = GIO("gio/SlipperyLine-v0", **QUICK, **DREAM).learn(20)
    different = differences(awake, dreamt, ignore=("/settings", "/random"))
    assert different
    assert not [place for place in different if place.startswith(("/model", "/replay", "/collector"))]


KINDS: dict[str, Any] = {
    "pictures": lambda: gymnasium.make("gio/KlyubinMaze-v0", observations="pixels"),
    "tuples": lambda: gymnasium.make("Blackjack-v1"),
    "several environments": lambda: gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_dreams_are_of_the_kind_that_replay_holds(kind: str):
    agent = GIO(KINDS[kind](), **SMALL, **DREAM).learn(60)
    read, seen = agent.dreaming.beside(agent.actor_critic.rows(agent.replay)), agent.replay.all()
    assert [x.dtype for x in read.tensors()] == [x.dtype for x in seen.tensors()]
    assert [x.shape[1:] for x in read.tensors()] == [x.shape[1:] for x in seen.tensors()]
    assert all(bool(x.float().isfinite().all()) for x in read.tensors())


def test_signals_are_read_at_dreamed_rows_too():
    agent = GIO("gio/SlipperyLine-v0", signal=NAMED, signal_value=True, **QUICK, **DREAM).learn(100)
    read = agent.dreaming.beside(agent.actor_critic.rows(agent.replay))
    assert len(read) > len(agent.replay.merged())
    (apart,) = agent.reward_mix.auxiliary(read, agent.steps)
    assert torch.equal(apart.rows.reward, (read.action == 1).float())
    assert torch.equal(agent.reward_mix.mix(read, 0).reward, torch.zeros_like(read.reward))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"dream_horizon": -1}, "Expected dream_horizon to be a whole number from 0 to 10000, but got -1"),
        ({"dream_horizon": 1.5}, "Expected dream_horizon to be a whole number from 0 to 10000, but got 1.5"),
        ({"dream_share": 1.1}, "Expected dream_share from 0 to 1 (a share of what an improvement reads), but got 1.1"),
        ({"dream_share": -0.1}, "Expected dream_share from 0 to 1"),
        ({"dream_share": float("nan")}, "Expected dream_share from 0 to 1"),
        (
            {"dream_share": 0.5},
            "Expected dream_horizon and dream_share together, both above 0 or both 0, but got 0 and",
        ),
        (
            {"dream_horizon": 5},
            "Expected dream_horizon and dream_share together, both above 0 or both 0, but got 5 and",
        ),
        ({**DREAM, "future": "StateAfter(2)"}, "Expected a future that holds the next state where the policy dreams"),
        ({**DREAM, "future": "Return(5)"}, "Expected a future that holds the next state where the policy dreams"),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], says: str):
    with pytest.raises(InputError) as caught:
        GIO(make(), **settings)
    assert str(caught.value).startswith(says)
