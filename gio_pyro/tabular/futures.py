"""Exact futures F of an action: functions `(mdp, policy) -> channel [..., S, A, F]`.

    next_state               s'                                                   S futures
    next_state_and_reward    (s', r)                                              one per pair that occurs
    final_state(n)           s_{t+n}, the later n − 1 actions open-loop           S
    state_after(k)           s_{t+k}, the later k − 1 actions from the policy     S
    discounted_state(n)      s_{t+k}, likewise, k ≤ n drawn ∝ γ^(k−1)             S
    trajectory(k)            (s_{t+1}, …, s_{t+k}), likewise                      S^k
    discounted_return(h)     Σ_{i<h} γ^i r_{t+i}, likewise                        one per sum that occurs
    features(future, labels) a function of any of these                           one per label

The channels of the first three do not depend on the policy, so policy iteration with them converges to the global
optimum (theory, section 2). Those of the others do, and monotone improvement is not guaranteed. Terminal states are
absorbing with reward 0.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.tabular.information import as_distribution
from gio_pyro.tabular.mdp import TabularMDP, as_mdp, as_policy, restricted_policy
from gio_pyro.utils.checks import as_number, real, real_tensor, switch, whole
from gio_pyro.utils.checks import labels as as_labels
from gio_pyro.utils.memory import require_memory

Future = Callable[[TabularMDP, Tensor], Tensor]
"""`(mdp, policy [..., S, A]) -> p(F|s, a) [..., S, A, F]`."""

MAX_FUTURES = 100_000
"""Maximum number of futures of a channel, a table of S · A times as many numbers."""
MAX_FUTURE_STEPS = 10_000
"""Maximum number of steps of a future."""
DISCOUNT = "a discount in [0, 1]"
LEVEL_TOLERANCE = 1e-6
"""Relative tolerance, for rounding, with which a return reaches a level."""
RETURN_DECIMALS = 9
"""Returns that agree to this many decimals are one future."""


def next_state(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return the channel of F = s', the transition table, `[..., S, A, S]`."""
    return as_mdp(mdp).transition


def next_state_and_reward(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return the channel of F = (s', r), one column per distinct pair of `TabularMDP.outcomes`, `[S, A, F]`."""
    return as_mdp(mdp).outcomes.probability


def final_state(n: int, source: object = None) -> Future:
    """Return the future F = s_{t+n} after the action and n − 1 open-loop actions drawn from a source.

    Args:
        n: actions, at least 1.
        source: distribution of each open-loop action, `[A]`; uniform by default. In each state it is normalised over
            the allowed actions.

    Raises:
        InputError: n < 1, or a source that is not a distribution over the actions, or gives every allowed action of
            some state probability 0.
    """
    n = _as_steps(n)
    given = None if source is None else as_distribution("the source", source)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        omega = torch.full((as_mdp(mdp).actions,), 1.0 / mdp.actions) if given is None else given
        omega = as_distribution("the source", omega).to(mdp.transition.device)
        if omega.shape != (mdp.actions,):
            raise InputError(f"Expected a source over {mdp.actions} actions, but got shape {tuple(omega.shape)}.")
        return _propagate(mdp.transition, state_chain(mdp, _open_loop_policy(mdp, omega)), n)

    return future


def state_after(k: int) -> Future:
    """Return the future F = s_{t+k} after the action and k − 1 actions of the policy.

    Raises:
        InputError: k < 1.
    """
    k = _as_steps(k)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        return _propagate(as_mdp(mdp).transition, state_chain(mdp, _as_policy(mdp, policy)), k)

    return future


def discounted_state(n: int, discount: float = 0.9) -> Future:
    """Return the future F = s_{t+k} after the action and k − 1 actions of the policy, k ≤ n drawn ∝ γ^(k−1).

    Args:
        n: the most steps, at least 1.
        discount: γ in (0, 1].

    Raises:
        InputError: n < 1, or a discount out of range.
    """
    n, gamma = _as_steps(n), decay(discount)
    weight = gamma ** torch.arange(n, dtype=torch.float64)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        channel = as_mdp(mdp).transition
        chain = state_chain(mdp, _as_policy(mdp, policy))[..., None, :, :]
        total = weight[0] * channel
        for factor in weight[1:]:
            channel = channel @ chain
            total = total + factor * channel
        return total / weight.sum()

    return future


def decay(discount: object) -> float:
    """Return a discount in (0, 1]; raise `InputError` for another."""
    found = as_number(discount)
    if found is None or not 0 < found <= 1:
        raise InputError(f"Expected a discount above 0 and at most 1, but got {shown(discount)}; 0.9 is the default.")
    return float(found)


def trajectory(k: int, *, rewards: bool = False) -> Future:
    """Return the future F = (s_{t+1}, …, s_{t+k}) after the action and k − 1 actions of the policy.

    Trajectories are numbered like digits of a number, the last state varying fastest. By the Markov property the
    mutual information is that of the first state alone.

    Args:
        k: steps, at least 1.
        rewards: whether F includes the rewards; its symbols are then the pairs of `TabularMDP.outcomes`.

    Raises:
        InputError: k < 1, or more futures than a table can hold.
    """
    k, rewards = _as_steps(k), switch("rewards", rewards)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        mdp = as_mdp(mdp)
        first = mdp.outcomes.probability if rewards else mdp.transition
        symbols = first.shape[-1]
        if symbols > 1 and symbols ** min(k, 64) > MAX_FUTURES:
            raise InputError(
                f"Expected at most {MAX_FUTURES:,} trajectories, but {symbols} symbols have more of {k} steps; "
                "take fewer steps, or features of them."
            )
        size = 16 * first.numel() * symbols ** (k - 1)
        require_memory(size, f"trajectories of {k} steps", "take fewer steps, or features of them", first.device)
        follows = (_as_policy(mdp, policy)[..., None] * first).sum(-2)
        follows = follows[..., mdp.outcomes.next_state, :] if rewards else follows
        channel = first
        for _ in range(k - 1):
            last = torch.arange(channel.shape[-1], device=channel.device) % symbols
            channel = (channel[..., None] * follows[..., None, None, last, :]).flatten(-2)
        return channel

    return future


def discounted_return(horizon: int, discount: float = 1.0, *, levels: Sequence[float] = ()) -> Future:
    """Return the future F = Σ_{i<h} γ^i r_{t+i}, the return of the action and h − 1 actions of the policy.

    Args:
        horizon: h ≥ 1 rewards.
        discount: γ in [0, 1] of this sum, independent of the MDP's.
        levels: increasing bounds, reward units; F is then the index of the interval of the return, one
            of len(levels) + 1, closed on the left. By default every distinct return is a future.

    Raises:
        InputError: a horizon below 1, a discount outside [0, 1], levels that do not increase, a batch of MDPs, or
            more returns than a table can hold.
    """
    horizon, discount = (
        _as_steps(horizon),
        real("discount", discount, 0, 1, wanted=DISCOUNT, advice="0.99 is a usual choice"),
    )
    bounds = as_levels(levels)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        policy = _as_policy(mdp, policy)
        channel, sums = _return_distribution(mdp, policy, horizon, discount)
        return grouped(channel, interval_of(sums, bounds), len(bounds) + 1) if len(bounds) else channel

    return future


def features(future: Future, labels: object) -> Future:
    """Return the future φ(F'), where φ maps each value of another future F' to a label, counted from 0.

    Args:
        future: F'.
        labels: `[F']` integers.

    Raises:
        InputError: labels that are not one integer of at least 0 for each value of F'.
    """
    table = as_labels("one label", labels)
    if int(table.max()) >= MAX_FUTURES:
        raise InputError(f"Expected labels below {MAX_FUTURES:,}, but got {int(table.max())}; count from 0.")
    _require_exact(future)

    def mapped(mdp: TabularMDP, policy: Tensor) -> Tensor:
        channel = channel_of(as_mdp(mdp), policy, future)
        if channel.shape[-1] != len(table):
            raise InputError(f"Expected {channel.shape[-1]} labels, one for each future, but got {len(table)}.")
        return grouped(channel, table.to(channel.device), int(table.max()) + 1)

    return mapped


def state_chain(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return p_π(s'|s) = Σ_a π(a|s) p(s'|s, a), `[..., S, S]`."""
    return (policy[..., None] * mdp.transition).sum(-2)


def as_levels(levels: Sequence[float]) -> Tensor:
    """Return levels as float64; raises `InputError` unless they are finite and increase."""
    bounds = real_tensor("levels", levels)
    if bounds.ndim != 1 or not bool(torch.isfinite(bounds).all()) or bool((bounds.diff() <= 0).any()):
        raise InputError(f"Expected levels that increase, such as (0.0, 0.5), but got {shown(levels)}.")
    return bounds


def interval_of(sums: Tensor, bounds: Tensor) -> Tensor:
    """Return the index of the interval of each return, up to `LEVEL_TOLERANCE`, integers of the same shape."""
    bounds = bounds.to(sums.device, torch.float64)
    return torch.bucketize(sums.double(), bounds - LEVEL_TOLERANCE * (1 + bounds.abs()), right=True)


def _open_loop_policy(mdp: TabularMDP, omega: Tensor) -> Tensor:
    """Return a source `[A]` as a policy over allowed actions, `[..., S, A]`."""
    if not bool(((omega * mdp.allowed).sum(-1) > 0).all()):
        raise InputError("Expected a source with an allowed action of every state, but one state has none; widen it.")
    return restricted_policy(mdp, omega.expand(mdp.reward.shape))


def _require_exact(future: object) -> None:
    """Raise `InputError` unless this is a function that can be a future of a tabular MDP."""
    if not callable(future) or isinstance(future, type):
        raise InputError(f"Expected a future such as tabular.next_state, but got {shown(future)}; see tabular.Future.")


def channel_of(mdp: TabularMDP, policy: Tensor, future: Future) -> Tensor:
    """Return the channel of a future, `[..., S, A, F]`.

    Raises:
        InputError: it is not a function, or does not return a float64 tensor of that shape.
        ProgramError: it raises.
    """
    _require_exact(future)
    with raised_by(getattr(future, "__name__", type(future).__name__), "the future"):
        found = future(mdp, policy)
    shape = mdp.reward.shape
    if not isinstance(found, Tensor) or found.shape[:-1] != shape or found.dtype != torch.float64:
        raise InputError(f"Expected the future to return a float64 channel {[*shape, 'F']}, but got {shown(found)}.")
    return found


def _as_policy(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return a policy as float64 `[..., S, A]`; skip the checks if it has this shape and dtype."""
    fits = isinstance(policy, Tensor) and policy.dtype == torch.float64 and policy.shape == as_mdp(mdp).reward.shape
    return policy if fits else as_policy(mdp, policy)


def _as_steps(steps: object) -> int:
    return whole("steps", steps, 1, MAX_FUTURE_STEPS, wanted="a future at least 1 step ahead")


def _propagate(channel: Tensor, chain: Tensor, steps: int) -> Tensor:
    """Return the channel of the state `steps` steps ahead, from that of the next state."""
    for _ in range(steps - 1):
        channel = channel @ chain[..., None, :, :]
    return channel


def _return_distribution(mdp: TabularMDP, policy: Tensor, horizon: int, discount: float) -> tuple[Tensor, Tensor]:
    """Return p(G|s, a) `[S, A, F]` and the sums G `[F]`, by backward recursion from the last reward."""
    pairs = mdp.outcomes
    sums = torch.zeros(1, dtype=torch.float64, device=policy.device)
    later = torch.ones(mdp.states, 1, dtype=torch.float64, device=policy.device)
    for _ in range(horizon):
        reached = pairs.reward[:, None] + discount * sums
        sums, place = torch.unique(reached.round(decimals=RETURN_DECIMALS), return_inverse=True)
        if len(sums) > MAX_FUTURES:
            raise InputError(
                f"Expected at most {MAX_FUTURES:,} distinct returns, but got {len(sums):,}; shorten the horizon."
            )
        per_pair = later.new_zeros(len(reached), len(sums)).scatter_add(1, place, later[pairs.next_state])
        channel = pairs.probability @ per_pair
        later = (policy[..., None] * channel).sum(-2)
    return channel, sums


def grouped(channel: Tensor, label: Tensor, count: int) -> Tensor:
    """Return the channel `[..., count]` that sums the columns of `[..., F]` with the same label `[F]`, below `count`.

    Raises:
        InputError: labels that are not one integer from 0 to below `count` for each column.
    """
    channel, label = real_tensor("the channel", channel), as_labels("one label", label)
    count = whole("count", count, 1, MAX_FUTURES)
    if channel.ndim < 1 or channel.shape[-1] != len(label) or int(label.max()) >= count:
        raise InputError(
            f"Expected one label below {count} for each future, but got {len(label)} labels for a channel of shape "
            f"{tuple(channel.shape)}."
        )
    return channel.new_zeros(*channel.shape[:-1], count).index_add(-1, label, channel)
