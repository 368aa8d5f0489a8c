"""Noise that is kept: the draws behind a score are the same whenever the same example is scored.

Noise of shared sites is drawn once, in pairs of opposite sign (antithetic variates; Hammersley and Morton, 1956): each
draw is normal, and their mean is 0, so that the mean of a prediction that is linear in the sites has no error. Where
draws are many and numbers few, their covariance has none either.

Noise of local sites must differ between examples, or an average over examples would have the error of a single one; so
it is computed from the bits of the example (state and future, not the action, so that actions are compared on equal
noise) and of a key that is drawn once, by the mixing function of SplitMix64 (Steele, Lea and Flood, 2014). It does not
depend on the batch, on the order or on any random generator.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from gio_pyro.programs.handlers import Noise, noise_shape

GOLDEN = -7046029254386353131
"""2^64 divided by the golden ratio, as a signed integer."""
BITS = 23
"""Bits of a uniform number; with one more, the largest would be rounded to 1, whose quantile is infinite."""

WHITE = 4
"""Pairs of draws for each number from which on their covariance is made exact; fewer would not stay near to normal."""


class KeptNoise(nn.Module):
    """Standard normal noise of K draws of each site; keys and noise are buffers, created on first use.

    Args:
        draws: K.
        local: names of local sites.
        device: of the noise.
    """

    def __init__(self, draws: int, local: tuple[str, ...], device: torch.device) -> None:
        super().__init__()
        self.draws, self.local, self.device = draws, local, device

    def all(self, code: Tensor, each: int = 1) -> Noise:
        """Return the noise of all draws, `[K · each, B, ...]`, equal for `each` branches of a draw.

        Args:
            code: `code_of` the examples, `[B]`.
            each: branches of each draw.
        """

        def noise(name: str, distribution: Distribution) -> Tensor:
            found = self._of(name, distribution)
            found = normal(found, code) if name in self.local else found.unsqueeze(1)
            return found.repeat_interleave(each, 0) if each > 1 else found

        return noise

    def one(self, k: int, code: Tensor) -> Noise:
        """Return the noise of draw k: `[B, ...]` of local sites, `[...]` of others."""

        def noise(name: str, distribution: Distribution) -> Tensor:
            found = self._of(name, distribution)[k]
            return normal(found.unsqueeze(0), code)[0] if name in self.local else found

        return noise

    def shared(self, name: str, distribution: Distribution) -> Tensor:
        """Return the noise of all draws of a site that is not local, `[K, ...]`."""
        return self._of(name, distribution)

    def _of(self, name: str, distribution: Distribution) -> Tensor:
        """Return the keys `[K, *noise_shape]` of a local site, or the noise of another one, `[K, ...]`."""
        buffer = "of_" + name.replace(".", "__")
        if not hasattr(self, buffer):
            shape, own = noise_shape(distribution), name in self.local
            size = (self.draws, *shape) if own else (self.draws, *distribution.batch_shape, *shape)
            found = torch.randint(2**62, size, device=self.device) if own else antithetic(size, self.device)
            self.register_buffer(buffer, found)
        kept: Tensor = getattr(self, buffer)
        return kept


def antithetic(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Return standard normal numbers `[K, ...]` in pairs of opposite sign; with an odd K one has no partner.

    With at least `WHITE` pairs for each number of a draw, their covariance is the identity, too.
    """
    pairs = (size[0] + 1) // 2
    half = torch.randn(pairs, *size[1:], device=device).reshape(pairs, -1)
    half = whitened(half) if pairs >= WHITE * half.shape[1] else half
    return torch.cat([half, -half])[: size[0]].reshape(size)


def whitened(noise: Tensor) -> Tensor:
    """Return noise `[K, n]`, n ≤ K, with the identity as its matrix of second moments."""
    found: Tensor = torch.linalg.qr(noise).Q * math.sqrt(len(noise))
    return found


def code_of(*tensors: Tensor) -> Tensor:
    """Return an integer that identifies the bits of each example of tensors `[B, ...]`, `[B]`."""
    total = torch.zeros((), dtype=torch.int64, device=tensors[0].device)
    for tensor in tensors:
        flat = tensor.detach().reshape(len(tensor), -1)
        bits = flat.float().contiguous().view(torch.int32).long() if flat.is_floating_point() else flat.long()
        places = torch.arange(1, flat.shape[1] + 1, device=flat.device) * GOLDEN
        total = _mixed(total + _mixed(bits + places).sum(-1) + GOLDEN)
    return total


def normal(keys: Tensor, code: Tensor) -> Tensor:
    """Return standard normal numbers `[K, B, ...]` of `keys` `[K, ...]` and examples `[B]`."""
    code = code.reshape(1, -1, *[1] * (keys.ndim - 1))
    bits = _mixed(_mixed(keys.unsqueeze(1) ^ code)) & (2**BITS - 1)
    return math.sqrt(2.0) * torch.erfinv((bits.float() + 0.5) * 2.0 ** (1 - BITS) - 1.0)


def _mixed(x: Tensor) -> Tensor:
    """Return well-mixed bits of integers."""
    x = (x ^ _shifted(x, 30)) * -4658895280553007687
    x = (x ^ _shifted(x, 27)) * -7723592293110705685
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, places: int) -> Tensor:
    return (x >> places) & ((1 << (64 - places)) - 1)
