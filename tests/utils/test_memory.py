"""Memory checks: allocations that do not fit are refused, with their bytes, before they are made."""

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch import nn

from gio_pyro import GIO, IntrinsicReward, tabular
from gio_pyro.actor_critic import tables
from gio_pyro.actor_critic.guide_reward import reward_named
from gio_pyro.data import image_planes
from gio_pyro.data import replay_buffer as replays
from gio_pyro.data.replay_buffer import bytes_of
from gio_pyro.errors import GioWarning, InputError
from gio_pyro.utils import memory
from gio_pyro.utils.memory import MemoryCheck, format_bytes, free_bytes, memory_errors, required_bytes
from tests.data.test_replay_buffer import filled, rows
from tests.environments import make

GB = 10**9
FOUR = Discrete(4)


class World(gym.Env[Any, Any]):
    """Shows what is drawn from its space."""

    def __init__(self, observation: Any, action: Any = FOUR) -> None:
        self.observation_space, self.action_space = observation, action

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}


def free(monkeypatch: pytest.MonkeyPatch, count: float) -> None:
    """Let so many bytes be free, whatever the machine has."""
    for module in (memory, replays):
        monkeypatch.setattr(module, "free_bytes", lambda device="cpu": count)
        monkeypatch.setattr(module, "MIN_CHECKED", 0)


@pytest.mark.parametrize(
    ("count", "text"),
    [(5, "5 B"), (1234, "1.23 kB"), (393_222_000_000, "393 GB"), (8.8e12, "8.8 TB")],
)
def test_bytes_are_written_as_people_do(count: float, text: str):
    assert format_bytes(count) == text


def test_what_is_free_is_what_the_control_group_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    names = ("limit", "use", "statistics")
    for name, text in zip(names, ("1000\n", "700\n", "anon 5\ninactive_file 200\n"), strict=True):
        (tmp_path / name).write_text(text)
    group = (*(tmp_path / name for name in names), "inactive_file")
    monkeypatch.setattr(memory, "_control_groups", lambda: [group, (*[tmp_path / "none"] * 3, "")])
    assert free_bytes() == 500
    (tmp_path / "limit").write_text("max\n")
    assert 2**20 < free_bytes() == memory._host_free_bytes()


HUGE = Discrete(10**5)
NETWORKS = "take model=CategoricalNetworkModel, guide=CategoricalNetworkGuide and batch_size=256"
REFUSED = {
    "a table of counts": (partial(GIO, World(HUGE), model="DirichletModel"), f"160 GB of .*DirichletModel.*{NETWORKS}"),
    "trajectories": (
        partial(GIO, World(Discrete(1000), Discrete(8)), model="DirichletModel", future="Trajectory(2)"),
        "34.2 GB of memory for DirichletModel",
    ),
    "networks": (
        partial(GIO, World(Box(-1, 1, (3,))), hidden=(2**20, 2**20)),
        "TB of memory for policy and critic.*lower hidden",
    ),
    "networks together": (
        partial(GIO, World(Box(-1, 1, (3,))), hidden=(2**15, 2**15)),
        "GB of memory for policy and critic",
    ),
    "a reward": (partial(IntrinsicReward, World(HUGE), model="DirichletModel"), "160 GB of memory for DirichletModel"),
}


@pytest.mark.parametrize(("build", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.filterwarnings("ignore:Expected a replay")
def test_what_does_not_fit_is_refused_before_it_is_made(
    build: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(memory, "free_bytes", lambda device="cpu": 20.0 * GB)
    with pytest.raises(InputError, match=words) as caught:
        build()
    assert len(str(caught.value)) <= 300


def test_the_program_that_is_named_fits():
    GIO(World(HUGE), model="CategoricalNetworkModel", guide="CategoricalNetworkGuide", batch_size=256, hidden=(8,))


def trajectories() -> Any:
    mdp = tabular.TabularMDP(torch.full((30, 2, 30), 1 / 30), torch.zeros(30, 2), discount=0.9)
    return tabular.trajectory(3)(mdp, torch.full((30, 2), 0.5))


def sequences() -> Any:
    chance = torch.rand(40, 3, 40, generator=torch.Generator().manual_seed(0))
    mdp = tabular.TabularMDP(chance / chance.sum(-1, keepdim=True), torch.zeros(40, 3), discount=0.9)
    return tabular.empowerment(mdp, 7)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (trajectories, "trajectories of 3 steps, .*fewer steps"),
        (sequences, ".* action sequences, .*shorten the horizon"),
        (
            lambda: tabular.TabularMDP(torch.eye(2000)[:, None], torch.zeros(2000, 1), discount=0.9),
            "transitions of shape",
        ),
        (lambda: tabular.TabularMDP.from_env(gym.make("Taxi-v4")), "the tables of 500 states and 6 actions"),
    ],
)
def test_exact_tables_that_do_not_fit_are_refused(
    build: Callable[[], Any], words: str, monkeypatch: pytest.MonkeyPatch
):
    free(monkeypatch, 10**6)
    with pytest.raises(InputError, match=rf"Expected .* of memory for {words}"):
        build()


def test_a_block_that_sizes_changes_nothing_that_fits():
    def drawn() -> Any:
        torch.manual_seed(3)
        return nn.Linear(5, 4).weight.sum() + torch.rand(3).sum()

    with torch.device("cpu"), MemoryCheck("x", "y", build=drawn):
        inside = drawn()
    assert inside == drawn()


def test_what_training_adds_is_counted():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trained, self.kept = nn.Parameter(torch.zeros(100)), nn.Buffer(torch.zeros(1000))

    assert required_bytes(Both) == 4 * (4 * 100 + 1000)
    assert required_bytes(lambda: Both().kept.sum().item()) == 0  # it cannot be made without memory


@pytest.mark.parametrize(
    ("taking", "words"),
    [
        (lambda: torch.zeros(10**8, 10**6), "400 TB"),
        (lambda: np.zeros((10**8, 10**6)), r"728\. TiB"),
        (lambda: bytearray(2**62), "more memory than there is"),
    ],
)
def test_the_end_of_memory_is_one_sentence(taking: Callable[[], Any], words: str):
    with (
        pytest.raises(InputError, match=f"^Expected {words} of memory, but they are not free; take less.$"),
        memory_errors("take less"),
    ):
        taking()
    with pytest.raises(RuntimeError, match="other"), memory_errors("take less"):
        raise RuntimeError("other things")


SPACES = [
    Discrete(5),
    Box(-1, 1, (3,)),
    Box(0, 255, (9, 8, 3), np.uint8),
    Box(0, 255, (2, 9, 8, 3), np.uint8),
    Dict({"a": Box(-1, 1, (2,), np.float64), "b": Discrete(3)}),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("action", [Discrete(4), Box(-1, 1, (2,))], ids=str)
def test_a_transition_takes_as_many_bytes_as_are_told(space: Any, action: Any):
    agent = GIO(World(space, action), hidden=(8,), buffer_size=512, train_freq=30, batch_size=500).learn(30)
    ends = agent.replay.bytes - 512 * bytes_of(agent.spec)  # the next states at the ends of episodes
    assert ends < 40 * bytes_of(agent.spec)
    assert ends > 0 or len(space.shape) > 2  # planes of images are allocated as they come


def test_tables_of_many_states_grow_with_those_that_follow():
    agent = GIO(World(HUGE), train_freq=50).learn(100)
    assert agent.model.program.table.shape[0] == agent.model.program.seen.values.shape[0] == 400_000
    assert sum(p.numel() for p in agent.model.parameters()) < 20 * 400_000


PICTURES = Box(0, 255, (16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    "make", [partial(GIO, World(PICTURES), hidden=(8,)), partial(IntrinsicReward, World(PICTURES), hidden=(8,))]
)
def test_a_replay_that_will_not_fit_is_told_of_before_it_is_filled(make: Any, monkeypatch: pytest.MonkeyPatch):
    each = bytes_of(GIO(World(PICTURES), hidden=(8,)).spec)
    monkeypatch.setattr(replays, "free_bytes", lambda device="cpu": 100_000.0 * each)
    with pytest.warns(
        GioWarning, match=r"buffer_size=200000 .*807 B each are 161 MB, and 80\.7 MB is free; set buffer_size=80000"
    ):
        make(buffer_size=200_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(buffer_size=80_000)


def test_a_replay_grows_by_less_where_twice_is_too_much_and_stops_in_a_sentence(monkeypatch: pytest.MonkeyPatch):
    replay = filled(10**6, rows(*range(1024)))
    each = replay.bytes // 1024
    free(monkeypatch, each * 1024)
    replay.add(rows(*range(64)))
    assert replay.bytes // each == 1024 + 128 + 3
    free(monkeypatch, each * 100)
    words = rf"kB of memory for 1,296 transitions of {each} B each, but .* is free on cpu; set buffer_size=1152 or less"
    with pytest.raises(InputError, match=words):
        replay.add(rows(*range(128)))
    assert replay.latest(64).state.tolist() == [*range(64)]
    replay.add(rows(*range(64)))
    assert len(replay) == 1152


@pytest.mark.parametrize("space", [Discrete(50), PICTURES], ids=str)
def test_all_of_replay_at_once_is_sized_too(space: Any, monkeypatch: pytest.MonkeyPatch):
    agent = GIO(World(space), hidden=(8,), batch_size=None, train_freq=64, buffer_size=64)
    free(monkeypatch, 30_000)
    monkeypatch.setattr(agent.replay, "_affordable", lambda *given: 64)
    monkeypatch.setattr(image_planes, "require_memory", lambda *given: None)
    with pytest.raises(InputError, match=r"transitions at once, as batch_size=None has it.*; set batch_size=256"):
        agent.learn(64)


def test_many_futures_are_read_in_parts_and_read_the_same(monkeypatch: pytest.MonkeyPatch):
    agent = GIO(make(length=9), train_freq=50).learn(100)
    reward = reward_named("imagined", agent.model, agent.guide, agent.future, samples=4)
    state = torch.arange(9)
    whole = agent.actor_critic._bonus(reward, state)
    monkeypatch.setattr(tables, "AT_ONCE", 4 * agent.actor_critic.width)
    torch.testing.assert_close(agent.actor_critic._bonus(reward, state), whole, rtol=0, atol=0)
