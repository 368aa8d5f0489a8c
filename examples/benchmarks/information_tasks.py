"""Pairs (X, Y) whose mutual information is known: tasks of Czyż, Grabowski, Vogt, Beerenwinkel and Marx (2023).

"Beyond Normal: On the Evaluation of Mutual Information Estimators" (NeurIPS 2023, arXiv 2306.11078), written anew from
the formulas. All numbers are in nats; I(X; Y) does not change under bijections of X or of Y, so that a map of a normal
keeps its information.

    normal          X, Y standard normal with correlation 0.75
    uniform noise   X uniform on (0, 1), Y = X + N, N uniform on (−0.75, 0.75)
    student         multivariate t with the unit matrix as dispersion: uncorrelated, yet dependent by the common scale
    dense           multivariate normal, unit variances and all correlations 0.5
    sparse          multivariate normal, unit variances, corr(X_1, Y_1) = corr(X_2, Y_2) = 0.8 and no other
    half-cube       x |x|^½ of each coordinate of X and of Y
    spiral          X turned by the angle |X|²/d in the plane of its first two coordinates, Y by |Y|²/d in that of its
                    second and third
    swiss roll      the distribution functions of a bivariate normal of correlation 0.75, Y rolled up in the plane

A task also has `source`, a bijection that maps X to A ~ N(0, 1): the law of X is known, as a policy is. It makes no use
of Y, nor of how X was made: a spiral turned X is as normal as X, and stays turned.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

CORRELATION, NOISE = 0.75, 0.75
Map = Callable[[Tensor], Tensor]
"""`[N, n] -> [N, m]`."""


def same(x: Tensor) -> Tensor:
    """Return x."""
    return x


@dataclass(frozen=True)
class Task:
    """A joint law of X and Y with known mutual information."""

    name: str
    information: float
    """I(X; Y), nats."""
    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    """`(N, generator) -> (X [N, n], Y [N, m])`, float64."""
    source: Map = same
    """X `[N, n]` to A `[N, n]`, standard normal."""


def tasks() -> dict[str, Task]:
    """Return all tasks by name."""
    sparse = {size: normal(f"sparse {size}x{size}", sparse_correlation(size), size) for size in (3, 5, 25)}
    dense = [normal(f"dense {size}x{size}", dense_correlation(size), size) for size in (2, 5, 25)]
    every = [bivariate := normal("normal 1x1", correlated(CORRELATION), 1), uniform_noise(NOISE)]
    every += [student(1, df) for df in (1, 2, 3, 4, 5)] + [student(2, 1), student(3, 2), student(5, 3)]
    every += [*dense, *sparse.values()]
    every += [half_cube_of(task) for task in (bivariate, sparse[3])]
    every += [spiral_of(sparse[size], size) for size in (3, 5)]
    every += [swiss_roll(CORRELATION)]
    return {task.name: task for task in every}


def normal(name: str, covariance: Tensor, size: int) -> Task:
    """Return a multivariate normal; X is its first `size` coordinates, of n + m."""
    lower = torch.linalg.cholesky(covariance)
    own = torch.linalg.cholesky(covariance[:size, :size])

    def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        both = standard(count, len(covariance), generator) @ lower.T
        return both[:, :size], both[:, size:]

    def source(x: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(own, x.T, upper=False).T

    return Task(name, gaussian_information(covariance, size), draw, source)


def student(size: int, df: int) -> Task:
    """Return a multivariate t of 2 `size` coordinates and `df` degrees of freedom, the dispersion the unit matrix."""

    def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        both = standard(count, 2 * size, generator)
        squared = standard(count, df, generator).square().sum(-1, keepdim=True)
        return tuple((both * (df / squared).sqrt()).split(size, -1))  # type: ignore[return-value]

    def source(x: Tensor) -> Tensor:
        """Map the radius, |X|²/n ~ F(n, df), to that of a normal, |A|² ~ χ²(n)."""
        square = x.square().sum(-1, keepdim=True).numpy()
        above = stats.f.sf(square / size, size, df)
        below = stats.f.cdf(square / size, size, df)
        target = np.where(below < 0.5, stats.chi2.ppf(below, size), stats.chi2.isf(above, size))
        return x * torch.from_numpy(np.sqrt(target / square))

    information = 2 * student_entropy(size, df) - student_entropy(2 * size, df)
    return Task(f"student {size}x{size} df {df}", information, draw, source)


def uniform_noise(most: float) -> Task:
    """Return X ~ U(0, 1) and Y = X + U(−most, most)."""

    def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, noise = torch.rand(2, count, 1, dtype=torch.float64, generator=generator)
        return x, x + most * (2 * noise - 1)

    information = 1 / (4 * most) if most > 0.5 else most - math.log(2 * most)
    return Task("uniform noise", information, draw, torch.special.ndtri)


def half_cube_of(task: Task) -> Task:
    """Return a task with X and Y mapped by `half_cube`."""
    return mapped(task, f"half-cube of {task.name}", half_cube, half_cube, lambda x: task.source(half_cube_inverse(x)))


def spiral_of(task: Task, size: int) -> Task:
    """Return a task of standard normal X, turned into spirals."""
    return mapped(
        task, f"spiral of {task.name}", lambda x: turned(x, 0, 1 / size), lambda y: turned(y, 1, 1 / size), same
    )


def swiss_roll(correlation: float) -> Task:
    """Return a bivariate normal mapped to the unit square, Y `[N, 2]` rolled up."""
    task = normal("normal", correlated(correlation), 1)
    cdf = torch.special.ndtr
    return mapped(task, "swiss roll 1x2", cdf, lambda y: rolled(cdf(y)), torch.special.ndtri)


def mapped(task: Task, name: str, map_x: Map, map_y: Map, source: Map) -> Task:
    """Return a task with X and Y mapped, which leaves the information as it is."""

    def draw(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = task.draw(count, generator)
        return map_x(x), map_y(y)

    return replace(task, name=name, draw=draw, source=source)


def half_cube(x: Tensor) -> Tensor:
    """Return x |x|^½."""
    return x * x.abs().sqrt()


def half_cube_inverse(x: Tensor) -> Tensor:
    """Return the inverse of `half_cube`."""
    return x.sign() * x.abs().pow(2 / 3)


def turned(x: Tensor, first: int, speed: float) -> Tensor:
    """Return x `[N, n]` turned by `speed` |x|² in the plane of the coordinates `first` and `first + 1`."""
    angle = speed * x.square().sum(-1)
    u, v = x[:, first], x[:, first + 1]
    result = x.clone()
    result[:, first] = angle.cos() * u - angle.sin() * v
    result[:, first + 1] = angle.sin() * u + angle.cos() * v
    return result


def rolled(x: Tensor) -> Tensor:
    """Return x `[N, 1]` in (0, 1) on a spiral in the plane, `[N, 2]`."""
    angle = 1.5 * math.pi * (1 + 2 * x)
    return torch.cat([angle * angle.cos(), angle * angle.sin()], -1) / 21


def correlated(correlation: float) -> Tensor:
    """Return the correlation matrix of a pair, `[2, 2]`."""
    return torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)


def dense_correlation(size: int) -> Tensor:
    """Return the matrix `[2 size, 2 size]` of all correlations 0.5."""
    return 0.5 * (1 + torch.eye(2 * size, dtype=torch.float64))


def sparse_correlation(size: int) -> Tensor:
    """Return the matrix `[2 size, 2 size]` of two interacting pairs, of correlation 2² / (2² + 1)."""
    matrix = torch.eye(2 * size, dtype=torch.float64)
    for number in (0, 1):
        matrix[number, size + number] = matrix[size + number, number] = 0.8
    return matrix


def gaussian_information(covariance: Tensor, size: int) -> float:
    """Return I(X; Y) of a normal, ½ log (det Σ_X det Σ_Y / det Σ), nats."""
    parts = (covariance[:size, :size], covariance[size:, size:], covariance)
    x, y, both = (float(torch.logdet(part)) for part in parts)
    return 0.5 * (x + y - both)


def student_entropy(size: int, df: int) -> float:
    """Return the differential entropy of a multivariate t of unit dispersion, nats.

    Arellano-Valle, Contreras-Reyes and Genton (2013), equation 7.
    """
    half = 0.5 * (df + size)
    normaliser = special.gammaln(half) - special.gammaln(0.5 * df) - 0.5 * size * math.log(df * math.pi)
    return float(half * (special.digamma(half) - special.digamma(0.5 * df)) - normaliser)


def standard(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return standard normal draws, `[count, size]`, float64."""
    return torch.randn(count, size, dtype=torch.float64, generator=generator)
