"""One update of networks: fit, evaluation and improvement, each by itself and as one graph."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from gio_pyro.actor_critic.guide_reward import Reward
from gio_pyro.actor_critic.networks import NetworkActorCritic, as_tensor
from gio_pyro.nn.gradient_step import Figures, with_moments
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.programs import Guide, Model
from gio_pyro.schedules.temperature import Temperature
from gio_pyro.types import FIELDS, Policy, Transitions, WeightedBatch

FINITE = "finite"
"""The figure that says whether all others are finite, a boolean."""


class Fitting(Protocol):
    """What fits model and guide (`gio_pyro.inference.Inference`)."""

    model: Model
    guide: Guide

    @property
    def optimisers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The optimisers by name."""
        ...

    @property
    def one_graph(self) -> bool:
        """Whether a step is tensor operations alone."""
        ...

    def step(self, policy: Policy, batch: Transitions, future: Tensor) -> Figures:
        """Take one gradient step of the programs."""
        ...


class NetworkUpdate:
    """Gradient steps on the programs, the critics, the policy and a learned temperature, from tensors to figures.

    Args:
        inference: fits model and guide.
        actor_critic: policy and critics.
        reward: the guide's reward.
        temperature: α.
        others: further modules that these read, such as the action masks.
        behaviour: what collects; a graph as well.
        how: whether the steps run captured or compiled, the setting `compile`.
    """

    def __init__(
        self,
        inference: Fitting,
        actor_critic: NetworkActorCritic,
        reward: Reward,
        temperature: Temperature,
        others: Sequence[nn.Module],
        behaviour: Callable[[Tensor], tuple[Tensor, Tensor]],
        how: bool | str,
    ) -> None:
        self.progress, own = Progress(how), Progress(how)
        self.inference, self.actor_critic, self.reward, self.temperature = inference, actor_critic, reward, temperature
        learned = [] if temperature.optimiser is None else [with_moments(temperature.optimiser)]
        fitted, improved = list(inference.optimisers.values()), [*actor_critic.optimisers.values(), *learned]
        modules = [inference.model, inference.guide, actor_critic, temperature, *others]
        sources = Sources(modules, [*fitted, *improved])
        self.behaviour = _GraphedBehaviour(behaviour, sources, own)
        self.fitting, self.improving, self.whole = (
            GraphedFunction(function, sources, self.progress)
            for function in (self._fit, self._improve, self._fit_and_improve)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return how far it has come: the number of updates, and whether they run compiled."""
        return {"calls": self.progress.calls, "compiled": self.progress.compiled}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on as the update of a checkpoint ran, compiled or not, since the two differ by rounding."""
        self.progress.calls = state["calls"]
        self.progress.compiled = state["compiled"] and self.progress.how is not False

    def expect(self, fits: int, updates: int) -> None:
        """Say how many updates of the programs alone, and then of all, are to come."""
        self.fitting.ahead, self.improving.ahead, self.whole.ahead = fits, updates, updates
        self.recheck()

    def recheck(self) -> None:
        """Look again whether the graphs are up to date: code of the user has run, or a program has observed data."""
        for function in (self.fitting, self.improving, self.whole, self.behaviour.function):
            function.recheck()

    def fit(self, batch: Transitions, future: Tensor) -> Figures:
        """Take one gradient step of the programs on transitions `[B, ...]` and their futures; return its figures."""
        if not self.inference.one_graph:
            return self._fit(future, *batch.tensors())
        return self.fitting(future, *batch.tensors())

    def improve(self, batch: Transitions, step: int, auxiliary: Sequence[WeightedBatch]) -> Figures:
        """Take one step of evaluation and improvement (`NetworkActorCritic.improve`); return its figures."""
        return self.improving(*batch.tensors(), *self._prices(batch, step, auxiliary))

    def fit_and_improve(
        self, batch: Transitions, future: Tensor, rewarded: Transitions, step: int, auxiliary: Sequence[WeightedBatch]
    ) -> Figures:
        """Do both for the same transitions, with the rewards of `rewarded` for the critic, as one graph."""
        if not self.inference.one_graph:
            fitted, improved = self.fit(batch, future), self.improve(rewarded, step, auxiliary)
            return fitted | improved | {FINITE: fitted[FINITE] & improved[FINITE]}
        return self.whole(*self.inputs(batch, future, rewarded, step, auxiliary))

    def inputs(
        self, batch: Transitions, future: Tensor, rewarded: Transitions, step: int, auxiliary: Sequence[WeightedBatch]
    ) -> tuple[Tensor, ...]:
        """Return the inputs of the whole update as a graph."""
        return future, *batch.tensors(), rewarded.reward, *self._prices(batch, step, auxiliary)

    def prepare(self, batch: Transitions, future: Tensor, step: int, auxiliary: Sequence[WeightedBatch]) -> None:
        """Begin to compile the whole update while only the programs are fitted, if it is going to be worth it."""
        if self.inference.one_graph and not self.whole.routes:
            self.whole.prepare(*self.inputs(batch, future, batch, step, auxiliary))

    def _prices(self, batch: Transitions, step: int, auxiliary: Sequence[WeightedBatch]) -> tuple[Tensor, ...]:
        """Return α and the reward of each auxiliary value `[B]`, and set the weights of these values."""
        self.actor_critic.weigh(auxiliary)
        alpha = as_tensor(self.temperature.at(step), batch.reward.device)
        return alpha, *(weighted.rows.reward for weighted in auxiliary)

    def _fit(self, future: Tensor, *batch: Tensor) -> Figures:
        return checked(self.inference.step(self.actor_critic.policy, Transitions(*batch), future))

    def _improve(self, *given: Tensor) -> Figures:
        rows, alpha, *auxiliary = Transitions(*given[:FIELDS]), *given[FIELDS:]
        return checked(self.actor_critic.descend(alpha, rows, self.reward, self.temperature, auxiliary))

    def _fit_and_improve(self, future: Tensor, *given: Tensor) -> Figures:
        batch, (reward, *prices) = given[:FIELDS], given[FIELDS:]
        fitted = self._fit(future, *batch)
        improved = self._improve(*Transitions(*batch).with_reward(reward).tensors(), *prices)
        return fitted | improved | {FINITE: fitted[FINITE] & improved[FINITE]}


class _GraphedBehaviour:
    """A behaviour policy as a graph; it is small, and not compiled."""

    def __init__(
        self, behaviour: Callable[[Tensor], tuple[Tensor, Tensor]], sources: Sources, progress: Progress
    ) -> None:
        self.behaviour = behaviour
        self.function = GraphedFunction(self._named, sources, progress)

    def _named(self, state: Tensor) -> Figures:
        return dict(zip(("action", "log_behaviour"), self.behaviour(state), strict=True))

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N, ...]` and `[N]`."""
        found = self.function(state)
        return found["action"], found["log_behaviour"]


def checked(figures: Figures) -> Figures:
    """Return the figures, and whether all of them are finite."""
    return figures | {FINITE: all_finite(figures)}


def all_finite(figures: Figures) -> Tensor:
    """Return whether every figure is finite, a boolean on the device."""
    return torch.isfinite(torch.stack(list(figures.values()))).all()
