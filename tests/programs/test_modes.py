"""Programs with dropout and batch norms: fitted in training mode, read in evaluation mode, everywhere.

Cost: 10 s.
"""

import copy
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

import gio_pyro as gio
from gio_pyro.programs import fitting
from gio_pyro.signals import LearningProgress
from gio_pyro.types import Policy, Spec
from tests.agents import differences

SETTINGS: dict[str, Any] = {"hidden": (8,), "batch_size": 16, "learning_starts": 20, "log_interval": 20, "seed": 3}


def layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs))


class Model(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = layers(6, 4)
        self.seen: list[bool] = []

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            self.seen.append(self.training)
            mean = state + self.net(torch.cat([state, torch.eye(2)[action]], -1))
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


class Guide(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.net = layers(8, 2)
        self.seen: list[bool] = []

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        self.seen.append(self.training)
        with pyro.plate("batch", len(state)):
            pyro.sample("action", dist.Categorical(logits=self.net(torch.cat([state, future], -1))))


def agent_of(**settings: Any) -> gio.GIO:
    return gio.GIO("CartPole-v1", model=Model, guide=Guide, **SETTINGS | settings)


def norm_of(program: Any) -> nn.BatchNorm1d:
    return program.program.net[1]


def test_each_is_in_training_mode_while_it_is_fitted_and_at_no_other_time():
    agent = agent_of().learn(40)
    for program in (agent.model.program, agent.guide.program):
        program.seen.clear()
    agent.inference.step(agent.policy, (batch := agent.replay.sample(16)), batch.next_state)
    assert agent.model.program.seen == [True, False]  # its own likelihood; what the guide is to recognise
    assert agent.guide.program.seen == [True]
    state = batch.state
    agent.intrinsic_reward(state)
    agent.metrics()
    assert set(agent.model.program.seen[2:] + agent.guide.program.seen[1:]) == {False}
    assert not any(m.training for p in (agent.model, agent.guide) for m in p.modules())


def test_reading_neither_draws_nor_counts_nor_mixes_examples():
    agent = agent_of().learn(60)
    batch = agent.replay.sample(32)
    before = copy.deepcopy((agent.model.state_dict(), agent.guide.state_dict()))
    given = (agent.policy, batch.state, batch.next_state, batch.action)
    scores = [agent.guide.log_prob(*given) for _ in range(2)]
    assert torch.equal(*scores)
    alone = agent.guide.log_prob(agent.policy, *(x[:1] for x in given[1:]))
    torch.testing.assert_close(alone, scores[0][:1])
    assert torch.equal(agent.intrinsic_reward(batch.state), agent.intrinsic_reward(batch.state))
    assert not differences(before, (agent.model.state_dict(), agent.guide.state_dict()))
    assert int(norm_of(agent.model).num_batches_tracked) == int(norm_of(agent.guide).num_batches_tracked) == 12


def test_the_statistics_are_those_of_the_data_and_not_of_what_is_imagined():
    """Beside a guide that dreams in the model, batches are counted once a step."""
    agent = agent_of().learn(40)
    count = int(norm_of(agent.model).num_batches_tracked)
    batch = agent.replay.sample(16)
    agent.inference.step(agent.policy, batch, batch.next_state)
    assert int(norm_of(agent.model).num_batches_tracked) == count + 1


def test_it_goes_on_bit_for_bit_after_a_reload(tmp_path: Path):
    agent = agent_of().learn(60)
    agent.save(tmp_path / "run")
    loaded = gio.GIO.load(tmp_path / "run", model=Model, guide=Guide)
    assert not differences(agent.learn(40), loaded.learn(40))


def test_what_follows_the_model_slowly_reads_as_the_model_does():
    agent = agent_of(signal="LearningProgress").learn(60)
    signal = agent.reward_mix.signal
    assert isinstance(signal, LearningProgress)
    rows = agent.replay.sample(16)
    assert torch.equal(signal(rows), signal(rows))
    signal.rate = 0.0
    signal.update(rows)
    torch.testing.assert_close(signal(rows), torch.zeros(16))


def test_a_module_that_keeps_its_own_mode_is_asked():
    class Frozen(Guide):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self.net[1].eval()
            return self

    guide = gio.GIO("CartPole-v1", guide=Frozen, **SETTINGS).learn(40).guide
    with fitting(guide):
        assert (guide.program.net[3].training, guide.program.net[1].training) == (True, False)
    assert int(norm_of(guide).num_batches_tracked) == 0


@pytest.mark.usefixtures("uncompiled")
def test_the_captured_update_is_the_plain_one():
    """Dropout draws the same numbers, and norms count each batch once."""
    plain, captured = (agent_of(compile=how).learn(60) for how in (False, True))
    assert differences(plain, captured, ignore=("/settings/compile", "/update")) == []
