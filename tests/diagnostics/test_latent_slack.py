"""The slack of a model with a latent site, against its density in closed form."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from gio_pyro import GIO
from gio_pyro.diagnostics import diagnose, latent_slack
from gio_pyro.diagnostics.words import notes
from gio_pyro.errors import InputError
from tests.diagnostics.linear import DECAY, EFFECT, LinearWorld, agent, guide


class CommonNoise(nn.Module):
    """The linear world with noise z common to both numbers, and a guide of z that is off by one deviation."""

    particles = 4

    def __init__(self, spec: Any = None) -> None:
        super().__init__()
        self.common = nn.Parameter(torch.tensor(0.3))

    def mean(self, state: Tensor, action: Tensor) -> Tensor:
        return DECAY * state + action * torch.tensor(EFFECT, dtype=torch.float32)

    def forward(self, policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            z = pyro.sample("z", dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1))
            mean = self.mean(state, action) + self.common * z
            return pyro.sample("future", dist.Normal(mean, 0.4).to_event(1), obs=future)

    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        precision = 1 + 2 * (self.common / 0.4) ** 2
        shift = (future - self.mean(state, action)).sum(-1, keepdim=True) * self.common / 0.4**2 / precision
        with pyro.plate("batch", len(state)):
            pyro.sample("z", dist.Normal(shift + precision.rsqrt(), precision.rsqrt()).to_event(1))

    def exact(self, state: Tensor, action: Tensor) -> Any:
        covariance = self.common**2 * torch.ones(2, 2) + 0.16 * torch.eye(2)
        return dist.MultivariateNormal(self.mean(state, action), covariance)


def test_the_slack_encloses_the_exact_density_and_is_reported():
    learner = GIO(LinearWorld(), model=CommonNoise, guide=guide(), hidden=(8,), learning_starts=2_000).learn(600)
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    found = latent_slack(learner)
    state = learner.replay.latest(512).state
    with torch.no_grad():
        action = learner.policy(state).sample((20,))
        density = learner.model.program.exact(state, action)
        exact = float(density.log_prob(density.sample()).mean())
    assert found.draws == 4
    assert found.lower - 0.1 < exact < found.upper + 0.1
    assert 0.05 < found.slack < 1
    assert latent_slack(learner) == found
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())
    report = diagnose(learner, transitions=50, draws=16, tails=2, tail_draws=100, least_steps=0)
    assert report.latent is not None
    assert "K = 4 draws" in notes(report)[0]


def test_without_local_sites_the_density_is_called_exact():
    learner = GIO(LinearWorld(), model="RegimeModel", hidden=(8,), seed=0).learn(20)
    found = latent_slack(learner)
    assert found.exact
    assert found.slack == 0
    assert str(found).startswith("log p(F|s, a) is exact: ")


def test_a_model_without_latent_sites_has_no_slack():
    with pytest.raises(InputError, match="has none, so that its log-probabilities are exact"):
        latent_slack(agent())
