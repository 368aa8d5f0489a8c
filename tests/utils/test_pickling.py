"""Pickling of agents and rewards, for spawned and forked processes."""

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro as gio
from gio_pyro.adapters.gymnasium import IntrinsicVector
from gio_pyro.errors import GioError
from tests.agents import differences
from tests.slow import slow_but

SMALL: dict[str, Any] = {"learning_starts": 20, "batch_size": 8, "hidden": (8,), "log_interval": 20}
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.filterwarnings("ignore::gio_pyro.errors.GioWarning")  # so short a run may well go astray


def poles(count: int = 2) -> Any:
    return gym.make_vec("CartPole-v1", count, vectorization_mode="sync")


def halves() -> Any:
    """A future with a function that has no name."""
    return gio.futures.Features(gio.futures.NextState(), lambda f: f // 4, gym.spaces.Discrete(4))


AGENTS: dict[str, Callable[[], gio.GIO]] = {
    "tables": lambda: gio.GIO("FrozenLake-v1", train_freq=20, sweeps=10, future=halves()),
    "several, with a signal": lambda: gio.GIO(
        poles(), signal="RandomNetworkDistillation", signal_weight="linear:1:0:100", **SMALL
    ),
    "continuous": lambda: gio.GIO("Pendulum-v1", temperature="auto", **SMALL),
}


class TestAgents:
    @pytest.mark.parametrize("by", [lambda agent: pickle.loads(pickle.dumps(agent)), copy.deepcopy])
    @pytest.mark.parametrize("name", AGENTS)
    def test_a_copy_is_the_same_and_learns_on_bit_for_bit(self, name: str, by: Callable[[gio.GIO], gio.GIO]):
        agent = AGENTS[name]().learn(40)
        other = by(agent)
        assert differences(agent, other) == []
        assert other.env is not agent.env
        assert differences(agent.learn(20), other.learn(20)) == []
        seen = agent.collector.observations.raw.sample()
        assert np.array_equal(agent.predict(seen)[0], other.predict(seen)[0])

    @pytest.mark.usefixtures("uncompiled")
    def test_graphs_stay_behind(self):
        agent = gio.GIO("CartPole-v1", **SMALL | {"compile": True}).learn(60)
        copy = pickle.loads(pickle.dumps(agent))
        assert agent.update.whole.routes
        assert not copy.update.whole.routes
        assert differences(copy.learn(20), agent.learn(20)) == []

    def test_an_environment_that_holds_a_lock_is_one_sentence(self):
        env = gym.make("FrozenLake-v1")
        env.unwrapped.lock = threading.Lock()
        with pytest.raises(GioError, match=r"^Expected \w+ of GIO to be picklable, but it raised TypeError") as raised:
            pickle.dumps(gio.GIO(env))
        assert len(str(raised.value)) <= 300


SPAWNED = """
import multiprocessing, pickle, sys
import torch
import gio_pyro as gio
from tests.agents import differences

def learned(agent):
    torch.set_num_threads(1)
    return agent.learn(20)

if __name__ == "__main__":
    torch.set_num_threads(1)
    agent = gio.GIO("FrozenLake-v1", model=sys.argv[1] + ":Own", train_freq=20, sweeps=10).learn(20)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(learned, (agent,))
    assert differences(there, agent.learn(20)) == []
    print("same")
"""
OWN = """
from gio_pyro.models import CategoricalModel

class Own(CategoricalModel):
    pass
"""


@pytest.mark.slow
def test_a_program_of_a_file_goes_to_a_spawned_process_and_comes_back(tmp_path: Path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "script.py").write_text(SPAWNED)
    paths = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", tmp_path / "own.py"],
        env=ENVIRONMENT | {"PYTHONPATH": paths}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "same", done.stderr


def samples(steps: int = 6, count: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    flags = np.zeros((steps, count), dtype=np.bool_)
    seen = rng.normal(size=(steps + 1, count, 4)).astype(np.float32)
    return {
        "observations": seen[:-1], "next_observations": seen[1:], "actions": rng.integers(2, size=(steps, count)),
        "rewards": np.zeros((steps, count)), "terminateds": flags, "truncateds": flags,
    }  # fmt: skip


class TestRewards:
    @pytest.mark.parametrize("signal", ["Control", "RandomNetworkDistillation"])
    def test_a_copy_pays_the_same_and_learns_on_bit_for_bit(self, signal: str):
        reward = gio.IntrinsicReward("CartPole-v1", signal=signal, updates=2, batch_size=8, hidden=(8,))
        reward.update(samples())
        other = pickle.loads(pickle.dumps(reward))
        for _ in range(2):
            assert np.array_equal(reward.compute(samples()), other.compute(samples()))
            assert reward.update(samples()) == other.update(samples())

    def test_a_signal_by_itself(self):
        agent = AGENTS["several, with a signal"]().learn(40)
        signal, rows = agent.reward_mix.signal, agent.replay.all()
        assert torch.equal(pickle.loads(pickle.dumps(signal))(rows), signal(rows))

    def test_a_vector_with_a_bonus(self):
        vector = IntrinsicVector(
            poles(), gio.IntrinsicReward("CartPole-v1", updates=1, batch_size=4, hidden=(8,)), update_every=4
        )
        vector.reset(seed=0)
        other = pickle.loads(pickle.dumps(vector))
        for _ in range(6):
            one, two = (each.step(np.array([0, 1])) for each in (vector, other))
            assert np.array_equal(one[1], two[1])

    def test_the_wrapper_and_the_buffer_of_stable_baselines(self):
        pytest.importorskip("stable_baselines3")
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import VecNormalize

        from gio_pyro.adapters.stable_baselines import IntrinsicReplayBuffer, IntrinsicVecEnv

        reward = gio.IntrinsicReward("CartPole-v1", updates=1, batch_size=4, hidden=(8,))
        venv = IntrinsicVecEnv(VecNormalize(make_vec_env("CartPole-v1", 2, seed=0)), reward, update_every=4)
        venv.reset()
        others = pickle.loads(pickle.dumps(venv)), copy.deepcopy(venv)
        for _ in range(4):
            seen, paid, *_ = venv.step(np.array([0, 1]))
            for other in others:
                assert [x.tolist() for x in other.step(np.array([0, 1]))[:2]] == [seen.tolist(), paid.tolist()]
        spaces = venv.observation_space, venv.action_space
        buffer = IntrinsicReplayBuffer(8, *spaces, reward=reward)
        assert pickle.loads(pickle.dumps(buffer)).bonus.steps == 0

    @pytest.mark.parametrize("what", ["settings", "spec", "rows", "played", "found", "future"])
    def test_what_an_agent_is_made_of_and_what_it_returns(self, what: str):
        agent = gio.GIO("FrozenLake-v1", train_freq=20, sweeps=10).learn(20)
        thing = {
            "settings": lambda: agent.settings, "spec": lambda: agent.spec, "rows": lambda: agent.replay.all(),
            "played": lambda: agent.evaluate(1), "found": lambda: gio.diagnostics.compare_with_exact(agent),
            "future": halves,
        }[what]()  # fmt: skip
        copied = pickle.loads(pickle.dumps(thing))
        assert type(copied) is type(thing)
        if what in ("settings", "played", "found"):
            assert copied == thing


@contextmanager
def learning(agent: gio.GIO) -> Iterator[None]:
    """Let another thread learn inside the block."""
    over = threading.Event()
    failed: list[BaseException] = []

    def learn() -> None:
        try:
            agent.learn(10**9, stop=over.is_set)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=learn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
    assert not thread.is_alive()
    assert not failed


class TestThreads:
    @pytest.mark.parametrize("name", slow_but(["tables", "continuous"], "continuous"))
    def test_whatever_is_asked_of_an_agent_that_learns_is_of_one_moment(self, tmp_path: Path, name: str):
        agent = AGENTS[name]().learn(40)
        future = agent.future if name == "tables" else None
        with learning(agent):
            for number in range(5):
                agent.save(tmp_path)
                loaded = gio.GIO.load(tmp_path, future=future)
                copied = copy.deepcopy(agent) if number % 2 else pickle.loads(pickle.dumps(agent))
                for one in (loaded, copied):
                    assert one.steps == one.replay.state_dict()["added"]
                agent.metrics()
                agent.predict(agent.collector.observations.raw.sample())
            agent.evaluate(1, max_steps=5)
        assert agent.steps > 45

    def test_two_threads_save_into_one_folder_and_other_peoples_parts_stay(self, tmp_path: Path):
        agents = [AGENTS["continuous"]().learn(n) for n in (20, 40)]
        foreign = [tmp_path / name for name in ("checkpoint.pt.part", "notes.part", "checkpoint.ptabc.part")]
        for path in foreign:
            path.write_text("mine")
        stale = tmp_path / f"checkpoint.pt.{'0' * 16}.part"
        stale.write_text("of a writer that is dead")

        def save(agent: gio.GIO) -> None:
            for _ in range(5):
                agent.save(tmp_path)

        threads = [threading.Thread(target=save, args=(agent,)) for agent in agents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert gio.GIO.load(tmp_path).steps in (20, 40)
        assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt", *(path.name for path in foreign)}

    @pytest.mark.slow
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_child_that_is_forked_while_another_thread_learns_has_an_agent_that_is_whole(self):
        agent = AGENTS["continuous"]().learn(40)
        before = torch.get_rng_state()
        with learning(agent):
            for _ in range(3):
                child = os.fork()
                if not child:
                    same = torch.equal(torch.get_rng_state(), before)
                    agent.learn(10)
                    os._exit(0 if same and agent.steps == agent.replay.state_dict()["added"] else 1)
                deadline = time.monotonic() + 60
                while not (ended := os.waitpid(child, os.WNOHANG))[0]:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
                assert os.waitstatus_to_exitcode(ended[1]) == 0
