"""Every setting is checked when it is given, and the message names it."""

from typing import Any

import pytest

import gio_pyro as gio
from gio_pyro.errors import InputError
from gio_pyro.settings import Settings

NAN, INF = float("nan"), float("inf")
REFUSED = [
    *[("temperature", value) for value in (0.0, -1.0, NAN, INF)],
    *[("discount", value) for value in (-0.1, 1.0, 1.5, NAN)],
    *[("learning_rate", value) for value in (0.0, -1e-3, NAN, INF)],
    *[("uniform_share", value) for value in (-0.1, 1.1, NAN)],
    *[("seed", value) for value in (-1,)],
    *[(name, value) for name in ("train_freq", "buffer_size", "samples", "sweeps") for value in (0, -5)],
    ("gradient_steps", -1),
    ("batch_size", 0),
    *[("initial_value", value) for value in (NAN, INF)],
]
ACCEPTED = [
    ("temperature", 1e-6),
    ("discount", 0.0),
    ("uniform_share", 0.0),
    ("uniform_share", 1.0),
    ("gradient_steps", 0),
    ("batch_size", 1),
    ("batch_size", None),
    ("initial_value", -3.0),
    ("initial_value", None),
    ("seed", 0),
    ("buffer_size", 1),
]


def test_the_defaults_are_accepted():
    Settings()


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_value_at_the_edge_of_its_range_is_accepted(name: str, value: Any):
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any):
    with pytest.raises(InputError, match=f"^Expected {name}.*, but got {value}; .*$"):
        Settings(**{name: value})


@pytest.mark.parametrize("name", ["temperature", "discount", "train_freq", "seed", "batch_size", "learning_rate"])
def test_a_value_that_is_no_number_is_refused_by_name(name: str):
    with pytest.raises(InputError, match=name):
        Settings(**{name: "many"})


@pytest.mark.parametrize("name", ["train_freq", "gradient_steps", "batch_size", "buffer_size", "samples", "seed"])
def test_a_count_that_is_not_whole_is_refused_by_name(name: str):
    with pytest.raises(InputError, match=name):
        Settings(**{name: 2.5})


def test_an_agent_refuses_an_unknown_setting_and_lists_the_known_ones():
    with pytest.raises(InputError, match=r"Expected settings among temperature, .*, but got 'temprature'"):
        gio.GIO("FrozenLake-v1", temprature=0.1)


def test_an_agent_refuses_a_value_out_of_range():
    with pytest.raises(InputError, match=r"Expected discount from 0 to 0\.999999999 .*, but got 2;"):
        gio.GIO("FrozenLake-v1", discount=2)


def test_an_agent_refuses_an_unknown_objective():
    with pytest.raises(InputError, match=r"Expected an objective among elbo, .*, but got 'love'"):
        gio.GIO("FrozenLake-v1", objective="love")


def test_settings_cannot_be_changed_after_they_were_checked():
    with pytest.raises(AttributeError):
        Settings().temperature = -1.0  # type: ignore[misc]
