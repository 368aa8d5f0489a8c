"""The exact guide: Bayes' rule by enumeration of finitely many actions, for any model."""

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor

from gio_pyro.errors import ProgramError
from gio_pyro.types import FittedModel, Policy, Spec, finite


class BayesGuide(PyroModule):
    """q(a|s, F) = π(a|s) p_ψ(F|s, a) / Σ_b π(b|s) p_ψ(F|s, b): theory, equation 2, under the fitted model.

    It has no parameters; it scores every action with the model, at A times the cost of one score. Learned guides are
    compared with it: the difference is their amortisation gap.

    Raises:
        InputError: an action space that is not Discrete.
        ProgramError: built from a spec without a model.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        finite(spec.action_space, "action")
        self.dimensions = len(spec.future_space.shape or ())
        if spec.model is None:
            raise ProgramError("Expected a spec with a fitted model for BayesGuide, but got none; set spec.model.")
        self._model: tuple[FittedModel] = (spec.model,)  # in a tuple, so that its parameters are not registered here

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with torch.no_grad():
            pi = policy(state)
            values = pi.enumerate_support(expand=False)
            # rows of states and futures, batch dimensions of futures to the left of those of states
            outer = future.shape[: future.ndim - self.dimensions - 1]
            states, futures = state.repeat(outer.numel(), *(1 for _ in state.shape[1:])), future.flatten(0, len(outer))
            batch, actions = len(states), len(values)
            # log p(F|s, b) of every action b, `[A · B]`
            row = torch.arange(batch, device=state.device).repeat(actions)
            likelihood = self._model[0].log_prob(
                policy, states[row], values.flatten().repeat_interleave(batch), futures[row]
            )
            # log π(b|s) + log p(F|s, b), up to the normaliser, `[A, ..., B]`
            prior = pi.log_prob(values).reshape(actions, *(1 for _ in outer), len(state))
            logits = prior + likelihood.reshape(actions, *outer, len(state))
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", dist.Categorical(logits=logits.movedim(0, -1)))
