"""What samples the latent sites of a model from their posterior: its own guide, an autoguide, or the guide of actions.

    site      sampled by                                                        otherwise
    finite    the guide program, after "action"; or `latent_guide` of the model  summed out
    local     the guide program, after "action"; or `latent_guide` of the model  an error
    shared    either, outside the batch plate; or the model's `autoguide`        an error

A model has an attribute `latent_guide(state, action, future)`, a Pyro program, and `autoguide`, one of
`pyro.infer.autoguide` or any `autoguide(model) -> guide`, which is built for the shared sites that nothing else
samples.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn

from gio_pyro.errors import GioError, ProgramError, describe_error
from gio_pyro.programs.guide import Guide
from gio_pyro.programs.kept_noise import KeptNoise
from gio_pyro.programs.latent_sites import LatentSites, latent_sites
from gio_pyro.programs.latents import PARTICLES, Latents
from gio_pyro.programs.model import Model
from gio_pyro.programs.sites import ACTION, FUTURE, quoted_names
from gio_pyro.types import Policy
from gio_pyro.utils.checks import whole

Nodes = Mapping[str, Mapping[str, Any]]

EXAMPLES = 3
"""Examples on which one run for all draws is compared with one run for each."""


def find_latents(model: Model, policy: Policy, state: Tensor, nodes: Nodes) -> None:
    """Set `model.latents` from the sample sites `nodes` of a run on states `[B, ...]`, and build guides of its own.

    Raises:
        ProgramError: a latent site that cannot be integrated out, or a guide of them that cannot be built.
    """
    if not all(site in nodes for site in (ACTION, FUTURE)):
        return  # reading the site reports that it is missing
    sites = latent_sites(model.name, nodes, len(state))
    model.latent_names = frozenset(sites.names)
    if not sites.names:
        return
    if len(state) > 1:
        _require_one_shape(model, policy, state[:1], sites)
    example = (state[:1], nodes[ACTION]["value"][:1], nodes[FUTURE]["value"][:1])
    particles = whole("particles", getattr(model.program, "particles", PARTICLES), 1, 2**20)
    latents = Latents(model, sites, particles, example).to(state.device)
    if getattr(model.program, "latent_guide", None) is not None:
        _add_source(latents, "latent_guide", policy)
    rest = [name for name in sites.shared if name not in latents.guided(sites.shared)]
    if rest and getattr(model.program, "autoguide", None) is not None:
        latents.autoguide = _built(model, policy, latents.some_state, rest)
        model.add_local(latents.autoguide)
        _add_source(latents, "autoguide", policy)
    model.latents = latents
    model.eval_all()
    _choose_mode(latents, policy)


def _require_one_shape(model: Model, policy: Policy, state: Tensor, sites: LatentSites) -> None:
    """Raise `ProgramError` if the shape of a shared site is another one on one example `[1, ...]`."""
    if not sites.shapes:
        return
    with poutine.block(), torch.no_grad(), poutine.trace() as trace:
        model(policy, state)
    alone = trace.trace.nodes
    for name, shape in sites.shapes.items():
        if name not in alone or getattr(alone[name]["value"], "shape", None) != shape:
            raise ProgramError(
                f'Expected the latent site "{name[:40]}" of {model.name} to have one shape for all batches, as it is '
                f"outside the batch plate, but it has one value for each example; sample it inside the pyro.plate of "
                '"action" and "future".'
            )


def bind_guide(guide: Guide, model: Model, policy: Policy, nodes: Nodes) -> None:
    """Let a guide whose run has the sample sites `nodes` sample latent sites of the model.

    Raises:
        ProgramError: the guide samples a site that the model does not have, or one inside the batch plate before
            "action", or neither it nor the model samples a site that cannot be summed out.
    """
    names = [name for name, node in nodes.items() if _unobserved(node)]
    latents = model.latents
    if latents is None and not names:
        guide.latent_names = frozenset()
        return
    _require_known(guide, model, names)
    assert latents is not None
    _require_action_first(guide, nodes, latents.sites.local + latents.sites.finite)
    before = dict(latents.sources)
    latents.hold(guide, tuple(names))
    guide.latent_names = frozenset(names)
    missing = [n for n in (*latents.sites.local, *latents.sites.shared) if n not in latents.guided(latents.sites.names)]
    if missing:
        kind = "local" if missing[0] in latents.sites.local else "shared"
        also = "latent_guide" if kind == "local" else "latent_guide or autoguide"
        raise ProgramError(
            f'Expected a guide of the latent site "{missing[0][:40]}" of {model.name}, but {guide.name} does not '
            f'sample it; sample it there after "action", or give the model an attribute {also}.'
        )
    if latents.sources != before:
        _choose_mode(latents, policy)


def _require_known(guide: Guide, model: Model, names: list[str]) -> None:
    known = () if model.latents is None else model.latents.sites.names
    for name in names:
        if name not in known:
            raise ProgramError(
                f'Expected {model.name} to sample the site "{name[:40]}", as {guide.name} does, but it has '
                f"{quoted_names((ACTION, FUTURE, *known))}; sample it in the model, or leave it out of the guide."
            )


def _require_action_first(guide: Guide, nodes: Nodes, names: tuple[str, ...]) -> None:
    for name in nodes:
        if name == ACTION:
            return
        if name in names:
            raise ProgramError(
                f'Expected {guide.name} to sample "action" before the latent site "{name[:40]}", since q(a|s, F) is '
                f"read there, but it samples it after; write q(a|s, F) q({name[:20]}|s, a, F)."
            )


def _unobserved(node: Mapping[str, Any]) -> bool:
    return not node["is_observed"] and node["name"] != ACTION and not (node["infer"] or {}).get("is_auxiliary")


def _add_source(latents: Latents, source: str, policy: Policy) -> None:
    """Run a guide of the model's own and note which latent sites it samples."""
    with torch.no_grad():
        nodes = latents.recorded(source, policy).sites
    names = tuple(name for name, node in nodes.items() if _unobserved(node))
    unknown = [name for name in names if name not in latents.sites.names]
    if unknown:
        raise ProgramError(
            f"Expected {source} of {latents.model.name} to sample only its latent sites "
            f'{quoted_names(latents.sites.names)}, but it samples "{unknown[0][:40]}"; sample that in the model too.'
        )
    latents.sources[source] = names


def _built(model: Model, policy: Policy, state: Tensor, names: list[str]) -> nn.Module:
    """Return the autoguide of the shared sites `names`, built and run once."""
    try:
        with pyro.settings.context(module_local_params=True):
            guide: nn.Module = model.program.autoguide(Exposed(model.program, tuple(names)))  # type: ignore[attr-defined]
            with poutine.block():
                model.isolated(guide, policy, state)
    except GioError:
        raise
    except Exception as error:
        raise ProgramError(
            f"Expected autoguide of {model.name} to build a guide of {quoted_names(names)}, but it raised "
            f"{describe_error(error, 120)}; give one of pyro.infer.autoguide."
        ) from error
    return guide


class Exposed:
    """A program of which only some sites are visible, as `pyro.poutine.block(expose=...)` makes it; can be pickled."""

    def __init__(self, program: Any, names: tuple[str, ...]) -> None:
        self.program, self.names = program, names

    def __call__(self, *args: Any) -> Any:
        """Run the program."""
        with poutine.block(expose=list(self.names)):
            return self.program(*args)


@torch.no_grad()
def _choose_mode(latents: Latents, policy: Policy) -> None:
    """Create the kept noise, and let programs run once for all draws if that gives the same as one run for each."""
    latents.noise = KeptNoise(latents.particles, latents.sites.local, latents.some_state.device)
    latents.vectorised = latents.vectorised_draws = False
    state = latents.some_state.repeat(EXAMPLES, *[1] * (latents.some_state.ndim - 1))
    action = policy(state).sample()
    said = latents.model.future(policy, state, action)
    latents.finite_future, future = said.has_enumerate_support, said.sample()
    draws = latents.shared_draws(policy)
    scores = latents.log_weights(policy, state, action, future)
    latents.vectorised_draws = True
    if draws and not _same(lambda: latents.shared_draws(policy), draws):
        latents.vectorised_draws = False
    latents.vectorised = True
    if not _same(lambda: {"": latents.log_weights(policy, state, action, future)}, {"": scores}):
        latents.vectorised = False


def _same(run: Callable[[], Mapping[str, Tensor]], expected: Mapping[str, Tensor]) -> bool:
    with suppress(Exception):
        found = run()
        return all(
            found[name].shape == value.shape and torch.allclose(found[name], value, rtol=1e-4, atol=1e-5)
            for name, value in expected.items()
        )
    return False
