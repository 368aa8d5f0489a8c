"""The exact guide: Bayes' rule by enumeration, for finitely many actions over any model."""

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor

from gio_pyro.errors import ProgramError
from gio_pyro.types import FittedModel, Policy, Spec, finite


class BayesGuide(PyroModule):
    """q(a|s, F) = π(a|s) p_ψ(F|s, a) / Σ_b π(b|s) p_ψ(F|s, b): theory, equation 2, under the fitted model.

    It has no parameters and is never out of date; it scores every action with the model, A times the cost of one.
    It is the yardstick of every learned guide's amortisation gap.

    Raises:
        InputError: an action space that is not Discrete.
        ProgramError: built from a spec that carries no model.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        finite(spec.action_space, "action")
        if spec.model is None:
            raise ProgramError("Expected a spec with a fitted model for BayesGuide, but got none; set spec.model.")
        self._model: tuple[FittedModel] = (spec.model,)  # in a tuple, so that its parameters stay the model's

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with torch.no_grad():
            pi = policy(state)
            values = pi.enumerate_support(expand=False)
            batch, actions = len(state), len(values)
            row = torch.arange(batch, device=state.device).repeat(actions)
            likelihood = self._model[0].log_prob(
                policy, state[row], values.flatten().repeat_interleave(batch), future[row]
            )
            logits = pi.log_prob(values) + likelihood.reshape(actions, batch)
        with pyro.plate("batch", batch):
            return pyro.sample("action", dist.Categorical(logits=logits.T))
