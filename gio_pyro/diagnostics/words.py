"""The answers of a diagnosis as sentences."""

import math

from gio_pyro.diagnostics.questions import K_HAT, Diagnosis
from gio_pyro.diagnostics.verdict import FILTER, GUIDE, INFORMATION, MODEL


def words(diagnosis: Diagnosis, question: str) -> str:
    """Return the answer to one question as a few sentences, with the reason where it is no."""
    answers = {MODEL: _of_the_model, GUIDE: _of_the_guide, INFORMATION: _of_the_information, FILTER: _of_the_filter}
    return answers[question](diagnosis)


def _of_the_model(diagnosis: Diagnosis) -> str:
    surprise, *others = diagnosis.about(MODEL)
    sentences = [_of_surprise(surprise.value, surprise.threshold)]
    sentences += [f"Another figure fails: {v.figure}, {v.value:.3g} {v.unit}." for v in others if not v.believed]
    return " ".join(sentences)


def _of_surprise(value: float, threshold: float) -> str:
    if not value <= threshold:
        return (
            f"Observed futures are less likely than the model expects, by {value:.2f} nats per dimension: it is "
            "overconfident, and the reward that is computed under it is too high."
        )
    if value < -threshold:
        return (
            f"Observed futures are more likely than the model expects, by {-value:.2f} nats per dimension: it is "
            "underconfident, because its scales have a floor or training was short. The information is "
            "underestimated, not overestimated."
        )
    return "Observed futures are as likely as the model expects."


def _of_the_guide(diagnosis: Diagnosis) -> str:
    of, lost = float(diagnosis.imagined.upper.mean()), diagnosis.imagined.gap
    failed = {verdict.kind for verdict in diagnosis.about(GUIDE) if not verdict.believed}
    if diagnosis.overpaid:
        sentences = [
            f"Its reward is {-lost:.2f} nats above the {of:.2f} of the upper bound, which is impossible for a "
            "distribution over actions: its density does not integrate to 1."
        ]
    elif of <= 0:
        sentences = ["Futures of the model carry no information about the action, up to sampling error."]
    else:
        sentences = [f"It loses {short(max(lost, 0.0))} of {short(of)} nats of mutual information under the model."]
    sentences.append(_of_ranks(diagnosis.guide.leaning))
    if "k_hat" in failed:
        share = float((~(diagnosis.k_hats <= K_HAT)).mean())
        sentences.append(f"At {share:.0%} of the futures it misses part of the posterior (k-hat above {K_HAT}).")
    return " ".join(sentences)


def _of_ranks(leaning: str) -> str:
    return {
        "overconfident": "True actions fall into its tails too often: it tends to overconfidence.",
        "underconfident": "True actions fall into its middle too often: it tends to underconfidence.",
        "shifted or skewed": "True actions fall to one side of it too often: it is shifted or skewed.",
    }.get(leaning, "The ranks of true actions among its draws are uniform.")


def _of_the_information(diagnosis: Diagnosis) -> str:
    low, high = diagnosis.imagined.lower.mean(), diagnosis.imagined.upper.mean()
    error = diagnosis.world.lower.std() / math.sqrt(len(diagnosis.world.lower))
    if diagnosis.overpaid:
        return (
            f"The reward on the model's own futures is {low:.2f} nats, where at most {high:.2f} are possible: the "
            "guide is not a normalised distribution, and its reward is not a bound on information."
        )
    bounds = f"between {short(low)} and {short(high)}" if short(low) != short(high) and low < high else short(high)
    return (
        f"On the model's own futures the reward is {short(low)} nats, and the information is {bounds}. On environment "
        f"transitions the lower bound is {short(diagnosis.world.lower.mean())} ± {error:.1g} nats, which holds "
        "whatever the model."
    )


def _of_the_filter(diagnosis: Diagnosis) -> str:
    report = diagnosis.filter
    if report is None:
        return "There is no world model: the agent sees the state."
    if report.state is None:
        sentences = [f"Calibration of its states is not defined: {report.undefined}."]
    else:
        sentences = [_of_states(report.state.leaning)]
    failed = {verdict.kind for verdict in report.verdicts if not verdict.believed}
    if failed & {"seen_ranks", "coverage"}:
        sentences.append(f"One-step predictions of what is seen are wrong: they are {report.seen.leaning}.")
    else:
        sentences.append("What is seen is as likely as the one-step predictions say.")
    return " ".join([*sentences, str(report.innovations)])


def _of_states(leaning: str) -> str:
    return {
        "overconfident": "True states fall into its tails too often: it is overconfident about the hidden state.",
        "underconfident": "True states fall into its middle too often: it is underconfident about the hidden state.",
        "shifted or skewed": "True states fall to one side of it too often: it is shifted or skewed.",
    }.get(leaning, "The ranks of true states among its draws are uniform.")


def short(nats: float) -> str:
    """Return nats with two decimals, or two digits where that would be 0.00."""
    return f"{nats:.2f}" if abs(nats) >= 0.05 or nats == 0 else f"{nats:.2g}"


def notes(diagnosis: Diagnosis) -> list[str]:
    """Return a note for each unusual bound: crossed ones, lower ones below 0, and those of latent sites."""
    imagined, world = diagnosis.imagined, diagnosis.world
    found = [] if diagnosis.latent is None else [f"{diagnosis.latent} Upper bounds allow for it."]
    if imagined.gap < 0 and not diagnosis.overpaid:
        found.append(
            f"The bounds on the model's futures cross by {-imagined.gap:.3f} nats. Both are estimates from "
            f"{len(imagined.lower):,} transitions, and the difference is within chance: take them as equal."
        )
    if world.gap < 0:
        found.append(
            f"In the environment the bounds cross by {-world.gap:.3f} nats. The upper one is no bound there, as it "
            "scores real futures with the model; only the lower one counts."
        )
    if min(imagined.lower.mean(), world.lower.mean()) < 0:
        found.append("A lower bound below 0 counts as 0 in the verdict, as information is never negative.")
    return found
