"""Draw from a model and its guide as whole Pyro programs, and score both at the same values of every latent site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.programs import detached
from gio_pyro.programs.sites import FUTURE, is_plate, is_recorded
from gio_pyro.types import Policy, PyroProgram

AT_ONCE = 65_536
"""Approximate number of examples that a program scores in one call."""


@dataclass(frozen=True)
class Scored:
    """K draws of the latent sites of each of N examples, and their log-densities."""

    values: dict[str, Tensor]
    """The action and every other latent site, `[K, N, ...]` each."""
    log_prior: Tensor
    """`[K, N]` nats: log π(a|s), plus the log-density of the model's other latent sites."""
    log_likelihood: Tensor
    """`[K, N]` nats: log p_ψ(F|s, a, z)."""
    log_guide: Tensor
    """`[K, N]` nats: log q(a, z|s, F); sites that the guide does not sample have their prior."""

    @property
    def log_joint(self) -> Tensor:
        """The joint density, log p(F, a, z|s), `[K, N]` nats."""
        return self.log_prior + self.log_likelihood

    @property
    def log_weight(self) -> Tensor:
        """The log-weight, log p(F, a, z|s) − log q(a, z|s, F), `[K, N]` nats; the ELBO is its mean over draws of q."""
        return self.log_joint - self.log_guide

    def numbers(self) -> dict[str, Tensor]:
        """Return the log-densities by the name that they have in `sample_stats`."""
        return {"log_p": self.log_likelihood, "log_q": self.log_guide, "log_pi": self.log_prior, "lp": self.log_joint}

    def map(self, change: Any) -> Scored:
        """Return the draws with a function applied to each tensor."""
        values = {name: change(value) for name, value in self.values.items()}
        return Scored(values, change(self.log_prior), change(self.log_likelihood), change(self.log_guide))

    def pick(self, index: Tensor) -> Scored:
        """Return the draws `[D, N]` of indices `[D, N]` into K."""
        rows = torch.arange(index.shape[1], device=index.device)
        return self.map(lambda tensor: tensor[index, rows])


def joined(parts: list[Scored]) -> Scored:
    """Return draws one after the other."""

    def cat(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    values = {name: torch.cat([part.values[name] for part in parts]) for name in parts[0].values}
    return Scored(values, cat("log_prior"), cat("log_likelihood"), cat("log_guide"))


@dataclass(frozen=True)
class Pair:
    """A model and a guide at N examples of a state and a future."""

    model: PyroProgram
    """`(policy, state, future)`, such as a `Model`; see `posterior_programs`."""
    guide: PyroProgram
    """`(policy, state, future)`."""
    policy: Policy
    state: Tensor
    """`[N, ...]`."""
    future: Tensor
    """`[N, ...]`."""

    def __len__(self) -> int:
        return len(self.state)

    def from_guide(self, count: int) -> Scored:
        """Return `count` draws of the guide for each example."""
        return joined([self._run(part, {}, guide_first=True) for part in self._parts(count)])

    def from_prior(self, count: int) -> Scored:
        """Return `count` draws of the model's own prior for each example."""
        return joined([self._run(part, {}, guide_first=False) for part in self._parts(count)])

    def at(self, values: Mapping[str, Tensor]) -> Scored:
        """Score given values of every latent site, `[K, N, ...]` each."""
        count = len(next(iter(values.values())))
        split = {name: value.split(self._parts(count)[0]) for name, value in values.items()}
        found = []
        for i, part in enumerate(self._parts(count)):
            given = {name: pieces[i].flatten(0, 1) for name, pieces in split.items()}
            found.append(self._run(part, given, guide_first=True))
        return joined(found)

    def repeated(self, count: int) -> Pair:
        """Return the pair with the examples repeated, `[count · N]`."""
        state, future = (x.expand(count, *x.shape).flatten(0, 1) for x in (self.state, self.future))
        return Pair(self.model, self.guide, self.policy, state, future)

    def conditioned(self) -> Any:
        """Return the model as a program without arguments, its future observed: what `pyro.infer.MCMC` runs."""
        policy = detached(self.policy)
        observed = poutine.condition(self.model, data={FUTURE: self.future})
        return lambda: observed(policy, self.state, self.future)

    def _parts(self, count: int) -> list[int]:
        size = max(1, AT_ONCE // len(self))
        whole, rest = divmod(count, size)
        return [size] * whole + [rest] * bool(rest)

    def _run(self, count: int, given: Mapping[str, Tensor], *, guide_first: bool) -> Scored:
        """Run both programs on every example `count` times, the second at the values that the first has drawn."""
        pair = self.repeated(count)
        args = (detached(self.policy), pair.state, pair.future)
        with poutine.block():
            if guide_first:
                q = _densities(self.guide, given, *args)
                p = _densities(self.model, {**given, **q.values, FUTURE: pair.future}, *args)
            else:
                p = _densities(self.model, {**given, FUTURE: pair.future}, *args)
                q = _densities(self.guide, {n: v for n, v in p.values.items() if n != FUTURE}, *args)
        prior = {name: nats for name, nats in p.log_prob.items() if name != FUTURE}
        unguided = [nats for name, nats in prior.items() if name not in q.log_prob]
        found = Scored(
            {name: p.values[name] for name in prior},
            torch.stack(list(prior.values())).sum(0),
            p.log_prob[FUTURE],
            torch.stack([*q.log_prob.values(), *unguided]).sum(0),
        )
        return found.map(lambda tensor: tensor.unflatten(0, (count, len(self))))


def shared_site(name: str) -> InputError:
    """Return the error for a latent site that is not one of each example."""
    return InputError(
        f'Expected latent sites of each example, but "{name[:40]}" is shared by all of them; the posterior of one '
        "example does not define it."
    )


@dataclass(frozen=True)
class _Run:
    values: dict[str, Tensor]
    log_prob: dict[str, Tensor]
    """`[B]` nats, float64, of each site."""


def _densities(program: PyroProgram, given: Mapping[str, Tensor], policy: Policy, *args: Tensor) -> _Run:
    """Run a program at given values of its sites, the others drawn, and return the log-density of each site."""
    trace = poutine.trace(poutine.condition(program, data=dict(given))).get_trace(policy, *args)
    trace.compute_log_prob()
    values: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, node in trace.nodes.items():
        if node["type"] != "sample" or is_plate(node) or is_recorded(node):
            continue
        if node["unscaled_log_prob"].shape != args[0].shape[:1]:
            raise shared_site(name)
        values[name], found[name] = node["value"], node["unscaled_log_prob"].double()
    return _Run(values, found)
