"""What collects: the policy as it is now, with a share of its actions replaced by uniform ones.

Each behaviour maps a batch of states to site actions `[N, ...]` and log μ(a|s) `[N]`, nats: of the probability or
density that it gave them.
"""

import math

import torch
from torch import Tensor

from gio_pyro.programs import log_probs
from gio_pyro.squash import uniform_in_box
from gio_pyro.types import Policy


class TableBehaviour:
    """For finite worlds: the policy is asked once for each state that is met, while it rests for a round.

    Args:
        policy: π.
        uniform_share: exploration, in [0, 1].
    """

    def __init__(self, policy: Policy, uniform_share: float) -> None:
        self.policy, self.uniform_share = policy, uniform_share
        self._rows: dict[int, list[float]] = {}

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N]` each."""
        uniform = torch.rand(len(state), dtype=torch.float64).tolist()
        taken = [self.act(s, u, state.device) for s, u in zip(state.tolist(), uniform, strict=True)]
        action, probability = (torch.tensor(values, device=state.device) for values in zip(*taken, strict=True))
        return action, probability.log()

    def probabilities(self, state: int, device: torch.device) -> list[float]:
        """Return μ(·|s), one number for each action."""
        if state not in self._rows:
            pi = log_probs(self.policy(torch.tensor([state], device=device)))[0].exp()
            self._rows[state] = ((1 - self.uniform_share) * pi + self.uniform_share / len(pi)).tolist()
        return self._rows[state]

    def act(self, state: int, uniform: float, device: torch.device) -> tuple[int, float]:
        """Return the action at the quantile `uniform`, in [0, 1), of μ(·|s), and its probability."""
        row = self.probabilities(state, device)
        for action, probability in enumerate(row):
            uniform -= probability
            if uniform < 0:
                return action, probability
        action = max(range(len(row)), key=row.__getitem__)  # the row sums to 1 only up to rounding
        return action, row[action]


class DiscreteBehaviour:
    """For finitely many actions of a network."""

    def __init__(self, policy: Policy, uniform_share: float) -> None:
        self.policy, self.uniform_share = policy, uniform_share

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N]` each."""
        pi = log_probs(self.policy(state)).exp()
        mu = (1 - self.uniform_share) * pi + self.uniform_share / pi.shape[-1]
        action = torch.multinomial(mu, 1)
        return action.squeeze(-1), mu.gather(-1, action).squeeze(-1).log()


class ContinuousBehaviour:
    """For continuous actions, at numbers before the squash."""

    def __init__(self, policy: Policy, uniform_share: float) -> None:
        self.policy, self.uniform_share = policy, uniform_share

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions `[N, d]` and their log-densities `[N]`."""
        pi = self.policy(state)
        action = pi.sample()
        if self.uniform_share == 0.0:
            return action, pi.log_prob(action)
        uniform = uniform_in_box(action)
        explore = torch.rand(len(action), 1, device=action.device) < self.uniform_share
        action = torch.where(explore, uniform.sample(), action)
        explored = uniform.log_prob(action) + math.log(self.uniform_share)
        if self.uniform_share == 1.0:
            return action, explored
        return action, torch.logaddexp(pi.log_prob(action) + math.log1p(-self.uniform_share), explored)
