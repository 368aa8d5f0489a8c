"""Leave-one-out cross-validation of a model that has a posterior over its weights.

    elpd = Σ_i log p(F_i|s_i, a_i, D without i),    p(F_i|…, D without i) ≈ 1 / mean_w [ 1 / p(F_i|s_i, a_i, w) ]

with w from the posterior given all data D: importance sampling, smoothed (PSIS; Vehtari, Gelman and Gabry, 2017). It
takes weights that all transitions share, so that one transition moves their posterior little. The action is no such
variable: it belongs to one transition, which leaves it without data when it is left out. With a ~ p(a|s, F) the same
formula is the harmonic mean estimate of p(F|s) (Newton and Raftery, 1994), and the ratios 1 / p(F|s, a) of one normal
action, whose F holds I nats about it, have a tail of shape

    k = (1 − exp(−2 I)) · (scale of the guide / scale of the posterior)²

which is near 1 where F tells the action, and above 1 where the guide is too wide as well. Such k-hats say nothing about
the model. Nor has a model with one setting of its weights a posterior that leaving one out could move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gio_pyro.data.training_batches import unweighted_batch
from gio_pyro.diagnostics.arviz_versions import GOOD_K, elpd_data, has_data_tree, smoothed_weights
from gio_pyro.diagnostics.evidence import Triples, judging
from gio_pyro.diagnostics.weight_draws import has_weight_draws, weight_log_likelihood
from gio_pyro.errors import InputError
from gio_pyro.programs import Model

if TYPE_CHECKING:
    from gio_pyro.agent import GIO


def note(agent: GIO) -> str:
    """Return what leave-one-out says of the model, or why it is not defined, in a sentence or two."""
    if not is_defined(agent.model):
        return (
            "Leave-one-out cross-validation (arviz.loo) is not defined for this model, which has one setting of its "
            "weights and not a posterior over them. Draws of the action cannot stand in: it belongs to one transition, "
            "and k-hat is near 1 wherever the future tells the action, whether the model is right or not."
        )
    if not len(agent.replay):
        return "Leave-one-out cross-validation needs transitions, and the replay is empty."
    found = leave_one_out(agent)
    share = float((found["pareto_k"].values > GOOD_K).mean())
    score = float(found["elpd" if has_data_tree() else "elpd_loo"]) / found["n_data_points"]
    return (
        f"Leave-one-out cross-validation over the model's weights, on {found['n_data_points']} replayed transitions: "
        f"{score:.2f} nats each; k-hat is above {GOOD_K} for {share:.0%} of them."
    )


def is_defined(model: Model) -> bool:
    """Return whether a model is an ensemble or has a posterior over weights."""
    return has_weight_draws(model) or hasattr(model.program, "beliefs")


def leave_one_out(agent: GIO, *, transitions: int = 200, draws: int = 1_000) -> Any:
    """Return the leave-one-out score of the model on replayed transitions, for `arviz.compare`; nats.

    Compare agents by `arviz.compare({"a": leave_one_out(a), "b": leave_one_out(b)})` where both have the same data.
    The members of an ensemble are taken as its whole posterior, so that no tail is estimated and k-hat is minus
    infinity.

    Args:
        agent: a trained agent, whose model is an ensemble or has a posterior over weights.
        transitions: number of transitions drawn from replay.
        draws: of the weights.

    Returns:
        `ELPDData` of arviz, with the score and k-hat of each transition.

    Raises:
        InputError: the model has neither, or the replay is empty.
    """
    if not is_defined(agent.model):
        raise InputError(
            f"Expected a model with a posterior over its weights, but {agent.model.name} has one setting of them, "
            "which leaving out a transition does not move; take BayesianModel or EnsembleModel."
        )
    with judging(agent):
        rows, future = unweighted_batch(agent.future, agent.replay, agent.policy, agent.spec.state_space, transitions)
        found = weight_log_likelihood(agent, Triples(rows.state, rows.action, future), draws)
        members = found is None
        if found is None:
            found = agent.model.beliefs(rows.state, rows.action).log_prob(future)
    return scored(found.double().cpu().numpy(), atoms=members)


def scored(log_likelihood: np.ndarray, *, atoms: bool = False) -> Any:
    """Return the leave-one-out score of log-likelihoods `[S, N]` as `ELPDData`.

    Args:
        log_likelihood: log p(F_i|s_i, a_i, w_s), nats.
        atoms: whether the S weights are the whole posterior, not draws of it.
    """
    draws = len(log_likelihood)
    each = torch.from_numpy(log_likelihood)
    log_weight, k = smoothed_weights(-log_likelihood, smooth=not atoms)
    pointwise = torch.logsumexp(torch.from_numpy(log_weight) + each, 0).numpy()
    predictive = (torch.logsumexp(each, 0) - np.log(draws)).numpy()
    return elpd_data(pointwise, draws, k, float((predictive - pointwise).sum()))
