"""Certified bounds on the optimal value of a POMDP, as functions of the belief, and their backups.

Below, the largest of some alpha vectors, each the value of a policy at every state. Above, the smaller of

- the fast informed bound max_a Σ_s b(s) Q(s, a), Q(s, a) = r + γ Σ_x max_a' Σ_s' p(s', x|s, a) Q(s', a') (Hauskrecht
  2000), which lets the agent see the state one step late, and
- a sawtooth over beliefs b_i of known bounds u_i: with corners c(s) = max_a Q(s, a),
  Σ_s b(s) c(s) + min_i (u_i − Σ_s b_i(s) c(s)) min_{s: b_i(s) > 0} b(s) / b_i(s).

Beliefs are over non-terminal states and may sum to less than 1; all bounds scale with them.
"""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.information import LARGEST_REWARD
from gio_pyro.tabular.pomdp import POMDP

INFORMED_BACKUPS = 1_000
"""Backups of the fast informed bound; each lowers it, and it is valid after any."""
IMPROVEMENT = 1e-12
"""Differences of values, relative to 1 and the largest, that count as improvements."""


class ValueBounds:
    """Bounds on the optimal value; `kernel` is p(s', x|s, a), `[A, X, S, S]`, without terminal states.

    Attributes:
        alpha: lower bound, `[N, S]`, reward units, with the first action of each policy in `alpha_action`, `[N]`.
        q: the fast informed bound, `[S, A]`, reward units.
        point: beliefs of the sawtooth, `[M, S]`, with their bounds in `bound`, `[M]`, reward units.
    """

    def __init__(self, pomdp: POMDP) -> None:
        self.pomdp, self.discount, self.live = pomdp, pomdp.mdp.discount, ~pomdp.mdp.terminal
        self.kernel = pomdp.kernel() * self.live[:, None]
        self.reward = pomdp.mdp.reward * self.live[:, None]
        self.eye = torch.eye(pomdp.states).to(self.reward)
        self.alpha = self._blind_policies()
        self.alpha_action = torch.arange(pomdp.actions, device=self.reward.device)
        self.q = self._informed(self._observed())
        self.corner = self.q.amax(-1)
        self.point, self.bound = self.corner.new_zeros(0, pomdp.states), self.corner.new_zeros(0)
        self.margin = IMPROVEMENT * float(self.corner.abs().amax().clamp_min(1.0))

    def lower(self, belief: Tensor) -> Tensor:
        """Return the lower bound of beliefs `[..., S]`, `[...]` reward units."""
        return (belief @ self.alpha.T).amax(-1)

    def upper(self, belief: Tensor) -> Tensor:
        """Return the upper bound of beliefs `[..., S]`, `[...]` reward units."""
        informed = (belief @ self.q).amax(-1)
        if not len(self.point):
            return informed
        depth = self.bound - self.point @ self.corner
        share = (belief[..., None, :] / self.point).nan_to_num(nan=torch.inf, posinf=torch.inf).amin(-1)
        return torch.minimum(informed, belief @ self.corner + (depth * share).amin(-1).clamp_max(0.0))

    def successors(self, belief: Tensor) -> Tensor:
        """Return p(s', x|b, a) of beliefs `[..., S]`, `[..., A, X, S]`: those after each action, times their chance."""
        return torch.einsum("...s,axsn->...axn", belief, self.kernel)

    def action_values(self, belief: Tensor, after: Tensor) -> Tensor:
        """Return a bound of each action at beliefs `[..., S]`, `[..., A]`, from those of successors, `[..., A, X]`."""
        return belief @ self.reward + self.discount * after.sum(-1)

    def update(self, belief: Tensor) -> None:
        """Improve both bounds at a belief `[S]` by a Bellman backup."""
        after = self.successors(belief)
        best = self.alpha[(after @ self.alpha.T).argmax(-1)]
        alpha = self.reward.T + self.discount * torch.einsum("axsn,axn->as", self.kernel, best)
        action = (alpha @ belief).argmax()
        if alpha[action] @ belief > self.lower(belief) + self.margin:
            self.alpha = torch.cat([self.alpha, alpha[action, None]])
            self.alpha_action = torch.cat([self.alpha_action, action[None]])
        bound = self.action_values(belief, self.upper(after)).amax()
        if bound < self.upper(belief) - self.margin:
            self.point, self.bound = torch.cat([self.point, belief[None]]), torch.cat([self.bound, bound[None]])

    def prune(self) -> None:
        """Remove alpha vectors below another one at every state, and points above the sawtooth of the others."""
        worse = (self.alpha[:, None] <= self.alpha[None]).all(-1)
        equal = worse & worse.T
        keep = ~(worse & ~(equal & torch.ones_like(equal).triu())).any(-1)
        self.alpha, self.alpha_action = self.alpha[keep], self.alpha_action[keep]
        depth = self.bound - self.point @ self.corner
        share = (self.point[:, None] / self.point[None]).nan_to_num(nan=torch.inf, posinf=torch.inf).amin(-1)
        others = (depth * share).masked_fill(torch.eye(len(depth), dtype=torch.bool, device=depth.device), torch.inf)
        needed = depth < others.amin(-1) if len(depth) > 1 else torch.ones_like(depth, dtype=torch.bool)
        self.point, self.bound = self.point[needed], self.bound[needed]

    def _chain(self, policy: Tensor) -> Tensor:
        """Return γ P_π of actions `[S]`, `[S, S]`, over non-terminal states."""
        taken = self.pomdp.mdp.continuation[torch.arange(len(policy), device=policy.device), policy]
        return self.discount * taken * self.live[:, None]

    def _blind_policies(self) -> Tensor:
        """Return the values of always taking one action, `[A, S]`."""
        moves = self.discount * self.pomdp.mdp.continuation.transpose(0, 1) * self.live[:, None]
        value = torch.linalg.solve(self.eye - moves, self.reward.T[..., None])[..., 0]
        return _finite(value)

    def _observed(self) -> Tensor:
        """Return the optimal Q of the MDP whose states are seen, `[S, A]`, by policy iteration."""
        policy = self.reward.argmax(-1)
        for _ in range(self.pomdp.states * self.pomdp.actions + 1):
            reward = self.reward.gather(1, policy[:, None])[:, 0]
            value = torch.linalg.solve(self.eye - self._chain(policy), reward)
            q = self.reward + self.discount * torch.einsum("san,n->sa", self.pomdp.mdp.continuation, value)
            better = q.amax(-1) > q.gather(1, policy[:, None])[:, 0] + 1e-12 * value.abs().amax().clamp_min(1.0)
            if not bool(better.any()):
                break
            policy = torch.where(better, q.argmax(-1), policy)
        return _finite(q * self.live[:, None])

    def _informed(self, q: Tensor) -> Tensor:
        """Return the fast informed bound `[S, A]` below the Q of the MDP."""
        for _ in range(INFORMED_BACKUPS):
            after = torch.einsum("axsn,nb->axsb", self.kernel, q).amax(-1).sum(1).T
            last, q = q, torch.minimum(q, self.reward + self.discount * after)
            if bool((last - q).amax() <= 1e-12 * q.abs().amax().clamp_min(1.0)):
                break
        return q


def _finite(value: Tensor) -> Tensor:
    if not bool((value.abs() <= LARGEST_REWARD).all()):
        raise InputError("Expected values that are finite, but got infinity; use a discount below 1.")
    return value
