"""Policy evaluation: the soft Bellman backup of theory, equation 5, on replayed transitions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gio_pyro.programs import log_probs
from gio_pyro.types import Policy, Transitions


class TableCritic(nn.Module):
    """Q(s, a) as a table; each entry is the weighted mean of the backups of its replayed transitions.

    A pair that was never tried keeps an optimistic value, so that the policy goes and tries it: mutual information
    under a *learned* model rewards what is known to be controllable and does not seek the unknown by itself.

    Args:
        states: S.
        actions: A.
        initial_value: the value of untried pairs, reward units; None takes an upper bound from the rewards seen
            (see `optimistic_value`).
    """

    q: Tensor
    tried: Tensor

    def __init__(self, states: int, actions: int, *, initial_value: float | None = None) -> None:
        super().__init__()
        self.initial_value = initial_value
        self.register_buffer("q", torch.zeros(states, actions))
        self.register_buffer("tried", torch.zeros(states, actions, dtype=torch.bool))

    def forward(self, state: Tensor) -> Tensor:
        """Return Q(s, ·), `[B, A]` reward units."""
        return self.q[state]

    @torch.no_grad()
    def evaluate(
        self,
        batch: Transitions,
        policy: Policy,
        next_bonus: Tensor,
        *,
        discount: float,
        temperature: float | Tensor,
        sweeps: int,
        paid: Tensor | float = 0.0,
        tolerance: float = 1e-5,
        untried: float | None = None,
    ) -> Tensor:
        """Back up every transition of the batch until no value changes by more than `tolerance`, or `sweeps` times.

        Args:
            batch: `[B]` transitions; termination ends the sum, truncation does not.
            policy: π, whose value is wanted.
            next_bonus: I or its bound at the next states, `[B]` nats.
            discount: γ.
            temperature: α, reward units per nat.
            sweeps: most backups of the whole batch.
            paid: what each transition is paid on the spot, `[B]` nats.
            tolerance: reward units, relative to the largest value where that exceeds 1.
            untried: the value of pairs never tried, reward units; `initial_value` if None.

        Returns:
            The largest change in the last sweep, reward units.
        """
        states, actions = self.q.shape
        pair = batch.state * actions + batch.action
        weight = batch.weight.to(self.q)
        share = weight / torch.zeros_like(self.q).flatten().index_add(0, pair, weight)[pair]
        here = torch.zeros_like(self.tried)
        here.view(-1)[pair] = True
        self.tried |= here
        self.q[~self.tried] = self._untried(batch, discount, temperature) if untried is None else untried
        backup = self._backup(batch, policy, next_bonus, discount=discount, temperature=temperature, paid=paid)
        change = torch.tensor(torch.inf)
        for _ in range(sweeps):
            target = backup(self.q)
            new = torch.zeros(states * actions).to(self.q).index_add(0, pair, share * target).view_as(self.q)
            new = torch.where(here, new, self.q)
            change = (new - self.q).abs().max()
            self.q.copy_(new)
            if bool(change <= tolerance * self.q.abs().max().clamp_min(1.0)):
                break
        return change

    @torch.no_grad()
    def loss(
        self,
        batch: Transitions,
        policy: Policy,
        next_bonus: Tensor,
        *,
        discount: float,
        temperature: float | Tensor,
        paid: Tensor | float = 0.0,
    ) -> Tensor:
        """Return the mean squared error of Q, as it stands, at one backup of each transition; squared reward units.

        Arguments are those of `evaluate`. Asked before it, this is what new data and a new policy have left to learn,
        and, in stochastic worlds, the variance of the backups, as in the loss of a network.
        """
        target = self._backup(batch, policy, next_bonus, discount=discount, temperature=temperature, paid=paid)(self.q)
        return batch.mean((target - self.q[batch.state, batch.action]).square())

    def _backup(
        self,
        batch: Transitions,
        policy: Policy,
        next_bonus: Tensor,
        *,
        discount: float,
        temperature: float | Tensor,
        paid: Tensor | float,
    ) -> Callable[[Tensor], Tensor]:
        """Return the function from Q `[S, A]` to what it makes of each transition, `[B]` reward units."""
        pi = log_probs(policy(batch.next_state)).exp()
        going = discount * (~batch.terminated).to(self.q)
        fixed = batch.reward + temperature * paid + going * temperature * next_bonus
        return lambda q: fixed + going * (pi * q[batch.next_state]).sum(-1)

    def _untried(self, batch: Transitions, discount: float, temperature: float | Tensor) -> float:
        if self.initial_value is not None:
            return self.initial_value
        return optimistic_value(float(batch.reward.max()), self.q.shape[-1], discount, float(temperature))


def optimistic_value(reward: float, actions: int, discount: float, temperature: float) -> float:
    """Return an upper bound on any value: the best reward seen plus α log A, at every step if that is positive."""
    best = reward + temperature * math.log(actions)
    return best / (1 - discount) if best > 0 else best
