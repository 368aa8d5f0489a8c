"""Judge an agent: is the model right, is the guide right, is the mutual information right? Limits are effect sizes.

    the model        excess surprise: how much less likely observed futures are than the model expects, nats a dimension
    the guide        calibration of its ranks (Talts et al., 2018); PSIS k-hat; loss against the exact posterior
    the information  the guide's lower bound on environment transitions, which holds whatever the model (theory,
                     equation 3), beside the reward on the model's own futures

    the filter       of an agent with a world model (see `gio_pyro.diagnostics.filter_questions`)

Where the environment has a transition table, the exact values are judged as well (see `gio_pyro.diagnostics.exact`).

An underconfident model passes: its scales have a floor on purpose, and it understates the information. An overconfident
one fails.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from gio_pyro.diagnostics.bounds import Bounds, bounds, k_hats
from gio_pyro.diagnostics.evidence import Triples, imagined, judging, played, require_future_is_read, require_numbers
from gio_pyro.diagnostics.exact import compare_with_exact, exact_world
from gio_pyro.diagnostics.filter_evidence import episodes
from gio_pyro.diagnostics.filter_questions import FilterReport, judged
from gio_pyro.diagnostics.latent_slack import LatentSlack, slack_of
from gio_pyro.diagnostics.uniformity import Uniformity, quantiles
from gio_pyro.diagnostics.verdict import FILTER, GUIDE, INFORMATION, MODEL, Verdict, judge
from gio_pyro.errors import InputError, shown

if TYPE_CHECKING:
    from gio_pyro.agent import GIO
    from gio_pyro.collection.make import Env, Vector

SURPRISE = 0.1
"""Nats per dimension of F: as a normal model whose scales are a tenth too small."""
RANK_NATS = 0.25
"""Nats: divergence of the worst dimension's ranks from uniform."""
RANK_SPREAD = 0.25
"""Largest relative excess (+) or lack (−) of mean distance of the ranks from ½."""
K_HAT = 0.7
"""Above this, importance sampling from the guide is unreliable (Vehtari et al., 2024)."""
K_HAT_SHARE = 0.1
"""Largest share of futures whose k-hat is above that."""
LOST = 0.2
"""Largest share of the information that the guide loses."""
UNCERTIFIED = 0.1
"""Largest share of the reward that environment transitions do not confirm."""
LEAST_INFORMATION = 0.25
"""Nats: least denominator of shares."""
LEAST_STEPS = 1_000
"""Environment steps below which an agent is not judged."""
LEAST = MappingProxyType({"transitions": 10, "draws": 2, "tails": 1, "tail_draws": 100})
"""Least values of the arguments of `diagnose`."""
MOST_NUMBERS = 16
"""Dimensions of a future whose ranks are computed."""


@dataclass(frozen=True)
class Diagnosis:
    """Verdicts on an agent, and the numbers behind them."""

    verdicts: tuple[Verdict, ...]
    model: Uniformity
    """Ranks of observed futures among draws of p_ψ."""
    guide: Uniformity
    """Ranks of true actions among draws of q_φ, on the model's own futures."""
    k_hats: np.ndarray
    """PSIS k-hat of some futures; empty where actions are finite."""
    imagined: Bounds
    """Bounds on the model's own futures."""
    world: Bounds
    """Bounds on environment transitions; the upper one is under the model."""
    numbers: tuple[int, ...]
    """Indices of the dimensions of F in `model`."""
    latent: LatentSlack | None = None
    """Error of log p_ψ(F|s, a) of a model with local latent sites, covered by the upper bounds; else None."""
    filter: FilterReport | None = None
    """On the filter of a world model; None without one."""

    @property
    def believed(self) -> bool:
        """Whether every verdict is."""
        return all(verdict.believed for verdict in self.verdicts)

    @property
    def overpaid(self) -> bool:
        """Whether the reward exceeds the upper bound beyond chance: then the guide is not a normalised distribution."""
        return _overpaid(self.imagined)

    @property
    def conclusion(self) -> str:
        """Whether to believe the mutual information, in words."""
        return "believe the mutual information" if self.believed else "do not believe the mutual information"

    @property
    def remark(self) -> str:
        """The lower bound that is believed, with a warning where it is small; empty if it is not believed."""
        if not self.believed:
            return ""
        least = max(min(float(self.imagined.lower.mean()), float(self.world.lower.mean())), 0.0)
        small = LOST * LEAST_INFORMATION
        bound = f"It is at least {least:.2g} nats."
        return bound if least >= small else f"{bound} That is little: a guide that loses {small:g} nats passes, too."

    def about(self, question: str) -> tuple[Verdict, ...]:
        """Return the verdicts on one question."""
        return tuple(verdict for verdict in self.verdicts if verdict.question == question)


def require_experience(agent: GIO, least_steps: int = LEAST_STEPS) -> None:
    """Raise `InputError` for an agent with too few steps, unless its environment has a transition table.

    An untrained model predicts so little that nothing of it is wrong.
    """
    if agent.steps < least_steps and exact_world(agent) is None:
        raise InputError(
            f"Expected an agent that has learned from {least_steps:,} steps at least, but this one has taken "
            f"{agent.steps:,}; there is nothing to judge yet."
        )


def _require_at_least(name: str, number: object, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < least:
        raise InputError(f"Expected {name} to be a whole number of {least} at least, but got {shown(number)}.")


def diagnose(
    agent: GIO,
    *,
    transitions: int = 1_000,
    draws: int = 256,
    tails: int = 100,
    tail_draws: int = 2_000,
    least_steps: int = LEAST_STEPS,
    environment: str | Env | Vector | None = None,
) -> Diagnosis:
    """Judge an agent on fresh episodes of its own policy; the agent is not changed.

    Args:
        agent: a trained agent.
        transitions: number of environment transitions, and of imagined ones; at least 10.
        draws: actions and futures drawn for each; at least 2.
        tails: number of futures whose k-hat is computed; at least 1.
        tail_draws: draws for each k-hat, at least 100; with a thousand, k-hat is underestimated.
        least_steps: environment steps below which an agent is refused, unless its environment has a transition table;
            0 for programs that were set, not learned.
        environment: another environment with the same spaces, instead of a copy of the agent's own (see
            `GIO.evaluate`); then there is no exact value to compare with.

    Raises:
        InputError: a number is out of range, the agent has too few steps, the guide ignores the future, or the
            environment cannot be copied or has other spaces.
        TrainingError: a log-probability of the model or the guide is NaN.
    """
    for name, number, least in zip(LEAST, (transitions, draws, tails, tail_draws), LEAST.values(), strict=True):
        _require_at_least(name, number, least)
    require_experience(agent, least_steps)
    require_future_is_read(agent)
    with judging(agent):
        real = played(agent, transitions, environment)
        require_numbers(agent, real)
        dream = imagined(agent, real.state)
        require_numbers(agent, dream)
        numbers = _numbers(real)
        said = agent.model.future(agent.policy, real.state, real.action)
        model = Uniformity(_of_numbers(real, said.sample(torch.Size([draws])), numbers))
        surprise = _surprise(said, real, draws)
        q = agent.guide.posterior(agent.policy, dream.state, dream.future)
        guide = Uniformity(quantiles(dream.action, q.sample(torch.Size([draws]))))
        few = Triples(dream.state[:tails], dream.action[:tails], dream.future[:tails])
        tail = k_hats(agent, few, tail_draws) if dream.action.is_floating_point() else np.empty(0)
        dreamt, world = bounds(agent, dream, draws), bounds(agent, real, draws)
        latent = slack_of(agent, dream.state)
        if latent is not None:
            world = world.raised(latent.slack)  # the futures of `dream` are scored from above already
        filter = judged(agent, episodes(agent, transitions, environment), draws) if agent.beliefs.learns else None
    verdicts = (
        Verdict(MODEL, "excess surprise per dimension", surprise, SURPRISE, one_sided=True, kind="surprise"),
        *_of_the_guide(guide, tail, dreamt),
        _of_the_information(dreamt, world),
        *(() if filter is None else filter.verdicts),
    )
    known = environment is None and exact_world(agent) is not None
    exact = judge(compare_with_exact(agent)) if known else ()
    order = (MODEL, GUIDE, INFORMATION, FILTER)
    grouped = sorted((*verdicts, *exact), key=lambda verdict: order.index(verdict.question))
    return Diagnosis(tuple(grouped), model, guide, tail, dreamt, world, numbers, latent, filter)


def _numbers(real: Triples) -> tuple[int, ...]:
    size = math.prod(real.future.shape[1:])
    return tuple(np.linspace(0, size - 1, min(size, MOST_NUMBERS)).round().astype(int).tolist())


def _of_numbers(real: Triples, draws: torch.Tensor, numbers: tuple[int, ...]) -> np.ndarray:
    which = torch.tensor(numbers, device=draws.device)
    value = real.future.reshape(len(real), -1)[:, which]
    return quantiles(value, draws.reshape(len(draws), len(real), -1)[..., which])


def _surprise(said: torch.distributions.Distribution, real: Triples, draws: int) -> float:
    """Return E[−log p_ψ(F|s, a)] of what happened less what p_ψ expects of itself, nats for each number of F."""
    own = said.log_prob(said.sample(torch.Size([min(draws, 32)]))).mean()
    return float(own - said.log_prob(real.future).mean()) / math.prod(real.future.shape[1:])


def _of_the_guide(ranks: Uniformity, tail: np.ndarray, dreamt: Bounds) -> tuple[Verdict, ...]:
    information = max(float(dreamt.upper.mean()), LEAST_INFORMATION)
    nats, spread = float(ranks.nats.max()), float(ranks.spread[ranks.worst]) - 1
    found = [
        Verdict(GUIDE, f"rank divergence from uniform, {ranks.leaning}", nats, RANK_NATS, one_sided=True, kind="ranks"),
        Verdict(GUIDE, "rank spread, relative to uniform", spread, RANK_SPREAD, unit="", kind="spread"),
        Verdict(GUIDE, "share of the information that is lost", dreamt.gap / information, LOST, unit="", kind="loss"),
    ]
    if len(tail):
        share, name = float((~(tail <= K_HAT)).mean()), f"share of futures with k-hat above {K_HAT}"  # NaN fails, too
        found.append(Verdict(GUIDE, name, share, K_HAT_SHARE, unit="", one_sided=True, kind="k_hat"))
    return tuple(found)


def _of_the_information(dreamt: Bounds, world: Bounds) -> Verdict:
    """Return the share of the reward that the environment does not confirm.

    The lower bound on environment transitions holds whatever the model; reward beyond it and two standard errors is
    unconfirmed, and all of it where the guide is not a normalised distribution.
    """
    information = max(float(dreamt.upper.mean()), LEAST_INFORMATION)
    missing = float(dreamt.lower.mean() - world.lower.mean()) - _chance(dreamt.lower, world.lower)
    if _overpaid(dreamt):
        missing = float(dreamt.lower.mean())
    figure = "share of the reward that the environment does not confirm"
    return Verdict(INFORMATION, figure, missing / information, UNCERTIFIED, "", one_sided=True, kind="unconfirmed")


def _overpaid(dreamt: Bounds) -> bool:
    return -dreamt.gap > _chance(dreamt.lower, dreamt.upper) + UNCERTIFIED * LEAST_INFORMATION


def _chance(first: np.ndarray, second: np.ndarray) -> float:
    """Return two standard errors of the difference of two means, nats."""
    return 2 * math.sqrt(first.var() / len(first) + second.var() / len(second))
