"""Warn once per training failure mode (theory, section 8)."""

import math
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Discrete

from gio_pyro.errors import (
    DivergenceWarning,
    EntropyCollapseWarning,
    InstabilityWarning,
    NoisyInformationWarning,
    TrainingError,
    UnknownFutureWarning,
)

NOISE = 10.0
"""Standard deviation of the intrinsic reward over visited states, nats, above which it is mostly noise."""
COLLAPSED = 4.5
"""Nats per continuous action below the entropy of a uniform one: a scale of about one part in a hundred."""
COLLAPSED_SHARE = 1e-3
"""Lower limit of the entropy of discrete actions, as a fraction of log A."""
MANY = 10
"""Number of future lengths in replay after which at least one complete future is expected."""
IMPOSSIBLE, HOPELESS = 2.0, 100.0
"""Multiples of the largest value possible with the rewards seen: above the first warn, above the second raise."""
EPISODES, REPORTS = 5, 6
"""Episodes in a mean return, and reports over which swings are measured."""
FALL, ERRORS = 0.2, 2.0
"""Fall of the mean return that counts: as a share of the range of mean returns so far, and in standard errors."""
SWING = 1.0
"""Nats per action dimension that entropy or mutual information moves back and forth within `REPORTS` reports."""


class TrainingMonitor:
    """Check the metrics of an agent at every report, and warn once about each failure mode.

    Args:
        actions: the action space.
        discount: γ.
    """

    def __init__(self, actions: Space[Any], discount: float) -> None:
        self.horizon = 1 / (1 - discount)
        self.least_entropy = least_entropy(actions)
        self.returns = ReturnHistory()
        self.swings = {name: deque[float](maxlen=REPORTS) for name in ("train/entropy", "intrinsic/nats")}
        self.largest_swing = SWING * (1 if isinstance(actions, Discrete) else math.prod(actions.shape or ()))
        self.warned: set[str] = set()

    def check(self, metrics: Mapping[str, float], reward: float, returns: Sequence[float] = ()) -> None:
        """Warn if metrics indicate a training failure.

        Args:
            metrics: as `GIO.metrics` returns them.
            reward: the largest absolute reward of a step so far, including the intrinsic part, reward units.
            returns: returns of the last episodes, reward units.

        Raises:
            TrainingError: the critic has diverged.
        """
        noise, entropy = metrics["intrinsic/nats_std"], metrics["train/entropy"]
        if noise > NOISE:
            text = f"the intrinsic reward varies by {noise:.3g} nats over visited states; the posterior is poor"
            self._warn_once(NoisyInformationWarning, text)
        if entropy < self.least_entropy:
            text = f"the policy's entropy is {entropy:.3g} nats and it explores no more; raise the temperature"
            self._warn_once(EntropyCollapseWarning, text)
        self._critic(metrics, reward)
        self._stability(metrics, returns)

    def known(self, found: int, replayed: int, steps: int) -> None:
        """Warn if no recent future is complete, although replay holds many times its number of steps.

        Args:
            found: number of complete futures.
            replayed: transitions in replay.
            steps: number of transitions that a future spans.
        """
        if not found and replayed > MANY * steps:
            text = (
                f"replay holds {replayed:,} steps, but none that knows what follows in {steps}: time limits "
                "cut it off, and the programs learn nothing; take a shorter future, or a longer time limit"
            )
            self._warn_once(UnknownFutureWarning, text)

    def _critic(self, metrics: Mapping[str, float], reward: float) -> None:
        value = abs(metrics.get("train/q", 0.0))
        possible = reward * self.horizon
        if value > HOPELESS * possible:
            raise TrainingError(
                f"Expected values of at most {possible:.3g}, which the rewards seen allow, but the critic's mean is "
                f"{value:.3g}; it diverges: lower learning_rate or temperature."
            )
        if value > IMPOSSIBLE * possible:
            text = f"the critic's mean is {value:.3g}, but the rewards seen allow at most {possible:.3g}"
            self._warn_once(DivergenceWarning, text)

    def _stability(self, metrics: Mapping[str, float], returns: Sequence[float]) -> None:
        for name, values in self.swings.items():
            values.append(metrics[name])
        swing, name = max((back_and_forth(values), name) for name, values in self.swings.items())
        fall = self.returns.fall(returns)
        if fall is not None and swing > self.largest_swing:
            best, latest = fall
            what = "entropy" if name == "train/entropy" else "mutual information"
            text = (
                f"the mean return of {EPISODES} episodes fell from {best:.4g} to {latest:.4g} while the "
                f"policy's {what} moved back and forth by {swing:.2g} nats; learning is unstable: train on, or lower "
                "learning_rate"
            )
            self._warn_once(InstabilityWarning, text)

    def _warn_once(self, kind: type[Warning], text: str) -> None:
        if kind.__name__ not in self.warned:
            self.warned.add(kind.__name__)
            warnings.warn(f"{text[0].upper()}{text[1:]}.", kind, stacklevel=5)


class ReturnHistory:
    """Range of the mean return of `EPISODES` successive episodes, over the reports so far."""

    def __init__(self) -> None:
        self.best, self.worst, self.error = -math.inf, math.inf, 0.0

    def fall(self, returns: Sequence[float]) -> tuple[float, float] | None:
        """Return the best and the latest mean return if the latest is much lower, else None; update the range.

        Args:
            returns: returns of the last episodes, reward units.
        """
        latest = list(returns)[-EPISODES:]
        if len(latest) < EPISODES:
            return None
        mean = math.fsum(latest) / EPISODES
        error = math.fsum((value - mean) ** 2 for value in latest) / (EPISODES - 1) / EPISODES
        fallen = self.best - mean
        much = fallen > FALL * (self.best - self.worst) and fallen > ERRORS * math.sqrt(error + self.error)
        best = self.best
        if mean > self.best:
            self.best, self.error = mean, error
        self.worst = min(self.worst, mean)
        return (best, mean) if much and math.isfinite(best) else None


def back_and_forth(values: Sequence[float]) -> float:
    """Return how far a sequence moves without getting anywhere: its total variation less its net change."""
    steps = [abs(after - before) for before, after in pairwise(values)]
    return sum(steps) - abs(values[-1] - values[0])


def not_finite(losses: Mapping[str, float]) -> TrainingError:
    """Return the error for losses that were NaN or infinite since the last report."""
    listed = ", ".join(f"{name.removeprefix('train/')} {value:.4g}" for name, value in losses.items())
    return TrainingError(
        f"Expected finite losses, but got NaN or infinity (last: {listed}); look for NaN in the data, or lower the "
        "learning rate."
    )


def paid_at_most(metrics: Mapping[str, float]) -> float:
    """Return the approximate size of the intrinsic reward of a step, reward units."""
    nats = max(abs(metrics["intrinsic/nats"]), abs(metrics["train/entropy"]), 1.0)
    return metrics["train/ent_coef"] * nats


def least_entropy(actions: Space[Any]) -> float:
    """Return the entropy, nats, below which the policy's entropy counts as collapsed."""
    if isinstance(actions, Discrete):
        return COLLAPSED_SHARE * math.log(int(actions.n))
    assert actions.shape is not None
    return (math.log(2) - COLLAPSED) * math.prod(actions.shape)
