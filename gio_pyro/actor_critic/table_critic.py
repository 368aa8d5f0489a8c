"""Policy evaluation: the soft Bellman backup of theory, equation 5, on replayed transitions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gio_pyro.programs import log_probs
from gio_pyro.settings import NEUTRAL
from gio_pyro.types import Policy, Transitions


class TableCritic(nn.Module):
    """Q(s, a) as a table; each entry is the weighted mean of the backups of its replayed transitions.

    Untried state-action pairs have an optimistic value, which makes the policy explore: mutual information under a
    *learned* model rewards known controllability, not novelty. A fixed number is optimistic or pessimistic depending on
    the other values, which intrinsic rewards change during training; the neutral value is neither.

    Args:
        states: S.
        actions: A.
        initial_value: the value of untried pairs, reward units; None takes an upper bound from the rewards seen
            (see `optimistic_value`), "neutral" the mean under π of the tried pairs of the same state, or 0 if none.
    """

    q: Tensor
    tried: Tensor

    def __init__(self, states: int, actions: int, *, initial_value: float | str | None = None) -> None:
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
        transition_bonus: Tensor | float = 0.0,
        tolerance: float = 1e-5,
        untried: float | str | None = None,
    ) -> Tensor:
        """Back up every transition of the batch until no value changes by more than `tolerance`, or `sweeps` times.

        Args:
            batch: `[B]` transitions; values are bootstrapped unless terminated, also after truncation.
            policy: π, the policy to evaluate.
            next_bonus: mutual information, or its bound, at the next states, `[B]` nats.
            discount: γ.
            temperature: α, reward units per nat.
            sweeps: maximal number of backups of the whole batch.
            transition_bonus: intrinsic reward of each transition itself, `[B]` nats.
            tolerance: reward units; relative to the largest value if that exceeds 1.
            untried: value of untried pairs in this evaluation; `initial_value` if None.

        Returns:
            The largest change in the last sweep, reward units.
        """
        # weight of each transition in the mean of its state-action pair
        states, actions = self.q.shape
        pair = batch.state * actions + batch.action
        weight = batch.weight.to(self.q)
        share = weight / torch.zeros_like(self.q).flatten().index_add(0, pair, weight)[pair]
        here = torch.zeros_like(self.tried)
        here.view(-1)[pair] = True
        self.tried |= here
        # values of untried pairs
        initial = self.initial_value if untried is None else untried
        fill = self._untried(initial, batch, policy, discount, temperature)
        self.q.copy_(torch.where(self.tried, self.q, fill(self.q)))
        backup = self._backup(
            batch, policy, next_bonus, discount=discount, temperature=temperature, transition_bonus=transition_bonus
        )
        # equation 5, Q ← T^π Q, until convergence
        change = torch.tensor(torch.inf)
        for _ in range(sweeps):
            target = backup(self.q)
            new = torch.zeros(states * actions).to(self.q).index_add(0, pair, share * target).view_as(self.q)
            new = torch.where(here, new, self.q)
            new = torch.where(self.tried, new, fill(new))
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
        transition_bonus: Tensor | float = 0.0,
    ) -> Tensor:
        """Return the mean squared Bellman error of the current Q over the batch, squared reward units.

        Arguments are those of `evaluate`. Before an evaluation, this is the error due to new data and a changed policy
        plus, in stochastic environments, the variance of the backups, as in the loss of a critic network.
        """
        target = self._backup(
            batch, policy, next_bonus, discount=discount, temperature=temperature, transition_bonus=transition_bonus
        )(self.q)
        return batch.mean((target - self.q[batch.state, batch.action]).square())

    def _backup(
        self,
        batch: Transitions,
        policy: Policy,
        next_bonus: Tensor,
        *,
        discount: float,
        temperature: float | Tensor,
        transition_bonus: Tensor | float,
    ) -> Callable[[Tensor], Tensor]:
        """Return the function that maps Q `[S, A]` to the backup of each transition, `[B]` reward units."""
        state, where = torch.unique(batch.next_state, return_inverse=True)
        pi = log_probs(policy(state)).exp()
        going = discount * (~batch.terminated).to(self.q)
        fixed = batch.reward + temperature * transition_bonus + going * temperature * next_bonus
        return lambda q: fixed + going * (pi * q[state]).sum(-1)[where]

    def _untried(
        self,
        value: float | str | None,
        batch: Transitions,
        policy: Policy,
        discount: float,
        temperature: float | Tensor,
    ) -> Callable[[Tensor], Tensor]:
        """Return the function that maps Q `[S, A]` to the values of untried pairs, broadcastable to `[S, A]`."""
        if value == NEUTRAL:
            log_pi = log_probs(policy(torch.arange(len(self.q), device=self.q.device)))
            own = log_pi.masked_fill(~self.tried, -math.inf).softmax(-1).nan_to_num(0.0)
            return lambda q: (own * q).sum(-1, keepdim=True)
        if value is None:
            value = optimistic_value(float(batch.reward.max()), self.q.shape[-1], discount, float(temperature))
        constant = self.q.new_tensor(float(value))
        return lambda q: constant


def optimistic_value(reward: float, actions: int, discount: float, temperature: float) -> float:
    """Return an upper bound on any value: the best reward seen plus α log A, at every step if that is positive."""
    best = reward + temperature * math.log(actions)
    return best / (1 - discount) if best > 0 else best
