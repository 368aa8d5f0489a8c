"""What the training monitor warns of, and when it stops a run."""

import numpy as np
import pytest
from gymnasium.spaces import Box

from gio_pyro.agent.training_monitor import TrainingMonitor
from gio_pyro.errors import (
    DivergenceWarning,
    EntropyCollapseWarning,
    InstabilityWarning,
    NoisyInformationWarning,
    TrainingError,
)


def report(**figures: float) -> dict[str, float]:
    sound = {"intrinsic/nats": 1.0, "intrinsic/nats_std": 0.5, "train/entropy": 0.5, "train/ent_coef": 0.1}
    return sound | {"train/q": 10.0} | {name.replace("_", "/", 1): value for name, value in figures.items()}


def monitor() -> TrainingMonitor:
    return TrainingMonitor(Box(-np.inf, np.inf, (2,)), discount=0.9)


def test_healthy_metrics_raise_no_warning():
    monitor().check(report(), reward=1.1)


def test_a_value_above_what_the_rewards_allow_is_warned_of_once_with_its_number():
    one = monitor()
    with pytest.warns(DivergenceWarning, match=r"mean is 50.*at most 11"):
        one.check(report(train_q=-50.0), reward=1.1)
    one.check(report(train_q=-50.0), reward=1.1)


def test_a_diverging_critic_stops_the_run():
    with pytest.raises(TrainingError, match="diverges"):
        monitor().check(report(train_q=1e5), reward=1.0)


def test_a_collapsed_entropy_is_warned_of():
    with pytest.warns(EntropyCollapseWarning, match="-9 nats"):
        monitor().check(report(train_entropy=-9.0), reward=1.0)


def test_a_reward_whose_deviation_is_large_is_warned_of():
    with pytest.warns(NoisyInformationWarning, match="25 nats"):
        monitor().check(report(intrinsic_nats_std=25.0), reward=1.0)


def learn(returns: list[float], entropies: list[float], nats: float = 1.0) -> None:
    """Report every fifth episode, as `GIO.learn` does with episodes of 100 steps."""
    one = TrainingMonitor(Box(-np.inf, np.inf, (1,)), discount=0.9)
    for number, entropy in enumerate(entropies, start=1):
        one.check(report(train_entropy=entropy, intrinsic_nats=nats), 1.0, returns[: 5 * number])


RISE = [-1500.0 + 50 * n for n in range(25)]
GOOD = [-250.0, -120.0, -1.0, -130.0, -240.0]
CALM, SWINGING = [0.0, -0.5, -1.2, -1.9, -2.0, -1.9, -1.8], [0.0, -0.5, -1.2, -1.9, -1.5, -2.6, -1.1]


def test_a_return_that_falls_back_while_the_entropy_swings_is_warned_of():
    with pytest.warns(InstabilityWarning, match=r"from -148\.2 to -690 while.*entropy moved back and forth by 3\.8"):
        learn([*RISE, *GOOD, -900.0, -350.0, -1100.0, -250.0, -850.0], SWINGING)


@pytest.mark.parametrize(
    ("returns", "entropies"),
    [
        pytest.param([*RISE, *GOOD, *GOOD], SWINGING, id="only the entropy swings"),
        pytest.param([*RISE, *GOOD, -900.0, -350.0, -1100.0, -250.0, -850.0], CALM, id="only the return falls"),
        pytest.param([*RISE, *GOOD, *(r - 60 for r in GOOD)], SWINGING, id="a fall within the noise"),
        pytest.param(RISE, SWINGING, id="a rise"),
    ],
)
def test_a_healthy_run_is_not_warned_of(returns: list[float], entropies: list[float]):
    learn(returns, entropies)
