"""Optimal decisions under hidden states over a short horizon, exactly, by the tree of all beliefs.

    Q_h(b, a) = Σ_s b(s) r(s, a) + γ Σ_x p(x|b, a) V_{h−1}(b_ax),    V_h(b) = max_a Q_h(b, a),    V_0 = 0

A belief b_ax is over the states from which the episode goes on; the probability that it ended counts with value 0.
Whether the agent sees that its episode ended makes no difference: what it does then has no reward. Rewards are not
among what the agent sees. Beliefs that occur several times at one depth are evaluated once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError, describe_error
from gio_pyro.tabular.information import as_distribution, safe_log
from gio_pyro.tabular.pomdp import POMDP, as_belief, as_pomdp
from gio_pyro.utils.checks import MAX_STEPS, function, real, whole
from gio_pyro.utils.memory import require_memory

MAX_BELIEFS = 1_000_000
"""Largest number of beliefs that one depth of a tree may have before equal ones are merged."""
DIGITS = 9
"""Decimal places to which the log-probabilities of two beliefs must agree to count as equal."""

BeliefPolicy = Callable[[Tensor, int], object]
"""`policy(belief [N, S], t)` returns the probabilities of the actions at time t, `[N, A]`."""


@dataclass(frozen=True)
class BeliefTree:
    """The optimal decision at a belief, or at a batch of beliefs."""

    value: Tensor
    """`[...]`, reward units: the optimal expected return of the next `horizon` steps."""
    action: Tensor
    """`[...]`: an optimal first action, the first of equally good ones."""
    q: Tensor
    """`[..., A]`, reward units: the return of each first action with optimal ones after it."""
    beliefs: int
    """Number of different beliefs at which decisions are taken."""


@dataclass(frozen=True)
class _Depth:
    """The beliefs `[N, S]` of one depth, and where each action and observation leads."""

    belief: Tensor
    chance: Tensor
    """`[N, A, X]`: the probability to see x and to go on."""
    child: Tensor
    """`[N, A, X]`: the index of the next belief; 0 where the probability is 0."""


def belief_tree(
    pomdp: POMDP,
    horizon: int,
    *,
    belief: object = None,
    discount: float | None = None,
    max_beliefs: int = MAX_BELIEFS,
) -> BeliefTree:
    """Return the optimal value and first action of the next `horizon` steps at a belief.

    Args:
        pomdp: the POMDP.
        horizon: number of actions, at least 1; exponentially many beliefs, unless they recur.
        belief: `[..., S]`, what the agent believes when it acts; `start` by default, which is right if the first
            observation is uninformative. See `belief_return` for whole episodes.
        discount: γ in [0, 1]; that of the POMDP by default. 1 is possible for any POMDP here.
        max_beliefs: largest number of beliefs of one depth, before equal ones are merged.

    Raises:
        InputError: a belief that does not fit, or a tree larger than `max_beliefs` or the memory.
    """
    pomdp, horizon = as_pomdp(pomdp), whole("horizon", horizon, 1, MAX_STEPS)
    gamma = _as_discount(pomdp, discount)
    root = pomdp.mdp.start if belief is None else as_belief(pomdp, belief)
    live, depths = _grow(pomdp, root.reshape(-1, pomdp.states), horizon, max_beliefs)
    value = torch.zeros(1, dtype=root.dtype, device=root.device)
    for depth in reversed(depths):
        q = _q(pomdp, depth, gamma, value)
        value = q.amax(-1)
    q = (live[:, None] * q).reshape(*root.shape[:-1], pomdp.actions)
    return BeliefTree(q.amax(-1), q.argmax(-1), q, sum(len(depth.belief) for depth in depths))


def belief_return(
    pomdp: POMDP,
    horizon: int,
    policy: BeliefPolicy | None = None,
    *,
    discount: float | None = None,
    max_beliefs: int = MAX_BELIEFS,
) -> float:
    """Return the expected return of an episode of `horizon` steps, reward units: optimal, or that of a policy.

    Unlike in `belief_tree` the first observation is part of the episode: the return is its average over them.

    Args:
        pomdp: the POMDP.
        horizon: number of actions, at least 1.
        policy: `policy(belief [N, S], t)` gives the probabilities of the actions, `[N, A]`, at time t < horizon;
            optimal decisions by default.
        discount: γ in [0, 1]; that of the POMDP by default.
        max_beliefs: as in `belief_tree`.

    Raises:
        InputError: a policy that returns other than distributions, or a tree larger than `max_beliefs` or the memory.
    """
    pomdp, horizon = as_pomdp(pomdp), whole("horizon", horizon, 1, MAX_STEPS)
    gamma, (chance, roots) = _as_discount(pomdp, discount), pomdp.first_beliefs()
    policy = None if policy is None else function("policy", policy, "beliefs [N, S] and the time")
    live, depths = _grow(pomdp, roots, horizon, max_beliefs)
    value = torch.zeros(1, dtype=roots.dtype, device=roots.device)
    for t, depth in reversed([*enumerate(depths)]):
        q = _q(pomdp, depth, gamma, value)
        value = q.amax(-1) if policy is None else (_decide(pomdp, policy, depth.belief, t) * q).sum(-1)
    return float((chance * live * value).sum())


def _grow(pomdp: POMDP, roots: Tensor, horizon: int, most: int) -> tuple[Tensor, list[_Depth]]:
    """Return the probability of each root that its episode goes on, `[N]`, and the depths of the tree."""
    most = whole("max_beliefs", most, 1)
    kernel = pomdp.kernel()
    belief = roots * ~pomdp.mdp.terminal
    live = belief.sum(-1)
    belief = belief / live[:, None].clamp_min(torch.finfo(live.dtype).tiny)
    depths = []
    for t in range(horizon):
        branches = pomdp.actions * pomdp.symbols * (t < horizon - 1)
        _require_size(pomdp, len(belief) * branches, t, most)
        joint = torch.einsum("bs,axsn->baxn", belief, kernel if branches else kernel[:, :0])
        chance = joint.sum(-1)
        possible = chance > 0
        after, child = _merge(joint[possible] / chance[possible][:, None])
        index = torch.zeros_like(chance, dtype=torch.long).masked_scatter_(possible, child)
        depths.append(_Depth(belief, chance, index))
        if not len(after):
            break
        belief = after
    return live, depths


def _merge(beliefs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different ones among beliefs `[N, S]`, and the index of each among them, `[N]`.

    Their logarithms are compared: a small probability matters, as later observations may make it a large one.
    """
    key = safe_log(beliefs).round(decimals=DIGITS) + 0.0  # −0 becomes 0
    different, index = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((len(different),), len(beliefs), device=index.device)
    first.scatter_reduce_(0, index, torch.arange(len(beliefs), device=index.device), "amin")
    return beliefs[first], index


def _q(pomdp: POMDP, depth: _Depth, discount: float, value: Tensor) -> Tensor:
    """Return r(b, a) + γ Σ_x p(x|b, a) V(b_ax), `[N, A]`."""
    return depth.belief @ pomdp.mdp.reward + discount * (depth.chance * value[depth.child]).sum(-1)


def _decide(pomdp: POMDP, policy: BeliefPolicy, belief: Tensor, t: int) -> Tensor:
    """Return the action probabilities of a policy, `[N, A]`, after checking them."""
    try:
        returned = policy(belief, t)
    except Exception as error:  # the function is the user's own
        raise InputError(
            f"Expected a policy that returns [{len(belief)}, {pomdp.actions}] for beliefs {tuple(belief.shape)} at "
            f"time {t}, but it raised {describe_error(error, 120)}."
        ) from error
    pi = as_distribution("what the policy returns", returned).to(belief)
    if pi.shape != (len(belief), pomdp.actions):
        raise InputError(
            f"Expected a policy that returns shape {(len(belief), pomdp.actions)} for beliefs {tuple(belief.shape)}, "
            f"but got {tuple(pi.shape)}."
        )
    return pi


def _require_size(pomdp: POMDP, beliefs: int, t: int, most: int) -> None:
    if beliefs > most:
        raise InputError(
            f"Expected at most {most:,} beliefs at each depth, but depth {t + 1} has {beliefs:,}; shorten the horizon, "
            "raise max_beliefs, or bound the value by point_based."
        )
    require_memory(4 * 8 * beliefs * pomdp.states, f"{beliefs:,} beliefs", "shorten the horizon")


def _as_discount(pomdp: POMDP, discount: float | None) -> float:
    return pomdp.mdp.discount if discount is None else real("discount", discount, 0.0, 1.0)
