"""What a signal is: one number for each transition, read from programs that were fitted."""

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
from gio_pyro.nn import restore_optimiser
from gio_pyro.nn.gradient_step import Descent, Figures, Loss, adam
from gio_pyro.programs import Guide, Model
from gio_pyro.types import Policy, Spec, Transitions
from gio_pyro.utils.checks import instance, positive
from gio_pyro.utils.pickling import Picklable


@dataclass(frozen=True)
class Fitted:
    """What a signal is built from: the spaces, the future and the programs of one agent, which a signal only reads."""

    spec: Spec
    future: Future
    model: Model
    guide: Guide
    policy: Policy
    replay: Replay | None = None
    """Where sequences are read, for signals that need them."""


class Signal(Picklable, nn.Module, ABC):
    """One number for each transition; a subclass says which by `read`, and its unit by `unit`.

    A signal is told each transition once (`observe`), learns from batches of replay (`update`), and is read by calling
    it, which changes nothing. `state_dict` has all that it learned, the state of its optimiser too, and nothing of the
    programs that it reads.

    Args:
        fitted: what is read.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        """Let what a subclass defines refuse what are no transitions, before it looks at them."""
        super().__init_subclass__(**given)
        for name in ("observe", "update", "read"):
            if name in vars(cls):
                setattr(cls, name, _of_transitions(vars(cls)[name]))

    unit: str = "nats"
    episodic: bool = False
    """Whether a transition is read against the memory of its own episode: such a signal observes each step at once."""
    descent: Descent | None = None

    def __init__(self, fitted: Fitted) -> None:
        super().__init__()
        self.fitted = fitted

    def observe(self, rows: Transitions) -> None:
        """Take new transitions into statistics and memories, each once, in order of time.

        They come from N environments whose steps are interleaved: `rows.stream` says which, `rows.episode` numbers the
        episodes over all of them, and `rows.time` the transitions. A memory is kept for each episode, and what is read
        of a transition is as of that transition, however long ago it was.
        """

    def update(self, rows: Transitions) -> Figures:
        """Take one gradient step of the signal's own networks on replayed `rows`; the programs are left as they are.

        Returns:
            What it measured before the step, by name; nothing where there is nothing to learn.
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
            InputError: `read` does not return a tensor with one number for each.
            ProgramError: `read` raises.
            TrainingError: NaN or infinity.
        """
        name, rows = type(self).__name__, instance("rows", rows, Transitions)
        with raised_by(name, "read"):
            found = self.read(rows)
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
        """Return the signal of each transition, `[B]`; called without gradients, and draws no random numbers."""

    def learn(self, name: str, loss: Loss, learning_rate: float) -> None:
        """Let `update` descend `loss(context, *tensors of rows) -> (loss, figures)` in all parameters there are.

        Raises:
            InputError: a learning rate that is no number above 0.
        """
        learning_rate = positive("learning_rate", learning_rate)
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.descent = Descent(name, loss, adam(parameters, learning_rate))

    def get_extra_state(self) -> Any:
        """Return the state of the optimiser, for `state_dict`."""
        return None if self.descent is None or self.descent.optimiser is None else self.descent.optimiser.state_dict()

    def set_extra_state(self, state: Any) -> None:
        """Go on from the state of an optimiser."""
        if self.descent is not None and self.descent.optimiser is not None:
            restore_optimiser(self.descent.optimiser, state)


def as_fitted(fitted: object) -> Fitted:
    """Return what a signal is built from; raises `InputError` for anything else."""
    return instance("fitted", fitted, Fitted)


def _of_transitions(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(self: Signal, rows: Transitions, *given: Any, **named: Any) -> Any:
        return method(self, instance("rows", rows, Transitions), *given, **named)

    return checked


def require_one_step(signal: Signal) -> None:
    """Raise `InputError` where the future of a transition is not in the transition."""
    future, name = signal.fitted.future, type(signal).__name__
    if future.sequential:
        raise InputError(
            f"Expected a future of one step for {name}, but got {future}; it is read at single transitions: take "
            "NextState."
        )


def device_of(model: Model) -> torch.device:
    """Return where a model's numbers are; the CPU for one that has none."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")
