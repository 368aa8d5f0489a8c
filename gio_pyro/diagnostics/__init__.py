"""Know whether to believe a number: the agent beside the exact tier, and its programs in arviz."""

from gio_pyro.diagnostics.exact import ExactReport, compare_with_exact, exact_world, fitted_channel, policy_table
from gio_pyro.diagnostics.inference_data import affordable, to_arviz
from gio_pyro.diagnostics.verdict import Verdict, judge

__all__ = [
    "ExactReport",
    "Verdict",
    "affordable",
    "compare_with_exact",
    "exact_world",
    "fitted_channel",
    "judge",
    "policy_table",
    "to_arviz",
]
