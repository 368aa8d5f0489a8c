"""Build policy, critic and temperature from the settings."""

import torch

from gio_pyro.actor_critic.networks import NetworkActorCritic
from gio_pyro.actor_critic.tables import TableActorCritic
from gio_pyro.schedules.temperature import Temperature, target_entropy_of
from gio_pyro.settings import Settings, finite_world
from gio_pyro.types import Spec


def actor_critic_of(spec: Spec, settings: Settings) -> TableActorCritic | NetworkActorCritic:
    """Return tables for a finite world, networks for any other."""
    kind = TableActorCritic if finite_world(spec.state_space, spec.action_space) else NetworkActorCritic
    return kind(spec, settings)


def temperature_of(spec: Spec, settings: Settings) -> Temperature:
    """Return the temperature given by the settings."""
    target = target_entropy_of(spec.action_space) if settings.target_entropy is None else settings.target_entropy
    return Temperature(settings.temperature, target=target, learning_rate=settings.learning_rate)


def steppers(
    control: TableActorCritic | NetworkActorCritic, temperature: Temperature
) -> dict[str, torch.optim.Optimizer]:
    """Return the optimisers of actor, critic and temperature by name; tables and fixed temperatures have none."""
    found = {"temperature": temperature.optimiser, **getattr(control, "optimisers", {})}
    return {name: optimiser for name, optimiser in found.items() if optimiser is not None}
