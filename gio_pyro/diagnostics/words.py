"""The answers of a diagnosis as sentences."""

import math

from gio_pyro.diagnostics.questions import K_HAT, Diagnosis
from gio_pyro.diagnostics.verdict import GUIDE, INFORMATION, MODEL


def words(diagnosis: Diagnosis, question: str) -> str:
    """Return the answer to one question as a few sentences; the reason for a "no" is among them."""
    return {MODEL: _of_the_model, GUIDE: _of_the_guide, INFORMATION: _of_the_information}[question](diagnosis)


def _of_the_model(diagnosis: Diagnosis) -> str:
    surprise, *others = diagnosis.about(MODEL)
    told = [_of_surprise(surprise.value, surprise.threshold)]
    told += [f"But it fails by another figure: {v.figure}, {v.value:.3g} {v.unit}." for v in others if not v.believed]
    return " ".join(told)


def _of_surprise(value: float, threshold: float) -> str:
    if not value <= threshold:
        return (
            f"What happens surprises the model by {value:.2f} nats for each number of the future more than it expects: "
            "it says more than it knows, and what is paid under it is too much."
        )
    if value < -threshold:
        return (
            f"What happens is likelier than the model says, by {-value:.2f} nats for each number of the future: it "
            "says less than it could, by a floor of its scales or because it has not learned more. The information is "
            "understated, not overstated."
        )
    return "What happens is as likely as it says."


def _of_the_guide(diagnosis: Diagnosis) -> str:
    of, lost = float(diagnosis.imagined.upper.mean()), diagnosis.imagined.gap
    failed = {verdict.figure.partition(",")[0] for verdict in diagnosis.about(GUIDE) if not verdict.believed}
    if diagnosis.overpaid:
        told = [
            f"It is paid {-lost:.2f} nats more than the {of:.2f} that the model's futures tell, which no distribution "
            "over actions can be: its density does not integrate to 1."
        ]
    else:
        told = [f"Of {of:.2f} nats that the model's futures tell, the guide loses {max(lost, 0.0):.2f}."]
    told.append(_of_ranks(diagnosis.guide.leaning))
    if any("k-hat" in figure for figure in failed):
        share = float((~(diagnosis.k_hats <= K_HAT)).mean())
        told.append(f"At {share:.0%} of the futures its draws miss part of the posterior (k-hat above {K_HAT}).")
    return " ".join(told)


def _of_ranks(leaning: str) -> str:
    return {
        "overconfident": "True actions lie rather at the edges of what it says: it leans to overconfidence.",
        "underconfident": "True actions lie rather in the middle of what it says: it leans to underconfidence.",
        "shifted or skewed": "True actions lie more to one side of what it says: it is shifted or skewed.",
    }.get(leaning, "True actions lie evenly in what it says.")


def _of_the_information(diagnosis: Diagnosis) -> str:
    low, high = diagnosis.imagined.lower.mean(), diagnosis.imagined.upper.mean()
    error = diagnosis.world.lower.std() / math.sqrt(len(diagnosis.world.lower))
    if diagnosis.overpaid:
        return (
            f"The agent is paid {low:.2f} nats in its imagination, where there are only {high:.2f}: the guide is no "
            "distribution over actions, and nothing that it is paid is a bound."
        )
    between = f"where there are between {low:.2f} and {high:.2f}" if low < high else f"where there are {high:.2f}"
    return (
        f"The agent is paid {low:.2f} nats in its imagination, {between}. In the world itself the guide earns "
        f"{diagnosis.world.lower.mean():.2f} ± {error:.2f}, and the truth is that or more, whatever the model."
    )
