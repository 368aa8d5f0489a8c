"""Verdicts on a trained agent: a figure, its limit, and whether it is within."""

from dataclasses import dataclass

from gio_pyro.diagnostics.exact import ExactReport

MODEL = "Is the model right?"
GUIDE = "Is the guide right?"
INFORMATION = "Is the mutual information right?"
FILTER = "Is the filter right?"

MODEL_ERROR = 0.05
"""Nats: largest mean KL between the environment's channel and the fitted model's."""
AMORTISATION_GAP = 0.02
"""Nats: largest loss of the guide against the exact posterior."""
INFORMATION_ERROR = 0.02
"""Nats: largest difference between the learned and the exact mutual information."""


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
    """Whether only values above the threshold fail, and none below its negative."""
    kind: str = ""
    """A fixed short name of the figure, such as "surprise"."""

    @property
    def believed(self) -> bool:
        """Whether the figure is within its threshold; NaN is not."""
        return (self.value if self.one_sided else abs(self.value)) <= self.threshold

    @property
    def limit(self) -> str:
        """The threshold in words, such as "at most 0.1 nats"."""
        text = f"at most {self.threshold:g} {self.unit}".rstrip()
        return text if self.one_sided else f"{text}, either sign"

    @property
    def found(self) -> str:
        """The value with its sign and unit."""
        return f"{self.value:+.4f} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{'yes' if self.believed else 'no'}: {self.figure} {self.found}, {self.limit}"


def judge(report: ExactReport) -> tuple[Verdict, ...]:
    """Judge model, guide and information against the environment's transition table.

    A guide that ignores the future bounds no information: it gets no verdict, and the information judged is that of the
    fitted model.
    """
    divergence, gap = report.model_error, report.amortisation_gap
    figure = "exact mean KL(p || p_psi) over visited states"
    model = Verdict(MODEL, figure, divergence, MODEL_ERROR, one_sided=True, kind="exact_model")
    guide = Verdict(GUIDE, "exact amortisation gap", gap, AMORTISATION_GAP, kind="exact_guide")
    read = report.information_learned if report.guide_sees_future else report.information_model
    error = read - report.information_exact
    information = Verdict(
        INFORMATION, "learned minus exact information", error, INFORMATION_ERROR, kind="exact_information"
    )
    return (model, guide, information) if report.guide_sees_future else (model, information)
