"""Prediction error of the model (surprise)."""

import copy

import torch
from torch import Tensor

from gio_pyro.errors import InputError, shown
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted, require_one_step
from gio_pyro.signals.inverse_features import InverseFeatures
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import whole

MOST_LAG = 2**40


class PredictionError(Signal):
    """−log p_ψ(F|s, a), nats (Achiam and Sastry, 2017, arXiv 1703.01732); it stays large for a noisy future.

    With `features="icm"` it is ½ ‖φ̂(φ(s), a) − φ(s')‖², squared features, which depend on what actions influence
    (the intrinsic curiosity module of Pathak, Agrawal, Efros and Darrell, 2017, arXiv 1705.05363).

    With a `lag` the error is that of a copy of the model, which is renewed after so many updates: behaviour that was
    surprising is rewarded for some time after the model has learned it (SelMo: Groth et al., 2021, arXiv 2109.08603).

    Args:
        fitted: spaces, future and programs of the agent.
        features: None, or "icm".
        learning_rate: Adam's step size for the networks of "icm".
        lag: updates for which a copy of the model serves; 0 for the model itself.

    Raises:
        InputError: unknown features, a lag below 0 or beside `features`, or a future of several steps without
            `features`.
    """

    since: Tensor

    def __init__(
        self, fitted: Fitted, *, features: str | None = None, learning_rate: float = 1e-3, lag: int = 0
    ) -> None:
        super().__init__(as_fitted(fitted))
        self.lag = whole("lag", lag, 0, MOST_LAG)
        if self.lag and features is not None:
            raise InputError(f"Expected lag without features, but got {lag} and {features!r}; leave one of them out.")
        if self.lag:
            self.old = copy.deepcopy(fitted.model).requires_grad_(False)
            self.register_buffer("since", torch.zeros((), dtype=torch.int64))
        if features is not None and not (isinstance(features, str) and features == "icm"):
            raise InputError(f"Expected features to be None or 'icm', but got {shown(features)}; take one of these.")
        if features is None:
            require_one_step(self)
            return
        self.unit, self.reads_programs = "squared features", False
        self.icm = InverseFeatures(fitted.spec)
        self.learn("icm", self._loss, learning_rate)

    def observe(self, rows: Transitions) -> None:
        """Update the input normaliser of "icm" with new states."""
        if self.descent is not None:
            self.icm.encoder.observe(rows.next_state)

    @torch.no_grad()
    def update(self, rows: Transitions) -> Figures:
        """Take one gradient step on the networks of "icm"; renew the copy of the model where it has served its lag."""
        if self.lag:
            self.since += 1
            if int(self.since) >= self.lag:
                self.old.load_state_dict(self.fitted.model.state_dict())
                self.since.zero_()
        return super().update(rows)

    def read(self, rows: Transitions) -> Tensor:
        """Return the error of each transition, `[B]`."""
        if self.descent is not None:
            error: Tensor = self.icm(rows)[0]
            return error
        source, model = self.fitted, self.old if self.lag else self.fitted.model
        return -model.log_prob(source.policy, rows.state, rows.action, source.future.of(rows))

    def _loss(self, context: None, *tensors: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*tensors)
        forward, inverse = (rows.mean(error) for error in self.icm(rows))
        return self.icm.blend(forward, inverse), {"forward_loss": forward, "inverse_loss": inverse}
