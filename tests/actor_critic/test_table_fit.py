"""Gradient steps of tables run as a captured graph with the same numbers, or as they are."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.models import CategoricalModel
from gio_pyro.nn.graphs import function
from gio_pyro.programs import FutureSamples, Model, imagine
from gio_pyro.types import Policy, Transitions, TransitionsWithStates
from tests.agents import differences
from tests.finite import table_policy, true_model
from tests.synchronisations import synchronisations


@pytest.fixture(autouse=True)
def _captured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "CAPTURED_AFTER", 0)


def agent(**settings: Any) -> GIO:
    """Return an agent in a world of which it soon has seen everything."""
    env = gym.make("FrozenLake-v1", desc=["SF", "HG"], is_slippery=False, max_episode_steps=20)
    return GIO(
        env, **{"seed": 0, "train_freq": 50, "gradient_steps": 3, "improvements": 1, "uniform_share": 0.5} | settings
    )


def fit_of(learner: GIO) -> Any:
    assert learner.table_fit is not None
    return learner.table_fit


@pytest.mark.parametrize("settings", [{}, {"training": "alternating"}, {"guide": "BayesGuide"}], ids=str)
def test_a_graph_gives_the_numbers_of_python(settings: dict[str, Any]):
    graphed, plain = agent(**settings).learn(300), agent(**settings, compile=False).learn(300)
    assert fit_of(graphed).stepping.routes
    assert not fit_of(plain).stepping.routes
    for part in ("model", "guide", "actor_critic"):
        assert not differences(getattr(graphed, part).state_dict(), getattr(plain, part).state_dict())
    assert not differences(graphed.random.state, plain.random.state)
    assert graphed.metrics() == plain.metrics()


def test_a_resumed_run_gives_the_same_numbers(tmp_path: Path):
    whole, half = agent().learn(350), agent().learn(200)
    half.save(tmp_path / "half.gio")
    resumed = GIO.load(tmp_path / "half.gio", environment=half.env).learn(150)
    assert fit_of(whole).stepping.routes
    assert not differences(whole.model.state_dict(), resumed.model.state_dict())
    assert not differences(whole.guide.state_dict(), resumed.guide.state_dict())


def test_a_graph_waits_for_nothing():
    learner = agent().learn(300)
    with learner._private():
        batch, future = learner._examples()
        rows = fit_of(learner).begin(batch, future)
        fit_of(learner).step(rows, future)
        fit_of(learner).stepping.recheck()
        calls = fit_of(learner).stepping.progress
        calls.calls = 2**20  # the next call is no power of two: it is not compared
        with synchronisations() as found:
            fit_of(learner).step(rows, future)
    assert not found


class Merging(CategoricalModel):
    """A model whose shapes depend on its data."""

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        torch.unique(state)
        return super().forward(policy, state, future)


def test_what_cannot_be_captured_runs_as_it_is():
    learner = agent(model=Merging).learn(300)  # a warning would be an error
    assert "merged" in fit_of(learner).stepping.progress.refusal
    assert not differences(learner.model.state_dict(), agent(compile=False).learn(300).model.state_dict())


def test_samples_of_replay_are_fitted_as_before():
    assert agent(batch_size=16).table_fit is None


def test_futures_of_probability_zero_count_nothing():
    channel = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]])
    model, policy = true_model(channel), table_policy(torch.tensor([[0.25, 0.75]]))
    state, action = torch.zeros(2, dtype=torch.int64), torch.arange(2)
    some, every = (imagined(model, policy, state, action, fixed_shapes=fixed) for fixed in (False, True))
    assert (len(some.future), len(every.future)) == (3, 6)
    values = torch.tensor([2.0, 4.0, 7.0])
    for found in (some, every):  # what cannot happen may score anything
        scores = values[found.future].masked_fill(found.weight == 0, -torch.inf)
        assert found.mean(scores).tolist() == [3.0, 7.0]


def imagined(model: Model, policy: Policy, state: Tensor, action: Tensor, *, fixed_shapes: bool) -> FutureSamples:
    return imagine(model, policy, state, action, samples=1, fixed_shapes=fixed_shapes)


def test_states_are_found_once():
    state = torch.tensor([2, 0, 2])
    no = torch.zeros(3, dtype=torch.bool)
    rows = Transitions(state, state, state.float(), state, no, no, torch.zeros(3), torch.tensor([1.0, 2.0, 4.0]))
    found = TransitionsWithStates.of(rows)
    assert [part.tolist() for part in found.distinct_states()] == [[0, 2], [2.0, 5.0]]
    assert type(found[:2]) is Transitions  # a part has other states
    assert torch.equal(found[:2].distinct_states()[1], torch.tensor([2.0, 1.0]))
    assert not differences(found.with_reward(state.float() + 1).distinct, found.distinct)
