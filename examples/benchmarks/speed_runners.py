"""What speed.py measures: agents that take steps, calls that are repeated, and commands in fresh interpreters."""

import cProfile
import io
import os
import pstats
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import gio_pyro as gio
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.types import Transitions

PENDULUM, WARM_UP, BATCH = "Pendulum-v1", 300, 256
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
FRESH = {"PYTHONDONTWRITEBYTECODE": ""}
"""Changes of the environment of fresh interpreters: they may keep the bytecode, as after an installation."""
Runner = Callable[[int], Any]
"""Takes so many environment steps, with an update after each."""


def sac(hidden: int, environment: str = PENDULUM, *, plugged: bool = False) -> Runner:
    """Return SAC of Stable-Baselines3, past its warm-up; `plugged` adds our intrinsic reward to its batches."""
    from stable_baselines3 import SAC

    from gio_pyro.adapters.stable_baselines import IntrinsicReplayBuffer

    more: dict[str, Any] = {}
    if plugged:
        reward = gio.IntrinsicReward(environment, seed=0)
        more = {"replay_buffer_class": IntrinsicReplayBuffer, "replay_buffer_kwargs": {"reward": reward}}
    policy = {"net_arch": [hidden, hidden]}
    agent = SAC("MlpPolicy", environment, policy_kwargs=policy, seed=0, device="cpu", buffer_size=100_000, **more)
    agent.learn(WARM_UP)
    return lambda steps: agent.learn(steps, reset_num_timesteps=False)


def sbx(hidden: int) -> Runner:
    """Return SAC of SBX, past its warm-up and compiled, on one thread if it is the first use of JAX."""
    os.environ.setdefault("XLA_FLAGS", ONE_THREAD)
    from sbx import SAC

    agent = SAC("MlpPolicy", PENDULUM, policy_kwargs={"net_arch": [hidden, hidden]}, seed=0, buffer_size=100_000)
    agent.learn(WARM_UP)
    return lambda steps: agent.learn(steps, reset_num_timesteps=False)


def ours(hidden: int, environments: int = 1, **settings: Any) -> Runner:
    """Return a GIO agent, past its warm-up and, with `compile=True`, compiled; several environments share an update."""
    env = PENDULUM if environments == 1 else gym.make_vec(PENDULUM, environments, vectorization_mode="sync")
    agent = gio.GIO(env, hidden=(hidden, hidden), learning_starts=WARM_UP - 100, seed=0, **settings)
    agent.learn(WARM_UP)
    return agent.learn


def cpu_seconds(call: Callable[[], Any]) -> float:
    """Return the CPU time of a call, of all threads of this process, seconds."""
    start = time.process_time()
    call()
    return time.process_time() - start


def paired(runners: Mapping[str, Runner], pairs: int, steps: int) -> dict[str, list[float]]:
    """Return CPU-seconds per 1,000 steps of every runner, each list in the order of the pairs."""
    found: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(pairs):
        for name, run in runners.items():
            found[name].append(cpu_seconds(lambda run=run: run(steps)) * 1000 / steps)
    return found


def ratio(reference: list[float], own: list[float]) -> float:
    """Return the median of the paired ratios: how many times as fast as the reference."""
    return statistics.median(theirs / mine for theirs, mine in zip(reference, own, strict=True))


def operations(run: Runner) -> int:
    """Return the floating-point operations of the matrix products of one step with its update."""
    with FlopCounterMode(display=False) as counter:
        run(1)
    return counter.get_total_flops()


def matrix_rate(hidden: int) -> float:
    """Return the operations a CPU-second of the products of a layer forwards and backwards, the best of several."""
    x, w, y = torch.randn(BATCH, hidden), torch.randn(hidden, hidden), torch.randn(BATCH, hidden)

    def products() -> None:
        for _ in range(30):
            torch.mm(x, w)
            torch.mm(y, w.t())
            torch.mm(x.t(), y)

    return 30 * 3 * 2 * BATCH * hidden * hidden / min(cpu_seconds(products) for _ in range(12))


def computing(count: int, repeats: int) -> float:
    """Return the transitions a CPU-second of `IntrinsicReward.compute`, the median over repeats."""
    reward, draw, steps = gio.IntrinsicReward(PENDULUM, seed=0), np.random.default_rng(0), count // 8
    samples = {
        name: draw.normal(size=(steps, 8, 3)).astype(np.float32) for name in ("observations", "next_observations")
    }
    samples |= {"actions": draw.uniform(-2, 2, (steps, 8, 1)), "rewards": draw.normal(size=(steps, 8))}
    samples |= {name: np.zeros((steps, 8), dtype=np.bool_) for name in ("terminateds", "truncateds")}
    reward.update(samples)
    for _ in range(5):
        reward.compute(samples)
    return count / statistics.median(cpu_seconds(lambda: reward.compute(samples)) for _ in range(repeats))


def finite() -> Runner:
    """Return an agent that learns in FrozenLake, with the defaults of finite worlds."""
    return gio.GIO("FrozenLake-v1", seed=0).learn(1_000).learn


def evaluating(repeats: int) -> float:
    """Return the CPU-seconds of 20 episodes of Pendulum, the median over repeats."""
    agent = gio.GIO(PENDULUM, seed=0)
    return statistics.median(cpu_seconds(lambda: agent.evaluate(20)) for _ in range(repeats))


def weight(count: int) -> float:
    """Return the bytes of a full replay, in episodes of 200 steps, over those of what it was given."""
    replay, chunk, length = Replay(count), 10_000, 200
    one, no = torch.ones(chunk), torch.zeros(chunk, dtype=torch.bool)
    cut = torch.arange(1, chunk + 1) % length == 0
    for _ in range(0, count, chunk):
        seen = torch.randn(chunk // length, length + 1, 3)
        state, after = seen[:, :-1].flatten(0, 1), seen[:, 1:].flatten(0, 1)
        replay.add(Transitions(state, torch.zeros(chunk, 1), one, after, no, cut, 0 * one, one))
    raw = count * (2 * 3 * 4 + 4 + 4 + 2)
    return replay.bytes / raw


def importing(statement: str) -> float:
    """Return the CPU-seconds that an import statement takes in a fresh interpreter."""
    code = f"import time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    return float(subprocess.run([sys.executable, "-c", code], **_quiet()).stdout)


def helping() -> float:
    """Return the seconds that `gio --help` takes, from its start to its end."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gio_pyro", "--help"], **_quiet())
    return time.perf_counter() - start


def _quiet() -> dict[str, Any]:
    return {"capture_output": True, "text": True, "check": True, "env": os.environ | FRESH}


def operations_table(run: Runner, steps: int = 50) -> str:
    """Return what some steps spend their CPU time on, by operation of torch."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        run(steps)
    return str(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=48))


def functions_table(run: Runner, steps: int) -> str:
    """Return what some steps spend their time on, by Python function, without folders."""
    seen, text = cProfile.Profile(), io.StringIO()
    seen.runcall(run, steps)
    pstats.Stats(seen, stream=text).strip_dirs().sort_stats("tottime").print_stats(25)
    return text.getvalue()
