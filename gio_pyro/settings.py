"""Every number that the loop depends on, with its unit; saved as readable text with each run."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from gio_pyro.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Settings of `GIO`; the names are those of Stable-Baselines3 where the thing is the same."""

    temperature: float = 0.01
    """α > 0: the price of one nat, in reward units."""
    discount: float = 0.99
    """γ in [0, 1)."""
    objective: str | None = None
    """What the guide is fitted to: elbo, joint_elbo, forward_kl, sleep or wake_sleep; None takes what the guide asks
    for (its attribute `objective`), else sleep."""
    learning_rate: float = 1e-3
    """Adam's step size for programs that do not name their own (attribute `learning_rate`)."""
    train_freq: int = 500
    """Environment steps collected in a round."""
    gradient_steps: int = 20
    """Gradient steps of model and guide in a round."""
    batch_size: int | None = None
    """Transitions in a gradient step; None takes the whole replay, equal transitions merged."""
    buffer_size: int = 1_000_000
    """Transitions kept in replay."""
    samples: int = 4
    """Futures imagined for each action where they cannot be enumerated."""
    sweeps: int = 200
    """Most Bellman backups of the whole replay in an evaluation."""
    improvements: int = 3
    """Evaluations and improvements of the policy (theory, equations 5 and 6) in a round."""
    uniform_share: float = 0.2
    """Exploration: the share of collected actions that are uniform instead of the policy's."""
    initial_value: float | None = None
    """Exploration: the value of pairs never tried, reward units; None takes an upper bound from the rewards seen."""
    seed: int = 0
    """Seeds the environment, the networks and every draw."""

    @classmethod
    def from_names(cls, given: dict[str, Any]) -> "Settings":
        """Return `Settings(**given)`; raises `InputError` for a name that is no setting."""
        known = [field.name for field in fields(cls)]
        for name in given:
            if name not in known:
                raise InputError(f"Expected settings among {', '.join(known)}, but got {name!r}.")
        return cls(**{n: v.item() if isinstance(v, np.generic) else v for n, v in given.items()})

    def __post_init__(self) -> None:
        _real("temperature", self.temperature, 1e-9, 1e9, "reward units per nat")
        _real("discount", self.discount, 0.0, 1.0 - 1e-9, "below 1, since an environment may never end")
        _real("learning_rate", self.learning_rate, 1e-12, 1e3, "Adam's step size")
        _real("uniform_share", self.uniform_share, 0.0, 1.0, "a share of the actions")
        if self.initial_value is not None:
            _real("initial_value", self.initial_value, -1e30, 1e30, "reward units, or None")
        _whole("seed", self.seed, 0, 2**32 - 1)
        for name in ("train_freq", "buffer_size", "samples", "sweeps", "improvements"):
            _whole(name, getattr(self, name), 1, 2**40)
        _whole("gradient_steps", self.gradient_steps, 0, 2**40)
        if self.batch_size is not None:
            _whole("batch_size", self.batch_size, 1, 2**40)
        if self.objective is not None and not isinstance(self.objective, str):
            raise InputError(f"Expected objective to be a name or None, but got {self.objective!r}.")


def _real(name: str, value: object, low: float, high: float, meaning: str) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"Expected {name} from {low:.9g} to {high:.9g} ({meaning}), but got {value!r}; see gio_pyro.Settings."
        )


def _whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"Expected {name} to be a whole number from {low} to {high}, but got {value!r}; see gio_pyro.Settings."
        )


def device_named(name: str) -> torch.device:
    """Return the device; "auto" is a GPU where there is one. Raises `InputError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"Expected a device that is here: auto, cpu or cuda, but got {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Expected a device that is here: auto, cpu or cuda, but got {name!r}.")
    return device
