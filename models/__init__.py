"""Models p_ψ(F|s, a): Pyro programs that sample "action" from the policy and "future" given state and action."""

from gio_pyro.models.bayesian import BayesianModel
from gio_pyro.models.categorical import CategoricalModel, CategoricalNetworkModel
from gio_pyro.models.dirichlet import DirichletModel
from gio_pyro.models.finite_state_space import FiniteStateSpace
from gio_pyro.models.gaussian import FullGaussianModel, GaussianModel, LowRankGaussianModel
from gio_pyro.models.image import ImageModel
from gio_pyro.models.latent import LatentChannelModel, LinearChannelModel
from gio_pyro.models.linear_state_space import GaussianStateSpace
from gio_pyro.models.mixture import EnsembleModel, MixtureModel
from gio_pyro.models.recurrent_state_space import RecurrentStateSpace
from gio_pyro.models.regime import RegimeModel
from gio_pyro.models.variational import VariationalModel

__all__ = [
    "BayesianModel",
    "CategoricalModel",
    "CategoricalNetworkModel",
    "DirichletModel",
    "EnsembleModel",
    "FiniteStateSpace",
    "FullGaussianModel",
    "GaussianModel",
    "GaussianStateSpace",
    "ImageModel",
    "LatentChannelModel",
    "LinearChannelModel",
    "LowRankGaussianModel",
    "MixtureModel",
    "RecurrentStateSpace",
    "RegimeModel",
    "VariationalModel",
]
