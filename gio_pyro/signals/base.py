"""Base class of signals: an intrinsic reward for each transition, computed from fitted programs."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, TrainingError, raised_by
from gio_pyro.futures import Future
from gio_pyro.futures.spec import is_next_state
from gio_pyro.nn import restore_optimiser
from gio_pyro.nn.gradient_step import Descent, Figures, Loss, adam
from gio_pyro.nn.traced import Traced
from gio_pyro.programs import Guide, Model
from gio_pyro.types import Policy, Spec, Transitions
from gio_pyro.utils.checks import instance, positive
from gio_pyro.utils.pickling import Picklable


@dataclass(frozen=True)
class Fitted:
    """Spaces, future and programs of an agent, from which a signal is built; a signal does not change them."""

    spec: Spec
    future: Future
    model: Model
    guide: Guide
    policy: Policy
    replay: Replay | None = None
    """Replay buffer, for signals that need sequences."""
    graphs: bool = True
    """Whether gradient steps may run as captured graphs; not with the setting `compile=False`."""

    @property
    def predicts_next_state(self) -> bool:
        """Whether the future is the next state, and the model thereby one of the dynamics."""
        return is_next_state(self.future)


class Signal(Picklable, nn.Module, ABC):
    """Base class of intrinsic signals; a subclass implements `read` and sets `unit`.

    `observe` receives each transition once, `update` trains on batches of replay, and calling the signal returns one
    number for each transition and changes nothing. `state_dict` holds everything learned, including the state of the
    optimiser, but not the programs.

    Args:
        fitted: spaces, future and programs of the agent.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        """Make `observe`, `update` and `read` of a subclass validate that their argument is `Transitions`."""
        super().__init_subclass__(**given)
        for name in ("observe", "update", "read"):
            if name in vars(cls):
                setattr(cls, name, _of_transitions(vars(cls)[name]))

    unit: str = "nats"
    episodic: bool = False
    """Whether the signal depends on a memory of the current episode; such a signal observes each step immediately."""
    reads_programs: bool = True
    """Whether the signal depends on the fitted model or guide. `IntrinsicReward`, which pays nothing else, does not fit
    them for one that does not."""
    same_operations: bool = False
    """Whether `read` is a fixed series of tensor operations on the rows, so that it can be recorded (`trace`)."""
    descent: Descent | None = None
    traced: Traced | None = None

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.fitted = fitted

    def trace(self) -> None:
        """Repeat the recorded operations of `read` from now on, where they are the same for all rows.

        The caller must call `traced.changed` after a change of the programs.
        """
        if self.same_operations:
            self.traced = Traced(self._read_tensors)

    def _read_tensors(self, *tensors: Tensor) -> Tensor:
        return self.read(Transitions(*tensors))

    def observe(self, rows: Transitions) -> None:
        """Update statistics and memories with new transitions, each once, in order of time.

        The steps of N environments are interleaved: `rows.stream` is the index of the environment, `rows.episode`
        numbers the episodes over all environments, and `rows.time` the transitions. Each episode has its own memory,
        and a transition is always evaluated against the memory as it was at that transition.
        """

    def update(self, rows: Transitions) -> Figures:
        """Take one gradient step on the signal's own networks with replayed `rows`; the programs do not change.

        Returns:
            The losses before the step, by name; empty for a signal without parameters to learn.
        """
        rows = instance("rows", rows, Transitions)
        if self.descent is None:
            return {}
        with torch.enable_grad():
            return self.descent.step(None, *rows.tensors())

    @torch.no_grad()
    def forward(self, rows: Transitions) -> Tensor:
        """Return the signal of each transition, `[B]` in its unit, without gradients.

        Raises:
            InputError: `read` does not return a tensor with one number for each transition.
            ProgramError: `read` raises.
            TrainingError: the signal is NaN or infinite.
        """
        name, rows = type(self).__name__, instance("rows", rows, Transitions)
        with raised_by(name, "read"):
            found = self.read(rows) if self.traced is None else self.traced(*rows.tensors())
        if not isinstance(found, Tensor):
            raise InputError(
                f"Expected a tensor of one number for each of {len(rows)} transitions from {name}, but got "
                f"{type(found).__name__}; return a torch.Tensor."
            )
        if found.shape != (len(rows),):
            raise InputError(
                f"Expected one number for each of {len(rows)} transitions from {name}, but got shape "
                f"{tuple(found.shape)}; do not sum over the batch."
            )
        if not bool(torch.isfinite(found).all()):
            raise TrainingError(f"Expected finite numbers from {name}, but got NaN or infinity; look at the model.")
        return found

    @abstractmethod
    def read(self, rows: Transitions) -> Tensor:
        """Return the signal of each transition, `[B]`; called without gradients, and must not draw random numbers."""

    def learn(self, name: str, loss: Loss, learning_rate: float) -> None:
        """Make `update` minimise `loss(context, *tensors of rows) -> (loss, figures)` over all trainable parameters.

        Raises:
            InputError: a learning rate that is not a number above 0.
        """
        learning_rate = positive("learning_rate", learning_rate)
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.descent = Descent(name, loss, adam(parameters, learning_rate))

    def get_extra_state(self) -> Any:
        """Return the state of the optimiser, for `state_dict`."""
        return None if self.descent is None or self.descent.optimiser is None else self.descent.optimiser.state_dict()

    def set_extra_state(self, state: Any) -> None:
        """Restore the state of the optimiser."""
        if self.descent is not None and self.descent.optimiser is not None:
            restore_optimiser(self.descent.optimiser, state)


def as_fitted(fitted: object) -> Fitted:
    """Return `fitted`; raise `InputError` if it is not a `Fitted`."""
    return instance("fitted", fitted, Fitted)


def _of_transitions(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(self: Signal, rows: Transitions, *given: Any, **named: Any) -> Any:
        return method(self, instance("rows", rows, Transitions), *given, **named)

    return checked


def require_one_step(signal: Signal) -> None:
    """Raise `InputError` if the future spans several steps, so that it cannot be computed from one transition."""
    future, name = signal.fitted.future, type(signal).__name__
    if future.sequential:
        raise InputError(
            f"Expected a future of one step for {name}, but got {future}; it is read at single transitions: take "
            "NextState."
        )


def device_of(model: Model) -> torch.device:
    """Return the device of a model's parameters and buffers; the CPU for a model without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
