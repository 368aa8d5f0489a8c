"""What a model with shared latent sites knows about them: the predictions of its draws, and what an example adds.

The likelihood depends on the shared sites w only through f, the distribution of F at (s, a), so that

    q(w|s, a, F) / q(w) = p(F|f(w)) / E_q p(F|f)

is a function of f, and KL(q(w|s, a, F) ‖ q(w)) is the divergence of the two distributions of f. Where p(F|f) is normal
with independent dimensions, mean f and variance R, and f is normal under q with mean m and covariance S, the new
distribution of f is conjugate, and with r = F − m

    KL = ½ [ log det(I + R⁻¹S) − tr((S + R)⁻¹S) + rᵀ (S + R)⁻¹ S (S + R)⁻¹ r ]

Its mean over r ~ N(0, S + R) is ½ log det(I + R⁻¹S) = I(w; F|s, a). Exact where f is linear in w and q normal, as in
linear regression; otherwise f is replaced by the normal distribution with its moments, and R by its mean.

m and S are those of `DRAWS` draws by fixed noise with mean 0. Up to `DRAWS` − 1 numbers the noise is white, and the
moments of a linear f are exact; with more, S has a relative error of about √(2 / `DRAWS`), 9 %.

Other futures: with weights ω_k ∝ p(F|w_k) of the K kept draws, KL(ω ‖ 1/K) = Σ_k ω_k log(K ω_k) ≤ log K. Its mean over
F is the disagreement of the K draws, exactly.
"""

import math
from functools import lru_cache
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal

from gio_pyro.errors import InputError, ProgramError
from gio_pyro.programs.handlers import base_of
from gio_pyro.programs.kept_noise import KeptNoise, whitened
from gio_pyro.programs.latents import Latents

DRAWS = 256
"""Draws of the shared sites that m and S are computed from."""
NUMBERS_AT_ONCE = 2**22
"""Numbers of f over all draws that are computed at a time."""


def beliefs(latents: Latents, state: Tensor, action: Tensor) -> Distribution:
    """Return the predictions under each kept draw of the shared sites, a distribution of batch shape `[K, B]`.

    Raises:
        ProgramError: other latent sites, or predictions that cannot be stacked.
    """
    policy = _observed(action)
    return _predictions(latents, state, action, latents.shared_draws(policy), latents.particles)


@torch.no_grad()
def information_gain(latents: Latents, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
    """Return KL(q(w|s, a, F) ‖ q(w)) of each example on its own, `[B]` nats; see the module's derivation."""
    normals = _normals(beliefs(latents, state[:1], action[:1]))
    if normals is None:
        return _gain_of_weights(beliefs(latents, state, action).log_prob(future))
    draws = latents.shared_draws(_observed(action), _fixed_noise(latents.noise))
    size = max(1, NUMBERS_AT_ONCE // (DRAWS * normals.loc[0, 0].numel()))
    gains = []
    for s, a, f in zip(*(x.split(size) for x in (state, action, future)), strict=True):
        each = _normals(_predictions(latents, s, a, draws, DRAWS))
        assert each is not None
        gains.append(normal_gain(each.loc.flatten(2), each.scale.flatten(2), f.flatten(1).to(each.loc)))
    return torch.cat(gains)


def normal_gain(mean: Tensor, scale: Tensor, future: Tensor) -> Tensor:
    """Return the information gain of normal predictions under K draws, `[B]` nats.

    Args:
        mean: f under each draw, `[K, B, n]`.
        scale: the standard deviation of F given f, `[K, B, n]`.
        future: `[B, n]`.
    """
    deviation = scale.square().mean(0).sqrt()
    centre = mean.mean(0)
    spread = ((mean - centre) / deviation / math.sqrt(len(mean))).movedim(0, -1)  # A [B, n, K], R^-½ S R^-½ = A Aᵀ
    error = ((future - centre) / deviation).unsqueeze(-1)
    count, draws = spread.shape[-2:]
    if count <= draws:  # A Aᵀ = U Λ Uᵀ
        value, vector = torch.linalg.eigh(spread @ spread.mT)
        along = value.clamp_min(0) * (vector.mT @ error).squeeze(-1).square()
    else:  # Aᵀ A = V Λ Vᵀ has the same eigenvalues
        value, vector = torch.linalg.eigh(spread.mT @ spread)
        along = (vector.mT @ (spread.mT @ error)).squeeze(-1).square()
    value = value.clamp_min(0)
    gain: Tensor = 0.5 * (value.log1p() - value / (1 + value) + along / (1 + value).square()).sum(-1)
    return gain


def _gain_of_weights(log_prob: Tensor) -> Tensor:
    """Return KL(ω ‖ 1/K) with ω the normalised likelihoods of K draws, `[B]` nats, from `log_prob` `[K, B]`."""
    log_weight = log_prob.log_softmax(0)
    return (log_weight.exp() * (log_weight + math.log(len(log_weight)))).sum(0)


def _predictions(latents: Latents, state: Tensor, action: Tensor, draws: dict[str, Tensor], count: int) -> Distribution:
    if latents.sites.local or latents.sites.finite:
        own = (*latents.sites.local, *latents.sites.finite)[0]
        raise InputError(
            f"Expected beliefs of a model whose latent sites are all outside the batch plate, but {latents.model.name} "
            f'has "{own[:40]}" inside it; implement beliefs(state, action).'
        )
    run = latents.run(_observed(action), state, action, draws, count)
    if len(run.futures) == 1:
        expanded: Distribution = run.futures[0].expand((count, len(state)))
        return expanded
    return _stacked(run.futures, latents.model.name)


def _stacked(each: Any, name: str) -> Distribution:
    """Return K distributions of one kind as one of batch shape `[K, B]`."""
    if all(isinstance(fn, Categorical) for fn in each):
        return dist.Categorical(logits=torch.stack([fn.logits for fn in each]))
    normals = [_normals(fn) for fn in each]
    if any(normal is None for normal in normals):
        raise ProgramError(
            f"Expected {name} to accept weights with a dimension of draws to the left, or to predict normals or "
            "Categoricals, but it does neither; write layers as x @ weight."
        )
    loc, scale = (torch.stack([getattr(normal, part) for normal in normals]) for part in ("loc", "scale"))
    found: Distribution = dist.Normal(loc, scale).to_event(len(each[0].event_shape))
    return found


def _normals(distribution: Distribution) -> Any:
    """Return the normal distributions of independent dimensions that a distribution consists of, or None."""
    base = base_of(distribution)
    return base if isinstance(base, Normal) else None


def _observed(action: Tensor) -> Any:
    """Return a policy that takes the given actions."""
    return lambda state: dist.Delta(action[: len(state)], event_dim=action.ndim - 1)


@lru_cache(maxsize=1)
def _white(count: int) -> Tensor:
    """Return `DRAWS` fixed draws of `count` numbers, `[DRAWS, count]`; kept, as they are read at every step."""
    white = torch.randn(DRAWS, count, generator=torch.Generator().manual_seed(0))
    white = white - white.mean(0)
    return whitened(white) if count < DRAWS else white / white.std(0, correction=0)


def _fixed_noise(kept: KeptNoise) -> KeptNoise:
    """Return noise of `DRAWS` draws, the same at every call, with mean 0 and, as far as possible, white."""
    buffers = {name: noise for name, noise in kept.named_buffers() if noise.is_floating_point()}
    sizes = [noise[0].numel() for noise in buffers.values()]
    white = _white(sum(sizes))
    found = KeptNoise(DRAWS, kept.local, kept.device)
    for (name, noise), part in zip(buffers.items(), white.split(sizes, -1), strict=True):
        found.register_buffer(name, part.reshape(-1, *noise.shape[1:]).to(noise))
    return found
