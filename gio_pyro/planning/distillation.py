"""Distil plans into a habit: a guide p_a(a|s) learns the planner's q from replayed states.

    maximise  E_{s ~ replay} E_{a ~ q(·|s)} [ log p_a(a|s) ],    q the plan that s was acted by

q's parameters are kept beside replay, by the number of the transition. Plans of an early model and critic are worse
than later ones, so only those of the latest half of the planned transitions are learned from, and those that were made
anew since then (`Planning.renew`). In finite worlds, where replay is merged, the latest plan of each state is kept
instead.
"""

from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.planning.families import UNPLANNED, Family, is_planned
from gio_pyro.programs import Guide, Model
from gio_pyro.types import Policy, Transitions


class PlanMemory(nn.Module):
    """The parameters of plans, `UNPLANNED` where there is none.

    Args:
        width: P, numbers of a plan's distribution.
        capacity: transitions that replay keeps, or S with `by_state`.
        by_state: whether plans are kept by state instead of by transition.
    """

    plans: Tensor
    made: Tensor
    """The number of the latest transition when each plan was made."""
    newest: Tensor
    """The number of the latest transition with a plan, −1 before the first."""

    def __init__(self, width: int, capacity: int, *, by_state: bool) -> None:
        super().__init__()
        self.capacity, self.by_state = capacity, by_state
        self.register_buffer("plans", torch.full((capacity if by_state else 1, width), UNPLANNED))
        self.register_buffer("made", torch.zeros(len(self.plans), dtype=torch.int64))
        self.register_buffer("newest", torch.full((), -1, dtype=torch.int64))

    def keep(self, rows: Transitions, plans: Tensor) -> None:
        """Keep the plans `[B, P]` of collected transitions, `UNPLANNED` for those without."""
        if self.by_state:
            planned = is_planned(plans)
            self.plans[rows.state[planned]] = plans[planned]
            return
        needed = int(rows.time.max()) + 1
        if needed > len(self.plans) < self.capacity:
            more = min(max(2 * len(self.plans), needed, 1024), self.capacity) - len(self.plans)
            self.plans = torch.cat([self.plans, self.plans.new_full((more, self.plans.shape[1]), UNPLANNED)])
            self.made = torch.cat([self.made, self.made.new_zeros(more)])
        self.plans[rows.time % self.capacity] = plans
        self.made[rows.time % self.capacity] = rows.time
        self.newest.copy_(torch.where(is_planned(plans), rows.time, self.newest).max())

    def renew(self, rows: Transitions, plans: Tensor) -> None:
        """Keep plans `[B, P]` that were made anew from replayed transitions."""
        if self.by_state:
            self.plans[rows.state] = plans
            return
        at = rows.time % self.capacity
        self.plans[at], self.made[at] = plans, self.newest.expand(len(at))

    def of(self, rows: Transitions) -> Tensor:
        """Return the plan of each transition `[B]`, `[B, P]`; `UNPLANNED` where there is none, or it is too old."""
        if self.by_state:
            return self.plans[rows.state]
        at = (rows.time % self.capacity).clamp_max(len(self.plans) - 1)
        return self.plans[at].masked_fill((self.made[at] < self.newest // 2).unsqueeze(-1), UNPLANNED)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: object) -> None:
        """Take the size of the plans from a checkpoint."""
        saved = state_dict.get(f"{prefix}plans")
        if saved is not None and saved.shape[1:] == self.plans.shape[1:] and not self.by_state:
            self.plans = torch.empty_like(saved, device=self.plans.device)
            self.made = torch.zeros(len(saved), dtype=torch.int64, device=self.plans.device)
        super()._load_from_state_dict(state_dict, prefix, *others)


class Distillation:
    """The objective of a guide that declares `distils`: minus the cross-entropy of kept plans, nats.

    Args:
        memory: the plans.
        family: of their distributions.
        planning: its flag `distilled` is set where there was a plan to learn from.
    """

    eager = True
    """Whether a step cannot be captured as a graph: the memory grows."""

    def __init__(self, memory: PlanMemory, family: Family, planning: Any) -> None:
        self.memory, self.family, self.planning = memory, family, planning

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the weighted mean of E_q log p_a over the transitions with a plan; 0 where there are none."""
        plans = self.memory.of(batch)
        planned = is_planned(plans)
        nats = self.family.cross_entropy(
            torch.where(planned[:, None], plans, 0.0), guide.posterior(policy, batch.state, future)
        )
        self.planning.distilled |= planned.any()
        weight = batch.weight * planned
        return -(weight * nats).sum() / weight.sum().clamp_min(1.0)
