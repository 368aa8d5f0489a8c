"""Diagnostics: verdicts on model, guide and information, comparison with exact values, and export to arviz."""

from gio_pyro.diagnostics.belief_data import beliefs_to_arviz
from gio_pyro.diagnostics.bounds import Bounds, bounds, k_hats
from gio_pyro.diagnostics.evidence import Triples
from gio_pyro.diagnostics.exact import ExactReport, compare_with_exact, exact_world, fitted_channel, policy_table
from gio_pyro.diagnostics.filter_evidence import Episodes
from gio_pyro.diagnostics.filter_questions import FilterReport, diagnose_filter
from gio_pyro.diagnostics.inference_data import affordable, to_arviz
from gio_pyro.diagnostics.latent_slack import LatentSlack, latent_slack
from gio_pyro.diagnostics.leave_one_out import leave_one_out
from gio_pyro.diagnostics.posterior_comparison import PosteriorComparison, reference_posterior
from gio_pyro.diagnostics.questions import (
    K_HAT,
    K_HAT_SHARE,
    LOST,
    RANK_NATS,
    RANK_SPREAD,
    SURPRISE,
    UNCERTIFIED,
    Diagnosis,
    diagnose,
    require_experience,
)
from gio_pyro.diagnostics.uniformity import Uniformity, quantiles
from gio_pyro.diagnostics.verdict import FILTER, GUIDE, INFORMATION, MODEL, Verdict, judge
from gio_pyro.diagnostics.whiteness import Whiteness, whiteness
from gio_pyro.diagnostics.words import words

__all__ = [
    "FILTER",
    "GUIDE",
    "INFORMATION",
    "K_HAT",
    "K_HAT_SHARE",
    "LOST",
    "MODEL",
    "RANK_NATS",
    "RANK_SPREAD",
    "SURPRISE",
    "UNCERTIFIED",
    "Bounds",
    "Diagnosis",
    "Episodes",
    "ExactReport",
    "FilterReport",
    "LatentSlack",
    "PosteriorComparison",
    "Triples",
    "Uniformity",
    "Verdict",
    "Whiteness",
    "affordable",
    "beliefs_to_arviz",
    "bounds",
    "compare_with_exact",
    "diagnose",
    "diagnose_filter",
    "exact_world",
    "fitted_channel",
    "judge",
    "k_hats",
    "latent_slack",
    "leave_one_out",
    "policy_table",
    "quantiles",
    "reference_posterior",
    "require_experience",
    "to_arviz",
    "whiteness",
    "words",
]
