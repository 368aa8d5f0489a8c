"""What a policy earns and where it goes, exactly, counted in episodes as an environment would count them."""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.futures import state_chain
from gio_pyro.tabular.mdp import TabularMDP


def discounted_visits(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return d_π(s) ∝ Σ_t γ^t P(s_t = s) over non-terminal states, `[..., S]`, sums to 1."""
    live = (~mdp.terminal).to(policy)
    chain = state_chain(mdp, policy) * live[..., None, :]
    visits = solve_chain(mdp.discount * chain.mT, mdp.start * live, "the state visits")
    return visits / visits.sum(-1, keepdim=True)


def episode_visits(mdp: TabularMDP, policy: Tensor, steps: int | None) -> Tensor:
    """Return the expected share of an episode's decisions made in each state, `[..., S]`, sums to 1.

    The episode starts from `mdp.start` and ends in a terminal state or, unless it is None, after `steps` steps.

    Raises:
        InputError: `steps` is None and the policy may never reach a terminal state.
    """
    live = (~mdp.terminal).to(policy)
    chain = state_chain(mdp, policy)
    state = mdp.start * live
    if steps is None:
        visits = solve_chain((chain * live[..., None, :]).mT, state, "the visits without a step limit")
        return visits / visits.sum(-1, keepdim=True)
    visits = torch.zeros_like(state)
    for _ in range(steps):
        visits = visits + state
        state = torch.einsum("...s,...sn->...n", state, chain) * live
    return visits / visits.sum(-1, keepdim=True)


def expected_return(mdp: TabularMDP, policy: Tensor, steps: int | None) -> Tensor:
    """Return the expected undiscounted return of an episode, `[...]` reward units.

    Args:
        mdp: its discount is not used.
        policy: π(a|s), `[..., S, A]`.
        steps: the environment's step limit, or None for episodes that end by termination alone.

    Raises:
        InputError: `steps` is None and the policy may never reach a terminal state.
    """
    live = (~mdp.terminal).to(policy)
    reward = (policy * mdp.reward).sum(-1) * live
    chain = state_chain(mdp, policy) * live[..., None, :]
    if steps is None:
        return (mdp.start * solve_chain(chain, reward, "the return without a step limit")).sum(-1)
    value = torch.zeros_like(reward)
    for _ in range(steps):
        value = reward + torch.einsum("...sn,...n->...s", chain, value)
    return (mdp.start * value).sum(-1)


def optimal_return(mdp: TabularMDP, steps: int | None) -> Tensor:
    """Return the most that any policy can earn in an episode, even one that watches the clock, `[...]`.

    Args:
        mdp: its discount is not used.
        steps: the environment's step limit, or None for episodes that end by termination alone; then values are
            iterated until none changes.

    Raises:
        InputError: `steps` is None and values still change after 100,000 iterations.
    """
    value = torch.zeros_like(mdp.start)
    for _ in range(100_000 if steps is None else steps):
        last, value = value, (mdp.reward + torch.einsum("...san,...n->...sa", mdp.continuation, value)).amax(-1)
        if steps is None and bool(((value - last).abs() <= 1e-12 * value.abs().clamp_min(1.0)).all()):
            break
    else:
        if steps is None:
            raise InputError("Expected returns that settle without a step limit, but they keep growing; give steps.")
    return (mdp.start * value).sum(-1)


def solve_chain(chain: Tensor, reward: Tensor, what: str) -> Tensor:
    """Solve x = reward + chain x, `[..., S]`; raises `InputError`, naming `what`, where x is not finite."""
    eye = torch.eye(chain.shape[-1], dtype=chain.dtype, device=chain.device)
    x, info = torch.linalg.solve_ex(eye - chain, reward[..., None])
    if bool((info != 0).any()) or not bool(torch.isfinite(x).all()):
        raise InputError(
            f"Expected {what} to be finite, but this policy may never terminate; use a discount below 1 or a limit."
        )
    solution: Tensor = x[..., 0]
    return solution
