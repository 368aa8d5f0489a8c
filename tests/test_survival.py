"""A run that ends anywhere, by saving, by a kill or by a full disk, goes on as if it had not ended."""

import errno
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode

from gio_pyro import GIO, checkpoint
from gio_pyro.errors import CheckpointError, GioWarning, InputError, TrainingError
from tests.agents import differences
from tests.environments import make

HALF, WHOLE = 120, 240
SMALL: dict[str, Any] = {"learning_starts": 50, "batch_size": 32, "hidden": (16, 16), "log_interval": 50}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ROOT = Path(__file__).parent.parent


def vector(name: str, count: int, mode: AutoresetMode = AutoresetMode.NEXT_STEP, **kwargs: Any) -> Any:
    how = {"autoreset_mode": mode}
    return gym.make_vec(name, count, vectorization_mode="sync", vector_kwargs=how, **kwargs)


def minigrid() -> Any:
    import minigrid  # noqa: F401

    return gym.make("MiniGrid-Empty-8x8-v0", max_steps=50)


def agent_of(env: Any, **settings: Any) -> GIO:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GioWarning)  # the text "mission" of MiniGrid is left out
        return GIO(env() if callable(env) else env, **{**SMALL, **settings})


CASES: dict[str, Callable[[], GIO]] = {
    "Pendulum": partial(agent_of, "Pendulum-v1"),
    "Pendulum, learned temperature": partial(agent_of, "Pendulum-v1", temperature="auto:0.3", seed=4),
    "Pendulum, scheduled temperature": partial(agent_of, "Pendulum-v1", temperature="linear:0.5:0.05:200"),
    "Pendulum, UniformGuide": partial(agent_of, "Pendulum-v1", guide="UniformGuide"),
    "Pendulum, replayed": partial(agent_of, "Pendulum-v1", intrinsic="replayed"),
    "Pendulum, a ring that is full": partial(agent_of, "Pendulum-v1", buffer_size=70),
    "CartPole": partial(agent_of, "CartPole-v1"),
    "CartPole, learned temperature": partial(agent_of, "CartPole-v1", temperature="auto", uniform_share=0.3),
    "3 CartPoles": partial(agent_of, partial(vector, "CartPole-v1", 3)),
    "3 Pendulums, same step": partial(
        agent_of, partial(vector, "Pendulum-v1", 3, AutoresetMode.SAME_STEP, max_episode_steps=17)
    ),
    "FrozenLake": partial(agent_of, "FrozenLake-v1", train_freq=20, batch_size=None, gradient_steps=3, sweeps=20),
}
if find_spec("minigrid"):
    CASES["MiniGrid"] = partial(agent_of, minigrid)

NEW_PROCESS = """
import sys, warnings
import torch
torch.set_num_threads(1)
import gio_pyro
try:
    import minigrid
except ImportError:
    pass
warnings.simplefilter("ignore")
warnings.filterwarnings("error", message=".*running episode")
for folder in sys.argv[2:]:
    agent = gio_pyro.GIO.load(folder)
    agent.learn(int(sys.argv[1]) - agent.steps).save(folder)
"""


def stop_at(steps: int) -> Callable[..., bool]:
    return lambda agent, metrics: agent.steps < steps


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case, learned by half, saved, and learned on by another process; those of vectors end with a callback."""
    folder = tmp_path_factory.mktemp("resumed")
    folders = {name: folder / str(number) for number, name in enumerate(CASES)}
    for name, make_agent in CASES.items():
        agent = make_agent()
        if agent.collector.world.count > 1 or name == "CartPole":
            agent.learn(WHOLE, callback=stop_at(HALF))
        else:
            agent.learn(HALF)
        agent.save(folders[name])
    command = [sys.executable, "-c", NEW_PROCESS, str(WHOLE), *map(str, folders.values())]
    subprocess.run(command, check=True, env=ENVIRONMENT, timeout=300)
    return {name: checkpoint.read(path) for name, path in folders.items()}


@pytest.mark.parametrize("name", CASES)
def test_half_saved_and_half_in_a_new_process_are_the_whole(resumed: dict[str, dict[str, Any]], name: str):
    whole = CASES[name]().learn(WHOLE)
    found = differences(resumed[name], checkpoint_of(whole))
    assert found == []
    assert len(whole.replay) > 0


def test_minigrid_is_among_the_cases():
    pytest.importorskip("minigrid")
    assert "MiniGrid" in CASES


def checkpoint_of(agent: GIO) -> dict[str, Any]:
    from gio_pyro import persistence

    return {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, **persistence.state_of(agent)}
