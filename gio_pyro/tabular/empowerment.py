"""n-step empowerment, exactly: E_n(s) = max_ω I(A_1..A_n; S_{t+n} | s) over open-loop actions (theory, section 5).

In a deterministic MDP the capacity is the log of the number of states that can be reached in *exactly* n actions. In a
stochastic one it is computed by Blahut-Arimoto over action sequences. Sequences with the same distribution of final
states are equivalent inputs, whatever follows, so they are merged after every action, and their number usually stays
far below A^n: sequences of commuting actions merge. A sequence is allowed if each of its actions is allowed in every
state that the previous ones may lead to.
"""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.capacity import blahut_arimoto
from gio_pyro.tabular.mdp import TabularMDP, as_mdp
from gio_pyro.utils.checks import positive, whole
from gio_pyro.utils.memory import require_memory

HORIZON = "a horizon of at least 1 action, a whole number"
MERGE_DECIMALS = 12
MERGE_COPIES = 3
"""Copies of the table of sequences in memory while equal ones are merged."""
MAX_HORIZON = 100_000
"""Maximum horizon; each action costs a step of all states."""


def empowerment(
    mdp: TabularMDP,
    horizon: int,
    *,
    tolerance: float = 1e-7,
    max_sequences: int = 20_000,
    max_elements: int = 25_000_000,
) -> Tensor:
    """Return the n-step empowerment of every state, `[S]` nats.

    Deterministic MDPs take O(n A S²) time and S² bytes. Stochastic MDPs hold, for one chunk of states at a time,
    U · A · S numbers per state before merging, with U the number of distinct sequences (at most A^n, usually far
    fewer: polynomial in n if actions commute). Chunks hold at most `max_elements` numbers, but at least one state,
    with U at most `max_sequences`. One Newton step of the capacity costs min(U, S)³ per state.

    Args:
        mdp: one MDP; rewards and discount are ignored; empowerment is 0 in terminal states, and where no
            sequence of n actions is allowed.
        horizon: n ≥ 1 actions.
        tolerance: certified gap of each state's capacity, nats (stochastic MDPs).
        max_sequences: maximum number of distinct sequences from a state.
        max_elements: numbers in one chunk, 8 bytes each; the peak is about ten copies.

    Raises:
        InputError: a horizon below 1, a batch of MDPs, or more distinct sequences than allowed.
    """
    mdp, horizon = as_mdp(mdp), whole("the horizon", horizon, 1, MAX_HORIZON, wanted=HORIZON)
    tolerance, max_sequences = positive("tolerance", tolerance), whole("max_sequences", max_sequences, 1)
    max_elements = whole("max_elements", max_elements, 1)
    if mdp.transition.ndim != 3:
        raise InputError(f"Expected one MDP, but got a batch {tuple(mdp.transition.shape[:-3])}; take them one by one.")
    if mdp.is_deterministic:
        return _reachable_in(mdp, horizon).sum(-1).clamp_min(1).double().log()
    capacities = [
        _chunk_capacity(mdp, states, horizon, tolerance, max_sequences)
        for states in _chunks(mdp, horizon, max_elements)
    ]
    return torch.cat(capacities)


def _reachable_in(mdp: TabularMDP, horizon: int) -> Tensor:
    """Return which states can be reached in exactly n actions, `[S, S]` booleans."""
    successor = mdp.transition.argmax(-1)
    reach = torch.eye(mdp.states, dtype=torch.bool, device=mdp.transition.device)
    for _ in range(horizon):
        grown = torch.zeros_like(reach)
        for action in range(mdp.actions):
            grown |= reach[successor[:, action]] & mdp.allowed[:, action, None]
        reach = grown
    return reach


def _chunks(mdp: TabularMDP, horizon: int, max_elements: int) -> list[Tensor]:
    """Split the states so that the channel of a chunk, without merging, has at most `max_elements` numbers."""
    worst = min(mdp.actions ** min(horizon, 64), max_elements) * mdp.states
    size = min(max(1, max_elements // worst), mdp.states)
    return list(torch.arange(mdp.states, device=mdp.transition.device).split(size))


def _chunk_capacity(mdp: TabularMDP, states: Tensor, horizon: int, tolerance: float, limit: int) -> Tensor:
    """Return the empowerment of a chunk of states, nats; channels are padded to the largest number of inputs."""
    owner, final = _distinct_sequences(mdp, states, horizon, limit)
    if not len(owner):
        return torch.zeros(len(states), dtype=torch.float64, device=states.device)
    counts = torch.bincount(owner, minlength=len(states))
    first = counts.cumsum(0) - counts
    offset = torch.arange(int(counts.max()), device=owner.device)
    row = first[:, None] + torch.where(offset < counts[:, None], offset, 0)
    reached = (final > 0).any(0)
    some, channel = counts > 0, _drop_unused(final[:, reached][row.clamp_max(len(final) - 1)])
    return torch.where(some, blahut_arimoto(channel, tolerance=tolerance).capacity, 0.0)


def _drop_unused(channel: Tensor) -> Tensor:
    """Sort the outputs of each channel so that possible ones come first, and drop the rest."""
    used = (channel > 0).any(-2)
    order = used.to(torch.int8).argsort(stable=True, dim=-1, descending=True)[:, : int(used.sum(-1).max())]
    return channel.gather(-1, order[:, None, :].expand(-1, channel.shape[-2], -1))


def _distinct_sequences(mdp: TabularMDP, states: Tensor, horizon: int, limit: int) -> tuple[Tensor, Tensor]:
    """Return (owner `[U]`, final-state distribution `[U, S]`) of the distinct sequences of each state, sorted."""
    owner = torch.arange(len(states), device=states.device)
    final = torch.eye(mdp.states, dtype=torch.float64, device=states.device)[states]
    for _ in range(horizon):
        legal = ~((final > 0).to(final) @ (~mdp.allowed).to(final)).bool()
        needed = 8 * MERGE_COPIES * len(final) * mdp.actions * mdp.states
        require_memory(needed, f"{len(final) * mdp.actions:,} action sequences", "shorten the horizon", final.device)
        final = torch.einsum("us,san->uan", final, mdp.transition)[legal]
        if not len(final):
            return owner[:0], final
        owner, final = _merge(owner[legal.nonzero()[:, 0]], final)
        most = int(torch.bincount(owner).max())
        if most > limit:
            raise InputError(
                f"Expected at most {limit} distinct action sequences from a state, but got {most}; shorten the "
                "horizon (or raise max_sequences, in Python)."
            )
    return owner, final


def _merge(owner: Tensor, final: Tensor) -> tuple[Tensor, Tensor]:
    """Keep one row of each group of one owner that agree to 12 decimals."""
    key = torch.cat([owner[:, None].to(final), final.round(decimals=MERGE_DECIMALS)], -1)
    _, group = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(group), device=group.device)
    first = first.scatter_reduce(0, group, torch.arange(len(group), device=group.device), "amin")
    return owner[first], final[first]
