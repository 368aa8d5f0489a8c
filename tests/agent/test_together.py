"""Agents of several seeds, updated as one: each learns what it learns by itself."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gio_pyro import GIO, learn_seeds
from gio_pyro.errors import InputError
from tests.agents import differences
from tests.slow import slow_but

SMALL: dict[str, Any] = {"hidden": (8,), "learning_starts": 20, "batch_size": 16, "log_interval": 20, "compile": False}
WORLDS = (
    ("Pendulum-v1", {"annealing": "linear:1:0:50"}),
    ("Pendulum-v1", {"guide": "UniformGuide", "temperature": "auto"}),
    ("CartPole-v1", {"train_freq": 1, "guide": "MovingMarginalGuide"}),
    ("Pendulum-v1", {"critic": "batch_renorm"}),
    ("Pendulum-v1", {"critic": "residual"}),
)


@pytest.mark.parametrize("world", slow_but(WORLDS, WORLDS[0]))
def test_each_seed_learns_what_it_learns_by_itself(world: tuple[str, dict[str, Any]], tmp_path: Path):
    name, more = world
    seen: list[tuple[int, int]] = []
    together = learn_seeds(
        name, (3, 4), 40, callback=lambda agent, _: seen.append((agent.settings.seed, agent.steps)), **SMALL | more
    )
    assert seen == [(3, 20), (4, 20), (3, 40), (4, 40)]
    for seed, agent in zip((3, 4), together, strict=True):
        alone = GIO(name, seed=seed, **SMALL | more).learn(40)
        assert alone.random.state["cpu"].equal(agent.random.state["cpu"])
        torch.testing.assert_close(agent.replay.all().state, alone.replay.all().state, rtol=0, atol=1e-4)
        for part in ("model", "guide", "actor_critic"):
            one, other = (getattr(each, part).state_dict() for each in (agent, alone))
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    first, second = together
    kept = {name: value.clone() for name, value in second.actor_critic.state_dict().items()}
    first.save(tmp_path)
    assert differences(GIO.load(tmp_path).learn(20), first.learn(20)) == []
    torch.testing.assert_close(second.actor_critic.state_dict(), kept, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("environment", "how", "why"),
    [
        ("FrozenLake-v1", {}, "agents of networks"),
        ("Pendulum-v1", {"gradient_steps": 2}, "got gradient_steps=2"),
        ("Pendulum-v1", {"signal": "RandomNetworkDistillation"}, "without a signal"),
        ("Pendulum-v1", {"explorer": "Signal", "signal": "Control"}, "an explorer"),
    ],
)
def test_what_cannot_be_updated_as_one_is_refused_in_a_sentence(environment: str, how: dict[str, Any], why: str):
    with pytest.raises(InputError, match=why):
        learn_seeds(environment, (0, 1), 10, **how)


def test_without_seeds_there_is_nothing_to_learn():
    with pytest.raises(InputError, match="seeds to be from 1 to 1000 whole numbers"):
        learn_seeds("Pendulum-v1", (), 10)
