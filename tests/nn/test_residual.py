"""Residual blocks against torch's own layers."""

import torch
from torch import nn

from gio_pyro.nn import ResidualEnsemble


def test_each_member_is_torchs_layers_with_skips():
    ensemble = ResidualEnsemble(2, 4, (6, 6, 6), 3)
    with torch.no_grad():
        for parameter in (*ensemble.gains, *ensemble.shifts):
            parameter.add_(torch.randn_like(parameter))
    x = torch.randn(2, 7, 4)
    for member in range(2):
        layers: list[nn.Linear] = []
        for weight, bias in zip(ensemble.weights, ensemble.biases, strict=True):
            layers.append(nn.Linear(*weight.shape[1:]))
            layers[-1].load_state_dict({"weight": weight[member].T, "bias": bias[member, 0]})
        norms: list[nn.LayerNorm] = []
        for gain, shift in zip(ensemble.gains, ensemble.shifts, strict=True):
            norms.append(nn.LayerNorm(6))
            norms[-1].load_state_dict({"weight": gain[member, 0], "bias": shift[member, 0]})
        first, *inner, last = layers
        assert [layer.out_features for layer in inner] == [24, 6] * 3
        y = first(x)
        for block in range(3):
            wide, narrow = inner[2 * block : 2 * block + 2]
            y = y + narrow(wide(norms[block](y)).relu())
        torch.testing.assert_close(ensemble(x)[member], last(norms[3](y)))
