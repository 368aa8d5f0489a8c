"""The Kalman filter: by hand, against the joint Gaussian written out, and against Pyro's `GaussianHMM`."""

import math
from dataclasses import replace
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular import LinearGaussian, kalman, kalman_smoother

ONE = {
    "transition": [[1.0]],
    "control": [[1.0]],
    "emission": [[1.0]],
    "process_noise": [[1.0]],
    "observation_noise": [[1.0]],
    "mean": [0.0],
    "covariance": [[1.0]],
}


def random_covariance(n: int) -> Tensor:
    root = torch.randn(n, n, dtype=torch.float64)
    return root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64)


def random_system(seed: int, n: int = 3, m: int = 2, p: int = 2) -> LinearGaussian:
    torch.manual_seed(seed)
    normal = torch.randn
    return LinearGaussian(
        0.6 * normal(n, n, dtype=torch.float64),
        normal(n, m, dtype=torch.float64),
        normal(p, n, dtype=torch.float64),
        random_covariance(n),
        random_covariance(p),
        normal(n, dtype=torch.float64),
        random_covariance(n),
    )


def random_sequence(*shape: int, steps: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(*shape, steps + 1, 2, dtype=torch.float64), torch.randn(*shape, steps, 2, dtype=torch.float64)


def test_a_random_walk_by_hand():
    """Prior 1, noise 1: gain ½ and mean 1 after y_0 = 2; then P⁻ = 3/2, S = 5/2, gain 3/5, P = 3/5."""
    found = kalman(LinearGaussian(**ONE), [[2.0], [0.0]], [[1.0]])
    assert found.mean.flatten().tolist() == pytest.approx([1.0, 2.0 - 0.6 * 2.0])
    assert found.covariance.flatten().tolist() == pytest.approx([0.5, 0.6])
    assert found.predicted_mean.flatten().tolist() == pytest.approx([0.0, 2.0])
    assert found.predicted_covariance.flatten().tolist() == pytest.approx([1.0, 1.5])
    assert found.innovation.flatten().tolist() == pytest.approx([2.0, -2.0])
    assert found.innovation_covariance.flatten().tolist() == pytest.approx([2.0, 2.5])
    expected = [-0.5 * (4 / s + math.log(2 * math.pi * s)) for s in (2.0, 2.5)]
    assert found.log_likelihood.tolist() == pytest.approx(expected)


def joint(system: LinearGaussian, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and covariance of all states stacked, and those of all observations with their cross-covariance."""
    steps, n = len(actions) + 1, system.states
    powers = [torch.linalg.matrix_power(system.transition, k) for k in range(steps)]
    mean, root = torch.zeros(steps, n, dtype=torch.float64), torch.zeros(steps, n, steps, n, dtype=torch.float64)
    for t in range(steps):
        mean[t] = powers[t] @ system.mean + sum(powers[t - 1 - k] @ system.control @ actions[k] for k in range(t))
        for k in range(t + 1):
            root[t, :, k] = powers[t - k]
    noise = torch.block_diag(system.covariance, *[system.process_noise] * (steps - 1))
    root = root.reshape(steps * n, steps * n)
    emission = torch.block_diag(*[system.emission] * steps)
    return mean.flatten(), root @ noise @ root.T, emission, torch.block_diag(*[system.observation_noise] * steps)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_conditions_the_joint_gaussian(seed: int):
    system = random_system(seed)
    y, a = random_sequence()
    mean, spread, emission, noise = joint(system, a)
    found = kalman_smoother(system, y, a)
    seen = torch.distributions.MultivariateNormal(emission @ mean, emission @ spread @ emission.T + noise)
    total = found.filtered.log_likelihood.sum().item()
    assert total == pytest.approx(seen.log_prob(y.flatten()).item(), abs=1e-9)
    for last, result in ((4, found), *((t, found.filtered) for t in range(5))):
        part = emission[: 2 * (last + 1)]
        inner = part @ spread @ part.T + noise[: len(part), : len(part)]
        gain = spread @ part.T @ torch.linalg.inv(inner)
        posterior = (mean + gain @ (y.flatten()[: len(part)] - part @ mean)).reshape(5, 3)
        covariance = (spread - gain @ part @ spread).reshape(5, 3, 5, 3)
        for t in range(5) if result is found else [last]:
            torch.testing.assert_close(result.mean[t], posterior[t], atol=1e-9, rtol=0)
            torch.testing.assert_close(result.covariance[t], covariance[t, :, t], atol=1e-9, rtol=0)


def test_it_is_the_gaussian_hidden_markov_model_of_pyro():
    """Pyro's prior is of the state before the first transition: ours is that one moved on, by no action."""
    system = random_system(2)
    y, a = random_sequence()
    moved = replace(
        system,
        mean=system.transition @ system.mean,
        covariance=system.transition @ system.covariance @ system.transition.T + system.process_noise,
    )
    push = torch.cat([torch.zeros(1, 3, dtype=torch.float64), a @ system.control.T])
    hmm = dist.GaussianHMM(
        dist.MultivariateNormal(system.mean, system.covariance),
        system.transition.T.expand(5, 3, 3),
        dist.MultivariateNormal(push, system.process_noise),
        system.emission.T,
        dist.MultivariateNormal(torch.zeros(2, dtype=torch.float64), system.observation_noise),
    )
    found, last = kalman(moved, y, a), hmm.filter(y)
    assert found.log_likelihood.sum().item() == pytest.approx(hmm.log_prob(y).item(), abs=1e-9)
    torch.testing.assert_close(found.mean[-1], last.mean, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.covariance[-1], last.covariance_matrix, atol=1e-9, rtol=0)


def test_sequences_are_filtered_together():
    system = random_system(3)
    y, a = random_sequence(2, 3)
    together = kalman_smoother(system, y, a)
    alone = kalman_smoother(system, y[1, 2], a[1, 2])
    torch.testing.assert_close(together.mean[1, 2], alone.mean)
    torch.testing.assert_close(together.covariance[1, 2], alone.covariance)
    torch.testing.assert_close(together.filtered.log_likelihood[1, 2], alone.filtered.log_likelihood)
    assert kalman(system, y, a[0, 0]).mean.shape == (2, 3, 5, 3)
    assert kalman(system, y[0, 0, :1], []).mean.shape == (1, 3)


def test_what_is_certain_stays_certain():
    exact = LinearGaussian(**{**ONE, "process_noise": [[0.0]], "covariance": [[0.0]]})
    found = kalman_smoother(exact, [[5.0], [5.0]], [[1.0]])
    assert found.mean.flatten().tolist() == [0.0, 1.0]
    assert found.covariance.flatten().tolist() == [0.0, 0.0]


def test_an_observation_without_density_is_refused():
    exact = LinearGaussian(**{**ONE, "observation_noise": [[0.0]], "covariance": [[0.0]]})
    with pytest.raises(InputError, match="observations with a density"):
        kalman(exact, [[0.0]], [])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mean": [0.0, 0.0]}, r"mean of shape \(1,\)"),
        ({"process_noise": [[-1.0]]}, "process_noise to be positive semi-definite"),
        ({"covariance": [[math.nan]]}, "covariance to be finite"),
        ({"emission": [[1.0, 1.0]]}, r"emission of shape \(1, 1\)"),
        ({"control": "x"}, "control as a table"),
    ],
)
def test_systems_that_do_not_fit(changed: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        LinearGaussian(**{**ONE, **changed})


def test_a_covariance_must_be_symmetric():
    system = random_system(0)
    with pytest.raises(InputError, match="observation_noise to be symmetric"):
        LinearGaussian(
            system.transition,
            system.control,
            system.emission,
            system.process_noise,
            [[1.0, 0.5], [0.0, 1.0]],
            system.mean,
            system.covariance,
        )


def test_sequences_that_do_not_fit():
    system = random_system(0)
    y, a = random_sequence()
    for arguments in ((y[:-1], a), (y, a[:, :1]), (y[0], a)):
        with pytest.raises(InputError, match=r"observations \[..., T \+ 1, 2\] and actions"):
            kalman(system, *arguments)
    with pytest.raises(InputError, match="to be a LinearGaussian"):
        kalman(3, y, a)  # type: ignore[arg-type]
