"""The exact planner of finite worlds: soft backward induction on the tables of the fitted model.

    Q_t(s, a) = r + α w I + γ Σ_s' p(s'|s, a) V_{t+1}(s'),    V_t(s) = α log Σ_a p_a(a|s) exp(Q_t(s, a)/α)
    q_t(a|s) = p_a(a|s) exp((Q_t(s, a) − V_t(s))/α)

with V_H the critic's value, or 0; where the episode has ended, V is 0.
"""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.planning.base import Planner, Problem
from gio_pyro.planning.checks import check_horizon, check_switch, check_weight
from gio_pyro.planning.tables import TableImagination, WorldTables
from gio_pyro.programs import log_probs

MOST_SWEEPS = 10_000
"""Backups of a plan without a horizon."""
TOLERANCE = 1e-10
"""Largest change of its last backup, relative to the largest value if that exceeds 1."""


class BackwardInduction(Planner):
    """The soft optimum of the fitted model, exact, for finite states and actions.

    Args:
        problem: what it is built from.
        horizon: H, steps; None for the fixed point, the plan without an end.
        value: whether the critic's value follows after the horizon; without, nothing does.
        information_weight: w of the information of each step; None for the bound's, 1.

    Raises:
        InputError: states or actions that are not finite, or a number out of range.
    """

    def __init__(
        self,
        problem: Problem,
        horizon: int | None = None,
        *,
        value: bool = False,
        information_weight: float | None = None,
    ) -> None:
        super().__init__(problem)
        if not isinstance(problem.imagination, TableImagination):
            spaces = f"{problem.spec.state_space} and {problem.spec.action_space}"
            raise InputError(
                f"Expected finite states and actions for BackwardInduction, but got {spaces}; take PathIntegral."
            )
        self.horizon = None if horizon is None else check_horizon(horizon)
        self.value = check_switch("value", value)
        self.weight = check_weight(information_weight, problem.imagination)
        self._first: Tensor | None = None

    def refresh(self) -> None:
        """Drop the plan: model and critic have been fitted since."""
        super().refresh()
        self._first = None

    @torch.no_grad()
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return log q(a|s) of the next action in each state `[N]`, `[N, 1, A]` nats."""
        if self._first is None:
            self._first = self._induct()
        return self._first[state][:, None]

    def _induct(self) -> Tensor:
        """Return log q of the first action in every state, `[S, A]`."""
        problem, imagination = self.problem, self.problem.imagination
        assert isinstance(imagination, TableImagination)  # as required above
        tables, alpha = imagination.tables, float(problem.temperature())
        every = torch.arange(len(tables.reward), device=tables.reward.device)
        prior = log_probs(problem.prior(every)).double()
        last = problem.value(every, alpha).double() if self.value else torch.zeros_like(tables.reward[:, 0])
        return backward_induction(
            tables, prior, last, alpha, self.horizon, discount=problem.discount, weight=self.weight
        ).float()


def backward_induction(
    tables: WorldTables,
    log_prior: Tensor,
    last: Tensor,
    alpha: float,
    horizon: int | None,
    *,
    discount: float,
    weight: float,
) -> Tensor:
    """Return log q_0(a|s), `[S, A]` nats, of a plan of `horizon` steps, or of the fixed point for None.

    Args:
        tables: the world.
        log_prior: log p_a, `[S, A]` nats.
        last: V_H, `[S]` reward units.
        alpha: α > 0, reward units per nat.
        horizon: H.
        discount: γ.
        weight: w.
    """
    gain, going = tables.reward + alpha * weight * tables.information, discount * tables.continuation
    v, log_q = last, log_prior
    for _ in range(MOST_SWEEPS if horizon is None else horizon):
        score = log_prior + (gain + going @ v) / alpha
        before, v = v, alpha * score.logsumexp(-1)
        log_q = score - score.logsumexp(-1, keepdim=True)
        if horizon is None and bool((v - before).abs().max() <= TOLERANCE * v.abs().max().clamp_min(1.0)):
            break
    return log_q
