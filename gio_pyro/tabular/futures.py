"""What counts as the future F of an action, exactly: functions `(mdp, policy) -> channel [..., S, A, F]`.

The first two do not depend on the policy, so policy iteration with them ends at the global optimum
(theory, section 2). The k-step state does, and monotone improvement is then no longer guaranteed.
"""

from collections.abc import Callable

from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.mdp import TabularMDP

Future = Callable[[TabularMDP, Tensor], Tensor]
"""`(mdp, policy [..., S, A]) -> p(F|s, a) [..., S, A, F]`."""


def next_state(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """F = s': the transition table itself, `[..., S, A, S]`."""
    return mdp.transition


def next_state_and_reward(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """F = (s', r): one column for each distinct pair, `[S, A, F]`; see `TabularMDP.outcomes` for which."""
    return mdp.outcomes.probability


def state_after(k: int) -> Future:
    """F = s_{t+k}, the first action free and the next k − 1 from the policy (terminal states stay).

    Raises:
        InputError: k < 1.
    """
    if k < 1:
        raise InputError(f"Expected a future at least 1 step ahead, but got {k}.")

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        step = state_chain(mdp, policy)
        channel = mdp.transition
        for _ in range(k - 1):
            channel = channel @ step[..., None, :, :]
        return channel

    return future


def state_chain(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return p_π(s'|s) = Σ_a π(a|s) p(s'|s, a), `[..., S, S]`."""
    return (policy[..., None] * mdp.transition).sum(-2)
