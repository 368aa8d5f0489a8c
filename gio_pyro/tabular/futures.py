"""What counts as the future F of an action, exactly: functions `(mdp, policy) -> channel [..., S, A, F]`.

    next_state               s'                                                   S futures
    next_state_and_reward    (s', r)                                              one for each pair that occurs
    final_state(n)           s_{t+n}, the later n − 1 actions drawn blindly       S
    state_after(k)           s_{t+k}, the later k − 1 actions from the policy     S
    trajectory(k)            (s_{t+1}, …, s_{t+k}), likewise                      S^k
    discounted_return(h)     Σ_{i<h} γ^i r_{t+i}, likewise                        one for each sum that occurs
    features(future, labels) a function of any of these                           one for each label

The channels of the first three do not depend on the policy, so policy iteration with them ends at the global optimum
(theory, section 2). Those of the others do, and monotone improvement is then no longer guaranteed. Terminal states
absorb: after them nothing moves and nothing is earned.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.tabular.information import as_distribution
from gio_pyro.tabular.mdp import TabularMDP, as_mdp, as_policy
from gio_pyro.utils.checks import labels as as_labels
from gio_pyro.utils.checks import real, real_tensor, switch, whole
from gio_pyro.utils.memory import require_memory

Future = Callable[[TabularMDP, Tensor], Tensor]
"""`(mdp, policy [..., S, A]) -> p(F|s, a) [..., S, A, F]`."""

MOST_FUTURES = 100_000
"""Futures of one channel above which it is refused: a table of S · A times as many numbers would follow."""
MOST_STEPS = 10_000
"""Steps that a future may be ahead."""
DISCOUNT = "a discount in [0, 1]"
ROUNDING = 1e-6
"""Share of a bound between returns by which a sum may miss it and still have reached it."""
RETURN_DECIMALS = 9
"""Returns that agree to so many decimals are one future."""


def next_state(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """F = s': the transition table itself, `[..., S, A, S]`."""
    return as_mdp(mdp).transition


def next_state_and_reward(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """F = (s', r): one column for each distinct pair, `[S, A, F]`; see `TabularMDP.outcomes` for which."""
    return as_mdp(mdp).outcomes.probability


def final_state(n: int, source: object = None) -> Future:
    """F = s_{t+n}, the first action free and the next n − 1 drawn without looking (open loop).

    Args:
        n: actions, at least 1.
        source: what each blind action is drawn from, `[A]`; uniform by default. Where a state does not allow every
            action, it is normalised over those that it allows.

    Raises:
        InputError: n < 1, or a source that is no distribution over the world's actions, or over those of a state.
    """
    n = _steps(n)
    given = None if source is None else as_distribution("the source", source)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        blind = torch.full((as_mdp(mdp).actions,), 1.0 / mdp.actions) if given is None else given
        omega = as_distribution("the source", blind).to(mdp.transition.device)
        if omega.shape != (mdp.actions,):
            raise InputError(f"Expected a source over {mdp.actions} actions, but got shape {tuple(omega.shape)}.")
        return _after(mdp.transition, state_chain(mdp, _over_allowed(mdp, omega)), n)

    return future


def state_after(k: int) -> Future:
    """F = s_{t+k}, the first action free and the next k − 1 from the policy (terminal states stay).

    Raises:
        InputError: k < 1.
    """
    k = _steps(k)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        return _after(as_mdp(mdp).transition, state_chain(mdp, _policy(mdp, policy)), k)

    return future


def trajectory(k: int, *, rewards: bool = False) -> Future:
    """F = (s_{t+1}, …, s_{t+k}), the first action free and the next k − 1 from the policy.

    The states of a trajectory count like the digits of a number, the last one fastest. As the world is Markov, it
    carries exactly the mutual information of its first state.

    Args:
        k: steps, at least 1.
        rewards: whether each step's reward belongs to F; its symbols are then the pairs of `TabularMDP.outcomes`.

    Raises:
        InputError: k < 1, or more futures than a table can hold.
    """
    k, rewards = _steps(k), switch("rewards", rewards)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        mdp = as_mdp(mdp)
        first = mdp.outcomes.probability if rewards else mdp.transition
        symbols = first.shape[-1]
        if symbols > 1 and symbols ** min(k, 64) > MOST_FUTURES:
            raise InputError(
                f"Expected at most {MOST_FUTURES:,} trajectories, but {symbols} symbols have more of {k} steps; "
                "take fewer steps, or features of them."
            )
        size = 16 * first.numel() * symbols ** (k - 1)
        require_memory(size, f"trajectories of {k} steps", "take fewer steps, or features of them", first.device)
        follows = (_policy(mdp, policy)[..., None] * first).sum(-2)
        follows = follows[..., mdp.outcomes.next_state, :] if rewards else follows
        channel = first
        for _ in range(k - 1):
            last = torch.arange(channel.shape[-1], device=channel.device) % symbols
            channel = (channel[..., None] * follows[..., None, None, last, :]).flatten(-2)
        return channel

    return future


def discounted_return(horizon: int, discount: float = 1.0, *, levels: Sequence[float] = ()) -> Future:
    """F = Σ_{i<h} γ^i r_{t+i}: credit for what is earned, the first action free and the others from the policy.

    Args:
        horizon: h ≥ 1 rewards.
        discount: γ in [0, 1], of this sum only.
        levels: increasing bounds, reward units; F is then which of the len(levels) + 1 intervals the sum falls into,
            the upper bound belonging to the interval above. Without them every distinct sum is a future.

    Raises:
        InputError: a horizon below 1, a discount outside [0, 1], levels that do not increase, a batch of worlds, or
            more sums than a table can hold.
    """
    horizon, discount = (
        _steps(horizon),
        real("discount", discount, 0, 1, wanted=DISCOUNT, advice="0.99 is a usual choice"),
    )
    bounds = as_levels(levels)

    def future(mdp: TabularMDP, policy: Tensor) -> Tensor:
        policy = _policy(mdp, policy)
        channel, sums = _return_distribution(mdp, policy, horizon, discount)
        return grouped(channel, interval_of(sums, bounds), len(bounds) + 1) if len(bounds) else channel

    return future


def features(future: Future, labels: object) -> Future:
    """F = φ(F'), for a function φ of another future F': a table of the label, counted from 0, of each value of F'.

    Args:
        future: F'.
        labels: `[F']` whole numbers.

    Raises:
        InputError: labels that are not one whole number from 0 for each value of F'.
    """
    table = as_labels("one label", labels)
    if int(table.max()) >= MOST_FUTURES:
        raise InputError(f"Expected labels below {MOST_FUTURES:,}, but got {int(table.max())}; count from 0.")
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
    """Return bounds between intervals as float64; raises `InputError` unless they are finite and increase."""
    bounds = real_tensor("levels", levels)
    if bounds.ndim != 1 or not bool(torch.isfinite(bounds).all()) or bool((bounds.diff() <= 0).any()):
        raise InputError(f"Expected levels that increase, such as (0.0, 0.5), but got {shown(levels)}.")
    return bounds


def interval_of(sums: Tensor, bounds: Tensor) -> Tensor:
    """Return the number of the interval of each sum; one that misses a bound by rounding alone has reached it."""
    bounds = bounds.to(sums.device, torch.float64)
    return torch.bucketize(sums.double(), bounds - ROUNDING * (1 + bounds.abs()), right=True)


def _over_allowed(mdp: TabularMDP, omega: Tensor) -> Tensor:
    """Return a source `[A]` as a policy of allowed actions, `[..., S, A]`."""
    shares = omega * mdp.allowed
    if not bool((shares.sum(-1) > 0).all()):
        raise InputError("Expected a source with an allowed action of every state, but one state has none; widen it.")
    return shares if bool(mdp.allowed.all()) else shares / shares.sum(-1, keepdim=True)


def _require_exact(future: object) -> None:
    """Raise `InputError` for what cannot be a future of the exact tier."""
    if not callable(future) or isinstance(future, type):
        raise InputError(f"Expected a future such as tabular.next_state, but got {shown(future)}; see tabular.Future.")


def channel_of(mdp: TabularMDP, policy: Tensor, future: Future) -> Tensor:
    """Return the channel of a future, `[..., S, A, F]`.

    Raises:
        InputError: it is no function, or returns something else than a float64 tensor of that shape.
        ProgramError: it raises.
    """
    _require_exact(future)
    with raised_by(getattr(future, "__name__", type(future).__name__), "the future"):
        found = future(mdp, policy)
    shape = mdp.reward.shape
    if not isinstance(found, Tensor) or found.shape[:-1] != shape or found.dtype != torch.float64:
        raise InputError(f"Expected the future to return a float64 channel {[*shape, 'F']}, but got {shown(found)}.")
    return found


def _policy(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return a policy; one that fits already is not looked at again."""
    fits = isinstance(policy, Tensor) and policy.dtype == torch.float64 and policy.shape == as_mdp(mdp).reward.shape
    return policy if fits else as_policy(mdp, policy)


def _steps(steps: object) -> int:
    return whole("steps", steps, 1, MOST_STEPS, wanted="a future at least 1 step ahead")


def _after(channel: Tensor, chain: Tensor, steps: int) -> Tensor:
    for _ in range(steps - 1):
        channel = channel @ chain[..., None, :, :]
    return channel


def _return_distribution(mdp: TabularMDP, policy: Tensor, horizon: int, discount: float) -> tuple[Tensor, Tensor]:
    """Return p(G|s, a) `[S, A, F]` and the sums G `[F]`, from the last reward backwards."""
    pairs = mdp.outcomes
    sums = torch.zeros(1, dtype=torch.float64, device=policy.device)
    later = torch.ones(mdp.states, 1, dtype=torch.float64, device=policy.device)
    for _ in range(horizon):
        reached = pairs.reward[:, None] + discount * sums
        sums, place = torch.unique(reached.round(decimals=RETURN_DECIMALS), return_inverse=True)
        if len(sums) > MOST_FUTURES:
            raise InputError(
                f"Expected at most {MOST_FUTURES:,} distinct returns, but got {len(sums):,}; shorten the horizon."
            )
        of_pair = later.new_zeros(len(reached), len(sums)).scatter_add(1, place, later[pairs.next_state])
        channel = pairs.probability @ of_pair
        later = (policy[..., None] * channel).sum(-2)
    return channel, sums


def grouped(channel: Tensor, label: Tensor, count: int) -> Tensor:
    """Add up the columns `[..., F]` of each label `[F]`, whole numbers below the count, `[..., count]`.

    Raises:
        InputError: no labels from 0 to below the count, one for each column.
    """
    channel, label = real_tensor("the channel", channel), as_labels("one label", label)
    count = whole("count", count, 1, MOST_FUTURES)
    if channel.ndim < 1 or channel.shape[-1] != len(label) or int(label.max()) >= count:
        raise InputError(
            f"Expected one label below {count} for each future, but got {len(label)} labels for a channel of shape "
            f"{tuple(channel.shape)}."
        )
    return channel.new_zeros(*channel.shape[:-1], count).index_add(-1, label, channel)
