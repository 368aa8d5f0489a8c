"""Linear-Gaussian systems in float64.

    x_0 ~ N(m, P),    x_{t+1} = A x_t + B a_t + w,  w ~ N(0, Q),    y_t = C x_t + v,  v ~ N(0, R)

Observation y_0 is of the first state, before any action.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.information import LARGEST_REWARD
from gio_pyro.utils.checks import instance, real_tensor

SYMMETRY = 1e-9
"""Tolerance of symmetry and of negative eigenvalues, relative to the largest entry."""


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """A linear-Gaussian system with n state, m action and p observation dimensions.

    Arguments may be anything that converts to tables of numbers; they are kept as float64 tensors.

    Raises:
        InputError: tables that are not finite, shapes that disagree, or covariances that are not symmetric and positive
            semi-definite.
    """

    transition: Tensor
    """A, `[n, n]`."""
    control: Tensor
    """B, `[n, m]`."""
    emission: Tensor
    """C, `[p, n]`."""
    process_noise: Tensor
    """Q, `[n, n]`, a covariance."""
    observation_noise: Tensor
    """R, `[p, p]`, a covariance."""
    mean: Tensor
    """m, `[n]`, of the first state."""
    covariance: Tensor
    """P, `[n, n]`, of the first state."""

    def __post_init__(self) -> None:
        """Convert and check the tables."""
        for field in fields(self):
            object.__setattr__(self, field.name, as_finite(field.name, getattr(self, field.name)))
        n, m, p = (self.transition.shape[:1], self.control.shape[-1:], self.emission.shape[:1])
        shapes = {
            "transition": n + n,
            "control": n + m,
            "emission": p + n,
            "process_noise": n + n,
            "observation_noise": p + p,
            "mean": n,
            "covariance": n + n,
        }
        for name, shape in shapes.items():
            require_shape(name, getattr(self, name), shape)
        for name in ("process_noise", "observation_noise", "covariance"):
            object.__setattr__(self, name, as_covariance(name, getattr(self, name)))

    @property
    def states(self) -> int:
        """Dimensions n of the state."""
        return self.transition.shape[0]

    @property
    def actions(self) -> int:
        """Dimensions m of the action."""
        return self.control.shape[1]

    @property
    def observations(self) -> int:
        """Dimensions p of the observation."""
        return self.emission.shape[0]


def as_system(system: object) -> LinearGaussian:
    """Return the system; raises `InputError` for any other type."""
    return instance("the system", system, LinearGaussian, "build one from its matrices")


def as_finite(name: str, table: object) -> Tensor:
    """Return a table as float64; raises `InputError` unless it is of finite numbers."""
    found = real_tensor(name, table).contiguous()
    if not bool((found.abs() <= LARGEST_REWARD).all()):
        raise InputError(f"Expected {name} to be finite, but got NaN or infinity; correct the table.")
    return found


def require_shape(name: str, table: Tensor, shape: tuple[int, ...]) -> None:
    """Raise `InputError` unless a table has this shape."""
    if table.shape != shape:
        raise InputError(f"Expected {name} of shape {tuple(shape)}, but got {tuple(table.shape)}; see LinearGaussian.")


def as_covariance(name: str, table: Tensor) -> Tensor:
    """Return a matrix made exactly symmetric; raises `InputError` unless it is a covariance."""
    tolerance = SYMMETRY * float(table.abs().amax()) if table.numel() else 0.0
    if bool(((table - table.mT).abs() > tolerance).any()):
        raise InputError(f"Expected {name} to be symmetric, but it differs from its transpose; correct the matrix.")
    smallest = float(torch.linalg.eigvalsh(table).amin()) if table.numel() else 0.0
    if smallest < -tolerance:
        raise InputError(
            f"Expected {name} to be positive semi-definite, but its smallest eigenvalue is {smallest:.3g}; correct it."
        )
    return symmetric(table)


def symmetric(matrix: Tensor) -> Tensor:
    """Return the symmetric part of matrices `[..., n, n]`."""
    return (matrix + matrix.mT) / 2
