"""Water-filling and the capacity of linear Gaussian channels, against closed forms and brute force.

Cost: under a second.
"""

from math import log

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from gio_pyro.empowerment import gaussian_capacity, linear_empowerment, water_filling
from gio_pyro.errors import InputError

DOUBLE = torch.float64
DRIFT = torch.tensor([[1, 0.1], [0, 1]], dtype=DOUBLE)
PUSH = torch.tensor([[0], [0.1]], dtype=DOUBLE)
FINAL = torch.tensor([0.01, 0.01], dtype=DOUBLE)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def rotation(size: int, seed: int) -> Tensor:
    return torch.linalg.qr(numbers(size, size, seed=seed)).Q


def spread(size: int, seed: int) -> Tensor:
    root = numbers(size, size, seed=seed)
    return root @ root.mT + 0.1 * torch.eye(size, dtype=DOUBLE)


def test_one_mode_at_a_signal_to_noise_ratio_of_ten():
    assert float(gaussian_capacity(torch.ones(1, 1), None, 10.0)) / log(2) == pytest.approx(1.729716, abs=1e-6)


@pytest.mark.parametrize(("horizon", "bits"), [(1, 0.5), (2, 0.793685)])
def test_the_double_integrator_with_total_power_one_and_final_noise_of_variance_a_hundredth(horizon: int, bits: float):
    found = linear_empowerment(DRIFT, PUSH, horizon, 1.0, final_noise=FINAL)
    assert float(found) / log(2) == pytest.approx(bits, abs=1e-6)


def test_by_hand_two_modes_share_what_is_above_the_worse():
    assert water_filling(torch.tensor([1.0, 3.0, 9.0]), 4.0).tolist() == [3.0, 1.0, 0.0]


def test_powers_meet_the_conditions_of_the_optimum():
    noise, power = numbers(200, 6).exp(), numbers(200, seed=1).exp()
    p = water_filling(noise, power)
    level = (p + noise).masked_fill(p == 0, 0).amax(-1, keepdim=True)
    assert torch.allclose(p.sum(-1), power, rtol=1e-12)
    assert bool((p >= 0).all())
    assert torch.allclose(torch.where(p > 0, p + noise, level), level.expand_as(noise), rtol=1e-12)
    assert bool((noise[p == 0] >= level.expand_as(noise)[p == 0] * (1 - 1e-12)).all())
    assert bool((p == 0).any())


def test_modes_of_infinite_noise_get_nothing_even_if_there_are_no_others():
    noise = torch.tensor([[1.0, torch.inf], [torch.inf, torch.inf]])
    assert water_filling(noise, 2.0).tolist() == [[2, 0], [0, 0]]


def test_tiny_powers_are_exact():
    assert water_filling(torch.tensor([1.0, 2.0]), 1e-30).tolist() == [1e-30, 0.0]


def by_search(g: Tensor, sigma: Tensor, power: float) -> float:
    """The largest ½ log det(I + Σ⁻¹ G K Gᵀ) over covariances K of trace P, by quasi-Newton steps."""
    g_, s_ = g.numpy(), np.linalg.inv(sigma.numpy())
    inputs = g.shape[1]

    def negative(x: np.ndarray) -> float:
        root = x.reshape(inputs, inputs)
        k = power * root @ root.T / np.sum(root**2)
        return -0.5 * float(np.linalg.slogdet(np.eye(len(g_)) + s_ @ g_ @ k @ g_.T)[1])

    starts = np.random.default_rng(0).normal(size=(2, inputs * inputs))
    return max(-minimize(negative, start, options={"gtol": 1e-8}).fun for start in starts)


@pytest.mark.parametrize(("outputs", "inputs", "power"), [(1, 1, 1.0), (3, 2, 0.3), (2, 3, 5.0), (4, 4, 1.0)])
def test_no_input_covariance_does_better(outputs: int, inputs: int, power: float):
    g, sigma = numbers(outputs, inputs, seed=outputs), spread(outputs, seed=inputs)
    assert float(gaussian_capacity(g, sigma, power)) == pytest.approx(by_search(g, sigma, power), abs=1e-6)


def test_the_slope_at_no_power_is_half_the_largest_squared_singular_value():
    g = numbers(3, 4)
    half = 0.5 * float(torch.linalg.svdvals(g)[0]) ** 2
    assert float(gaussian_capacity(g, None, 1e-9)) / 1e-9 == pytest.approx(half, rel=1e-6)
    power = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    gaussian_capacity(g, None, power).backward()
    assert float(power.grad) == pytest.approx(half, rel=1e-9)


def test_at_no_power_the_slope_of_equal_modes_is_that_of_one():
    power = torch.zeros((), dtype=DOUBLE, requires_grad=True)
    gaussian_capacity(torch.eye(3), None, power).backward()
    assert float(power.grad) == pytest.approx(0.5)


def test_an_action_that_does_nothing_changes_nothing():
    g = numbers(5, 3, 2)
    more = torch.cat([g, torch.zeros(5, 3, 1, dtype=DOUBLE)], -1)
    assert torch.allclose(gaussian_capacity(g, None, 2.0), gaussian_capacity(more, None, 2.0), rtol=1e-12)


def test_rotations_of_actions_and_invertible_maps_of_outcomes_change_nothing():
    g, sigma, mix = numbers(3, 2), spread(3, 1), numbers(3, 3, seed=5)
    found = gaussian_capacity(mix @ g @ rotation(2, 3), mix @ sigma @ mix.mT, 2.0)
    assert float(found) == pytest.approx(float(gaussian_capacity(g, sigma, 2.0)), rel=1e-9)


def test_a_batch_is_its_members():
    g, noise, power = numbers(4, 3, 2), numbers(4, 3, seed=1).exp(), numbers(4, seed=2).exp()
    each = [gaussian_capacity(g[i], noise[i], power[i]) for i in range(4)]
    assert torch.allclose(gaussian_capacity(g, noise, power), torch.stack(each), rtol=1e-12)
    assert torch.allclose(gaussian_capacity(g, torch.diag_embed(noise), power), torch.stack(each), rtol=1e-12)


def test_gradients_are_those_of_finite_differences():
    g, sigma, power = numbers(2, 3, 2).requires_grad_(), numbers(2, 3, seed=1).exp(), torch.tensor(1.5, dtype=DOUBLE)
    assert torch.autograd.gradcheck(gaussian_capacity, (g, sigma.requires_grad_(), power.requires_grad_()))


@pytest.mark.parametrize("g", [torch.eye(3), torch.zeros(3, 3), torch.ones(3, 3), 1e-30 * torch.eye(3)])
def test_gradients_are_finite_at_zero_and_at_equal_singular_values(g: Tensor):
    g = g.to(DOUBLE).requires_grad_()
    gaussian_capacity(g, None, 1.0).backward()
    assert bool(torch.isfinite(g.grad).all())


def test_the_gradient_at_equal_singular_values_is_right():
    g = torch.eye(2, dtype=DOUBLE, requires_grad=True)
    gaussian_capacity(g, None, 2.0).backward()
    assert torch.allclose(g.grad, 0.5 * torch.eye(2, dtype=DOUBLE))  # p σ / (1 + p σ²) with p = σ = 1


def test_process_noise_is_carried_on_and_adds_to_the_final_noise():
    found = linear_empowerment(torch.tensor([[0.5]]), torch.ones(1, 1), 2, 3.0, process_noise=torch.ones(1))
    assert float(found) == pytest.approx(0.5 * log(1 + 3 * 1.25 / 1.25))
    seen = linear_empowerment(
        torch.tensor([[0.5]]), torch.ones(1, 1), 2, 3.0, process_noise=torch.ones(1, 1), final_noise=torch.ones(1)
    )
    assert float(seen) == pytest.approx(0.5 * log(1 + 3 * 1.25 / 2.25))


def test_power_of_a_step_is_that_of_the_sequence_over_its_actions():
    step = linear_empowerment(DRIFT, PUSH, 4, 0.5, final_noise=FINAL, power_of="step")
    assert float(step) == float(linear_empowerment(DRIFT, PUSH, 4, 2.0, final_noise=FINAL))


def test_with_final_noise_alone_more_actions_never_tell_less():
    values = [float(linear_empowerment(DRIFT, PUSH, n, 1.0, final_noise=FINAL)) for n in range(1, 8)]
    assert values == sorted(values)


EYE, ONE = torch.eye(2), torch.ones(2)
BAD = {
    "positive noise": lambda: water_filling(torch.tensor([1.0, 0.0]), 1.0),
    "one mode": lambda: water_filling(torch.zeros(0), 1.0),
    "power of at least 0": lambda: water_filling(ONE, -1.0),
    "finite power": lambda: gaussian_capacity(EYE, None, float("nan")),
    "fit a batch": lambda: gaussian_capacity(EYE, None, torch.ones(3)),
    "channel to be finite": lambda: gaussian_capacity(EYE * torch.nan, None, 1.0),
    "channel to be a matrix": lambda: gaussian_capacity(ONE, None, 1.0),
    "channel to be numbers": lambda: gaussian_capacity("G", None, 1.0),
    "to be variances": lambda: gaussian_capacity(EYE, torch.ones(3), 1.0),
    "symmetric": lambda: gaussian_capacity(EYE, torch.tensor([[1.0, 0.5], [0, 1]]), 1.0),
    "without NaN": lambda: gaussian_capacity(EYE, torch.tensor([1.0, torch.nan]), 1.0),
    "positive definite": lambda: gaussian_capacity(EYE, torch.tensor([1.0, -1.0]), 1.0),
    "no noise": lambda: linear_empowerment(EYE, EYE, 1, 1.0, final_noise=torch.tensor([1.0, 0.0])),
    "but got neither": lambda: linear_empowerment(EYE, EYE, 1, 1.0),
    "horizon of at least 1": lambda: linear_empowerment(EYE, EYE, 0, 1.0, final_noise=ONE),
    "power_of": lambda: linear_empowerment(EYE, EYE, 1, 1.0, final_noise=ONE, power_of="all"),
    "A \\[": lambda: linear_empowerment(EYE, torch.ones(3, 1), 1, 1.0, final_noise=ONE),
    "final_noise to be": lambda: linear_empowerment(EYE, EYE, 1, 1.0, final_noise=torch.ones(3, 3)),
}


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_used_is_said_in_one_sentence(said: str):
    with pytest.raises(InputError, match=said) as caught:
        BAD[said]()
    assert str(caught.value).endswith(".")
    assert ". " not in str(caught.value)
