"""Guide: a program read as the conditional distribution of actions, q_φ(a|s, F)."""

from typing import Any

import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.distributions.masks import restricted
from gio_pyro.distributions.normalised import normalised
from gio_pyro.programs.program import Program
from gio_pyro.programs.scores import log_probs, per_example
from gio_pyro.programs.sites import ACTION
from gio_pyro.types import Allowed, Policy, Transitions


class Guide(Program):
    """A guide q_φ(a|s, F): a program with the site "action", normalised over the allowed actions.

    Attributes:
        allowed: the action masks of states, `[B, ...] -> [B, A]`; None allows all actions.
    """

    sites = (ACTION,)
    allowed: Allowed | None = None

    @property
    def ignores_future(self) -> bool:
        """Whether the program declares, by its attribute `ignores_future`, that q_φ does not depend on F."""
        return bool(getattr(self.program, "ignores_future", False))

    @property
    def distils(self) -> bool:
        """Whether the program declares, by its attribute `distils`, that a planner's plans are to be distilled into it.

        Its objective beside a planner is then the cross-entropy of the plans.
        """
        return bool(getattr(self.program, "distils", False))

    def posterior(self, policy: Policy, state: Tensor, future: Tensor) -> Distribution:
        """Return q_φ(·|s, F), a batch of B distributions; `state` and `future` are `[B, ...]`."""
        found: Distribution = self.restricted(self.site(ACTION, policy, state, future), state)
        return found

    def restricted(self, found: Any, state: Tensor) -> Any:
        """Return a distribution over actions, restricted to those that `state` `[B, ...]` allows."""
        allowed = None if self.allowed is None else self.allowed(state)
        return found if allowed is None else normalised(restricted(log_probs(found, self.name), allowed))

    def log_prob(self, policy: Policy, state: Tensor, future: Tensor, action: Tensor) -> Tensor:
        """Return log q_φ(a|s, F) of each example, `[B]` nats."""
        self._check_batch(state, future=future, action=action)
        return per_example(self.posterior(policy, state, future), action, len(state), self.name)

    @property
    def follows(self) -> bool:
        """Whether the program has a method `follow`."""
        return getattr(self.program, "follow", None) is not None

    @torch.no_grad()
    def follow(self, policy: Policy, batch: Transitions) -> None:
        """Pass the improved policy to the program's `follow(policy, state, weight)`, if it has one.

        A guide can thus update itself without gradients: `state` `[M, ...]` are visited states with weights `[M]`.
        """
        if self.follows:
            self.call("follow", policy, *batch.distinct_states())

    @property
    def explorer(self) -> Policy | None:
        """The exploration policy `explore(state)` of the program, a batch of distributions over actions, or None."""
        return self._explore if getattr(self.program, "explore", None) is not None else None

    def _explore(self, state: Tensor) -> TorchDistributionMixin:
        found: TorchDistributionMixin = self.restricted(self.call("explore", state), state)
        return found
