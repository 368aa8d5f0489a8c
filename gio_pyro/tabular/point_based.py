"""Optimal values under hidden states over an unlimited horizon, within certified bounds.

Heuristic search value iteration (Smith and Simmons 2005): follow the action with the largest upper bound and the
observation whose gap between the bounds matters most, until the gap is below half of that at the start, or half the
tolerance, over γ^t; then back both bounds up at the beliefs on the way, from the last to the first. To aim at half of
the gap keeps ways short while the bounds are far apart.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular.mdp import TabularMDP
from gio_pyro.tabular.pomdp import POMDP, as_belief, as_pomdp
from gio_pyro.tabular.value_bounds import ValueBounds
from gio_pyro.utils.checks import positive, whole

MAX_DEPTH = 1_000
"""Longest way from the start, steps."""


@dataclass(frozen=True)
class Bounds:
    """Certified bounds on the optimal value of a POMDP, and the policy that earns the lower one."""

    lower: float
    """What the policy earns at least, and therefore the optimal one, from the start; reward units."""
    upper: float
    """What no policy exceeds, from the start; reward units."""
    alpha_vectors: Tensor
    """`[N, S]`, reward units: the optimal value of a belief b is at least max_n Σ_s alpha_n(s) b(s)."""
    alpha_actions: Tensor
    """`[N]`: the first action of the policy of each alpha vector."""
    iterations: int
    """Ways that were followed from the start."""
    converged: bool
    """Whether upper − lower ≤ tolerance."""
    bounds: ValueBounds
    """The bounds as functions."""

    @property
    def gap(self) -> float:
        """Upper − lower, reward units."""
        return self.upper - self.lower

    def value_bounds(self, belief: object) -> tuple[Tensor, Tensor]:
        """Return the lower and upper bounds of the optimal value of beliefs `[..., S]`, `[...]` reward units."""
        b = as_belief(self.bounds.pomdp, belief) * self.bounds.live
        return self.bounds.lower(b), self.bounds.upper(b)

    def policy_action(self, belief: object) -> Tensor:
        """Return the action at beliefs `[..., S]`, `[...]` integers; taking it always earns at least the lower bound.

        Raises:
            InputError: not beliefs of this POMDP.
        """
        b = as_belief(self.bounds.pomdp, belief) * self.bounds.live
        return self.alpha_actions[(b @ self.alpha_vectors.T).argmax(-1)]


def point_based(
    pomdp: POMDP,
    *,
    tolerance: float = 1e-3,
    max_iterations: int = 1_000,
    belief: object = None,
) -> Bounds:
    """Return bounds on the optimal expected discounted return, without a limit of steps.

    Args:
        pomdp: the POMDP. Its discount is below 1, or every policy terminates.
        tolerance: difference of the bounds at which it stops, reward units.
        max_iterations: ways from the start after which it stops with a `ConvergenceWarning`; the bounds are valid.
        belief: `[S]`, from which the return is counted; by default the beliefs after the first observation, averaged.

    Returns:
        `Bounds`. The lower bound is what its policy earns at least; the upper one no policy exceeds.

    Raises:
        InputError: discount 1 and a policy that may never terminate, or arguments out of range.
    """
    pomdp, tolerance = as_pomdp(pomdp), positive("tolerance", tolerance)
    max_iterations = whole("max_iterations", max_iterations, 0)
    _require_end(pomdp.mdp)
    chance, roots = pomdp.first_beliefs() if belief is None else _as_root(pomdp, belief)
    bounds = ValueBounds(pomdp)
    roots, counted = roots * bounds.live, 0
    found, size = _at_roots(bounds, chance, roots), 64
    while found[1] - found[0] > tolerance and counted < max_iterations:
        gaps = chance * (bounds.upper(roots) - bounds.lower(roots))
        _explore(bounds, roots[gaps.argmax()], max(tolerance, found[1] - found[0]) / 2)
        counted += 1
        if max(len(bounds.alpha), len(bounds.point)) > size:
            bounds.prune()
            size = 2 * max(len(bounds.alpha), len(bounds.point), 32)
        found = _at_roots(bounds, chance, roots)
    converged = found[1] - found[0] <= tolerance
    if not converged:
        warnings.warn(
            f"Stopped after {counted} iterations with bounds {found[1] - found[0]:.2g} apart, above the tolerance of "
            f"{tolerance:.0e}; raise max_iterations, or read the bounds, which are valid.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Bounds(*found, bounds.alpha, bounds.alpha_action, counted, converged, bounds)


def _at_roots(bounds: ValueBounds, chance: Tensor, roots: Tensor) -> tuple[float, float]:
    """Return the bounds of the return from the start."""
    return float((chance * bounds.lower(roots)).sum()), float((chance * bounds.upper(roots)).sum())


def _explore(bounds: ValueBounds, belief: Tensor, tolerance: float) -> None:
    """Follow the largest gaps from a belief, and improve the bounds at the beliefs on the way."""
    way = [belief]
    for t in range(1, MAX_DEPTH):
        after = bounds.successors(belief)
        upper = bounds.upper(after)
        action = bounds.action_values(belief, upper).argmax()
        after, upper = after[action], upper[action]
        chance = after.sum(-1)
        allowed = min(tolerance * bounds.discount**-t, 1e300) if bounds.discount > 0 else torch.inf
        excess = upper - bounds.lower(after) - allowed * chance
        x = int(excess.argmax())
        if excess[x] <= 0:
            break
        belief = after[x] / chance[x]
        way.append(belief)
    for belief in reversed(way):
        bounds.update(belief)


def _as_root(pomdp: POMDP, belief: object) -> tuple[Tensor, Tensor]:
    b = as_belief(pomdp, belief)
    if b.ndim != 1:
        raise InputError(f"Expected one belief [{pomdp.states}], but got shape {tuple(b.shape)}; take them one by one.")
    return torch.ones_like(b[:1]), b[None]


def _require_end(mdp: TabularMDP) -> None:
    """Raise `InputError` if the discount is 1 and some policy may never terminate."""
    stays = ~mdp.terminal
    while mdp.discount == 1 and bool(stays.any()):
        kept = stays & ~(mdp.transition * ~stays > 0).any(-1).all(-1)
        if bool((kept == stays).all()):
            raise InputError(
                f"Expected a discount below 1 where a policy may never terminate, but got 1, and state "
                f"{int(stays.nonzero()[0])} can be kept up for ever; lower it, or use belief_tree with a horizon."
            )
        stays = kept
