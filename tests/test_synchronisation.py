"""An update reads no number on the host, so that on a GPU it queues its work and never waits for it."""

from typing import Any

import pytest
import torch

from gio_pyro import GIO
from tests.synchronisations import synchronisations

AGENTS: dict[str, dict[str, Any]] = {
    "Pendulum": {"environment": "Pendulum-v1"},
    "CartPole": {"environment": "CartPole-v1"},
    "a learned temperature": {"environment": "Pendulum-v1", "temperature": "auto"},
    "a temperature that follows the loss": {"environment": "CartPole-v1", "temperature": "loss:0.1:0.01"},
    "futures of replay": {"environment": "Pendulum-v1", "intrinsic": "replayed"},
    "a latent variable": {"environment": "Pendulum-v1", "model": "VariationalModel"},
    "the guide of the model": {"environment": "CartPole-v1", "guide": "BayesGuide"},
    "a uniform guide": {"environment": "Pendulum-v1", "guide": "UniformGuide"},
    "dreams": {"environment": "CartPole-v1", "dream_horizon": 2, "dream_share": 0.5},
    "a future of several steps": {"environment": "Pendulum-v1", "future": "Return(5)"},
    "the evidence lower bound": {"environment": "Pendulum-v1", "objective": "elbo"},
}


@pytest.mark.parametrize("kind", AGENTS)
def test_an_update_of_networks_waits_for_nothing(kind: str):
    agent = GIO(**AGENTS[kind], hidden=(8,), batch_size=16, learning_starts=20, compile=False, seed=0).learn(40)
    with agent._private(), synchronisations() as found:
        agent._update(improvements=2)
    assert not found


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(), lambda x: bool(x.any()), lambda x: float(x[0]), lambda x: x.tolist(),
        lambda x: x.numpy(), lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: torch.unique(x),
        lambda x: x.masked_select(x > 0), lambda x: 1.0 in x, lambda x: range(int(x.sum())),
        lambda x: torch.equal(x, x),
    ],
)  # fmt: skip
def test_what_reads_on_the_host_is_counted(read: Any):
    x = torch.ones(3)
    with synchronisations() as found:
        read(x)
    assert found


def test_what_stays_on_the_device_is_not():
    x = torch.ones(3)
    with synchronisations() as found:
        torch.where(x > 0, x, -x).sum().clamp_min(0.0).sqrt()
        x[torch.tensor([0, 1])].index_add_(0, torch.tensor([0]), torch.ones(1))
    assert not found
