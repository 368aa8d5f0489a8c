"""Compare a guide with a reference posterior of the same programs, for arviz."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from gio_pyro.data.training_batches import unweighted_batch
from gio_pyro.diagnostics.arviz_versions import effective_sizes, elpd_data, grouped, r_hats
from gio_pyro.diagnostics.datasets import dataset
from gio_pyro.diagnostics.dimension_names import action_names, future_names, observation_names
from gio_pyro.diagnostics.evidence import Triples, judging
from gio_pyro.diagnostics.posterior_programs import posterior_programs
from gio_pyro.diagnostics.program_pair import Pair, Scored
from gio_pyro.diagnostics.reference_methods import Estimate, Reference, Size, enumeration, importance, nuts
from gio_pyro.errors import InputError, shown
from gio_pyro.programs import frozen_parameters
from gio_pyro.utils.text import table

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

METHODS = MappingProxyType({"enumeration": enumeration, "importance": importance, "nuts": nuts})
LEAST = MappingProxyType({"transitions": 1, "chains": 2, "draws": 4, "proposals": 100, "warmup": 10})
"""Least values of the arguments of `reference_posterior`."""


@dataclass(frozen=True)
class PosteriorComparison:
    """A guide beside the reference posterior p(a, z|s, F) at N examples; nats, with standard errors of the estimates.

    All draws are at the same examples, so the standard errors are those of the Monte Carlo estimates alone, and 0 where
    actions are enumerated.
    """

    method: str
    """"enumeration", "importance" or "nuts"."""
    reference: Any
    """Draws of the reference posterior, as `to_arviz` returns them: groups posterior, sample_stats, observed_data and
    constant_data."""
    guide: Any
    """As many draws of the guide, in the same groups."""
    log_evidence: np.ndarray
    """`[N]`: log p_ψ(F|s)."""
    log_evidence_error: np.ndarray
    elbo: np.ndarray
    """`[N]`: the guide's evidence lower bound."""
    elbo_error: np.ndarray
    forward_kl: np.ndarray
    """`[N]`: KL(p ‖ q), which the lower bound on mutual information loses."""
    forward_kl_error: np.ndarray
    r_hat: np.ndarray
    """`[N]`: R-hat of the reference, the largest over the dimensions of every latent site."""
    ess: np.ndarray
    """`[N]`: effective number of draws of the reference, the smallest over these dimensions; of weighted draws for
    "importance"."""

    @property
    def amortisation_gap(self) -> np.ndarray:
        """KL(q ‖ p) of each example, `[N]`: log evidence minus ELBO."""
        found: np.ndarray = self.log_evidence - self.elbo
        return found

    @property
    def amortisation_gap_error(self) -> np.ndarray:
        """Standard errors of the amortisation gap, `[N]`."""
        found: np.ndarray = np.hypot(self.log_evidence_error, self.elbo_error)
        return found

    @property
    def elpd(self) -> dict[str, Any]:
        """Evidence and ELBO as two `ELPDData` for `arviz.compare`: the difference is the amortisation gap, summed."""
        draws = self.reference.posterior.sizes["chain"] * self.reference.posterior.sizes["draw"]
        return {"reference": elpd_data(self.log_evidence, draws), "guide": elpd_data(self.elbo, draws)}

    def __str__(self) -> str:
        """Return the means over the examples as a table."""
        rows = [("examples", f"{len(self.elbo)}"), ("reference", self.method)]
        for name, nats, error in (
            ("log evidence", self.log_evidence, self.log_evidence_error),
            ("ELBO of the guide", self.elbo, self.elbo_error),
            ("amortisation gap, KL(q || p)", self.amortisation_gap, self.amortisation_gap_error),
            ("KL(p || q)", self.forward_kl, self.forward_kl_error),
        ):
            mean, its_error = nats.mean(), math.sqrt(float((error**2).sum())) / len(nats)
            rows.append((name, f"{mean:.4f} ± {its_error:.2g} nats" if its_error else f"{mean:.4f} nats"))
        rows.append(("R-hat, largest", f"{self.r_hat.max():.3f}"))
        rows.append(("effective draws, fewest", f"{self.ess.min():.0f}"))
        return table(rows)


def reference_posterior(
    agent: GIO,
    method: str | None = None,
    *,
    triples: Triples | None = None,
    transitions: int = 16,
    chains: int = 4,
    draws: int = 500,
    proposals: int = 4_000,
    warmup: int = 300,
    jit_compile: bool = False,
) -> PosteriorComparison:
    """Compare the guide with a reference posterior of the agent's own model and policy; the agent is not changed.

        method          posterior p(a, z|s, F)                                   log evidence        for
        "enumeration"   exact                                                    exact               finite actions
        "importance"    `pyro.infer.Importance`, half of the proposals from      mean weight         any actions
                        the guide and half from the prior
        "nuts"          `pyro.infer.NUTS` on the model, its future observed      bridge sampling     continuous actions

    Local latent sites of the model are further variables of the result. Finite ones are summed out, and shared ones
    averaged over their kept draws, as everywhere (`Model.log_prob`).

    Args:
        agent: a trained agent.
        method: one of these; by default enumeration of finite actions, and importance otherwise.
        triples: the examples; by default transitions drawn from replay. Their actions are exported, not used.
        transitions: number of examples to draw from replay.
        chains: of the reference and of the guide, at least 2; those of "enumeration" and the guide are independent.
        draws: of each chain.
        proposals: weighted draws of each chain ("importance").
        warmup: adaptation steps of each chain ("nuts").
        jit_compile: trace the model once, as Pyro's `NUTS` has it: three times as fast, for programs without branches
            that depend on their values.

    Raises:
        InputError: a number is out of range, the method does not fit the programs, or the replay is empty.
    """
    numbers = {
        "transitions": transitions, "chains": chains, "draws": draws, "proposals": proposals, "warmup": warmup,
    }  # fmt: skip
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < LEAST[name]:
            raise InputError(
                f"Expected {name} to be a whole number of {LEAST[name]} at least, but got {shown(number)}."
            )
    if method is not None and method not in METHODS:
        raise InputError(f"Expected a method of {', '.join(METHODS)}, but got {shown(method)}.")
    with judging(agent), frozen_parameters(agent.model):
        rows = _replayed(agent, transitions) if triples is None else triples
        pair = Pair(*posterior_programs(agent.model, agent.guide), agent.policy, rows.state, rows.future)
        if method is None:
            method = "enumeration" if _enumerable(pair) else "importance"
        found = METHODS[method](pair, Size(chains, draws, proposals, warmup, jit_compile))
    return _compared(agent, method, rows, found, chains)


def _replayed(agent: GIO, count: int) -> Triples:
    rows, future = unweighted_batch(agent.future, agent.replay, agent.policy, agent.spec.state_space, count)
    return Triples(rows.state, rows.action, future)


def _enumerable(pair: Pair) -> bool:
    return bool(pair.policy(pair.state).has_enumerate_support) and set(pair.from_prior(1).values) == {"action"}


def _compared(agent: GIO, method: str, rows: Triples, found: Reference, chains: int) -> PosteriorComparison:
    posterior = _by_chain(found.posterior.values, chains)
    sites = [value.reshape(*value.shape[:3], -1) for value in posterior.values()]
    each = np.concatenate(sites, -1).astype(float)
    flat, shape = each.reshape(*each.shape[:2], -1), each.shape[2:]
    ess = effective_sizes(flat).reshape(shape).min(-1) if found.effective is None else _array(found.effective)

    def of(estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
        return _array(estimate.value), _array(estimate.error)

    return PosteriorComparison(
        method,
        _exported(agent, rows, posterior, found.posterior, chains, found.statistics),
        _exported(agent, rows, _by_chain(found.guide.values, chains), found.guide, chains, {}),
        *of(found.log_evidence),
        *of(found.elbo),
        *of(found.forward),
        r_hat=r_hats(flat).reshape(shape).max(-1),
        ess=ess,
    )


def _exported(
    agent: GIO,
    rows: Triples,
    posterior: dict[str, np.ndarray],
    scored: Scored,
    chains: int,
    statistics: dict[str, Tensor],
) -> Any:
    """Return the groups for arviz."""
    names = {"state": observation_names(agent), "action": action_names(agent), "future": future_names(agent)}
    scores = _by_chain(scored.numbers(), chains)
    sets = {
        "posterior": dataset(posterior, ["chain", "draw"], names),
        "sample_stats": dataset(scores, ["chain", "draw"], names),
        "observed_data": dataset({"future": _array(rows.future)}, [], names),
        "constant_data": dataset({"state": _array(rows.state), "action": _array(rows.action)}, [], names),
    }
    for name, values in _by_chain(statistics, chains).items():
        sets["sample_stats"][name] = (("chain", "draw"), values)
    return grouped(sets, {"inference_library": "gio_pyro"})


def _by_chain(values: dict[str, Tensor], chains: int) -> dict[str, np.ndarray]:
    return {name: _array(value.unflatten(0, (chains, -1))) for name, value in values.items()}


def _array(tensor: Tensor) -> np.ndarray:
    found: np.ndarray = tensor.detach().cpu().numpy()
    return found
