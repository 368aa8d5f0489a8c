"""Exact n-step empowerment of linear Gaussian dynamics, over continuous actions.

    s_{t+1} = A s_t + B a_t + w_t,  w_t ~ N(0, W)           (theory, section 5)
    s_n = Aⁿ s_0 + G (a_1, …, a_n) + noise,   G = [A^{n−1}B, …, A B, B],   noise covariance  Σ_{k<n} Aᵏ W (Aᵏ)ᵀ + V

The capacity of this channel (`gaussian_capacity`) is the empowerment E_n, the same in every state.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

from gio_pyro.distributions.gaussian_channel import covariance, finite_matrix, gaussian_capacity, water_filling
from gio_pyro.empowerment.variational import require_horizon
from gio_pyro.errors import InputError, shown

__all__ = ["gaussian_capacity", "linear_empowerment", "water_filling"]

PowerOf = Literal["sequence", "step"]
"""Whether the power constrains all n actions together, or their average."""


def linear_empowerment(
    A: Tensor,
    B: Tensor,
    horizon: int,
    power: float | Tensor,
    *,
    process_noise: Tensor | None = None,
    final_noise: Tensor | None = None,
    power_of: PowerOf = "sequence",
) -> Tensor:
    """Return the n-step empowerment of s' = A s + B a + noise for open-loop actions; it does not depend on the state.

    Args:
        A: `[..., S, S]`.
        B: `[..., S, d]`, units of state for each unit of action.
        horizon: n ≥ 1 actions; the future is the state after the last.
        power: P ≥ 0, squared units of action, a number or `[...]`.
        process_noise: W, added in every step and propagated by A: variances `[S]` or `[..., S]`, or a covariance
            `[..., S, S]`.
        final_noise: V, added once to the final state, likewise. At least one of the two is required.
        power_of: "sequence": E Σ_i |a_i|² ≤ P. "step": E Σ_i |a_i|² ≤ n P, that is P per action on average,
            optimally allocated; at least the capacity under a limit on every single step.

    Returns:
        Nats, `[...]`, float64.

    Raises:
        InputError: shapes that do not fit, NaN, no noise or noise that is not positive definite, negative power, a
            horizon below 1, an unknown `power_of`.

    Examples:
        >>> A, B = torch.tensor([[1, 0.1], [0, 1]]), torch.tensor([[0], [0.1]])
        >>> linear_empowerment(A, B, 2, 1.0, final_noise=torch.tensor([0.01, 0.01]))  # 0.793685 bits
        tensor(0.5501, dtype=torch.float64)
    """
    require_horizon(horizon)
    if power_of not in get_args(PowerOf):
        raise InputError(f"Expected power_of to be 'sequence' or 'step', but got {shown(power_of)}.")
    a, b = _system(A, B)
    channel = torch.cat([torch.linalg.matrix_power(a, k) @ b for k in reversed(range(horizon))], -1)
    noise = _noise(a, horizon, process_noise, final_noise)
    return gaussian_capacity(channel, noise, power if power_of == "sequence" else horizon * power)


def _system(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    a, b = finite_matrix("A", A), finite_matrix("B", B)
    if a.shape[-1] != a.shape[-2] or b.shape[-2] != a.shape[-1] or a.shape[:-2] != b.shape[:-2]:
        raise InputError(
            f"Expected A [..., S, S] and B [..., S, d] of one batch, but got {tuple(a.shape)} and {tuple(b.shape)}."
        )
    return a, b


def _noise(a: Tensor, horizon: int, process: Tensor | None, final: Tensor | None) -> Tensor:
    """Return the covariance of the total noise in the final state, Σ_{k<n} Aᵏ W (Aᵏ)ᵀ + V, `[..., S, S]`."""
    if process is None and final is None:
        raise InputError(
            "Expected process_noise, final_noise or both, but got neither; without noise empowerment is infinite."
        )
    total = torch.zeros_like(a) if final is None else covariance("final_noise", final, a)
    if process is not None:
        w = covariance("process_noise", process, a)
        for k in range(horizon):
            power = torch.linalg.matrix_power(a, k)
            total = total + power @ w @ power.mT
    return total.expand_as(a)
