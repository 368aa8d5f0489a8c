"""A Bayesian neural network: its weights are latent sites, shared by all examples."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoNormal, init_to_sample
from torch import Tensor, nn

from gio_pyro.errors import CheckpointError
from gio_pyro.models.real import RealModel
from gio_pyro.nn import batched
from gio_pyro.types import Policy, Spec


class BayesianModel(RealModel):
    """p_ψ(F|s, a) = E_{w~q} N(mean_w(s, a), scale²): a Bayesian neural network (Blundell et al., 2015).

    The weights w are latent sites outside the batch plate, with normal priors. The engine fits an autoguide q(w) to
    their posterior by the evidence lower bound E_q log p(F|s, a, w) − KL(q(w) ‖ p(w)) / N, with N the number of
    observed transitions, and scores the model as a mixture over `components` kept draws of w. Their disagreement is the
    epistemic uncertainty, the scale of each dimension of F, one parameter, the aleatoric one. `information_gain` of
    such a model is a closed form of mean and covariance of mean_w under q (`gio_pyro.programs.posterior_draws`).

    Another posterior is one of `pyro.infer.autoguide`, as the attribute `autoguide` of a subclass.
    """

    components = 8
    prior_scale = math.sqrt(2.0)
    """Prior scale of a weight before division by the root of its fan-in (He et al., 2015)."""
    bias_scale = 1.0
    """Prior scale of a bias."""
    first_scale = 0.02
    """Initial standard deviation of q(w) of the default autoguide."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.sizes = [self.inputs, *spec.hidden, self.size]
        self.raw = nn.Parameter(torch.zeros(self.shape))

    @property
    def particles(self) -> int:
        """The number of kept draws."""
        return self.components

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        if f"{prefix}seen" in state_dict:
            raise CheckpointError(
                "Expected a BayesianModel whose weights are latent sites, but got one of an earlier version, which "
                "kept its posterior itself; train it again, or load it with that version of gio_pyro."
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def autoguide(self, model: Any) -> Any:
        """Return the approximate posterior of the weights, normal with independent dimensions."""
        return AutoNormal(model, init_loc_fn=init_to_sample, init_scale=self.first_scale)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample the weights, "action", and "future" `[B, ...]`."""
        layers = [self.layer(number) for number in range(len(self.sizes) - 1)]
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.given(state, action, layers), obs=future)

    def layer(self, number: int) -> tuple[Tensor, Tensor]:
        """Sample weight `[inputs, outputs]` and bias `[outputs]` of a layer, or K of each, `[K, 1, ...]`."""
        inputs, outputs = self.sizes[number : number + 2]
        zeros, scale = self.raw.new_zeros(inputs, outputs), self.prior_scale / math.sqrt(inputs)
        weight = pyro.sample(f"weight{number}", dist.Normal(zeros, scale).to_event(2))
        bias = pyro.sample(f"bias{number}", dist.Normal(zeros[0], self.bias_scale).to_event(1))
        return weight, bias

    def given(self, state: Tensor, action: Tensor, layers: list[tuple[Tensor, Tensor]]) -> Any:
        """Return p(F|s, a, w), normal distributions of batch shape `[B]`, or `[K, B]` for K draws of the weights."""
        draws = layers[0][1].shape[:-2]  # () or (K,)
        weights = [weight.reshape(-1, *weight.shape[-2:]) for weight, _ in layers]
        biases = [bias.reshape(-1, 1, bias.shape[-1]) for _, bias in layers]
        x = self.features(state, action)
        out = batched(x.flatten(0, -2), weights, biases)
        mean = out.reshape(*draws, *x.shape[:-1], *self.shape)
        return dist.Normal(self.place(state, mean), self.scale(self.raw).expand(mean.shape)).to_event(len(self.shape))
