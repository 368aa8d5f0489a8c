"""The planner of worlds with finitely many hidden states: optimal values of the fitted model at any belief.

`tabular.point_based` solves the tables of the world model, and what it finds is looked ahead from by one step,

    Q(b, a) = E[r | b, a] + γ Σ_x max_n Σ_z' p(x, z'|b, a) alpha_n(z'),    q(a|b) ∝ p_a(a|b) exp(Q(b, a)/α)

so that a question is asked when its answer is worth more than it costs.
"""

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from gio_pyro import tabular
from gio_pyro.distributions.masks import ILLEGAL
from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.planning.base import Problem, SolvedPlanner
from gio_pyro.planning.checks import check_real, check_whole
from gio_pyro.planning.rollouts import finite_scores
from gio_pyro.programs import log_probs


class PointBased(SolvedPlanner):
    """The optimum of a fitted hidden Markov model with actions and rewards, but for a certified gap.

    Values are those of the optimum without α; α and p_a decide between the actions of the step that is taken. The
    reward is the one that the world model was fitted to, without signals and without information, which is not linear
    in the belief. The tables are solved anew after every fit that changed them: take few updates with many
    `gradient_steps`.

    Args:
        problem: what it is built from.
        iterations: ways from the start that the solver follows at most.
        tolerance: gap of its bounds that is enough, as a share of the largest value.

    Raises:
        InputError: a world model without tables of finitely many states, or a number out of range.
    """

    def __init__(self, problem: Problem, iterations: int = 100, tolerance: float = 1e-3) -> None:
        super().__init__(problem)
        self.iterations = check_whole("iterations", iterations, 1, 1_000_000)
        self.tolerance = check_real("tolerance", tolerance, 1e-9, 1.0)
        self.model = _model_of(problem)
        self._latest: tuple[dict[str, Tensor], tabular.Bounds] | None = None

    @torch.no_grad()
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return log q(a|b) of the next action at each belief `[N, S]`, `[N, 1, A]` nats."""
        prior = log_probs(self.problem.prior(state)).double()
        alpha = float(self.problem.temperature())
        log_q = (prior + action_values(self.solved, pad(state.double(), (0, 1))) / alpha).log_softmax(-1)
        return log_q.clamp_min(ILLEGAL).to(state.dtype)[:, None]

    def solve(self) -> tabular.Bounds:
        """Return the values of the tables as they are, the latest ones where the tables have not changed."""
        tables = self.model.tables()
        if self._latest is None or any(not torch.equal(one, self._latest[0][name]) for name, one in tables.items()):
            self._latest = tables, self._solve(tables)
        return self._latest[1]

    def _solve(self, tables: dict[str, Tensor]) -> tabular.Bounds:
        finite_scores(torch.cat([table.flatten() for table in tables.values()]))
        pomdp = pomdp_of(tables, self.problem.discount)
        largest = max(1e-6, float(pomdp.mdp.reward.abs().amax()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of a model that is not the world, the gap says little
            return tabular.point_based(pomdp, tolerance=self.tolerance * largest, max_iterations=self.iterations)


def action_values(solved: tabular.Bounds, belief: Tensor) -> Tensor:
    """Return Q(b, a) of beliefs `[N, S]`, `[N, A]` reward units: one step, and the lower bound after it."""
    bounds = solved.bounds
    live = belief * bounds.live
    return bounds.action_values(live, bounds.lower(bounds.successors(live)))


def pomdp_of(tables: dict[str, Tensor], discount: float) -> tabular.POMDP:
    """Return the POMDP of a world model's tables, with one state more for where episodes end.

    Args:
        tables: float64, see `FiniteStateSpace.tables`.
        discount: γ.
    """
    states, goes_on = len(tables["first"]), 1 - tables["ending"]
    entered = tables["transition"].movedim(0, 1)  # [S, A, S]
    reward = (entered * tables["reward"].movedim(0, 1)).sum(-1)
    moved = torch.cat([entered * goes_on, (entered * tables["ending"]).sum(-1, keepdim=True)], -1)
    moved = pad(moved, (0, 0, 0, 0, 0, 1), value=1 / (states + 1))  # the row of the end is replaced by a loop
    shown = pad(tables["emission"], (0, 0, 0, 1), value=1 / tables["emission"].shape[-1])
    return tabular.POMDP(
        moved / moved.sum(-1, keepdim=True),
        shown,
        pad(reward, (0, 0, 0, 1)),
        discount=discount,
        terminal=torch.arange(states + 1, device=reward.device) == states,
        start=pad(tables["first"], (0, 1)),
        first_observation=pad(tables["first_emission"], (0, 0, 0, 1), value=1 / shown.shape[-1]),
    )


def _model_of(problem: Problem) -> Any:
    """Return the program of the world model; raises `InputError` where it is not what this planner solves."""
    program = problem.world_model
    if not hasattr(program, "tables"):
        got = "none" if program is None else type(program).__name__
        raise InputError(
            f"Expected a world model with tables of finitely many states for PointBased, but got {got}; take "
            "world_model='FiniteStateSpace', or the planner PathIntegral."
        )
    return program
