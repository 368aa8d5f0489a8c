"""Ready-made callbacks of `GIO.learn`: evaluate and keep the best agent, stop at a return, log to TensorBoard or W&B.

    agent.learn(100_000, callback=[EvalCallback("runs/p"), StopOnReturn(450), LogCallback(SummaryWriter())])

A callback is a function of the agent and its metrics, called at every report; returning False stops learning. Those of
a list are called in order with the same dictionary of metrics, so that a later one sees what an earlier one added.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from gio_pyro.collection import Env
from gio_pyro.collection.evaluate import Evaluation
from gio_pyro.collection.make import Vector
from gio_pyro.errors import InputError, shown
from gio_pyro.utils.checks import real, switch, whole
from gio_pyro.utils.files import folder_named
from gio_pyro.utils.randomness import PrivateRandom

__all__ = ["Callback", "EvalCallback", "LogCallback", "Metrics", "StopOnReturn"]

Metrics = dict[str, float]
"""Metrics by name; see `GIO.metrics`."""
Callback = Callable[[Any, Metrics], bool | None]
"""Called at every report (see `GIO.learn`) with the agent and its metrics; returning False stops `learn`."""

BEST = "best"
"""The folder of the best agent so far, inside that of `EvalCallback`."""


class Agent(Protocol):
    """What callbacks use of a `GIO` agent."""

    steps: int
    playing: PrivateRandom

    def evaluate(
        self,
        episodes: int = 20,
        *,
        deterministic: bool = False,
        seed: int | None = None,
        environment: str | Env | Vector | None = None,
    ) -> Evaluation:
        """Play whole episodes."""
        ...

    def save(self, path: str | Path) -> None:
        """Write a checkpoint."""
        ...


class EvalCallback:
    """Evaluate the agent regularly and save the best one, like Stable-Baselines3's `EvalCallback`.

    Episodes are played in a copy of the environment (see `GIO.evaluate`), with the same seed each time, and training
    continues as if there were no evaluation. The metrics get `eval/mean_reward` and `eval/mean_ep_length`.

    Args:
        path: folder in which the best agent so far is saved, as `best` (see `GIO.load`); None saves nothing.
        every: environment steps between evaluations; one takes place at the first report after them.
        episodes: episodes in an evaluation.
        deterministic: take the policy's most probable action instead of a sample.
        seed: seed of the first episode; a number far from the training seed by default.
        environment: another environment to play in, with the same spaces; a copy of the agent's by default.

    Attributes:
        best: mean return of the best agent so far, −∞ before the first evaluation.
        evaluations: environment steps and `Evaluation` of each, in order.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        every: int = 10_000,
        episodes: int = 20,
        deterministic: bool = True,
        seed: int | None = None,
        environment: str | Env | Vector | None = None,
    ) -> None:
        self.path = None if path is None else folder_named(path) / BEST
        self.every, self.episodes = whole("every", every, 1), whole("episodes", episodes, 1)
        self.deterministic = switch("deterministic", deterministic)
        self.seed, self.environment = seed, environment
        self.best = -float("inf")
        self.evaluations: list[tuple[int, Evaluation]] = []

    def __call__(self, agent: Agent, metrics: Metrics) -> None:
        """Evaluate the agent if that is due."""
        if agent.steps - (self.evaluations[-1][0] if self.evaluations else 0) < self.every:
            return
        played = self._evaluate(agent)
        self.evaluations.append((agent.steps, played))
        metrics |= {"eval/mean_reward": played.mean, "eval/mean_ep_length": float(np.mean(played.lengths))}
        if played.mean > self.best:
            self.best = played.mean
            if self.path is not None:
                agent.save(self.path)

    def _evaluate(self, agent: Agent) -> Evaluation:
        """Evaluate the agent and put its stream of sampled actions back to where it was."""
        stream = agent.playing.state
        try:
            return agent.evaluate(
                self.episodes, deterministic=self.deterministic, seed=self.seed, environment=self.environment
            )
        finally:
            agent.playing.state = stream


class StopOnReturn:
    """Stop learning once a mean return reaches a threshold, like `StopTrainingOnRewardThreshold`.

    Args:
        threshold: the return to reach, reward units.
        metric: where it is read; "eval/mean_reward" takes that of an `EvalCallback` before it in the list.
    """

    def __init__(self, threshold: float, metric: str = "rollout/ep_rew_mean") -> None:
        self.threshold = real("threshold", threshold, -1e300, 1e300)
        if not isinstance(metric, str):
            raise InputError(f"Expected metric to be the name of one, but got {shown(metric)}; see GIO.metrics.")
        self.metric = metric

    def __call__(self, agent: Agent, metrics: Metrics) -> bool:
        """Return whether to go on; a metric that is not there yet, or NaN, does not stop."""
        return not metrics.get(self.metric, -float("inf")) >= self.threshold


class LogCallback:
    """Log every report to a TensorBoard-like writer or a Weights-and-Biases-like run.

    Args:
        writer: an object with the method `add_scalar(name, value, step)`, such as a `SummaryWriter`, or else
            `log(metrics, step=step)`, such as `wandb` or one of its runs. It is not closed.

    Raises:
        InputError: the writer has neither method.
    """

    def __init__(self, writer: Any) -> None:
        if not any(callable(getattr(writer, method, None)) for method in ("add_scalar", "log")):
            raise InputError(
                f"Expected a writer with the method add_scalar or log, but got {shown(writer)}; pass a SummaryWriter "
                "or a Weights & Biases run."
            )
        self.writer = writer

    def __call__(self, agent: Agent, metrics: Metrics) -> None:
        """Write the metrics at the agent's number of environment steps."""
        if not callable(getattr(self.writer, "add_scalar", None)):
            self.writer.log(dict(metrics), step=agent.steps)
            return
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, agent.steps)


def combined(callback: Callback | Sequence[Callback] | None) -> Callback:
    """Return one callback that calls all of a list, in order, and stops if any of them does.

    Raises:
        InputError: one that cannot be called, or is a class.
    """
    every: list[Callback] = []
    if callback is not None:
        every = list(callback) if isinstance(callback, list | tuple) else [cast(Callback, callback)]
    for one in every:
        if not callable(one) or isinstance(one, type):
            raise InputError(
                f"Expected callback to be a function of the agent and its metrics, but got {shown(one)}; pass one, a "
                "list of them, or None."
            )

    def call_all(agent: Any, metrics: Metrics) -> bool:
        returned = [one(agent, metrics) for one in every]
        return not any(isinstance(value, bool | np.bool_) and not value for value in returned)

    return call_all
