"""What each figure of a diagnosis measures, and what to try when it fails."""

from __future__ import annotations

from types import MappingProxyType

from gymnasium.spaces import Discrete

from gio_pyro.diagnostics.verdict import Verdict
from gio_pyro.types import Spec

MEANING = MappingProxyType(
    {
        "surprise": "How much less likely observed futures are than the model expects of its own draws. Positive: the "
        "model is overconfident. Negative: it is underconfident, which only understates the information.",
        "exact_model": "Divergence of the environment's transition table from the model, averaged over visited states.",
        "ranks": "Divergence from uniform of the ranks of the true actions among draws of the guide, under the model.",
        "spread": "Positive: true actions fall into the guide's tails too often (overconfident). Negative: too rarely "
        "(underconfident).",
        "loss": "The gap between the two bounds: what the reward misses because the guide is not the exact posterior.",
        "k_hat": "Where k-hat is above 0.7, the guide misses part of the posterior.",
        "exact_guide": "Information under the model minus the mean reward of the guide, over visited states.",
        "unconfirmed": "Reward on imagined futures minus the lower bound on environment transitions, beyond chance.",
        "exact_information": "The learned mutual information minus that of the environment's transition table.",
        "state_ranks": "Divergence from uniform of the ranks of the true hidden states among draws of the filter.",
        "state_spread": "Positive: true states fall into the filter's tails too often (overconfident). Negative: too "
        "rarely (underconfident).",
        "seen_ranks": "Divergence from uniform of the ranks of observations among one-step predictions.",
        "coverage": "Negative: one-step predictions are too narrow. Positive: they are too wide.",
        "whiteness": "Root mean square, beyond chance, of the correlations of innovations up to five steps apart: what "
        "the filter leaves of the past that would improve its predictions.",
    }
)
MORE_TRAINING = "Train longer (gio train --resume RUN --steps N)"
EXACT_FILTERS = "ForwardFilter for finitely many states, KalmanFilter for linear-Gaussian ones"
MORE_CAPACITY = "use larger networks (--hidden 256 256)"


def advice(verdict: Verdict, spec: Spec) -> str:
    """Return what to try for a figure that fails; empty for one that passes or is not known.

    Args:
        verdict: on the figure.
        spec: of the agent; what helps depends on whether actions and futures are finite.
    """
    if verdict.believed:
        return ""
    model, guide = _model(spec), _guide(spec)
    return {
        "surprise": f"{MORE_TRAINING}, {MORE_CAPACITY}, or choose a model with the right noise: {model}.",
        "exact_model": f"{MORE_TRAINING}, explore more (--uniform-share 0.5), or use {model}.",
        "ranks": f"{MORE_TRAINING}, or choose a more flexible guide: {guide}.",
        "spread": _of_spread(verdict.value, guide, real=not isinstance(spec.action_space, Discrete)),
        "loss": _of_loss(verdict.value, guide),
        "k_hat": f"The guide is too narrow: fit it with --objective forward_kl, or choose {guide}.",
        "exact_guide": _of_loss(verdict.value, guide),
        "unconfirmed": "The model predicts futures that do not occur: look at its figures first. "
        f"{MORE_TRAINING}, or use {model}.",
        "exact_information": f"Look at the figures of model and guide first. {MORE_TRAINING}.",
        **dict.fromkeys(("state_ranks", "state_spread"), f"{MORE_TRAINING}, or use the exact filter: {EXACT_FILTERS}."),
        **dict.fromkeys(
            ("seen_ranks", "coverage", "whiteness"),
            f"{MORE_TRAINING}, compute beliefs from more of the past (--burn-in 64 --piece-length 96), or use a world "
            "model with more states.",
        ),
    }.get(verdict.kind, "")


def _model(spec: Spec) -> str:
    if isinstance(spec.future_space, Discrete):
        return "DirichletModel, which is careful about futures that were seen rarely"
    return "MixtureModel for several modes, FullGaussianModel for correlated noise, EnsembleModel where data are few"


def _guide(spec: Spec) -> str:
    if isinstance(spec.action_space, Discrete):
        return "BayesGuide, which is exact under the model"
    return "MixtureGuide for several modes, FlowGuide or AutoregressiveGuide for correlated actions"


def _of_spread(value: float, guide: str, *, real: bool) -> str:
    if value > 0:
        return f"The guide is overconfident: fit it with --objective forward_kl, or choose {guide}."
    sharper = ", or a guide with a lower floor of its scale (floor_nats, see docs/how_to.md)" if real else ""
    return f"The guide is underconfident: it pays too little, not too much. {MORE_TRAINING}, {MORE_CAPACITY}{sharper}."


def _of_loss(value: float, guide: str) -> str:
    if value < 0:
        return (
            "The guide scores actions higher than any normalised distribution can: check its density with "
            "gio_pyro.testing.check_guide."
        )
    return f"{MORE_TRAINING}, or choose a more flexible guide: {guide}."
