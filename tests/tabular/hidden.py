"""POMDPs for tests, with what is known of them by hand."""

import torch

from gio_pyro.tabular import POMDP

from .worlds import EYE, UNIFORM, random_rows

LISTEN, LEFT, RIGHT = range(3)


def tiger(discount: float = 0.95, accuracy: float = 0.85) -> POMDP:
    """The tiger behind the left door (state 0) or the right one; opening places it anew, and says nothing."""
    stay, anew = EYE, UNIFORM
    heard = torch.tensor([[accuracy, 1 - accuracy], [1 - accuracy, accuracy]], dtype=torch.float64)
    return POMDP(
        torch.stack([stay, anew, anew], 1),
        torch.stack([heard, anew, anew]),
        [[-1.0, -100.0, 10.0], [-1.0, 10.0, -100.0]],
        discount=discount,
    )


def random_pomdp(seed: int, S: int = 3, A: int = 2, X: int = 2, *, discount: float = 0.9, ends: bool = False) -> POMDP:
    """A POMDP with random tables; with `ends` its last state is terminal."""
    terminal = [False] * (S - 1) + [ends]
    torch.manual_seed(seed)
    return POMDP(
        random_rows(seed, S, A, S),
        random_rows(seed + 100, A, S, X),
        torch.randn(S, A, dtype=torch.float64),
        discount=discount,
        terminal=terminal,
        start=torch.cat([random_rows(seed + 200, S - 1), torch.zeros(1, dtype=torch.float64)]) if ends else None,
        first_observation=random_rows(seed + 300, S, X),
    )
