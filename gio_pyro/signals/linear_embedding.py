"""Prediction error where the dynamics are linear: in embeddings of states and actions that share information."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gio_pyro.nn import action_features, encoder, mlp, width
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.types import Transitions, weighted_mean
from gio_pyro.utils.checks import whole

MOST_NUMBERS = 2**12


class LinearEmbedding(Signal):
    """‖φ(s') − φ(s) − ψ(a)‖², what linear dynamics of embeddings do not explain (Kim et al., 2019, arXiv 1810.01176).

    φ and ψ maximise two bounds on Jensen-Shannon informations, of (φ(s), ψ(a)) about φ(s') and of (φ(s), φ(s')) about
    ψ(a), so that they keep what actions have to do with, and make the dynamics linear up to an error S(s, a), which is
    kept small. φ is kept near a standard normal distribution, so that the scale of the error is fixed.

    Args:
        fitted: programs of the agent; only the spaces are used.
        size: numbers of an embedding.
        learning_rate: Adam's step size.

    Raises:
        InputError: a number out of range.
    """

    unit = "squared features"
    reads_programs = False

    def __init__(self, fitted: Fitted, *, size: int = 4, learning_rate: float = 1e-3) -> None:
        super().__init__(as_fitted(fitted))
        size = whole("size", size, 1, MOST_NUMBERS)
        spec = fitted.spec
        self.actions, numbers = spec.action_space, width(spec.action_space)
        self.encoder = encoder(spec.state_space)
        self.of_state = mlp(self.encoder.size, spec.hidden, size)
        self.of_action = mlp(numbers, spec.hidden, size)
        self.exception = mlp(self.encoder.size + numbers, spec.hidden, size)
        self.forward_critic = mlp(3 * size, spec.hidden, 1)
        self.inverse_critic = mlp(3 * size, spec.hidden, 1)
        self.learn("embedding", self._loss, learning_rate)

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Update the input normaliser with new states."""
        self.encoder.observe(rows.next_state)

    def read(self, rows: Transitions) -> Tensor:
        """Return the squared error of the linear model at each transition, `[B]`; S(s, a) counts as explained."""
        before, action, after, exception = self._embedded(rows)
        return (after - before - action - exception).square().sum(-1)

    def _embedded(self, rows: Transitions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return φ(s), ψ(a), φ(s') and S(s, a), `[B, size]` each."""
        seen, numbers = self.encoder(rows.state), action_features(self.actions, rows.action)
        after = self.of_state(self.encoder(rows.next_state))
        return self.of_state(seen), self.of_action(numbers), after, self.exception(torch.cat([seen, numbers], -1))

    def _loss(self, context: None, *tensors: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*tensors)
        before, action, after, exception = self._embedded(rows)
        other = torch.randperm(len(rows), device=after.device)
        apart = rows.weight * rows.weight[other]

        def information(critic: torch.nn.Module, given: Tensor, about: Tensor) -> Tensor:
            pairs = (torch.cat([given, x], -1) for x in (about, about[other]))
            joint, product = (critic(pair).squeeze(-1) for pair in pairs)
            return jensen_shannon_bound(joint, product, rows.weight, apart)

        shared = information(self.forward_critic, torch.cat([before, action], -1), after)
        chosen = information(self.inverse_critic, torch.cat([before, after], -1), action)
        residual = rows.mean((after - before - action - exception).square().sum(-1))
        small = rows.mean(exception.square().sum(-1))
        loss = residual + small + standard_normal_divergence(after, rows.weight) - shared - chosen
        return loss, {"embedding_residual": residual, "embedding_information": shared + chosen}


def jensen_shannon_bound(joint: Tensor, product: Tensor, weight: Tensor, apart: Tensor) -> Tensor:
    """Return E_p[−softplus(−T)] − E_q[softplus(T)] ≤ 2 JSD(p ‖ q) − 2 log 2, nats; equal at T = log p/q.

    (Nowozin, Cseke and Tomioka, 2016, arXiv 1606.00709.)

    Args:
        joint: T at draws of p, `[B]`.
        product: T at draws of q, `[B]`.
        weight: of the draws of p, `[B]`.
        apart: of the draws of q, `[B]`.
    """
    return -weighted_mean(weight, softplus(-joint)) - weighted_mean(apart, softplus(product))


def standard_normal_divergence(x: Tensor, weight: Tensor) -> Tensor:
    """Return KL(N(m, v) ‖ N(0, 1)) summed over numbers, m and v the weighted moments of `x` `[B, n]`; nats."""
    w = (weight / weight.sum()).unsqueeze(-1)
    mean = (w * x).sum(0)
    variance = (w * (x - mean).square()).sum(0).clamp_min(1e-6)
    return 0.5 * (variance + mean.square() - 1 - variance.log()).sum()
