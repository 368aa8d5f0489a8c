"""Sample sites: which statements of a program are sites, and errors for those that must not be there."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import pyro.distributions as dist
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.distributions.unit import Unit
from torch.distributions import Independent

from gio_pyro.errors import ProgramError

ACTION, FUTURE = "action", "future"

Node = Mapping[str, Any]
"""One statement: a Pyro message while the program runs, or a node of a trace."""


def is_plate(node: Node) -> bool:
    """Return whether a statement is the subsample of a plate, which is not scored."""
    return type(node["fn"]).__name__ == "_Subsample"


def is_recorded(node: Node) -> bool:
    """Return whether a statement is `pyro.deterministic`, which records a value without sampling."""
    return bool((node["infer"] or {}).get("_deterministic"))


def require_only(
    program: str, nodes: Iterable[Node], sites: Iterable[str], latents: Container[str] | None = frozenset()
) -> None:
    """Raise `ProgramError` if a program has a statement other than the given sites and latent sites.

    `latents` are names of latent sites; None allows any. Auxiliary sites of Pyro's guides are always allowed.
    """
    for node in nodes:
        known = latents is None or node["name"] in latents or (node["infer"] or {}).get("is_auxiliary")
        if node["name"] not in sites and not (is_latent(node) and known):
            raise ProgramError(
                f"Expected {program} to sample only {quoted_names(sites)}, but it also {_extra(node, sites)}."
            )


def is_latent(node: Node) -> bool:
    """Return whether a statement samples an unobserved site, plates and factors left out."""
    return not node["is_observed"] and not isinstance(node["fn"], Unit) and not is_plate(node)


def require_distribution(program: str, node: Node) -> None:
    """Raise `ProgramError` unless a site is sampled from a Pyro distribution."""
    if is_recorded(node):
        raise ProgramError(
            f'Expected {program} to sample the site "{node["name"]}", but pyro.deterministic only records a number, '
            "which has no probability; draw it from a distribution."
        )
    _require_pyro(program, node["name"], node["fn"])


def quoted_names(sites: Iterable[str]) -> str:
    """Return quoted names of sites, for messages."""
    return ", ".join(f'"{site}"' for site in sorted(sites)) or "nothing"


def _extra(node: Node, sites: Iterable[str]) -> str:
    """Return what an unexpected statement does, and what to do instead."""
    name = f'"{str(node["name"])[:40]}"'
    instead = "give the model an evidence that adds it" if FUTURE in sites else "leave it out"
    if isinstance(node["fn"], Unit):
        return f"has the factor {name}, and only the sites' own densities are read; {instead}"
    if node["is_observed"]:
        return f"observes {name}, and only the sites' own densities are read; {instead}"
    return f"samples {name} only on some runs; sample the same sites on every run"


def _require_pyro(program: str, site: str, found: Any) -> None:
    inner = found
    while isinstance(inner, Independent) and isinstance(inner, TorchDistributionMixin):
        inner = inner.base_dist
    if isinstance(inner, TorchDistributionMixin):
        return
    kind = type(inner)
    if kind.__module__.startswith("torch.distributions"):
        known = kind.__name__ if hasattr(dist, kind.__name__) else "TorchDistribution"
        got, instead = f"torch.distributions.{kind.__name__}", f"pyro.distributions.{known}"
    else:
        got, instead = f"one of type {kind.__name__}", "one of pyro.distributions"
    raise ProgramError(
        f'Expected the site "{site}" of {program} to have a distribution of Pyro, but got {got}; take {instead}.'
    )
