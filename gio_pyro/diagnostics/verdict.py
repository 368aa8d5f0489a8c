"""Three questions about a finished agent, each answered in words with the number and the threshold beside it."""

from dataclasses import dataclass

from gio_pyro.diagnostics.exact import ExactReport

MODEL_ERROR = 0.05
"""Nats: mean KL of the fitted model above which its futures are not the world's."""
AMORTISATION_GAP = 0.02
"""Nats: loss of the guide against the exact posterior above which the reward is too low to use."""
INFORMATION_ERROR = 0.02
"""Nats: difference between the learned and the exact mutual information above which the number is wrong."""


@dataclass(frozen=True)
class Verdict:
    """The answer to one question."""

    question: str
    figure: str
    value: float
    """Nats; believed when at most `threshold` in size."""
    threshold: float

    @property
    def believed(self) -> bool:
        """Whether the figure is within its threshold; NaN is not."""
        return abs(self.value) <= self.threshold


def judge(report: ExactReport) -> tuple[Verdict, ...]:
    """Answer: is the model right, is the guide right, is the mutual information right?

    A guide that does not look at the future is another method's reward and bounds no information: it is not asked
    about, and the information is that of the fitted model.
    """
    model = Verdict("Is the model right?", "mean KL(p || p_psi) where the policy goes", report.model_error, MODEL_ERROR)
    guide = Verdict("Is the guide right?", "amortisation gap", report.amortisation_gap, AMORTISATION_GAP)
    read = report.information_learned if report.guide_sees_future else report.information_model
    question, error = "Is the mutual information right?", read - report.information_exact
    information = Verdict(question, "learned minus exact", error, INFORMATION_ERROR)
    return (model, guide, information) if report.guide_sees_future else (model, information)
