"""What collects: the policy as it is now, with a share of its actions replaced by uniform ones.

Each behaviour maps a batch of states to site actions `[N, ...]` and μ(a|s) `[N]`, the probability or density it gave.
"""

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
        """Return actions and their probabilities, `[N]` each."""
        uniform = torch.rand(len(state), dtype=torch.float64).tolist()
        taken = [self.act(s, u, state.device) for s, u in zip(state.tolist(), uniform, strict=True)]
        action, probability = zip(*taken, strict=True)
        return torch.tensor(action, device=state.device), torch.tensor(probability, device=state.device)

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
        """Return actions and their probabilities, `[N]` each."""
        pi = log_probs(self.policy(state)).exp()
        mu = (1 - self.uniform_share) * pi + self.uniform_share / pi.shape[-1]
        action = torch.multinomial(mu, 1)
        return action.squeeze(-1), mu.gather(-1, action).squeeze(-1)


class ContinuousBehaviour:
    """For continuous actions, at numbers before the squash."""

    def __init__(self, policy: Policy, uniform_share: float) -> None:
        self.policy, self.uniform_share = policy, uniform_share

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions `[N, d]` and their densities `[N]`."""
        pi = self.policy(state)
        action = pi.sample()
        if self.uniform_share == 0.0:
            return action, pi.log_prob(action).exp()
        uniform = uniform_in_box(action)
        explore = torch.rand(len(action), 1, device=action.device) < self.uniform_share
        action = torch.where(explore, uniform.sample(), action)
        density = (1 - self.uniform_share) * pi.log_prob(action).exp()
        return action, density + self.uniform_share * uniform.log_prob(action).exp()
