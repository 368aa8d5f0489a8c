"""Ensembles with normalised hidden layers."""

import torch
from torch import nn

from gio_pyro.nn import LayerNormEnsemble


def test_each_member_is_torchs_layers_in_sequence():
    ensemble = LayerNormEnsemble(2, 4, (6, 5), 3)
    with torch.no_grad():
        for parameter in (*ensemble.gains, *ensemble.shifts):
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(2, 7, 4)
    for member in range(2):
        expected = x
        for layer, (weight, bias) in enumerate(zip(ensemble.weights, ensemble.biases, strict=True)):
            expected = nn.functional.linear(expected, weight[member].T, bias[member, 0])
            if layer < 2:
                norm = nn.LayerNorm(expected.shape[-1])
                norm.load_state_dict(
                    {"weight": ensemble.gains[layer][member, 0], "bias": ensemble.shifts[layer][member, 0]}
                )
                expected = norm(expected).relu()
        torch.testing.assert_close(ensemble(x)[member], expected)


def test_outputs_are_bounded_far_from_the_data():
    ensemble = LayerNormEnsemble(2, 4, (16, 16), 1)
    bound = ensemble.weights[-1].square().sum(1).sqrt() * 4 + ensemble.biases[-1].squeeze(-1).abs()
    far = ensemble(1e6 * torch.randn(100, 4)).squeeze(-1)
    assert bool((far.abs() <= bound).all())
