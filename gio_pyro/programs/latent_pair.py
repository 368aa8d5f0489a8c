"""Latent sites in the pair of programs that an ELBO of Pyro is evaluated on."""

from typing import Any

from pyro.poutine.block_messenger import BlockMessenger
from pyro.poutine.messenger import Messenger
from torch import Tensor

from gio_pyro.programs.latents import Latents
from gio_pyro.programs.sites import ACTION, FUTURE, is_plate
from gio_pyro.types import Policy


class ValueOf(Messenger):
    """Keeps the value of one site."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.value: Any = None

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["name"] == self.name:
            self.value = msg["value"]


class LatentHandler(Messenger):
    """Weights shared sites by B/N, since N examples share them, and enumerates finite sites that no guide samples."""

    def __init__(self, latents: Latents, batch: float) -> None:
        super().__init__()
        sites = latents.sites
        self.own = {ACTION, FUTURE, *sites.finite, *sites.local}
        self.enumerated = unguided_finite(latents)
        self.scale = latents.share(batch)

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.enumerated:
            msg["infer"] = {**(msg["infer"] or {}), "enumerate": "parallel"}
        elif msg["name"] not in self.own and not is_plate(msg):
            msg["scale"] = self.scale


def unguided_finite(latents: Latents) -> tuple[str, ...]:
    """Return the finite sites that no guide samples."""
    guided = latents.guided(latents.sites.finite)
    return tuple(name for name in latents.sites.finite if name not in guided)


def run_autoguide(latents: Latents, policy: Policy, state: Tensor) -> None:
    """Sample shared sites from the model's autoguide; before the guide of actions, as sites outside its plates."""
    _run_own(latents, "autoguide", policy, state, latents.some_action, latents.some_future)


def run_latent_guide(latents: Latents, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> None:
    """Sample the sites of the model's `latent_guide`, which reads the action, so after the guide of actions."""
    _run_own(latents, "latent_guide", policy, state, action, future)


def _run_own(latents: Latents, source: str, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> None:
    """Run a guide of the model's own, if it has that one.

    Plates are not recorded again, since the guide of actions has them.
    """
    if source in latents.sources:
        others = set(latents.guided(latents.sites.names)) - set(latents.sources[source])
        with _Hidden(others):
            latents.posterior(source, policy, state, action, future)()


class _Hidden(BlockMessenger):
    """Hides plates, and sites of these names."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(hide_fn=lambda msg: is_plate(msg) or msg["name"] in names)
