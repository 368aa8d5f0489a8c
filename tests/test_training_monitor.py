"""What the training monitor warns of, and when it stops a run."""

import numpy as np
import pytest
from gymnasium.spaces import Box

from gio_pyro.errors import DivergenceWarning, EntropyCollapseWarning, NoisyInformationWarning, TrainingError
from gio_pyro.training_monitor import TrainingMonitor


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
