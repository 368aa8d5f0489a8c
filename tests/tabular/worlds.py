"""Small finite worlds for the tests of the exact tier."""

import torch
from torch import Tensor

from gio_pyro.tabular import TabularMDP

EYE = torch.eye(2, dtype=torch.float64)
UNIFORM = torch.full((2, 2), 0.5, dtype=torch.float64)


def bsc(flip: float) -> Tensor:
    """The binary symmetric channel, `[2, 2]`."""
    return torch.tensor([[1 - flip, flip], [flip, 1 - flip]], dtype=torch.float64)


def two_states(channel: Tensor, reward: object = (0.0, 0.0), discount: float = 0.9) -> TabularMDP:
    """Two states that offer the same two actions: the same channel to s', the same reward."""
    r = torch.as_tensor(reward, dtype=torch.float64)
    return TabularMDP(channel.expand(2, 2, 2), r.expand(2, 2), discount=discount)


def random_rows(seed: int, *shape: int, kind: str = "dense") -> Tensor:
    """Distributions over the last axis: dense, with about half zeros (sparse), or one-hot (deterministic)."""
    g = torch.Generator().manual_seed(seed)
    noise = 2 * torch.randn(*shape, dtype=torch.float64, generator=g)
    if kind == "deterministic":
        return torch.nn.functional.one_hot(noise.argmax(-1), shape[-1]).double()
    if kind == "sparse":
        drop = torch.rand(*shape, generator=g) < 0.5
        drop &= noise < noise.max(-1, keepdim=True).values
        noise = noise.masked_fill(drop, -torch.inf)
    return torch.softmax(noise, -1)


def random_mdp(
    seed: int,
    states: int = 4,
    actions: int = 3,
    *,
    batch: int | None = None,
    kind: str = "dense",
    discount: float = 0.9,
) -> TabularMDP:
    """A world without terminal states, or a batch of them."""
    shape = (states, actions) if batch is None else (batch, states, actions)
    g = torch.Generator().manual_seed(seed + 1)
    reward = torch.randn(*shape, dtype=torch.float64, generator=g)
    return TabularMDP(random_rows(seed, *shape, states, kind=kind), reward, discount=discount)


def corridor(length: int = 4, discount: float = 1.0) -> TabularMDP:
    """A corridor from 0 to a terminal last state; actions back (or bump) and on, each step costs 1."""
    transition = torch.zeros(length, 2, length)
    for s in range(length):
        transition[s, 0, max(s - 1, 0)] = 1.0
        transition[s, 1, min(s + 1, length - 1)] = 1.0
    terminal = torch.arange(length) == length - 1
    start = [1.0] + [0.0] * (length - 1)
    return TabularMDP(transition, -torch.ones(length, 2), discount=discount, terminal=terminal, start=start)
