"""On a GPU: the numbers of the CPU, no waiting for the host, nothing left behind. Skipped where there is none."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.actor_critic.twin_critic import squared_error
from gio_pyro.checkpointing import agent_state
from gio_pyro.models import RecurrentStateSpace
from gio_pyro.programs import detached, sample_actions
from gio_pyro.types import Transitions
from tests.agents import leaves

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")]

SMALL: dict[str, Any] = {"learning_starts": 200, "batch_size": 64, "hidden": (32, 32), "log_interval": 100}
WORLDS = ["Pendulum-v1", "CartPole-v1"]


def learned(world: str, device: str, steps: int = 300, **settings: Any) -> gio.GIO:
    return gio.GIO(world, device=device, **(SMALL | settings)).learn(steps)


def moved(agent: gio.GIO, tmp_path: Path, device: str) -> gio.GIO:
    agent.save(tmp_path / "run")
    return gio.GIO.load(tmp_path / "run", device=device)


def tensors(agent: gio.GIO) -> dict[str, Tensor]:
    return {place: leaf for place, leaf in leaves(agent_state.state_of(agent)).items() if isinstance(leaf, Tensor)}


@torch.no_grad()
def readings(agent: gio.GIO, rows: Transitions) -> list[Tensor]:
    """What model, guide and critic say about given transitions."""
    policy = detached(agent.policy)
    return [
        agent.model.log_prob(policy, rows.state, rows.action, rows.next_state),
        agent.guide.log_prob(policy, rows.state, rows.next_state, rows.action),
        squared_error(agent.actor_critic.critic.taken(rows.state, rows.action), rows.reward)[0],
    ]


@contextmanager
def never_waiting() -> Iterator[None]:
    """Turn every wait of the host for the device into an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_exact_tier_agrees_with_the_cpu():
    maze = tabular.klyubin_maze(noise=0.1)
    there = tabular.TabularMDP(maze.transition.cuda(), maze.reward.cuda(), discount=maze.discount)
    torch.testing.assert_close(tabular.empowerment(there, 2).cpu(), tabular.empowerment(maze, 2), atol=1e-6, rtol=0)
    here, gone = (tabular.policy_iteration(m, 0.1, max_iterations=2000, tolerance=1e-6) for m in (maze, there))
    torch.testing.assert_close(gone.value.cpu(), here.value, atol=1e-6, rtol=0)


@pytest.mark.parametrize("world", ["FrozenLake-v1", *WORLDS])
def test_an_agent_learns_on_the_gpu(world: str):
    settings = {} if world == "FrozenLake-v1" else SMALL
    agent = gio.GIO(world, device="cuda", **settings).learn(1_000)
    assert agent.replay.sample(4).state.device.type == "cuda"
    assert all(parameter.device.type == "cuda" for parameter in agent.model.parameters())


@pytest.mark.parametrize("world", WORLDS)
def test_both_devices_read_the_same_numbers_from_the_same_agent(world: str, tmp_path: Path):
    there = learned(world, "cuda")
    here = moved(there, tmp_path, "cpu")
    rows = there.replay.latest(100)
    for one, other in zip(readings(there, rows), readings(here, rows.to("cpu")), strict=True):
        torch.testing.assert_close(one.cpu(), other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("world", WORLDS)
def test_an_update_never_waits_for_the_host(world: str):
    agent = learned(world, "cuda")
    with agent._private(), never_waiting():
        for _ in range(3):
            agent._update(improvements=1)


@pytest.mark.parametrize("guide", ["UniformGuide", "BayesGuide"])
def test_other_guides_never_wait_either(guide: str):
    agent = learned("CartPole-v1", "cuda", guide=guide)
    with agent._private(), never_waiting():
        agent._update(improvements=1)


@pytest.mark.parametrize("world", WORLDS)
def test_memory_stays_flat_over_ten_thousand_updates(world: str):
    agent = learned(world, "cuda")
    used = []
    with agent._private():
        for _ in range(2):
            for _ in range(5_000):
                agent._update(improvements=1)
            torch.cuda.synchronize()
            used.append(torch.cuda.memory_allocated())
    assert used[1] <= used[0] + 2**20


def test_a_run_on_the_gpu_goes_on_on_the_cpu_and_leaves_nothing_behind(tmp_path: Path):
    agent = learned("Pendulum-v1", "cuda")
    before = {place: leaf.cpu() for place, leaf in tensors(agent).items()}
    other = moved(agent, tmp_path, "cpu")
    assert all(leaf.device.type == "cpu" for leaf in tensors(other).values())
    del agent
    torch.cuda.empty_cache()
    assert {place: leaf.shape for place, leaf in tensors(other).items()}.keys() >= before.keys() - {"/random/cuda"}
    other.learn(50)
    chosen = sample_actions(other.policy(other.replay.latest(4).state))
    assert chosen.action.device.type == "cpu"


def test_a_run_on_the_cpu_goes_on_on_the_gpu(tmp_path: Path):
    other = moved(learned("Pendulum-v1", "cpu"), tmp_path, "cuda").learn(50)
    assert all(parameter.device.type == "cuda" for parameter in other.policy.parameters())
    moments = other.actor_critic.optimisers["policy"].state.values()
    assert all(moment["exp_avg"].device.type == "cuda" for moment in moments)


def test_two_runs_on_the_gpu_agree_exactly():
    first, second = (learned("Pendulum-v1", "cuda") for _ in range(2))
    for mine, theirs in zip(first.policy.parameters(), second.policy.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_beliefs_on_the_gpu_go_on_on_the_cpu(tmp_path: Path):
    class Own(RecurrentStateSpace):
        """Checked as a program of one's own, on the device."""

    given: dict[str, Any] = {"pieces": 2, "piece_length": 6, "burn_in": 2, "world_model": Own}
    agent = learned("gio/CartPolePositions-v0", "cuda", **given)
    assert all(tensor.device.type == "cuda" for tensor in agent.beliefs.state_dict().values())
    assert agent.replay.sample(4).state.device.type == "cuda"
    _, state = agent.predict(agent.env.observation_space.sample())
    agent.predict(agent.env.observation_space.sample(), state)
    agent.save(tmp_path / "run")
    other = gio.GIO.load(tmp_path / "run", device="cpu", world_model=Own)
    there, here = (one.replay.latest(50).state.cpu() for one in (agent, other))
    torch.testing.assert_close(there, here, rtol=1e-3, atol=1e-3)
    other.learn(50)
