"""Answers about a finished agent, each in words, with the number and the threshold beside it."""

from dataclasses import dataclass

from gio_pyro.diagnostics.exact import ExactReport

MODEL = "Is the model right?"
GUIDE = "Is the guide right?"
INFORMATION = "Is the mutual information right?"

MODEL_ERROR = 0.05
"""Nats: mean KL of the fitted model above which its futures are not the world's."""
AMORTISATION_GAP = 0.02
"""Nats: loss of the guide against the exact posterior above which the reward is too low to use."""
INFORMATION_ERROR = 0.02
"""Nats: difference between the learned and the exact mutual information above which the number is wrong."""


@dataclass(frozen=True)
class Verdict:
    """One figure of the answer to one question."""

    question: str
    figure: str
    value: float
    threshold: float
    unit: str = "nats"
    """Empty for a share."""
    one_sided: bool = False
    """Whether only a value above the threshold is held against the agent, and none below its negative."""

    @property
    def believed(self) -> bool:
        """Whether the figure is within its threshold; NaN is not."""
        return (self.value if self.one_sided else abs(self.value)) <= self.threshold

    def __str__(self) -> str:
        told = f"{self.value:+.4f} {self.unit}".rstrip()
        return f"{'yes' if self.believed else 'no'}: {self.figure} {told}, threshold {self.threshold:g}"


def judge(report: ExactReport) -> tuple[Verdict, ...]:
    """Answer: is the model right, is the guide right, is the mutual information right, where the truth is a table?

    A guide that does not look at the future is another method's reward and bounds no information: it is not asked
    about, and the information is that of the fitted model.
    """
    model = Verdict(MODEL, "mean KL(p || p_psi) where the policy goes", report.model_error, MODEL_ERROR)
    guide = Verdict(GUIDE, "amortisation gap", report.amortisation_gap, AMORTISATION_GAP)
    read = report.information_learned if report.guide_sees_future else report.information_model
    error = read - report.information_exact
    information = Verdict(INFORMATION, "learned minus exact", error, INFORMATION_ERROR)
    return (model, guide, information) if report.guide_sees_future else (model, information)
