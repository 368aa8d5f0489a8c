"""Is the model right, is the guide right, is the mutual information right: answered by effects, not by tests alone.

    the model        surprise: how much less likely than it says is what happens, nats for each number of F
    the guide        calibration of its ranks (Talts et al., 2018); PSIS k-hat; loss against the exact posterior
    the information  what the guide earns in the world itself, which is a lower bound whatever the model (theory,
                     equation 3), beside what the agent is paid in its imagination

Where the environment is a table, the exact values decide as well (see `gio_pyro.diagnostics.exact`).

A model that says *less* than it could, with scales above its true errors, is not held against it: the floor of its
scales does that on purpose, and understates the information. One that says more is.
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
from gio_pyro.diagnostics.uniformity import Uniformity, quantiles
from gio_pyro.diagnostics.verdict import GUIDE, INFORMATION, MODEL, Verdict, judge
from gio_pyro.errors import InputError, shown

if TYPE_CHECKING:
    from gio_pyro.agent import GIO
    from gio_pyro.collection.make import Env, Vector

SURPRISE = 0.1
"""Nats for each number of F: as a normal model whose scales are a tenth too small."""
RANK_NATS = 0.25
"""Nats: divergence of the worst number's ranks from uniform."""
RANK_SPREAD = 0.25
"""Share by which the ranks of the true actions may crowd at the ends (+) or in the middle (−)."""
K_HAT = 0.7
"""Above this a guide's draws cannot stand in for the posterior (Vehtari et al., 2024)."""
K_HAT_SHARE = 0.1
"""Share of futures whose k-hat may be above that."""
LOST = 0.2
"""Share of the information that the guide may lose."""
UNCERTIFIED = 0.1
"""Share of the information that may be paid in imagination and not be found in the world."""
LEAST_INFORMATION = 0.25
"""Nats: shares are of this, where there is less information."""
LEAST_STEPS = 1_000
"""Environment steps before an agent says enough to be judged."""
LEAST = MappingProxyType({"transitions": 10, "draws": 2, "tails": 1, "tail_draws": 100})
"""Below these there is no figure to speak of."""
MOST_NUMBERS = 16
"""Numbers of a future that are looked at one by one."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found about an agent, and the numbers behind it."""

    verdicts: tuple[Verdict, ...]
    model: Uniformity
    """Quantiles of what happened among what p_ψ said."""
    guide: Uniformity
    """Ranks of the actions that led to a future among what q_φ says of it."""
    k_hats: np.ndarray
    """Of some futures; empty where actions are finite."""
    imagined: Bounds
    """Under the model's own futures."""
    world: Bounds
    """On what really happened; its upper bound is the model's."""
    numbers: tuple[int, ...]
    """Which numbers of F were looked at."""

    @property
    def believed(self) -> bool:
        """Whether every verdict is."""
        return all(verdict.believed for verdict in self.verdicts)

    @property
    def overpaid(self) -> bool:
        """Whether more is paid in imagination than there is, beyond chance: then the guide is no distribution."""
        return _overpaid(self.imagined)

    @property
    def conclusion(self) -> str:
        """What to do with the number, in words."""
        return "believe the mutual information" if self.believed else "do not believe the mutual information"

    @property
    def remark(self) -> str:
        """What is believed: how much there is at least, and whether that says anything; empty if nothing is."""
        if not self.believed:
            return ""
        least = max(min(float(self.imagined.lower.mean()), float(self.world.lower.mean())), 0.0)
        small = LOST * LEAST_INFORMATION
        told = f"There are {least:.2g} nats, or more."
        return (
            told if least >= small else f"{told} That says little: a guide that misses {small:g} nats is believed too."
        )

    def about(self, question: str) -> tuple[Verdict, ...]:
        """Return the verdicts on one question."""
        return tuple(verdict for verdict in self.verdicts if verdict.question == question)


def require_experience(agent: GIO, least_steps: int = LEAST_STEPS) -> None:
    """Raise `InputError` where an agent has seen too little to be judged, and no table can tell.

    A model that has learned nothing says next to nothing, and nothing of that is wrong.
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
        agent: it has learned.
        transitions: how many are played, and imagined; 10 at least.
        draws: of actions, futures and ranks at each; 2 at least.
        tails: futures whose k-hat is computed; 1 at least.
        tail_draws: draws for each of them, 100 at least; with a thousand, k-hat is underestimated.
        least_steps: environment steps below which there is nothing to judge, unless the world is known exactly; 0 for
            programs that were not learned but set.
        environment: another one to play in, of the same spaces, instead of a copy of the agent's own as it stands (see
            `GIO.evaluate`); then there is no exact value to compare with.

    Raises:
        InputError: a number out of range, an agent that has seen too little, a guide that ignores the future, or an
            environment that cannot be copied or has other spaces.
        TrainingError: the model or the guide gives NaN.
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
    verdicts = (
        Verdict(MODEL, "surprise beyond what it says, for each number", surprise, SURPRISE, one_sided=True),
        *_of_the_guide(guide, tail, dreamt),
        _of_the_information(dreamt, world),
    )
    known = environment is None and exact_world(agent) is not None
    exact = judge(compare_with_exact(agent)) if known else ()
    order = (MODEL, GUIDE, INFORMATION)
    grouped = sorted((*verdicts, *exact), key=lambda verdict: order.index(verdict.question))
    return Diagnosis(tuple(grouped), model, guide, tail, dreamt, world, numbers)


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
    found = [
        Verdict(GUIDE, f"ranks of the true actions, {ranks.leaning}", float(ranks.nats.max()), RANK_NATS),
        Verdict(GUIDE, "their spread beyond uniform", float(ranks.spread[ranks.worst]) - 1, RANK_SPREAD, unit=""),
        Verdict(GUIDE, "share of the information that it loses", dreamt.gap / information, LOST, unit=""),
    ]
    if len(tail):
        share = float((~(tail <= K_HAT)).mean())  # one that is NaN is no good either
        found.append(Verdict(GUIDE, f"share of futures with k-hat above {K_HAT}", share, K_HAT_SHARE, unit=""))
    return tuple(found)


def _of_the_information(dreamt: Bounds, world: Bounds) -> Verdict:
    """The lower bound needs no model: what is paid beyond it and two standard errors is not there to be had.

    It needs a guide that is a distribution: nothing that another is paid is borne out.
    """
    information = max(float(dreamt.upper.mean()), LEAST_INFORMATION)
    missing = float(dreamt.lower.mean() - world.lower.mean()) - _chance(dreamt.lower, world.lower)
    if _overpaid(dreamt):
        missing = float(dreamt.lower.mean())
    figure = "share paid that is not borne out"
    return Verdict(INFORMATION, figure, missing / information, UNCERTIFIED, "", one_sided=True)


def _overpaid(dreamt: Bounds) -> bool:
    return -dreamt.gap > _chance(dreamt.lower, dreamt.upper) + UNCERTIFIED * LEAST_INFORMATION


def _chance(first: np.ndarray, second: np.ndarray) -> float:
    """Return two standard errors of the difference of two means, nats."""
    return 2 * math.sqrt(first.var() / len(first) + second.var() / len(second))
