"""What the model of the next state does not say, read from replay: the reward, whether the episode ends, and masks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gio_pyro.nn import PairEncoder, Standardise, action_features, is_whole, mlp, width
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Spec, Transitions

ROUNDING = 1e-9
"""Share of the spread of rewards that is rounding."""


@dataclass(frozen=True)
class Means:
    """Weighted means over rows of the same key, K keys."""

    key: Tensor
    """`[K]`, increasing."""
    reward: Tensor
    """`[K]`, reward units."""
    ended: Tensor
    """`[K]`: the share that terminated."""

    @classmethod
    def of(cls, key: Tensor, rows: Transitions) -> "Means":
        """Return the means of `rows` `[B]` by `key` `[B]`, in float64."""
        distinct, group = torch.unique(key, return_inverse=True)
        zero = torch.zeros(len(distinct), dtype=torch.float64, device=key.device)
        weight = rows.weight.double()
        total = zero.index_add(0, group, weight)
        reward, ended = (zero.index_add(0, group, weight * x.double()) / total for x in (rows.reward, rows.terminated))
        return cls(distinct, reward, ended)

    def find(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return where each key `[B]` is, and whether it is there at all."""
        at = torch.searchsorted(self.key, key).clamp_max(len(self.key) - 1)
        return at, self.key[at] == key


class Counted:
    """Mean reward and share of terminations of each (s, a, s') in replay: of a finite world, exactly what was seen.

    The model may dream of an s' that never followed this pair. It then ends the episode as often as entering s' did,
    and pays what entering s' paid, or what the pair did: whichever of the two explains the rewards that were seen
    better (least squares; s' where both do).

    Args:
        rows: replay, equal transitions merged or not, `[B]`.
        states: S.
        actions: A.
    """

    def __init__(self, rows: Transitions, states: int, actions: int) -> None:
        self.states, self.actions = states, actions
        pair = self._pair(rows.state, rows.action)
        self.visited = torch.unique(rows.state)
        self.triple = Means.of(pair * states + rows.next_state, rows)
        self.pair, self.entered = Means.of(pair, rows), Means.of(rows.next_state, rows)
        unexplained = [
            _squares(means, key, rows) for means, key in ((self.entered, rows.next_state), (self.pair, pair))
        ]
        spread = rows.weight.double() @ rows.reward.double().square()
        self.pays_on_entering = bool(unexplained[0] <= unexplained[1] + ROUNDING * spread)

    def _pair(self, state: Tensor, action: Tensor) -> Tensor:
        return state * self.actions + action

    def tried(self, state: Tensor, action: Tensor) -> Tensor:
        """Return whether each pair `[B]` was ever tried."""
        return self.pair.find(self._pair(state, action))[1]

    def of(self, state: Tensor, action: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reward and the chance of termination of each transition of a tried pair, `[B]` in float64."""
        pair = self._pair(state, action)
        exact, seen = self.triple.find(pair * self.states + next_state)
        there, entered = self.entered.find(next_state)
        here, _ = self.pair.find(pair)
        on_entering = entered if self.pays_on_entering else torch.zeros_like(entered)
        guess = torch.where(on_entering, self.entered.reward[there], self.pair.reward[here])
        ended = torch.where(entered, self.entered.ended[there], 0.0)
        return torch.where(seen, self.triple.reward[exact], guess), torch.where(seen, self.triple.ended[exact], ended)


def _squares(means: Means, key: Tensor, rows: Transitions) -> Tensor:
    """Return the weighted sum of squares of the rewards around the means of their keys."""
    at, _ = means.find(key)
    return rows.weight.double() @ (rows.reward.double() - means.reward[at]).square()


class Outcomes(nn.Module):
    """Reward and chance of termination of any (s, a, s'), regressed on replay by one small network.

    Where states have action masks, it says from the rest of s' what s' allows.

    Args:
        spec: the spaces, and `hidden`.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.encoder, self.actions = PairEncoder(spec.state_space, spec.state_space), spec.action_space
        self.rewards = Standardise((1,))
        self.masks = spec.mask_width
        self.net = mlp(self.encoder.size + width(spec.action_space), spec.hidden, 2 + self.masks)

    def observe(self, rows: Transitions) -> None:
        """Take new transitions into the statistics of inputs and rewards."""
        self.encoder.observe(rows.state, self._unmasked(rows.next_state))
        self.rewards.observe(rows.reward.unsqueeze(-1))

    def forward(self, state: Tensor, action: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean reward and the logit of termination, `[B]` each."""
        mean, logit, _ = self._read(state, action, next_state)
        return mean, logit

    def masked(self, state: Tensor, action: Tensor, next_state: Tensor) -> Tensor:
        """Return next states `[B, ...]` with the masks that they most likely have; as they are where none have any."""
        if not self.masks:
            return next_state
        flags = self._read(state, action, next_state)[2]
        mode = flags >= flags.amax(-1, keepdim=True)
        return torch.cat([next_state[:, : -self.masks], ((flags > 0) | mode).to(next_state)], -1)

    def _read(self, state: Tensor, action: Tensor, next_state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the mean reward, the logit of termination, `[B]` each, and those of the mask `[B, A]` of s'."""
        pair = self.encoder(state, self._unmasked(next_state))
        found = self.net(torch.cat([pair, action_features(self.actions, action)], -1))
        return self.rewards.mean + self.rewards.deviation * found[:, 0], found[:, 1], found[:, 2:]

    def _unmasked(self, state: Tensor) -> Tensor:
        if not self.masks:
            return state
        return torch.cat([state[:, : -self.masks], torch.zeros_like(state[:, -self.masks :])], -1)

    def loss(self, context: None, *tensors: Tensor) -> tuple[Tensor, Figures]:
        """Return the squared error of the reward, in variances of it, and the cross-entropy of termination, nats."""
        rows = Transitions(*tensors)
        reward, logit, flags = self._read(rows.state, rows.action, rows.next_state)
        error = rows.mean(((reward - rows.reward) / self.rewards.deviation).square())
        ending = rows.mean(binary_cross_entropy_with_logits(logit, rows.terminated.to(logit), reduction="none"))
        figures = {"dream_reward_error": error, "dream_ending_nats": ending}
        if not self.masks:
            return error + ending, figures
        each = binary_cross_entropy_with_logits(flags, rows.next_state[:, -self.masks :], reduction="none")
        masking = rows.mean(each.sum(-1) * ~rows.terminated)
        return error + ending + masking, figures | {"dream_mask_nats": masking}


class Frame(nn.Module):
    """Keeps dreamed states finite and in their space: within its bounds, and those of what was seen.

    A model that is asked about what it dreamed itself may run away. The numbers of a Box stay within the range that was
    seen, widened by its own width to both sides; whole numbers are rounded.

    Args:
        space: of states.
    """

    low: Tensor
    high: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, space: Space[Any]) -> None:
        super().__init__()
        self.dtype = None
        if isinstance(space, Box):
            own = torch.from_numpy(np.empty(0, space.dtype)).dtype
            self.dtype = own
            most = torch.finfo(torch.float32).max
            for name, bound in (("least", space.low), ("most", space.high)):
                finite = torch.as_tensor(bound.astype(np.float64)).clamp(-most, most).float()
                self.register_buffer(name, finite, persistent=False)
            self.whole = is_whole(space)
            self.register_buffer("low", torch.full(space.shape, torch.inf))
            self.register_buffer("high", torch.full(space.shape, -torch.inf))

    def observe(self, state: Tensor) -> None:
        """Take states `[B, ...]` into the range."""
        if self.dtype is not None:
            self.low.copy_(torch.minimum(self.low, state.amin(0)))
            self.high.copy_(torch.maximum(self.high, state.amax(0)))

    def forward(self, state: Tensor) -> Tensor:
        """Return states `[B, ...]` within the frame, of the kind that replay holds."""
        if self.dtype is None:
            return state
        seen, width = self.low <= self.high, self.high - self.low
        least = torch.where(seen, torch.maximum(self.low - width, self.least), self.least)
        most = torch.where(seen, torch.minimum(self.high + width, self.most), self.most)
        inside = torch.minimum(torch.maximum(state, least), most)
        return (inside.round() if self.whole else inside).to(self.dtype)
