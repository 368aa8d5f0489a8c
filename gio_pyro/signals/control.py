"""The intrinsic reward of the guide as a signal."""

from torch import Tensor

from gio_pyro.signals.base import Fitted, Signal, as_fitted, require_one_step
from gio_pyro.types import Transitions


class Control(Signal):
    """log q_φ(a|s, F) − log π(a|s), nats (GIO, arXiv 2310.08100; theory, equation 3), at the observed transition.

    Its mean over actions of π and their futures is a lower bound on I(F; A|s).

    Raises:
        InputError: a future of several steps.
    """

    same_operations = True

    def __init__(self, fitted: Fitted) -> None:
        super().__init__(as_fitted(fitted))
        require_one_step(self)

    def read(self, rows: Transitions) -> Tensor:
        """Return the log-ratio of guide and policy, `[B]` nats."""
        f = self.fitted
        log_q = f.guide.log_prob(f.policy, rows.state, f.future.of(rows), rows.action)
        log_pi: Tensor = f.policy(rows.state).log_prob(rows.action)
        return log_q - log_pi
