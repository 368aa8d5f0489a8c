"""Exact returns and state visits of a policy, per episode as an environment counts them."""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.futures import state_chain
from gio_pyro.tabular.mdp import TabularMDP, as_mdp, as_policy
from gio_pyro.utils.checks import MAX_STEPS, whole

MIN_EXIT = 1e-12
"""Transitions of a smaller probability are not counted as a way to terminate: the solution would have no precision."""


def reachable(mdp: TabularMDP) -> Tensor:
    """Return which states some policy can reach from the start, `[..., S]` booleans."""
    mdp = as_mdp(mdp)
    step = mdp.reach.to(mdp.reward)
    reached = mdp.start > 0
    for _ in range(mdp.states):
        grown = reached | (torch.einsum("...s,...sn->...n", reached.to(step), step) > 0)
        if bool((grown == reached).all()):
            break
        reached = grown
    return reached


def discounted_visits(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return d_π(s) ∝ Σ_t γ^t P(s_t = s) over non-terminal states, `[..., S]`, sums to 1.

    Raises:
        InputError: the discount is 1 and the policy may never terminate, or the start is terminal.
    """
    start, chain = _live_chain(mdp, as_policy(mdp, policy))
    return _normalise(solve_chain(mdp.discount * chain, start, "the state visits", visits=True))


def episode_visits(mdp: TabularMDP, policy: Tensor, steps: int | None) -> Tensor:
    """Return the expected fraction of an episode's actions taken in each state, `[..., S]`, sums to 1.

    The episode starts from `mdp.start` and ends in a terminal state or, unless it is None, after `steps` steps.

    Raises:
        InputError: `steps` is None and the policy may never terminate, the start is terminal, or steps < 1.
    """
    state, chain = _live_chain(mdp, as_policy(mdp, policy))
    steps = _as_step_limit(steps)
    if steps is None:
        return _normalise(solve_chain(chain, state, "the visits without a step limit", visits=True))
    visits = torch.zeros_like(state)
    for _ in range(steps):
        visits = visits + state
        state = torch.einsum("...s,...sn->...n", state, chain)
    return _normalise(visits)


def expected_return(mdp: TabularMDP, policy: Tensor, steps: int | None) -> Tensor:
    """Return the expected undiscounted return of an episode, `[...]` reward units.

    Args:
        mdp: its discount is not used.
        policy: π(a|s), `[..., S, A]`.
        steps: the environment's step limit, or None for episodes that end by termination alone.

    Raises:
        InputError: `steps` is None and the policy may never reach a terminal state.
    """
    policy, steps = as_policy(mdp, policy), _as_step_limit(steps)
    start, chain = _live_chain(mdp, policy)
    reward = (policy * mdp.reward).sum(-1)
    if steps is None:
        visits = solve_chain(chain, start, "the return without a step limit", visits=True)
        return (visits * reward).sum(-1)
    value = torch.zeros_like(reward)
    for _ in range(steps):
        value = reward + torch.einsum("...sn,...n->...s", chain, value)
    return (mdp.start * value).sum(-1)


def optimal_return(mdp: TabularMDP, steps: int | None) -> Tensor:
    """Return the maximum expected undiscounted return over all policies, including time-dependent ones, `[...]`.

    Args:
        mdp: its discount is not used.
        steps: the environment's step limit, or None for episodes that end by termination alone; then values are
            iterated to convergence.

    Raises:
        InputError: `steps` is None and values still change after 10,000 iterations.
    """
    mdp, steps = as_mdp(mdp), _as_step_limit(steps)
    value = torch.zeros_like(mdp.start)
    for _ in range(10_000 if steps is None else steps):
        q = mdp.reward + torch.einsum("...san,...n->...sa", mdp.continuation, value)
        last, value = value, q.masked_fill(~mdp.allowed, -torch.inf).amax(-1)
        if steps is None and bool(((value - last).abs() <= 1e-12 * value.abs().clamp_min(1.0)).all()):
            break
    else:
        if steps is None:
            raise InputError("Expected returns that settle without a step limit, but they keep growing; give steps.")
    return (mdp.start * value).sum(-1)


def _as_step_limit(steps: object) -> int | None:
    """Return a step limit; raises `InputError` unless it is None or an integer of at least 0."""
    return None if steps is None else whole("steps", steps, 0, MAX_STEPS, advice="None is no limit")


def solve_chain(chain: Tensor, right: Tensor, what: str, *, visits: bool = False) -> Tensor:
    """Solve x = right + chain x, or for visits x = right + chainᵀ x, `[..., S]`.

    For visits only states that can be reached from `right` need to terminate; for values all do.

    Raises:
        InputError: the chain (of a policy, discounted or not) never ends from such a state; names `what`.
    """
    ends = _reaches(chain, chain.sum(-1) < 1 - MIN_EXIT)
    relevant = _reaches(chain.mT, right > 0) if visits else torch.ones_like(ends)
    if bool((relevant & ~ends).any()):
        raise InputError(
            f"Expected {what} to be finite, but this policy may never terminate; use a discount below 1 or a limit."
        )
    ending = chain * ends[..., :, None]
    eye = torch.eye(chain.shape[-1], dtype=chain.dtype, device=chain.device)
    x: Tensor = torch.linalg.solve(eye - (ending.mT if visits else ending), right[..., None])
    return x[..., 0]


def _reaches(chain: Tensor, goal: Tensor) -> Tensor:
    """Return the states from which the chain reaches `goal`, `[..., S]` booleans."""
    edge = chain > MIN_EXIT
    while True:
        grown = goal | (edge & goal[..., None, :]).any(-1)
        if bool((grown == goal).all()):
            return goal
        goal = grown


def _live_chain(mdp: TabularMDP, policy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the start `[..., S]` and the chain `[..., S, S]` without terminal states."""
    live = (~mdp.terminal).to(policy)
    return mdp.start * live, state_chain(mdp, policy) * (live[..., :, None] * live[..., None, :])


def _normalise(visits: Tensor) -> Tensor:
    total = visits.sum(-1, keepdim=True)
    if not bool((total > 0).all()):
        raise InputError(
            "Expected an episode of at least one decision, but it starts in a terminal state or has no steps."
        )
    return visits / total
