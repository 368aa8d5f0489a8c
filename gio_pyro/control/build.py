"""Policy, critic and the price of a nat, as the settings ask for them."""

import torch

from gio_pyro.control.network import NetworkControl
from gio_pyro.control.table import TableControl
from gio_pyro.settings import Settings, finite_world
from gio_pyro.temperature import Temperature, target_entropy_of
from gio_pyro.types import Spec


def control_of(spec: Spec, settings: Settings) -> TableControl | NetworkControl:
    """Return tables for a finite world, networks for any other."""
    kind = TableControl if finite_world(spec.state_space, spec.action_space) else NetworkControl
    return kind(spec, settings)


def temperature_of(spec: Spec, settings: Settings) -> Temperature:
    """Return the price of a nat that the settings ask for."""
    target = target_entropy_of(spec.action_space) if settings.target_entropy is None else settings.target_entropy
    return Temperature(settings.temperature, target=target, learning_rate=settings.learning_rate)


def steppers(control: TableControl | NetworkControl, temperature: Temperature) -> dict[str, torch.optim.Optimizer]:
    """Return whatever steps parameters of these two, by name; tables and given temperatures have none."""
    found = {"temperature": temperature.optimiser, **getattr(control, "optimisers", {})}
    return {name: optimiser for name, optimiser in found.items() if optimiser is not None}
