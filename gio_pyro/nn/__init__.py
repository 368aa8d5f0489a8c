"""Encoders and multilayer perceptrons, and the gradient step that trains them."""

from gio_pyro.nn.batch_renorm import BatchRenormEnsemble
from gio_pyro.nn.encoders import PairEncoder, action_features, baseline_of, encoder, identity, width
from gio_pyro.nn.images import (
    DeduplicatedImages,
    ImageEncoder,
    ImagePair,
    deduplicated,
    is_image,
    unique_rows,
)
from gio_pyro.nn.layer_norm import LayerNormEnsemble
from gio_pyro.nn.optimiser_state import restore_optimiser
from gio_pyro.nn.perceptrons import CLIP, RESOLUTION, Ensemble, Standardise, batched, mlp
from gio_pyro.nn.residual import ResidualEnsemble
from gio_pyro.nn.seen_values import DENSE, SeenValues, load_seen
from gio_pyro.nn.vectors import Encoder, OneHotEncoder, VectorEncoder, is_whole, joined, one_hot
from gio_pyro.utils.image_spaces import axis_of

__all__ = [
    "CLIP",
    "DENSE",
    "RESOLUTION",
    "BatchRenormEnsemble",
    "DeduplicatedImages",
    "Encoder",
    "Ensemble",
    "ImageEncoder",
    "ImagePair",
    "LayerNormEnsemble",
    "OneHotEncoder",
    "PairEncoder",
    "ResidualEnsemble",
    "SeenValues",
    "Standardise",
    "VectorEncoder",
    "action_features",
    "axis_of",
    "baseline_of",
    "batched",
    "deduplicated",
    "encoder",
    "identity",
    "is_image",
    "is_whole",
    "joined",
    "load_seen",
    "mlp",
    "one_hot",
    "restore_optimiser",
    "unique_rows",
    "width",
]
