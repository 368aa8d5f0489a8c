"""Step sizes that fall as training goes on: every one, to the right value, captured or not, and after a resume."""

from pathlib import Path
from typing import Any

import pytest
import torch

import gio_pyro as gio
from gio_pyro.errors import InputError
from gio_pyro.nn.graphs import function
from tests.agents import differences
from tests.beliefs.agents import Short, Tiny, small

FALLING = {"annealing": "linear:1:0:80"}
SMALL: dict[str, Any] = {"hidden": (8,), "learning_starts": 20, "batch_size": 16, "seed": 0, "log_interval": 20}


def rates(agent: gio.GIO) -> list[float]:
    """The step size of every group of every optimiser."""
    return [float(group["lr"]) for one in agent.optimisers().values() for group in one.param_groups]


def parameters(agent: gio.GIO) -> list[torch.Tensor]:
    """What learns, as it is now."""
    return [tensor.detach().clone() for part in (agent.policy, agent.model) for tensor in part.parameters()]


def test_all_step_sizes_fall_together_and_at_0_nothing_moves():
    """Those of the programs and of a world model, too."""
    agent = small(learning_rate=3e-3, **FALLING)
    first = rates(agent)
    assert len(set(first)) > 1
    agent.learn(60)
    assert rates(agent) == pytest.approx([rate / 4 for rate in first])
    agent.learn(20)
    before = parameters(agent)
    agent.learn(20)
    assert rates(agent) == [0.0] * len(first)
    assert all(map(torch.equal, before, parameters(agent)))


def test_an_annealed_agent_resumes_bit_for_bit(tmp_path: Path):
    """Captured ones are in tests/beliefs/test_checkpoints.py."""
    agent = small(**FALLING).learn(40)
    agent.save(tmp_path)
    other = gio.GIO.load(tmp_path, environment=Short(), world_model=Tiny, device="cpu")
    assert differences(agent.learn(20), other.learn(20)) == []


def test_a_graph_reads_the_step_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(function, "CAPTURED_AFTER", 3)
    plain, captured = (gio.GIO("Pendulum-v1", compile=how, **SMALL, **FALLING).learn(60) for how in (False, "auto"))
    assert captured.update.whole.captures == 1
    assert differences(plain, captured, ignore=("/settings/compile", "/update")) == []


def test_a_factor_of_1_touches_nothing():
    plain, other = (gio.GIO("Pendulum-v1", **SMALL, **given).learn(30) for given in ({}, {"annealing": 1}))
    assert differences(plain, other, ignore=("/settings/annealing",)) == []


@pytest.mark.parametrize("given", ["linear:1:0", "half", -0.1, "linear:1:-1:9", lambda step: 1.0, None])
def test_mistakes_get_one_sentence(given: Any):
    with pytest.raises(InputError, match=r"annealing|weight that is a number") as found:
        gio.GIO("Pendulum-v1", annealing=given)
    assert "\n" not in str(found.value)
