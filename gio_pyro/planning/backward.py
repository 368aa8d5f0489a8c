"""The exact planner of finite worlds: soft backward induction on the tables of the fitted model.

    Q_t(s, a) = r + α w I + γ Σ_s' p(s'|s, a) V_{t+1}(s'),    V_t(s) = α log Σ_a p_a(a|s) exp(Q_t(s, a)/α)
    q_t(a|s) = p_a(a|s) exp((Q_t(s, a) − V_t(s))/α)

with V_H the critic's value, or 0; where the episode has ended, V is 0.
"""

import torch
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.distributions.masks import ILLEGAL
from gio_pyro.errors import InputError
from gio_pyro.planning.base import Problem, SolvedPlanner
from gio_pyro.planning.checks import check_horizon, check_switch, check_weight
from gio_pyro.planning.rollouts import finite_scores
from gio_pyro.planning.tables import TableImagination, WorldTables
from gio_pyro.programs import log_probs


class BackwardInduction(SolvedPlanner):
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

    @torch.no_grad()
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return log q(a|s) of the next action in each state `[N]`, `[N, 1, A]` nats."""
        first: Tensor = self.solved
        return first[state][:, None]

    def solve(self) -> Tensor:
        """Return log q of the first action in every state, `[S, A]`."""
        problem, imagination = self.problem, self.problem.imagination
        assert isinstance(imagination, TableImagination)  # as required above
        tables, alpha = imagination.tables, float(problem.temperature())
        every = torch.arange(len(tables.reward), device=tables.reward.device)
        prior = log_probs(problem.prior(every)).double().exp()
        last = finite_scores(problem.value(every, alpha)).double() if self.value else None
        finite_scores(tables.reward)
        return log_plan(tables, prior, last, alpha, self.horizon, discount=problem.discount, weight=self.weight)


def log_plan(
    tables: WorldTables,
    prior: Tensor,
    last: Tensor | None,
    alpha: float,
    horizon: int | None,
    *,
    discount: float,
    weight: float,
) -> Tensor:
    """Return log q_0(a|s), `[S, A]` nats, by `tabular.plan`, in a world with one more state for where episodes end.

    Args:
        tables: the world.
        prior: p_a, `[S, A]`.
        last: V_H, `[S]` reward units; None for 0.
        alpha: α > 0, reward units per nat.
        horizon: H; None for the fixed point.
        discount: γ.
        weight: w.
    """
    states, actions = tables.reward.shape
    over = (tables.transition * tables.ending).sum(-1, keepdim=True)
    to = torch.nn.functional.pad(torch.cat([tables.continuation, over], -1), (0, 0, 0, 0, 0, 1))
    to[-1, :, -1] = 1.0
    mdp = tabular.TabularMDP(
        to / to.sum(-1, keepdim=True),
        one_more(tables.reward + alpha * weight * tables.information, 0.0),
        discount=discount,
        terminal=torch.arange(states + 1, device=to.device) == states,
    )
    found = tabular.plan(
        mdp,
        horizon,
        temperature=alpha,
        prior=one_more(prior / prior.sum(-1, keepdim=True), 1.0 / actions),
        information_weight=0.0,
        value=None if last is None else one_more(last, 0.0),
    )
    policy = found.policy if horizon is None else found.policy[0]
    return policy[:-1].log().clamp_min(ILLEGAL).float()


def one_more(table: Tensor, value: float) -> Tensor:
    """Return a table `[S, ...]` with a row of one value after the others."""
    return torch.cat([table, torch.full_like(table[:1], value)])
