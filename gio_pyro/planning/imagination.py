"""What planners roll out: one imagined step of many states at once."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.dreaming import NetworkOutcomes
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.signals import Fitted
from gio_pyro.types import Transitions

HALF = 0.5
"""Probability from which on a step counts as terminated where that has to be a flag."""
Pay = Callable[[Transitions], Transitions]
"""From transitions with the environment's reward to those with the reward that the agent maximises."""


@dataclass(frozen=True)
class Imagined:
    """One imagined step from each of M states."""

    next_state: Tensor
    """`[M, ...]`."""
    reward: Tensor
    """`[M]`, reward units."""
    ended: Tensor
    """`[M]`: the probability that the episode terminates with this step."""
    information: Tensor
    """`[M]` nats: what the outcome tells about the state, the second term of the planning bound."""


class Imagination(Protocol):
    """What a planner asks of the agent's model."""

    information_weight: float
    """The weight w of the information where a planner is not given one: that of the bound, 1, where the information is
    a finite number of nats, else 0."""
    measures: bool
    """Whether `step` is to give the information; without, it may give 0."""

    def step(self, state: Tensor, action: Tensor) -> Imagined:
        """Return one step from each state `[M, ...]` with each action `[M, ...]`."""
        ...

    def refresh(self) -> None:
        """Drop what was computed from the model: it has been fitted since."""
        ...

    def direct(self) -> AbstractContextManager[None]:
        """Run steps as they stand, as part of a graph that is captured around them."""
        ...


class FittedImagination:
    """Draws of the fitted model p_ψ(F|s, a) whose future holds s'; reward and termination are regressed on replay.

    The agent sees the state itself, x = s', so that the information of a step is −log p_ψ(F|s, a) of the drawn future,
    in expectation the entropy of the prediction. Of finitely many futures that is the bound's mutual information,
    H(s'|s, a) − H(s'|s'). Of real numbers it is a density's: it depends on the units of the observation, may be
    negative without limit, and the bound's own term is infinite (a number that is observed without noise tells
    infinitely much), so that its weight is 0 unless a planner is given one.

    Args:
        fitted: the spaces, the future, the model and the policy.
        outcomes: reward, termination and range of states, fitted to replay.
        pay: the reward that the agent maximises.
        captured: whether a step runs as a captured graph, which gives the same numbers in less time.
    """

    measures = True
    inside = False

    def __init__(self, fitted: Fitted, outcomes: NetworkOutcomes, pay: Pay, *, captured: bool) -> None:
        self.fitted, self.outcomes, self.pay = fitted, outcomes, pay
        progress = Progress("auto" if captured else False, captured_only=True)
        policy = fitted.policy
        others = [policy] if isinstance(policy, nn.Module) else []
        self.stepping = GraphedFunction(self._drawn, Sources([fitted.model, outcomes, *others]), progress)
        self.information_weight = float(isinstance(fitted.spec.future_space, Discrete))

    @contextmanager
    def direct(self) -> Iterator[None]:
        """Run steps as they stand, as part of a graph that is captured around them."""
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def refresh(self) -> None:
        """Look again whether the graph of a step is up to date."""
        self.stepping.recheck()

    @torch.no_grad()
    def step(self, state: Tensor, action: Tensor) -> Imagined:
        """Return one drawn step from each state `[M, ...]`."""
        found = (self._drawn if self.inside else self.stepping)(state, action)
        reward, ended, next_state = found["reward"], found["ended"], found["next_state"]
        over, none = ended > HALF, torch.zeros_like(reward)
        rows = Transitions(state, action, reward, next_state, over, torch.zeros_like(over), none, none + 1)
        return Imagined(next_state, self.pay(rows).reward, ended, found["information"])

    def _drawn(self, state: Tensor, action: Tensor) -> Figures:
        model, policy = self.fitted.model, self.fitted.policy
        distribution = model.future(policy, state, action)
        found = distribution.sample()
        next_state, reward, logit = self.outcomes.read(state, action, found)
        information = -model.log_prob(policy, state, action, found) if self.measures else torch.zeros_like(logit)
        return {"next_state": next_state, "reward": reward, "ended": logit.sigmoid(), "information": information}
