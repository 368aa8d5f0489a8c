"""Every number that the loop depends on, with its unit; saved as readable text with each run."""

from dataclasses import dataclass, fields
from typing import Any

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
    """Most Bellman backups of the batch in a round."""
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
        return cls(**given)

    def __post_init__(self) -> None:
        _check("temperature > 0 (reward units per nat)", self.temperature, 0 < self.temperature < float("inf"))
        _check("discount in [0, 1)", self.discount, 0 <= self.discount < 1)
        _check("learning_rate > 0", self.learning_rate, 0 < self.learning_rate < float("inf"))
        _check("uniform_share in [0, 1]", self.uniform_share, 0 <= self.uniform_share <= 1)
        _check("seed of at least 0", self.seed, self.seed >= 0)
        for name in ("train_freq", "buffer_size", "samples", "sweeps"):
            _check(f"{name} of at least 1", getattr(self, name), getattr(self, name) >= 1)
        _check("gradient_steps of at least 0", self.gradient_steps, self.gradient_steps >= 0)
        _check("batch_size of at least 1, or None", self.batch_size, self.batch_size is None or self.batch_size >= 1)


def _check(expected: str, got: object, fine: bool) -> None:
    if not fine:
        raise InputError(f"Expected {expected}, but got {got}; see gio_pyro.settings.Settings.")


def device_named(name: str) -> torch.device:
    """Return the device; "auto" is a GPU where there is one. Raises `InputError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"Expected a device that is here, such as cpu or auto, but got {name!r}.") from error
