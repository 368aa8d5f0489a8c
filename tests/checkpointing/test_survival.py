"""Runs resume bit for bit after they were saved, killed, or stopped by a full disk."""

import errno
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from gio_pyro import GIO
from gio_pyro.checkpointing import agent_state, file_format
from gio_pyro.cli import training
from gio_pyro.errors import GioWarning, InputError, TrainingError
from tests.agents import differences
from tests.cli.shell import gio

HALF, WHOLE = 100, 200
SMALL: dict[str, Any] = {"learning_starts": 50, "batch_size": 32, "hidden": (16, 16), "log_interval": 50}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.filterwarnings("ignore::gio_pyro.errors.GioWarning")  # so short a run may well go astray


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
    "Pendulum, scheduled temperature, full ring": partial(
        agent_of, "Pendulum-v1", temperature="linear:0.5:0.05:150", buffer_size=70
    ),
    "Pendulum, UniformGuide": partial(agent_of, "Pendulum-v1", guide="UniformGuide"),
    "CartPole": partial(agent_of, "CartPole-v1"),
    "CartPole, replayed": partial(agent_of, "CartPole-v1", intrinsic="replayed", temperature="auto"),
    "3 CartPoles": partial(agent_of, partial(vector, "CartPole-v1", 3)),
    "3 Pendulums": partial(agent_of, partial(vector, "Pendulum-v1", 3, AutoresetMode.SAME_STEP, max_episode_steps=17)),
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
        if agent.collector.environments.count > 1 or name == "CartPole":
            agent.learn(WHOLE, callback=stop_at(HALF))
        else:
            agent.learn(HALF)
        agent.save(folders[name])
    command = [sys.executable, "-c", NEW_PROCESS, str(WHOLE), *map(str, folders.values())]
    subprocess.run(command, check=True, env=ENVIRONMENT, timeout=300)
    return {name: file_format.read(path) for name, path in folders.items()}


@pytest.mark.slow
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
    return {"format": file_format.FORMAT, "version": file_format.VERSION, **agent_state.state_of(agent)}


@pytest.mark.learning
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
def test_compiled_updates_go_on_as_well(tmp_path: Path):
    """What is drawn while tracing must not be taken from the agent's stream: who loads traces again."""
    whole = agent_of("CartPole-v1", compile=True).learn(WHOLE)
    agent_of("CartPole-v1", compile=True).learn(HALF).save(tmp_path)
    assert differences(GIO.load(tmp_path).learn(WHOLE - HALF), whole) == []


KILLS = 50
SAVING = "0.03"
"""Seconds that a step and its checkpoint take at most: the kills fall anywhere in them, every other one while a file is
half written."""
KILLER = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
import gio_pyro
world, folder, kills = sys.argv[1], sys.argv[2], int(sys.argv[3])
small = {"hidden": (8, 8), "batch_size": 32} if world == "CartPole-v1" else {"sweeps": 1}
agent = gio_pyro.GIO(world, gradient_steps=1, improvements=1, log_interval=10**6, **small)
agent.learn(3_000 if world == "FrozenLake-v1" else 300).save(folder)
start = before = agent.steps
random.seed(0)
cut = 0
def unfinished():
    return {name for name in os.listdir(folder) if name.endswith(".part")}
for kill in range(kills):
    earlier = unfinished()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        while True:
            agent.learn(1)
            os.write(theirs, b"(")
            agent.save(folder)
            os.write(theirs, b")")
    os.close(theirs)
    told = b"".join(os.read(ours, 1) for _ in range(random.choice([1, 3, 5])))
    time.sleep(random.uniform(0.0, float(sys.argv[4])))
    while kill % 2 and unfinished() <= earlier:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as rest:
        saved = (told + rest.read()).count(b")")
    cut += len(unfinished()) > 0
    found = gio_pyro.GIO.load(folder).steps
    last = start + saved if saved else before
    assert found in (last, start + saved + 1), (found, last, saved)
    before = found
print(cut)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("world", "kills", "least"), [("FrozenLake-v1", KILLS, 5), ("CartPole-v1", 10, 1)])
def test_a_process_that_is_killed_while_it_saves_leaves_its_last_whole_checkpoint(
    tmp_path: Path, world: str, kills: int, least: int
):
    command = [sys.executable, "-c", KILLER, world, str(tmp_path / "run"), str(kills), SAVING]
    done = subprocess.run(command, check=True, env=ENVIRONMENT, timeout=300, capture_output=True, text=True)
    assert int(done.stdout) >= least, "the kills are meant to meet a file that is half written"
    agent = GIO.load(tmp_path / "run")
    agent.save(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [file_format.NAME]


FULL_DISK = """
import resource, sys
from gio_pyro.cli.main import entry_point
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(entry_point(sys.argv[2:]))
"""
QUICK = ["--checkpoint-every", "500", "--quiet"]


class TestFullDisk:
    @pytest.mark.slow
    def test_one_sentence_the_last_checkpoint_and_a_run_that_goes_on(self, tmp_path: Path):
        train = ["train", "FrozenLake-v1", "--steps", "8000", "--out", str(tmp_path / "run"), *QUICK]
        command = [sys.executable, "-c", FULL_DISK, "100000", *train]
        done = subprocess.run(command, env=ENVIRONMENT, timeout=120, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("gio: Expected to write")
        assert "Traceback" not in done.stderr
        assert not list((tmp_path / "run").glob("*.part"))
        saved = GIO.load(tmp_path / "run").steps
        assert 0 < saved < 8000
        assert f"step {saved} is saved in" in done.stderr
        assert gio("train", "--resume", tmp_path / "run", "--steps", 500, *QUICK) == 0
        assert GIO.load(tmp_path / "run").steps == saved + 500

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("write failed")])
    def test_saving_says_so_and_keeps_the_last(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
        agent = agent_of("CartPole-v1").learn(60)
        agent.save(tmp_path)

        def full(*_: object) -> None:
            raise error

        agent.learn(20)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "save", full)
            with pytest.raises(InputError, match="the last checkpoint is kept"):
                agent.save(tmp_path)
        assert GIO.load(tmp_path).steps == 60
        agent.save(tmp_path)
        assert GIO.load(tmp_path).steps == 80


class Breaking(gym.Env[Any, Any]):
    """A line to walk on; after a number of steps of its whole life something goes wrong."""

    observation_space = gym.spaces.Box(-10, 10, (2,), dtype=np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), dtype=np.float32)
    after = 700
    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, how: str) -> None:
        self.how, self.place, self.steps = how, 0.0, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place = float(self.np_random.uniform(-1, 1))
        return self._seen(), {}

    def _seen(self) -> Any:
        return np.array([self.place, self.place**2], dtype=np.float32)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.steps += 1
        self.place = float(np.clip(self.place + 0.1 * action[0], -3, 3))
        wrong = self.steps > self.after and self.how
        if wrong == "step raises":
            raise OSError("the motor is off")
        if wrong == "closed":
            raise gym.error.ClosedEnvironmentError("Trying to step a closed environment.")
        seen = np.full(2, np.nan, dtype=np.float32) if wrong == "observation is NaN" else self._seen()
        reward = math.nan if wrong == "reward is NaN" else 1e300 if wrong == "reward is huge" else -abs(self.place)
        return seen, reward, False, False, {}


WRONGS = {
    "step raises": "the motor is off",
    "closed": "closed environment",
    "observation is NaN": "finite observation",
    "reward is NaN": "finite reward",
    "reward is huge": "finite reward",
}


def registered(monkeypatch: pytest.MonkeyPatch, how: str) -> str:
    spec = EnvSpec(id="Breaking-v0", entry_point=Breaking, max_episode_steps=20, kwargs={"how": how})
    monkeypatch.setitem(gym.registry, "Breaking-v0", spec)
    return "Breaking-v0"


class TestBreaking:
    """Whatever goes wrong, there is one sentence, the last good checkpoint, and a way on."""

    @pytest.mark.slow
    @pytest.mark.parametrize("how", ["step raises", "observation is NaN", "reward is NaN"])
    def test_on_the_command_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, how: str):
        run, env = tmp_path / "run", registered(monkeypatch, how)
        assert gio("train", env, "--steps", 2000, "--hidden", 8, "--out", run, *QUICK) == 2
        said = capsys.readouterr().err
        assert said.startswith("gio: Expected")
        assert WRONGS[how] in said
        assert f"step 500 is saved in {run}" in said
        assert "Traceback" not in said
        assert GIO.load(run).steps == 500
        registered(monkeypatch, "")
        with monkeypatch.context() as patch:
            patch.setattr(training, "_finish", lambda *_: None)
            assert gio("train", "--resume", run, "--steps", 20, *QUICK) == 0
        assert GIO.load(run).steps == 520

    @pytest.mark.parametrize("how", WRONGS)
    def test_in_python(self, tmp_path: Path, how: str):
        agent = agent_of(gym.wrappers.TimeLimit(Breaking(how), 20), log_interval=5)
        agent.env.unwrapped.after = 60
        with pytest.raises(TrainingError, match=WRONGS[how]):
            agent.learn(100, callback=lambda agent, _: agent.save(tmp_path))
        loaded = GIO.load(tmp_path, environment=gym.wrappers.TimeLimit(Breaking(""), 20))
        assert loaded.steps == 60
        assert loaded.learn(20).steps == 80

    def test_a_loss_that_is_not_finite_is_not_saved(self, tmp_path: Path):
        agent = agent_of("Pendulum-v1", log_interval=10)
        agent.learn(60, callback=lambda agent, _: agent.save(tmp_path))
        loss = agent.inference.descent.loss

        def nan(*given: Any) -> Any:
            value, figures = loss(*given)
            return value * math.nan, figures | {"dynamics_nats": value * math.nan}

        agent.inference.descent.loss = nan
        with pytest.raises(TrainingError, match="finite losses"):
            agent.learn(60, callback=lambda agent, _: agent.save(tmp_path))
        kept = GIO.load(tmp_path)
        assert kept.steps == 60
        assert all(bool(p.isfinite().all()) for part in (agent, kept) for p in part.model.parameters())
        assert kept.learn(20).steps == 80

    def test_a_closed_environment(self):
        env = gym.make_vec("CartPole-v1", 1, vectorization_mode="async")
        agent = agent_of(env).learn(10)
        env.close()
        with pytest.raises(TrainingError, match="to take a step, but it raised"):
            agent.learn(10)
