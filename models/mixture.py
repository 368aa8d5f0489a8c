"""Mixtures of normals over real-valued futures: a mixture density network, and an ensemble."""

from typing import Any

from torch import Tensor

from gio_pyro.models.real import RealModel
from gio_pyro.nn import Ensemble, mlp
from gio_pyro.types import Spec


class MixtureModel(RealModel):
    """A mixture density network (Bishop, 1994): p_ψ(F|s, a) = Σ_k w_k N(mean_k, scale_k²)."""

    components = 5

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, self.components * (1 + 2 * self.size))

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B mixtures."""
        out = self.net(self.features(state, action))
        logits, numbers = out.split([self.components, 2 * self.components * self.size], -1)
        member = -1 - len(self.shape)
        mean, raw = numbers.unflatten(-1, (2, self.components, *self.shape)).unbind(member - 1)
        return self.mixed(state, mean.movedim(member, 0), raw.movedim(member, 0), logits)


class EnsembleModel(RealModel):
    """An ensemble of networks; p_ψ(F|s, a) is their equally weighted mixture (Lakshminarayanan et al., 2017).

    Members disagree where data are scarce. They are fitted by the mean of their log-likelihoods, a lower bound on the
    mixture's: maximising the latter, members would specialise on parts of the data.
    """

    components = 5

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = Ensemble(self.components, self.inputs, spec.hidden, 2 * self.size)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B mixtures."""
        mean, raw = self.members(state, action)
        return self.mixed(state, mean, raw)

    def members(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return the standardised mean and raw scale of each member, `[members, ..., B, *shape]`."""
        mean, raw = self.net(self.features(state, action)).unflatten(-1, (2, *self.shape)).unbind(-1 - len(self.shape))
        return mean, raw

    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the fitting objective, the members' mean log-likelihood, `[B]` nats."""
        log_prob: Tensor = self.beliefs(state, action).log_prob(future)
        return log_prob.mean(0)

    def beliefs(self, state: Tensor, action: Tensor) -> Any:
        """Return the prediction of each member, normals of batch shape `[members, B]`."""
        return self.normals(state, *self.members(state, action))
