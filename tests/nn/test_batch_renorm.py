"""Batch renormalisation: batch normalisation at first, later the published formula."""

import pytest
import torch
from torch import Tensor, nn

from gio_pyro.nn import BatchRenormEnsemble, batch_renorm
from gio_pyro.nn.batch_renorm import EPSILON, RATE, BatchRenorm


def batches(count: int, members: int = 2) -> Tensor:
    g = torch.Generator().manual_seed(0)
    return 3 + torch.randn(count, members, 7, 4, generator=g, dtype=torch.float64) * torch.tensor([0.01, 1.0, 9.0, 2.0])


def norm_of(units: int) -> nn.BatchNorm1d:
    return nn.BatchNorm1d(units, eps=EPSILON, momentum=RATE).double()


def test_at_first_it_is_torchs_batch_norm():
    norm, torchs = BatchRenorm(1, 4).double(), norm_of(4)
    for x in batches(3, members=1):
        one, other = x.clone().requires_grad_(), x[0].clone().requires_grad_()
        found, expected = norm.learn(one), torchs(other)
        torch.testing.assert_close(found[0], expected)
        for y in (found, expected):
            (y * torch.arange(4.0)).pow(3).sum().backward()
        assert one.grad is not None
        torch.testing.assert_close(one.grad[0], other.grad)
        torch.testing.assert_close(norm.mean[0, 0], torchs.running_mean)


def test_later_the_batch_is_corrected_towards_the_running_statistics(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_renorm, "WARM_UP", 2)
    norm = BatchRenorm(2, 4).double()
    with torch.no_grad():
        norm.gain.copy_(torch.tensor([2.0, 1.0, -1.0, 0.5]))
        norm.shift.copy_(torch.tensor([0.0, 1.0, 2.0, -9.0]))
    mean, variance = torch.zeros(2, 1, 4, dtype=torch.float64), torch.ones(2, 1, 4, dtype=torch.float64)
    clipped = 0
    for number, x in enumerate(batches(6)):
        m, v = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
        r = torch.sqrt((v + 1e-3) / (variance + 1e-3))
        d = (m - mean) / torch.sqrt(variance + 1e-3)
        clipped += int((r > 3).sum() + (r < 1 / 3).sum())
        one, zero = torch.ones_like(r), torch.zeros_like(d)
        r, d = (r.clamp(1 / 3, 3), d.clamp(-5, 5)) if number >= 2 else (one, zero)
        expected = norm.gain * ((x - m) / torch.sqrt(v + 1e-3) * r + d) + norm.shift
        torch.testing.assert_close(norm.learn(x), expected)
        mean, variance = 0.99 * mean + 0.01 * m, 0.99 * variance + 0.01 * v
        assert float(norm.batches) == number + 1
        still = (x - mean) / torch.sqrt(variance + 1e-3) * norm.gain + norm.shift
        torch.testing.assert_close(norm(x), still)
    assert clipped


def test_an_ensemble_normalises_inputs_and_hidden_layers_of_each_member():
    ensemble = BatchRenormEnsemble(2, 4, (6, 5), 3).double()
    x = batches(1)[0, 0]
    expected = []
    for member in range(2):
        rows = x
        for layer, (weight, bias) in enumerate(zip(ensemble.weights, ensemble.biases, strict=True)):
            rows = nn.functional.linear(norm_of(rows.shape[-1])(rows), weight[member].T, bias[member, 0])
            rows = rows.relu() if layer < 2 else rows
        expected.append(rows)
    torch.testing.assert_close(ensemble.learn(x), torch.stack(expected))
    assert ensemble(x.expand(3, 7, 4)).shape == (2, 3, 7, 3)
