"""The squash to the action box, against its definition."""

from math import log

import pytest
import torch

from gio_pyro.distributions.squash import tanh_log_det, uniform_in_box


@pytest.mark.parametrize("x", [0.0, 0.1, -1.0, 3.0, 8.0])
def test_the_slope_of_the_squash(x: float):
    exact = torch.log1p(-torch.tensor(x, dtype=torch.float64).tanh().square())
    assert float(tanh_log_det(torch.tensor(x))) == pytest.approx(float(exact), abs=1e-6, rel=1e-5)


@pytest.mark.parametrize("x", [50.0, -50.0, 1e4])
def test_the_slope_of_the_squash_far_out_is_neither_infinite_nor_nan(x: float):
    assert float(tanh_log_det(torch.tensor(x))) == pytest.approx(2 * log(2) - 2 * abs(x), rel=1e-6)


def test_uniform_actions_are_uniform_after_the_squash():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        squashed = uniform_in_box(torch.zeros(50_000, 2)).sample().tanh()
    grid = torch.linspace(-1, 1, 41)[1:-1]
    share = (squashed[..., None] < grid).float().mean(0)
    assert float((share - (1 + grid) / 2).abs().max()) < 0.015


def test_the_density_of_uniform_actions_is_the_slope_over_the_length():
    u = torch.linspace(-4, 4, 9)[:, None]
    expected = (tanh_log_det(u) - log(2)).sum(-1)
    torch.testing.assert_close(uniform_in_box(u).log_prob(u), expected)


def test_a_draw_is_finite_where_the_uniform_number_behind_it_is_zero(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.Tensor, "uniform_", torch.Tensor.zero_)
    assert torch.isfinite(uniform_in_box(torch.zeros(3, 2)).sample()).all()
