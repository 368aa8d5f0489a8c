"""Mutual information of finite channels, in nats, and the checks of probability tables.

A channel W(f|a) is a table `[..., A, F]` whose rows are distributions, a source π(a) a table `[..., A]`:

    I(F; A) = Σ_a π(a) D(W(·|a) ‖ p),    p(f) = Σ_a π(a) W(f|a)            (theory, equation 1)

Zero probabilities are allowed: 0 log 0 = 0, and there is no division by probabilities.
"""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.utils.checks import real_tensor

SUM_TOLERANCE = 1e-6
LARGEST_REWARD = 1e100
"""Largest magnitude of a reward, so that its square is finite."""


def as_distribution(name: str, table: object) -> Tensor:
    """Return `table` as float64 with its last axis normalised, after checking that it holds distributions.

    Raises:
        InputError: not a table of numbers, an entry that is NaN, infinite or negative, or a row that does not sum to 1
            within 1e-6.
    """
    p = real_tensor(name, table)
    if p.ndim == 0 or p.numel() == 0:
        raise InputError(
            f"Expected {name} to hold at least one probability, but got shape {tuple(p.shape)}; give it rows."
        )
    if not bool(torch.isfinite(p).all()):
        raise InputError(f"Expected {name} to be finite, but got NaN or infinity; look for an empty row.")
    if bool((p < 0).any()):
        raise InputError(
            f"Expected {name} to be non-negative, but its smallest entry is {p.min():.3g}; correct the table."
        )
    error = (p.sum(-1) - 1).abs()
    if bool((error > SUM_TOLERANCE).any()):
        worst = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
        raise InputError(
            f"Expected the rows of {name} to sum to 1, but row {worst} sums to {p.sum(-1)[worst]:.6g}; "
            "normalise it or add the missing outcome."
        )
    return p / p.sum(-1, keepdim=True)


def as_flags(name: str, table: object) -> Tensor:
    """Return `table` as booleans; raises `InputError` for anything but True and False, or 1 and 0."""
    given = real_tensor(name, table)
    if not bool(((given == 0) | (given == 1)).all()):
        raise InputError(f"Expected {name} to hold True and False, or 1 and 0, but got others; compare it with 0.")
    return given.bool()


def safe_log(p: Tensor) -> Tensor:
    """Return log p with log 0 replaced by the log of the smallest normal float64, about −708 nats."""
    return p.clamp_min(torch.finfo(p.dtype).tiny).log()


def divergence_from_mean(channel: Tensor, source: Tensor) -> Tensor:
    """Return D(W(·|a) ‖ Σ_b π(b) W(·|b)) for every input, `[..., A]` nats, of shapes `[..., A, F]`, `[..., A]`.

    Infinite divergences, of inputs with outputs that the source never produces, are returned as finite numbers above
    600 nats, so that they can be multiplied by 0.
    """
    mean = torch.einsum("...a,...af->...f", source, channel)
    own: Tensor = torch.special.xlogy(channel, channel).sum(-1)
    return (own - torch.einsum("...af,...f->...a", channel, safe_log(mean))).clamp_min(0.0)


def mutual_information(channel: object, source: object) -> Tensor:
    """Return I(F; A) of a source through a channel (theory, equation 1).

    Args:
        channel: W(f|a), `[..., A, F]`; rows sum to 1.
        source: π(a), `[..., A]`; sums to 1. Leading shapes broadcast.

    Returns:
        `[...]` nats, float64, between 0 and min(log A, log F).

    Raises:
        InputError: rows that are not distributions, or different numbers of inputs.
    """
    w, pi = as_distribution("the channel", channel), as_distribution("the source", source)
    check_inputs(w, pi, "the source")
    require_one_batch(w.shape[:-2], pi.shape[:-1], "the channel and the source")
    return (pi * divergence_from_mean(w, pi)).sum(-1)


def check_inputs(channel: Tensor, per_input: Tensor, name: str) -> None:
    """Raise `InputError` unless `per_input` `[..., A]` has one entry for each input of `channel` `[..., A, F]`."""
    if channel.ndim < 2 or per_input.ndim < 1 or channel.shape[-2] != per_input.shape[-1]:
        raise InputError(
            f"Expected {name} to have one entry for each input of a channel [..., A, F], but got shapes "
            f"{tuple(per_input.shape)} and {tuple(channel.shape)}; the input axis is the last but one."
        )


def require_one_batch(first: torch.Size, second: torch.Size, what: str) -> torch.Size:
    """Return the shape that two leading shapes broadcast to; raises `InputError`, naming `what`, where they do not."""
    try:
        shape: torch.Size = torch.broadcast_shapes(first, second)
        return shape
    except RuntimeError as error:
        raise InputError(
            f"Expected leading shapes of {what} that fit together, but got {tuple(first)} and {tuple(second)}."
        ) from error
