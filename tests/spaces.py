"""One spec of each kind of world, and which programs of this library are for it."""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from gio_pyro import guides, models
from gio_pyro.types import Spec

SMALL = (16,)
"""Hidden units of networks in tests."""


def vector(size: int) -> Box:
    return Box(-np.inf, np.inf, (size,), dtype=np.float32)


def image(side: int, channels: int = 3) -> Box:
    return Box(0, 255, (side, side, channels), dtype=np.uint8)


def spec(states: Any, actions: Any, futures: Any = None) -> Spec:
    """A spec whose futures are states, unless others are given."""
    return Spec(states, actions, states if futures is None else futures, hidden=SMALL)


KINDS = {
    "finite": spec(Discrete(4), Discrete(3), Discrete(5)),
    "vector, discrete": spec(vector(3), Discrete(3)),
    "vector, continuous": spec(vector(3), vector(2)),
    "image, discrete": spec(image(7), Discrete(4)),
    "image, continuous": spec(image(5, 1), vector(2)),
    "vector, continuous, finite futures": spec(vector(3), vector(2), Discrete(5)),
}

FINITE = ["CategoricalModel", "CategoricalNetworkModel"]
REAL = [
    "BayesianModel",
    "EnsembleModel",
    "FullGaussianModel",
    "GaussianModel",
    "LowRankGaussianModel",
    "MixtureModel",
    "RegimeModel",
    "VariationalModel",
]
MODELS = {
    "finite": [*FINITE, "DirichletModel"],
    "vector, discrete": REAL,
    "vector, continuous": [*REAL, "LatentChannelModel", "LinearChannelModel"],
    "image, discrete": [*REAL, "ImageModel"],
    "image, continuous": [*REAL, "ImageModel", "LatentChannelModel", "LinearChannelModel"],
    "vector, continuous, finite futures": ["CategoricalNetworkModel"],
}
OVER_DISCRETE = [
    "AutoregressiveSequenceGuide",
    "BayesGuide",
    "CategoricalNetworkGuide",
    "HabitGuide",
    "MarginalGuide",
    "MovingMarginalGuide",
    "UniformGuide",
]
OVER_REAL = ["AutoregressiveGuide", "FlowGuide", "GaussianGuide", "HabitGuide", "MixtureGuide", "UniformGuide"]
GUIDES = {
    "finite": [*OVER_DISCRETE, "CategoricalGuide"],
    "vector, discrete": OVER_DISCRETE,
    "vector, continuous": OVER_REAL,
    "image, discrete": OVER_DISCRETE,
    "image, continuous": OVER_REAL,
    "vector, continuous, finite futures": OVER_REAL,
}
FITTING_MODELS = [(kind, name) for kind, names in MODELS.items() for name in names]
BESIDE = {kind: ["GaussianModel"] if "GaussianModel" in names else names for kind, names in MODELS.items()}
"""The models that guides are checked beside: one of real futures, as guides never ask which."""
FITTING_GUIDES = [(kind, model, name) for kind, names in GUIDES.items() for model in BESIDE[kind] for name in names]
OTHER_MODELS = [(kind, name) for kind, names in MODELS.items() for name in models.__all__ if name not in names]
OTHER_GUIDES = [(kind, name) for kind, names in GUIDES.items() for name in guides.__all__ if name not in names]
