"""Finite Markov decision processes as tables, built from arrays or read from a Gymnasium environment."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import InputError, shown
from gio_pyro.tabular.information import LARGEST_REWARD, as_distribution, as_flags
from gio_pyro.tabular.reading import default_start, read_action_masks, read_rows, read_start, terminal_states
from gio_pyro.utils.checks import instance, real, real_tensor
from gio_pyro.utils.memory import require_memory


@dataclass(frozen=True)
class Outcomes:
    """The joint distribution of (s', r) for every state and action, over the F distinct pairs that occur."""

    probability: Tensor
    """`[..., S, A, F]`: p(s', r | s, a)."""
    next_state: Tensor
    """`[F]`: s' of each pair."""
    reward: Tensor
    """`[F]`: r of each pair, reward units."""


class TabularMDP:
    """A finite MDP in float64; terminal states are absorbing with value 0.

    Args:
        transition: p(s'|s, a), `[..., S, A, S]`; any leading batch shape, one device.
        reward: `[..., S, A]`, or `[..., S, A, S]` where it depends on s'; reward units.
        discount: γ in [0, 1]; 1 requires that every state can reach a terminal state.
        terminal: `[..., S]` booleans, none by default. Terminal rows are replaced by self-loops of reward 0.
        start: the distribution of the first state, `[..., S]`; uniform over non-terminal states by default.
        outcomes: the joint distribution of (s', r), if rewards are random given (s, a, s').
        allowed: mask of allowed actions, `[..., S, A]` booleans; all by default. `transition` and `reward` of forbidden
            actions are ignored, but must be valid numbers. In terminal states all actions count as allowed.

    All of them are attributes; `reward` is then the expected one, `[..., S, A]`.

    Raises:
        InputError: rows that do not sum to 1, negative or NaN entries, shapes that disagree, a discount
            outside [0, 1], discount 1 where some state can never reach a terminal one, or a state that allows nothing.
    """

    def __init__(
        self,
        transition: object,
        reward: object,
        *,
        discount: float,
        terminal: object = None,
        start: object = None,
        outcomes: Outcomes | None = None,
        allowed: object = None,
    ) -> None:
        p = as_distribution("the transition table", transition)
        if p.ndim < 3 or p.shape[-1] != p.shape[-3]:
            raise InputError(f"Expected transitions of shape [..., S, A, S], but got {tuple(p.shape)}.")
        require_memory(3 * p.nbytes, f"transitions of shape {tuple(p.shape)}", "use a smaller MDP", p.device)
        states = p.shape[-1]
        self.terminal = _as_terminal(terminal, p)
        first = _as_start(start, self.terminal, p)
        self.transition = torch.where(self.terminal[..., None, None], torch.eye(states).to(p)[:, None, :], p)
        self.allowed = _as_action_mask(allowed, self)
        self.discount = _as_discount(discount, self)
        self.start = first
        r = real_tensor("the reward table", reward).to(p.device)
        if not bool((r.abs() <= LARGEST_REWARD).all()):
            raise InputError("Expected finite rewards, but got NaN or infinity; correct the reward table.")
        self.reward = _expected_reward(r, self)
        self._outcomes = None if outcomes is None else _as_outcomes(outcomes, self)
        self._reward_on_arrival = r if r.shape == p.shape else None

    @property
    def states(self) -> int:
        """S, the number of states."""
        return self.transition.shape[-1]

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return self.transition.shape[-2]

    @property
    def continuation(self) -> Tensor:
        """p(s'|s, a) with the columns of terminal states set to 0, `[..., S, A, S]`, for bootstrapping."""
        return self.transition * ~self.terminal[..., None, None, :]

    @property
    def uniform(self) -> Tensor:
        """The uniform policy over the allowed actions, `[..., S, A]`."""
        return self.allowed / self.allowed.sum(-1, keepdim=True).to(self.reward)

    @property
    def reach(self) -> Tensor:
        """Whether an allowed action leads from one state to another, `[..., S, S]` booleans."""
        return ((self.transition > 0) & self.allowed[..., None]).any(-2)

    @property
    def is_deterministic(self) -> bool:
        """Whether every transition probability of an allowed action is 0 or 1."""
        return bool(((self.transition == 0) | (self.transition == 1) | ~self.allowed[..., None]).all())

    @property
    def outcomes(self) -> Outcomes:
        """The joint distribution of (s', r), grouped by distinct pairs; raises `InputError` for a batch of MDPs."""
        if self._outcomes is not None:
            return self._outcomes
        if self.transition.ndim != 3:
            raise InputError("Expected one MDP, but got a batch: its (s', r) pairs differ; take them one by one.")
        r = self.reward[..., None] if self._reward_on_arrival is None else self._reward_on_arrival
        r = torch.where(self.terminal[:, None, None], 0.0, r)
        s, a, s_next = self.transition.nonzero(as_tuple=True)
        return _group_outcomes(
            self, s, a, s_next, r.expand_as(self.transition)[s, a, s_next], self.transition[s, a, s_next]
        )

    @classmethod
    def from_env(cls, env: Any, *, discount: float = 0.99) -> "TabularMDP":
        """Read `env.unwrapped.P`, the toy-text convention `P[s][a] = [(probability, s', reward, terminated), ...]`.

        The start is `env.unwrapped.initial_state_distrib` where there is one, uniform otherwise. A state is
        terminal if it can be reached from the start and is entered with `terminated`. A state allows the actions that
        its entry of `P` has (a dictionary need not have all) and that `env.unwrapped.action_mask(state)`, if defined as
        in Taxi, allows.

        Raises:
            InputError: no `P`, a row that is not a distribution, or a mask that does not have one flag for each action.
            MixedTerminationError: a reachable state is entered both with and without termination.
        """
        if isinstance(env, type) or not hasattr(env, "unwrapped"):
            raise InputError(f"Expected an environment, such as gymnasium.make returns, but got {shown(env)}.")
        table = getattr(env.unwrapped, "P", None)
        if table is None:
            raise InputError(
                f"Expected an environment with a transition table `P`, but {shown(env)} has none; build TabularMDP "
                "from arrays, or use an environment of toy-text."
            )
        rows, offered = read_rows(table)
        allowed = read_action_masks(offered, getattr(env.unwrapped, "action_mask", None))
        start = getattr(env.unwrapped, "initial_state_distrib", None)
        return _from_rows(rows, len(table), allowed, _as_unit_interval(discount), read_start(start, len(table)))


def as_mdp(mdp: object) -> TabularMDP:
    """Return the MDP; raises `InputError` for any other type."""
    return instance("the MDP", mdp, TabularMDP, "build one from arrays, or read an environment by from_env")


def as_policy(mdp: TabularMDP, policy: object) -> Tensor:
    """Return `policy` as float64 on the MDP's device, `[..., S, A]`; raises `InputError` if it is not one."""
    pi = as_distribution("the policy", policy).to(as_mdp(mdp).transition.device)
    if pi.shape not in (mdp.reward.shape, mdp.reward.shape[-2:]):
        raise InputError(f"Expected a policy of shape {tuple(mdp.reward.shape)}, but got {tuple(pi.shape)}.")
    forbidden = ((pi > 0) & ~mdp.allowed).nonzero()
    if len(forbidden):
        *_, s, a = forbidden[0].tolist()
        raise InputError(
            f"Expected a policy of allowed actions, but it gives action {a} in state {s} some probability; give it 0, "
            "or start from mdp.uniform."
        )
    return pi.expand(mdp.reward.shape)


def restricted_policy(mdp: TabularMDP, policy: Tensor) -> Tensor:
    """Return a policy `[..., S, A]` renormalised over allowed actions; uniform where these have probability 0."""
    if bool(mdp.allowed.all()):
        return policy
    masked = torch.where(mdp.allowed, policy, 0.0)
    total = masked.sum(-1, keepdim=True)
    return torch.where(total > 0, masked / total, mdp.uniform)


def _from_rows(rows: Tensor, states: int, allowed: Tensor, discount: float, start: Tensor | None) -> TabularMDP:
    actions = allowed.shape[-1]
    s, a, s_next, done = (rows[:, i].long() for i in (0, 1, 3, 5))
    p, r = rows[:, 2], rows[:, 4]
    transition = torch.zeros(states, actions, states, dtype=torch.float64).index_put_((s, a, s_next), p, True)
    absent = transition.sum(-1) == 0  # forbidden actions become self-loops
    transition[absent & ~allowed] = torch.eye(states, dtype=torch.float64)[(absent & ~allowed).nonzero()[:, 0]]
    start = default_start(s_next, p, done.bool(), states) if start is None else start
    start = start.double() / start.sum()
    taken = p * allowed[s, a]
    terminal = terminal_states(s, s_next, taken, done.bool(), start)
    whole: Any = {"discount": discount, "terminal": terminal, "start": start, "allowed": allowed}
    mdp = TabularMDP(transition, torch.zeros(states, actions), **whole)
    # rows of terminal states are replaced by self-loops of reward 0
    keep = ~terminal[s]
    loop = terminal.nonzero().squeeze(-1).repeat_interleave(actions)
    s, s_next = torch.cat([s[keep], loop]), torch.cat([s_next[keep], loop])
    a = torch.cat([a[keep], torch.arange(actions).repeat(int(terminal.sum()))])
    r = torch.cat([r[keep], torch.zeros(len(loop), dtype=r.dtype)])
    p = torch.cat([p[keep], torch.ones(len(loop), dtype=p.dtype)])
    reward = torch.zeros(states, actions, dtype=torch.float64).index_put_((s, a), p * r, True)
    outcomes = _group_outcomes(mdp, s, a, s_next, r, p)
    return TabularMDP(transition, reward, **whole, outcomes=outcomes)


def _group_outcomes(mdp: TabularMDP, s: Tensor, a: Tensor, s_next: Tensor, r: Tensor, p: Tensor) -> Outcomes:
    """Return the joint distribution of (s', r) from one row per (s, a, s', r) of probability p."""
    pairs, future = torch.unique(torch.stack([s_next.to(r), r], -1), dim=0, return_inverse=True)
    table = torch.zeros(mdp.states, mdp.actions, len(pairs), dtype=torch.float64, device=mdp.transition.device)
    return Outcomes(table.index_put_((s, a, future), p, True), pairs[:, 0].long(), pairs[:, 1])


def _as_terminal(terminal: object, p: Tensor) -> Tensor:
    shape = p.shape[:-2]
    if terminal is None:
        return torch.zeros(shape, dtype=torch.bool, device=p.device)
    t = as_flags("terminal", terminal).to(p.device)
    if t.shape not in (shape, shape[-1:]):
        raise InputError(f"Expected one terminal flag for each of {shape[-1]} states, but got shape {tuple(t.shape)}.")
    return t.expand(shape)


def _as_action_mask(allowed: object, mdp: TabularMDP) -> Tensor:
    shape = mdp.transition.shape[:-1]
    if allowed is None:
        return torch.ones(shape, dtype=torch.bool, device=mdp.transition.device)
    flags = as_flags("allowed", allowed).to(mdp.transition.device)
    if flags.shape not in (shape, shape[-2:]):
        raise InputError(f"Expected allowed of shape {tuple(shape)}, one flag an action, but got {tuple(flags.shape)}.")
    flags = flags | mdp.terminal[..., None]
    if not bool(flags.any(-1).all()):
        empty = (~flags.any(-1)).nonzero()[0, -1]
        raise InputError(f"Expected an allowed action in every state, but state {empty} has none; make it terminal.")
    return flags


def _as_discount(discount: float, mdp: TabularMDP) -> float:
    discount = _as_unit_interval(discount)
    if discount == 1:
        step = mdp.reach
        ends = mdp.terminal.clone()
        for _ in range(mdp.states):
            ends = ends | (step & ends[..., None, :]).any(-1)
        if not bool(ends.all()):
            raise InputError(
                "Expected a discount below 1 where some state never terminates, but got 1; values would be infinite."
            )
    return discount


def _as_unit_interval(discount: object) -> float:
    return real("discount", discount, 0.0, 1.0, wanted="a discount in [0, 1]", advice="0.99 is a usual choice")


def _as_outcomes(outcomes: object, mdp: TabularMDP) -> Outcomes:
    """Return the joint distribution of (s', r) as float64; raises `InputError` if it does not fit the MDP."""
    given = instance("outcomes", outcomes, Outcomes)
    p = real_tensor("the outcomes", given.probability).to(mdp.reward.device)
    s_next, r = real_tensor("outcomes.next_state", given.next_state), real_tensor("outcomes.reward", given.reward)
    futures = p.shape[-1:]
    if p.shape[:-1] != mdp.reward.shape or s_next.shape != futures or r.shape != futures:
        raise InputError(
            f"Expected outcomes of shapes {[*mdp.reward.shape]} + [F], [F] and [F], but got {tuple(p.shape)}, "
            f"{tuple(s_next.shape)} and {tuple(r.shape)}."
        )
    as_distribution("the outcomes", p[mdp.allowed])
    known = (s_next >= 0) & (s_next < mdp.states) & (s_next == s_next.floor()) & torch.isfinite(r)
    if not bool(known.all()):
        raise InputError(f"Expected outcomes of next states below {mdp.states} and finite rewards, but got others.")
    return Outcomes(p, s_next.long().to(p.device), r.to(p.device))


def _as_start(start: object, terminal: Tensor, p: Tensor) -> Tensor:
    if start is None:
        live = (~terminal).to(p)
        live = torch.where(terminal.all(-1, keepdim=True), torch.ones_like(live), live)
        return live / live.sum(-1, keepdim=True)
    first = as_distribution("the start distribution", start).to(p.device)
    if first.shape not in (p.shape[:-2], p.shape[-1:]):
        raise InputError(f"Expected start probabilities of shape {tuple(p.shape[:-2])}, but got {tuple(first.shape)}.")
    return first.expand(p.shape[:-2])


def _expected_reward(r: Tensor, mdp: TabularMDP) -> Tensor:
    """Return the expected reward `[..., S, A]`, 0 in terminal states, from one of each (s, a) or (s, a, s')."""
    p = mdp.transition
    if r.shape == p.shape:
        r = (p * r).sum(-1)
    if r.shape not in (p.shape[:-1], p.shape[-3:-1]):
        raise InputError(
            f"Expected rewards of shape {tuple(p.shape[:-1])} or {tuple(p.shape)}, but got {tuple(r.shape)}."
        )
    return torch.where(mdp.terminal[..., None], 0.0, r.expand(p.shape[:-1]))
