"""Information gain: KL divergence between the posterior over weights after and before an observation."""

from torch import Tensor

from gio_pyro.programs import example
from gio_pyro.signals.base import Fitted, Signal, as_fitted, device_of, require_one_step
from gio_pyro.types import Transitions


class InformationGain(Signal):
    """KL(q_new(w) ‖ q_old(w)) after the observation, nats (VIME: Houthooft et al., 2016, arXiv 1605.09674).

    Its expectation over the model's predictive distribution is I(W; F|s, a). It is computed by the model's method
    `information_gain` from the current posterior: a transition that was fitted before counts as a new observation.

    Args:
        fitted: spaces, future and programs of the agent.

    Raises:
        InputError: a model without a posterior, or a future of several steps.
    """

    def __init__(self, fitted: Fitted) -> None:
        super().__init__(as_fitted(fitted))
        require_one_step(self)
        spec, device = fitted.spec, device_of(fitted.model)
        spaces = (spec.state_space, spec.action_space, spec.future_space)
        fitted.model.information_gain(*(example(space, device) for space in spaces))

    def read(self, rows: Transitions) -> Tensor:
        """Return the information gain of each transition, `[B]` nats."""
        return self.fitted.model.information_gain(rows.state, rows.action, self.fitted.future.of(rows))
