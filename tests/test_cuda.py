"""The same on a GPU. Skipped where there is none."""

import pytest
import torch

from gio_pyro import GIO, tabular

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_the_exact_tier_agrees_with_the_cpu():
    maze = tabular.klyubin_maze(noise=0.1)
    there = tabular.TabularMDP(maze.transition.cuda(), maze.reward.cuda(), discount=maze.discount)
    torch.testing.assert_close(tabular.empowerment(there, 2).cpu(), tabular.empowerment(maze, 2), atol=1e-6, rtol=0)
    here, gone = (tabular.policy_iteration(m, 0.1, max_iterations=2000, tolerance=1e-6) for m in (maze, there))
    torch.testing.assert_close(gone.value.cpu(), here.value, atol=1e-6, rtol=0)


def test_learning_stays_on_the_device_and_comes_back(tmp_path):
    agent = GIO("FrozenLake-v1", device="cuda", seed=0).learn(2_000)
    parts = (agent.model, agent.guide, agent.policy, agent.critic)
    assert {t.device.type for part in parts for t in part.state_dict().values()} == {"cuda"}
    assert agent.replay.sample(3).state.device.type == "cuda"
    agent.save(tmp_path)
    here = GIO.load(tmp_path, device="cpu").learn(500)
    assert {t.device.type for part in (here.model, here.policy) for t in part.state_dict().values()} == {"cpu"}


def test_one_seed_fixes_everything():
    first, second = (GIO("FrozenLake-v1", device="cuda", seed=3).learn(1_000) for _ in range(2))
    torch.testing.assert_close(first.policy.log_pi, second.policy.log_pi, atol=1e-4, rtol=0)
