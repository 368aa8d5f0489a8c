"""The callbacks that come with the library, alone and in a list.

Cost: 5 s.
"""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from gio_pyro import GIO
from gio_pyro.callbacks import EvalCallback, LogCallback, StopOnReturn
from gio_pyro.errors import InputError
from tests.agents import differences

QUICK: dict[str, Any] = {"train_freq": 20, "gradient_steps": 2, "log_interval": 20, "sweeps": 20}
ENV = "gio/SlipperyLine-v0"


class Writer:
    """A SummaryWriter, as far as it is used."""

    def __init__(self) -> None:
        self.written: list[tuple[str, float, int]] = []

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written.append((name, value, step))


class Run:
    """A Weights & Biases run, as far as it is used."""

    def __init__(self) -> None:
        self.logged: list[tuple[dict[str, float], int]] = []

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.logged.append((metrics, step))


def test_evaluating_keeps_the_best_agent_and_training_goes_on_as_without_it(tmp_path: Path):
    evaluation = EvalCallback(tmp_path, every=40, episodes=3, deterministic=False)
    saved: dict[int, dict[str, Any]] = {}

    def remember(agent: GIO, metrics: dict[str, float]) -> None:
        saved[agent.steps] = {name: value.clone() for name, value in agent.actor_critic.state_dict().items()}

    agent = GIO(ENV, **QUICK).learn(160, callback=[remember, evaluation])
    plain = GIO(ENV, **QUICK).learn(160)
    assert not differences(agent, plain)
    assert [steps for steps, _ in evaluation.evaluations] == [40, 80, 120, 160]
    means = [played.mean for _, played in evaluation.evaluations]
    assert evaluation.best == max(means)
    best = GIO.load(tmp_path / "best")
    assert best.steps == evaluation.evaluations[means.index(max(means))][0]
    assert all(torch.equal(value, saved[best.steps][name]) for name, value in best.actor_critic.state_dict().items())


def test_reports_go_to_a_writer_or_a_run_with_what_an_evaluation_before_added():
    writer, run = Writer(), Run()
    GIO(ENV, **QUICK).learn(40, callback=[EvalCallback(every=40, episodes=2), LogCallback(writer), LogCallback(run)])
    assert [step for _, step in run.logged] == [20, 40]
    first, second = (metrics for metrics, _ in run.logged)
    assert "eval/mean_reward" not in first
    assert {"eval/mean_reward", "eval/mean_ep_length", "intrinsic/nats"} <= second.keys()
    assert {name for name, _, step in writer.written if step == 40} == second.keys()
    assert [step for name, _, step in writer.written if name == "train/entropy"] == [20, 40]


def test_learning_stops_at_a_return_or_where_any_of_a_list_says_so():
    seen: list[int] = []

    def returns(agent: GIO, metrics: dict[str, float]) -> None:
        metrics["rollout/ep_rew_mean"] = {20: math.nan, 40: 0.4, 60: 0.5}.get(agent.steps, 0.0)
        seen.append(agent.steps)

    def last(agent: GIO, metrics: dict[str, float]) -> None:
        seen.append(-agent.steps)

    agent = GIO(ENV, **QUICK).learn(total_timesteps=200, callback=[returns, StopOnReturn(0.5), last])
    assert seen == [20, -20, 40, -40, 60, -60]
    assert agent.steps == 60
    assert StopOnReturn(0.0, "eval/mean_reward")(agent, {})
    agent.learn(20, callback=[])
    assert agent.steps == 80


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: EvalCallback(every=0), "Expected every to be a whole number of at least 1, but got 0"),
        (lambda: EvalCallback(3), "Expected "),
        (lambda: StopOnReturn("much"), "Expected threshold to be a number"),
        (lambda: StopOnReturn(1, 2), "Expected metric to be the name of one, but got 2"),
        (lambda: LogCallback(print), "Expected a writer with the method add_scalar or log, but got"),
        (lambda: GIO(ENV).learn(0, callback=[print, 3]), "Expected callback to be a function of the agent and its"),
        (lambda: GIO(ENV).learn(3, total_timesteps=3), "Expected steps or total_timesteps, which mean the same, but"),
        (lambda: GIO(ENV).learn(), "Expected a whole number of steps, at least 0, but got None"),
    ],
)
def test_mistakes_are_errors_of_one_sentence(make: Any, says: str):
    with pytest.raises(InputError) as caught:
        make()
    assert str(caught.value).startswith(says)
