"""Every kind of critic is saved and loaded, and goes on as the run that was not interrupted."""

from pathlib import Path

import pytest

from gio_pyro import GIO
from tests.agents import differences


@pytest.mark.parametrize("critic", ["batch_renorm", "residual"])
def test_a_resumed_critic_is_the_one_that_was_not_interrupted(critic: str, tmp_path: Path):
    whole, half = (
        GIO("Pendulum-v1", critic=critic, hidden=(8, 8), learning_starts=20, batch_size=16, seed=0, compile=False)
        for _ in range(2)
    )
    whole.learn(40)
    half.learn(30).save(tmp_path)
    assert differences(GIO.load(tmp_path).learn(10), whole) == []
    buffers = dict(whole.actor_critic.critic.named_buffers())
    assert all(float(value) == 21 for name, value in buffers.items() if name.endswith("batches"))
    assert any(name.endswith("batches") for name in buffers) == (critic == "batch_renorm")
