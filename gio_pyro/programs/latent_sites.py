"""Latent sites of a model: its sample sites beside "action" and "future", by how they are integrated out.

finite   inside the batch plate, enumerable: summed out
local    inside the batch plate, reparameterised: importance-weighted draws from a guide
shared   outside the batch plate, one value for all examples, such as weights: draws of a guide, kept
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pyro.distributions.unit import Unit
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.errors import ProgramError
from gio_pyro.programs.sites import ACTION, FUTURE, quoted_names

MOST_BRANCHES = 256
"""Largest number of combinations of values of finite latent sites that is enumerated."""


@dataclass(frozen=True)
class LatentSites:
    """Names of the latent sites of a model, in the order in which it samples them."""

    support: Mapping[str, Tensor] = field(default_factory=dict)
    """The values `[n, ...]` of each finite site."""
    local: tuple[str, ...] = ()
    shapes: Mapping[str, torch.Size] = field(default_factory=dict)
    """The shape of the value of each shared site."""

    @property
    def finite(self) -> tuple[str, ...]:
        """Names of the finite sites."""
        return tuple(self.support)

    @property
    def shared(self) -> tuple[str, ...]:
        """Names of the shared sites."""
        return tuple(self.shapes)

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (*self.finite, *self.local, *self.shared)

    @property
    def branches(self) -> int:
        """Number of combinations of values of the finite sites."""
        return math.prod(len(values) for values in self.support.values())

    def combinations(self) -> dict[str, Tensor]:
        """Return the value of each finite site in every combination, `[branches, ...]`."""
        if not self.support:
            return {}
        index = torch.cartesian_prod(*(torch.arange(len(values)) for values in self.support.values()))
        index = index.reshape(self.branches, len(self.support))
        return {
            name: values[column.to(values.device)]
            for (name, values), column in zip(self.support.items(), index.T, strict=True)
        }


def latent_sites(program: str, nodes: Mapping[str, Mapping[str, Any]], batch: int) -> LatentSites:
    """Return the latent sites among the sample sites `nodes` of a run on `batch` examples.

    Raises:
        ProgramError: a site cannot be integrated out, or is outside the batch plate with one value for each example.
    """
    plates = {frame.name for frame in nodes[FUTURE]["cond_indep_stack"] if frame.vectorized}
    local, shapes, support = [], {}, {}
    seen: set[str] = set()
    for name, node in nodes.items():
        seen.add(name)
        if name in (ACTION, FUTURE) or node["is_observed"] or isinstance(node["fn"], Unit):
            continue
        at, fn = f'the latent site "{str(name)[:40]}" of {program}', node["fn"]
        if FUTURE in seen:
            raise ProgramError(f'Expected {at} to be sampled before "future", but it is sampled after it; move it up.')
        inside = bool(plates & {frame.name for frame in node["cond_indep_stack"]})
        if not inside and tuple(fn.batch_shape) == (batch,) and batch > 1:
            raise ProgramError(
                f"Expected {at} to be inside the batch plate, as it has one value for each example, but it is outside; "
                'sample it inside the pyro.plate of "action" and "future".'
            )
        _require_integrable(at, fn, inside)
        if not inside:
            shapes[name] = node["value"].shape
        elif fn.has_enumerate_support:
            support[name] = _support(at, fn)
        else:
            local.append(name)
    found = LatentSites(support, tuple(local), shapes)
    if found.branches > MOST_BRANCHES:
        raise ProgramError(
            f"Expected at most {MOST_BRANCHES} combinations of the finite latent sites {quoted_names(support)} of "
            f"{program}, but got {found.branches}; use fewer, or continuous ones with a guide."
        )
    return found


def _require_integrable(at: str, fn: Distribution, inside: bool) -> None:
    if inside and fn.has_enumerate_support:
        return
    if not fn.has_rsample:
        got = f"a {type(fn).__name__} {'inside' if inside else 'outside'} the batch plate"
        raise ProgramError(
            f"Expected {at} to be reparameterised, or finite and inside the batch plate to be enumerated, but got "
            f"{got}; take another distribution, such as a Categorical or a Normal."
        )


def _support(at: str, fn: Distribution) -> Tensor:
    """Return the values of a finite site, `[n, *event_shape]`."""
    try:
        values = fn.enumerate_support(expand=False)
    except NotImplementedError as error:
        raise ProgramError(f"Expected {at} to be enumerable, but it is not: {error}; take a Categorical.") from error
    return values.reshape(len(values), *fn.event_shape)
