"""Guides q_φ(a|s, F): Pyro programs that sample "action" given state and future."""

from gio_pyro.guides.autoregressive import AutoregressiveGuide, AutoregressiveSequenceGuide
from gio_pyro.guides.bayes import BayesGuide
from gio_pyro.guides.categorical import CategoricalGuide, CategoricalNetworkGuide
from gio_pyro.guides.flow import FlowGuide
from gio_pyro.guides.forward import CategoricalFilter, ForwardFilter
from gio_pyro.guides.gaussian import GaussianGuide
from gio_pyro.guides.kalman import GaussianFilter, KalmanFilter
from gio_pyro.guides.mixture import MixtureGuide
from gio_pyro.guides.priors import HabitGuide, MarginalGuide, MovingMarginalGuide, UniformGuide
from gio_pyro.guides.recurrent import RecurrentFilter
from gio_pyro.guides.sequence import SequenceGuide

__all__ = [
    "AutoregressiveGuide",
    "AutoregressiveSequenceGuide",
    "BayesGuide",
    "CategoricalFilter",
    "CategoricalGuide",
    "CategoricalNetworkGuide",
    "FlowGuide",
    "ForwardFilter",
    "GaussianFilter",
    "GaussianGuide",
    "HabitGuide",
    "KalmanFilter",
    "MarginalGuide",
    "MixtureGuide",
    "MovingMarginalGuide",
    "RecurrentFilter",
    "SequenceGuide",
    "UniformGuide",
]
