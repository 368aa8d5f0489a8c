"""What a future F is: the space it lives in, and how it is read from replayed transitions or sequences of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from gymnasium import Space
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.types import Policy, Sequences, Transitions
from gio_pyro.utils.checks import as_number, function, instance

MOST_STEPS = 10_000
"""The largest number of steps of a future."""


class FutureLike(Protocol):
    """The two methods that a user's own future needs where it is no subclass of `Future`."""

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        ...

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        ...


class Future(ABC):
    """A choice of F. A subclass defines `space` and `of`, and of the optional methods those that it supports.

    F of one step, the default, is a function of one transition. `Later` is the base of futures of several steps, which
    are read from sequences of transitions.
    """

    steps: int = 1
    """T: how many transitions F is read from, that of the action included."""
    sequential: bool = False
    """Whether F is read from sequences, by `read` and `weight`, instead of from single transitions, by `of`."""

    baseline: Callable[[Tensor], Tensor] | None = None
    """Optional: `baseline(state [B, ...]) -> [B, ...]`, the prediction of F from the state alone, such as s itself for
    the next state. Models of continuous futures then predict the difference."""
    outcome: Callable[[Tensor, Space[Any]], tuple[Tensor, Tensor | None]] | None = None
    """Optional: `outcome(found [B, ...], state_space) -> (s' [B, ...], r [B] or None)`, for futures that contain the
    next state. Dreaming needs it."""
    exact: Callable[[], tabular.Future] | None = None
    """Optional: `exact()`, the counterpart in `gio_pyro.tabular`, with its values in the same order."""
    in_environment: Callable[[Any, Space[Any]], "Future"] | None = None
    """Optional: `in_environment(env, state_space) -> Future`, this future with what it takes from the environment, such
    as the rewards of its transition table. Called once, before `space`."""

    @abstractmethod
    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""

    @abstractmethod
    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each sequence, `[B, ...]`; where F is unknown, any value of the space."""
        return self.of(instance("pieces", pieces, Sequences).steps[:, 0])

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return the importance weight of each sequence under `policy`, `[B]`; 0 where F is unknown."""
        return instance("pieces", pieces, Sequences).steps.weight[:, 0]


@dataclass(frozen=True)
class Later(Future):
    """A future of several steps, read from replayed sequences and weighted by importance.

    The replayed actions were drawn from the behaviour policy μ, but F is wanted under the current policy π. So each
    sequence has the weight Π π(a_i|s_i) / μ(a_i|s_i) over the actions after the first one, which is given rather than
    averaged over. A sequence that ends early by termination is complete: terminal states are absorbing and pay nothing.
    One that is cut off by truncation or by the end of replay has an unknown F and the weight 0. Where both kinds of end
    occur within one horizon, terminations are therefore slightly over-represented; choose horizons that are short
    compared with the time limit.
    """

    sequential = True

    steps: int = field()
    most_weight: float = field(default=100.0, kw_only=True)
    """Upper bound of the weights: bounded variance, a small bias (truncated importance sampling, Ionides 2008)."""

    def __post_init__(self) -> None:
        steps, weight, name = as_number(self.steps), as_number(self.most_weight), type(self).__name__
        if not isinstance(steps, int) or steps < 1:
            raise InputError(f"Expected {name} of at least 1 step, a whole number, but got {shown(self.steps)}.")
        if steps > MOST_STEPS:
            raise InputError(f"Expected {name} of at most {MOST_STEPS:,} steps, but got {float(steps):.3g}.")
        if weight is None or not weight >= 1:
            raise InputError(
                f"Expected most_weight of at least 1, but got {shown(self.most_weight)}; 100 is the default."
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "most_weight", weight)

    def of(self, transitions: Transitions) -> Tensor:
        """Raise `InputError`: F is not a function of a single transition."""
        raise InputError(f"Expected sequences for {self}, but got single transitions; call read(pieces, state_space).")

    @abstractmethod
    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each sequence, `[B, ...]`; where F is unknown, any value of the space."""

    def source(self, policy: Policy) -> Policy:
        """Return the distribution that the actions after the first are drawn from: the policy itself."""
        return policy

    @torch.no_grad()
    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return the importance weight of each sequence under `policy`, `[B]`; 0 where F is unknown."""
        pieces, policy = instance("pieces", pieces, Sequences), function("policy", policy, "states")
        valid, rows = pieces.valid, pieces.steps
        # F is known where no transition is missing, or where those that are missing follow a termination.
        known = valid.all(1) | (valid & rows.terminated).any(1)
        if self.steps == 1:
            return known.to(rows.weight)
        # w = Π_{i ≥ 1} π(a_i|s_i) / μ(a_i|s_i), truncated from above.
        later = rows[:, 1:].flat()
        with raised_by("the policy", "log_prob"):
            ratio = self.source(policy)(later.state).log_prob(later.action) - later.log_behaviour
        log_weight = (ratio.unflatten(0, (len(valid), -1)) * valid[:, 1:]).sum(1)
        return torch.where(known, log_weight.exp().clamp_max(self.most_weight), 0.0).to(rows.weight)
