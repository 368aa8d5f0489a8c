"""Dreaming: the policy also learns from transitions that the fitted model imagines.

From replayed states the policy is rolled out in p_ψ for a few steps (Dyna: Sutton, 1990; MBPO: Janner et al., 2019,
arXiv 1906.08253). What an improvement reads is then a mixture,

    (1 − share) · replay + share · d,    d = the first `horizon` steps of π in p_ψ from replayed states,

and everything after it is as ever: dreamed rows are paid, backed up and climbed like real ones, and carry log π as
their log μ. Replay never holds them, and the programs are never fitted to them. What the model does not say, the reward
unless the future holds it, and whether the episode ends, is read from replay (`outcomes`).
"""

from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.build import dreams_of
from gio_pyro.dreaming.network import NetworkDreams, NetworkOutcomes
from gio_pyro.dreaming.outcomes import Counted, Frame, Outcomes
from gio_pyro.dreaming.table import TableDreams

__all__ = ["Counted", "Frame", "NetworkDreams", "NetworkOutcomes", "NoRollouts", "Outcomes", "TableDreams", "dreams_of"]
