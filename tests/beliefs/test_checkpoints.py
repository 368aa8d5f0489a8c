"""Agents with a world model are saved whole, continue exactly, and share nothing."""

import copy
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gio_pyro import GIO
from gio_pyro.checkpointing import file_format
from gio_pyro.errors import CheckpointError, GioWarning
from gio_pyro.nn.graphs import function
from tests.agents import differences
from tests.beliefs.agents import Rewarded, Short, Tiny, small

PASSED: dict[str, Any] = {"world_model": Tiny, "device": "cpu"}
"""Programs that are not of the library are passed again."""
REPORTS = ("/largest", "/playing")
"""What changes with every report, and with every call of predict."""


def vector(mode: AutoresetMode, count: int = 3) -> SyncVectorEnv:
    return SyncVectorEnv([Short] * count, autoreset_mode=mode)


def reloaded(agent: GIO, path: Path, environment: Any, **others: Any) -> GIO:
    agent.save(path)
    return GIO.load(path, environment=environment, **PASSED | others)


@pytest.mark.parametrize(
    ("how", "steps"),
    [(False, 3), (False, 31), pytest.param(False, 46, marks=pytest.mark.slow), ("auto", 31)],
)
def test_a_loaded_agent_continues_bit_for_bit(tmp_path: Path, how: Any, steps: int, monkeypatch: pytest.MonkeyPatch):
    """Before the first update, after some, and within an episode; as it is, and captured, with falling step sizes."""
    monkeypatch.setattr(function, "CAPTURED_AFTER", 3)
    agent = small(compile=how, annealing="linear:1:0:80").learn(steps)
    other = reloaded(agent, tmp_path, Short())
    assert differences(agent, other) == []
    assert differences(agent.learn(20), other.learn(20)) == []
    assert bool(agent.beliefs.running.belief.any())
    if how == "auto":
        assert agent.beliefs.fitted.captures == 1
        assert agent.beliefs.followed.captures > 0
        assert agent.beliefs.stepped.captures == 1


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_several_environments_continue_bit_for_bit(tmp_path: Path, mode: AutoresetMode):
    agent = small(vector(mode), filter=Rewarded).learn(40)
    other = reloaded(agent, tmp_path, vector(mode), filter=Rewarded)
    assert differences(agent, other) == []
    assert differences(agent.learn(21), other.learn(21)) == []


def test_a_small_buffer_continues_bit_for_bit(tmp_path: Path):
    agent = small(buffer_size=16).learn(45)
    other = reloaded(agent, tmp_path, Short())
    assert differences(agent.learn(20), other.learn(20)) == []


def test_saving_and_reading_do_not_change_what_is_learned(tmp_path: Path):
    first, second = small(), small()
    first.learn(40)
    second.learn(20).save(tmp_path)
    second.metrics()
    second.predict([0.0, 0.0])
    second.learn(20)
    assert differences(first, second, REPORTS) == []


SCRIPT = """
import sys, warnings
from gio_pyro import GIO
from tests.beliefs.agents import Short, Tiny
agent = GIO.load(sys.argv[1], environment=Short(), world_model=Tiny, device="cpu")
agent.learn(20).save(sys.argv[2])
"""


@pytest.mark.slow
def test_another_process_continues_bit_for_bit(tmp_path: Path):
    agent = small().learn(31)
    agent.save(tmp_path / "before")
    subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "before", tmp_path / "after"], check=True)
    other = GIO.load(tmp_path / "after", environment=Short(), **PASSED)
    assert differences(agent.learn(20), other) == []


def test_a_program_of_the_library_needs_nothing(tmp_path: Path):
    given = {"world_model": "FiniteStateSpace", "filter": "CategoricalFilter"}
    agent = small("gio/Tiger-v0", **given).learn(30)
    agent.save(tmp_path)
    other = GIO.load(tmp_path, device="cpu")
    assert other.programs == agent.programs
    assert differences(agent.learn(10), other.learn(10)) == []


def test_another_number_of_environments_begins_new_episodes(tmp_path: Path):
    agent = small(vector(AutoresetMode.SAME_STEP)).learn(42)
    with pytest.warns(GioWarning, match="3 environments as in training, but got 2 environments"):
        other = reloaded(agent, tmp_path, vector(AutoresetMode.SAME_STEP, 2))
    assert other.beliefs.running.belief.shape[0] == 2
    assert bool(other.beliefs.running.begins.all())
    assert differences(agent.beliefs.world.state_dict(), other.beliefs.world.state_dict()) == []
    other.learn(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = reloaded(agent, tmp_path, Short())
    one.learn(10)


def test_half_a_file_is_no_checkpoint(tmp_path: Path):
    agent = small().learn(20)
    agent.save(tmp_path)
    path = tmp_path / file_format.NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError):
        GIO.load(tmp_path, environment=Short(), **PASSED)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda state: state["replay"]["rows"]["preceding"].fill_(200),
        lambda state: state["replay"]["rows"].pop("preceding"),
        lambda state: state["replay"]["rows"].update(preceding=state["replay"]["rows"]["preceding"].float()),
        lambda state: state["replay"]["rows"].update(preceding=-state["replay"]["rows"]["preceding"].int() - 1),
        lambda state: state["replay"]["rows"]["preceding"].copy_(1 - state["replay"]["rows"]["preceding"].clamp(max=1)),
        lambda state: state["beliefs"].update({"running.belief": torch.zeros(1, 3)}),
        lambda state: state["beliefs"]["running.belief"].fill_(torch.nan),
        lambda state: state["beliefs"].pop("running.action"),
        lambda state: state.pop("beliefs"),
        lambda state: state.pop("world_update"),
        lambda state: state["optimisers"].pop("world"),
        lambda state: state["world_update"].update(calls=1.5),
    ],
)
def test_a_damaged_checkpoint_has_its_sentence(tmp_path: Path, spoil: Any):
    small().learn(31).save(tmp_path)
    state = file_format.read(tmp_path)
    spoil(state)
    file_format.write(tmp_path, state)
    with pytest.raises(CheckpointError) as found:
        GIO.load(tmp_path, environment=Short(), **PASSED)
    assert len(str(found.value)) <= 300


def test_another_world_model_or_none_is_refused(tmp_path: Path):
    small().learn(8).save(tmp_path)

    class Other(Tiny):
        pass

    for given in ({"world_model": Other}, {"world_model": Tiny, "filter": Rewarded}):
        with pytest.raises(CheckpointError, match="as in training"):
            GIO.load(tmp_path, environment=Short(), device="cpu", **given)
    with pytest.raises(CheckpointError, match="Tiny"):
        GIO.load(tmp_path, environment=Short(), device="cpu")


def test_a_copy_continues_alike_and_apart():
    agent = small().learn(31)
    other = copy.deepcopy(agent)
    assert differences(agent, other) == []
    agent.learn(20)
    assert differences(agent, other) != []
    other.learn(20)
    assert differences(agent, other) == []
    own = {tensor.data_ptr() for tensor in agent.beliefs.state_dict().values()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in other.beliefs.state_dict().values())


def test_two_agents_of_one_program_share_nothing():
    program = small().beliefs.world.model.program
    alone = small(world_model=program, filter="RecurrentFilter").learn(40)
    first, second = (small(world_model=program, filter="RecurrentFilter") for _ in range(2))
    for _ in range(10):
        first.learn(4)
        second.learn(4)
    assert differences(alone, first, REPORTS) == []
    assert differences(alone, second, REPORTS) == []
