"""Errors of the library name settings; the command line names flags.

Cost: under a second.
"""

import gymnasium as gym
import pytest

from gio_pyro.cli.commands import train
from gio_pyro.cli.usage_errors import with_flags
from gio_pyro.errors import InputError
from gio_pyro.settings import Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"signal_weight": 0.5},
            "Expected --signal-weight only beside a signal, but got 0.5 without one; name a signal, e.g. --signal "
            "RandomNetworkDistillation, or leave it out.",
        ),
        (
            {"explorer_share": 0.2},
            "Expected --explorer-share only beside an explorer, but got 0.2 without one; name an explorer, e.g. "
            "--explorer Signal, or leave it out.",
        ),
        (
            {"signal": "Control", "signal_discount": 0.5},
            "Expected --signal-discount only where the signal has a value of its own, but got 0.5 without it; set "
            "--signal-value, or leave it out.",
        ),
        (
            {"signal_value": True},
            "Expected --signal-value only beside a signal, but got True without one; name a signal, e.g. --signal "
            "RandomNetworkDistillation, or leave it out.",
        ),
        (
            {"dream_horizon": 3},
            "Expected --dream-horizon and --dream-share together, both above 0 or both 0, but got 3 and 0; give both, "
            "such as 5 and 0.5.",
        ),
        (
            {"signal": "Control", "explorer": "Signal", "signal_value": True},
            "Expected --signal-value without an explorer, but got 'Signal': the signal is the explorer's; leave one of "
            "them out.",
        ),
    ],
)
def test_settings_are_named_as_flags(given: dict[str, object], message: str):
    with pytest.raises(InputError) as caught:
        Settings.of(given, states=gym.spaces.Discrete(3), actions=gym.spaces.Discrete(2))
    assert with_flags(str(caught.value), [train]) == message


def test_names_that_are_not_settings_stay():
    for text in (
        "Expected learning_rate_of_mine to be small.",
        "Expected observe of Mine to run, but it raised KeyError: 'signal_weight'; correct its method observe.",
    ):
        assert with_flags(text, [train]) == text
