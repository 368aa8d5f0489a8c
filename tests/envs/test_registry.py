"""The ids of the example worlds: in Gymnasium, in agents, on the command line and in checkpoints.

Cost: 15 s.
"""

import importlib
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

import gio_pyro as gio
from gio_pyro import envs
from gio_pyro.cli import training
from gio_pyro.collection import make_env
from gio_pyro.errors import InputError
from tests.agents import differences
from tests.cli.shell import gio as shell
from tests.cli.shell import train

IDS = envs.IDS
SMALL: dict[str, Any] = {"learning_starts": 20, "batch_size": 16, "hidden": (8, 8), "train_freq": 10}


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_registers_and_needs_no_torch():
    code = "import sys, gymnasium; import gio_pyro.envs as e; print(set(e.IDS) <= {*gymnasium.registry}, 'torch' in "
    assert python(f"{code}sys.modules)") == "True False"


def test_gymnasium_imports_the_package_that_an_id_names():
    made = "gymnasium.make('gio_pyro.envs:gio/Rooms-v0').unwrapped"
    assert python(f"import gymnasium; print(type({made}).__name__)") == "Rooms"


def test_registering_twice_is_harmless():
    before = {id_: gym.registry[id_] for id_ in IDS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.register()
        importlib.reload(envs)
    assert all(gym.registry[id_] is spec for id_, spec in before.items())


def test_the_ids():
    names = {"KlyubinMaze", "Rooms", "SparseMaze", "NoisyTV", "SlipperyLine", "Maze"}
    assert set(IDS) == {f"gio/{name}-v0" for name in names}
    assert {type(gym.make(id_).unwrapped).__name__ for id_ in IDS} == names


@pytest.mark.parametrize("id_", IDS)
@pytest.mark.parametrize("observations", ["state", "coordinates", "pixels"])
def test_an_agent_learns_from_every_world(id_: str, observations: str):
    small = SMALL if observations == "pixels" else {}
    agent = gio.GIO(make_env(id_, observations=observations), **small).learn(40 if small else 300)
    assert agent.steps == (40 if small else 300)


def test_an_agent_takes_an_id():
    assert gio.GIO("gio/SlipperyLine-v0").learn(300).steps == 300


def test_several_worlds_are_stepped_together():
    vector = gym.make_vec("gio/SlipperyLine-v0", num_envs=3, vectorization_mode="sync", length=4)
    agent = gio.GIO(vector, seed=1).learn(300)
    assert agent.steps >= 300
    assert isinstance(agent.evaluate(1).mean, float)


def test_it_goes_on_exactly_where_it_stopped(tmp_path: Path):
    settings = {"train_freq": 50, "learning_starts": 50, "gradient_steps": 5, "improvements": 2}
    whole = gio.GIO(make_env("gio/NoisyTV-v0", noise=0.2, channels=3), **settings).learn(230)
    half = gio.GIO(make_env("gio/NoisyTV-v0", noise=0.2, channels=3), **settings).learn(150)
    half.save(tmp_path / "half")
    assert differences(gio.GIO.load(tmp_path / "half").learn(80), whole) == []


@pytest.mark.parametrize("made", ["gio_pyro.GIO.load({path!r})", "gio_pyro.GIO('gio/Maze-v0')"])
def test_ids_are_known_where_nothing_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str):
    gio.GIO(make_env("gio/Maze-v0")).learn(50).save(tmp_path)
    for id_ in IDS:
        monkeypatch.delitem(gym.registry, id_)
    agent = eval(made.format(path=str(tmp_path)), {"gio_pyro": gio})
    assert isinstance(agent.env.unwrapped, envs.Maze)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Play little, make no film, and leave run folders where they are deleted."""
    monkeypatch.setattr(training, "BEFORE", 1)
    monkeypatch.setattr(training, "AFTER", 1)
    monkeypatch.setattr(training, "can_film", lambda agent: False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("brief")
def test_the_command_line_trains_in_a_world_of_ours(capsys: pytest.CaptureFixture[str]):
    assert train("gio/SparseMaze-v0", "--env.useless=2", steps=200) == 0
    assert "runs/gio-SparseMaze-v0-001" in capsys.readouterr().out


@pytest.mark.usefixtures("brief")
def test_the_command_line_takes_a_map_as_a_list_of_its_lines(capsys: pytest.CaptureFixture[str]):
    assert train("gio/Maze-v0", '--env.map=["S..","##G"]', steps=200) == 0
    assert re.search(r"return of the optimal policy +1\.0000", capsys.readouterr().out)


@pytest.mark.usefixtures("brief")
def test_the_command_line_says_one_sentence(capsys: pytest.CaptureFixture[str]):
    assert train("gio/Maze-v0", "--env.map=S..X") != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert "got 'X' at row 0, column 3" in said[0]


@pytest.mark.usefixtures("brief")
def test_empowerment_of_a_world_without_reward(capsys: pytest.CaptureFixture[str]):
    assert shell("empowerment", "gio/KlyubinMaze-v0", "-n", 1) == 0
    assert "2.0297 bits" in capsys.readouterr().out
    assert Path("gio-KlyubinMaze-v0-empowerment-1.png").is_file()


def test_an_argument_that_a_world_does_not_take_is_told():
    with pytest.raises(InputError, match=r"^Expected arguments that gio/Rooms-v0 takes, but got {'useless': 3}"):
        make_env("gio/Rooms-v0", useless=3)


def test_an_id_of_ours_that_there_is_not_is_told():
    with pytest.raises(InputError, match=r"^Expected a registered environment, but got 'gio/NoSuchWorld-v0'"):
        make_env("gio/NoSuchWorld-v0")


@pytest.mark.parametrize(
    ("id_", "given", "sentence"),
    [
        ("Maze", {"noise": 1.5}, "Expected noise to be a probability in [0, 1], but got 1.5; 0.1 is one."),
        ("Rooms", {"door": -0.1}, "Expected door to be a probability in [0, 1], but got -0.1; 0.1 is one."),
        ("KlyubinMaze", {"noise": "x"}, "Expected noise to be a probability in [0, 1], but got 'x'; 0.1 is one."),
        ("NoisyTV", {"noise": True}, "Expected noise to be a probability in [0, 1], but got True; 0.1 is one."),
        (
            "SlipperyLine",
            {"slip": float("nan")},
            "Expected slip to be a probability in [0, 1], but got nan; 0.1 is one.",
        ),
        ("SlipperyLine", {"length": 1}, "Expected length to be a whole number from 2 to 10000, but got 1."),
        ("SparseMaze", {"useless": -1}, "Expected useless to be a whole number from 0 to 10000, but got -1."),
        ("Maze", {"useless": 1.5}, "Expected useless to be a whole number from 0 to 10000, but got 1.5."),
        ("NoisyTV", {"channels": 0}, "Expected channels to be a whole number from 1 to 256, but got 0."),
        (
            "NoisyTV",
            {"map": "S.."},
            "Expected a map with a television, but got none; mark a cell of floor with T.",
        ),
        ("Rooms", {"map": "..."}, "Expected a map with at least one start, but got none; mark a cell of floor with S."),
    ],
)
def test_an_argument_out_of_range_is_told_in_one_sentence(id_: str, given: dict[str, Any], sentence: str):
    with pytest.raises(InputError) as raised:
        make_env(f"gio/{id_}-v0", **given)
    assert str(raised.value) == sentence
