"""Every setting is checked when it is given, and the message names it."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete

import gio_pyro as gio
from gio_pyro.errors import InputError
from gio_pyro.settings import CONTINUOUS, GROUPS, NETWORK, Settings, defaults, finite_world

from .spaces import image, vector

NAN, INF = float("nan"), float("inf")
AT_LEAST_ONE = ("train_freq", "updates", "improvements", "buffer_size", "samples", "sweeps", "log_interval")
REFUSED = [
    *[("temperature", value) for value in (0.0, -1.0, NAN, INF)],
    *[("discount", value) for value in (-0.1, 1.0, 1.5, NAN)],
    *[("target_rate", value) for value in (0.0, -0.1, 1.1, NAN)],
    *[("target_entropy", value) for value in (NAN, INF)],
    *[("learning_rate", value) for value in (0.0, -1e-3, NAN, INF)],
    *[("uniform_share", value) for value in (-0.1, 1.1, NAN)],
    *[("seed", value) for value in (-1,)],
    *[(name, value) for name in AT_LEAST_ONE for value in (0, -5)],
    ("gradient_steps", -1),
    ("learning_starts", -1),
    ("batch_size", 0),
    *[("initial_value", value) for value in (NAN, INF, "natural")],
    ("dream_horizon", -1),
    *[("dream_share", value) for value in (-0.1, 1.1, NAN)],
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
    ("initial_value", "neutral"),
    ("seed", 0),
    ("buffer_size", 1),
    ("temperature", "auto"),
    ("temperature", "linear:0.5:0.05:20000"),
    ("target_rate", 1.0),
    ("target_entropy", -6.0),
    ("learning_starts", 0),
    ("hidden", (1,)),
    ("hidden", (256, 256, 64)),
    ("intrinsic", "replayed"),
    ("objective", "elbo"),
    ("compile", True),
    ("critic", "plain"),
]


def test_the_defaults_are_accepted():
    Settings()


@pytest.mark.parametrize(("name", "value"), ACCEPTED)
def test_a_value_at_the_edge_of_its_range_is_accepted(name: str, value: Any):
    assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any):
    with pytest.raises(InputError, match=f"^Expected {name}.*, but got {value!r}; .*$"):
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


@pytest.mark.parametrize("value", [(), (0,), (-3, 4), (2.5,), ("many",), 128, "128", None, (True,)])
def test_hidden_layers_that_cannot_be_are_refused_by_name(value: Any):
    with pytest.raises(InputError, match=r"^Expected hidden to be .*see gio_pyro.Settings\.$"):
        Settings(hidden=value)


@pytest.mark.parametrize(
    ("name", "value"), [("compile", 1), ("compile", "yes"), ("intrinsic", "dreamt"), ("objective", 3)]
)
def test_a_choice_that_is_none_is_refused_by_name(name: str, value: Any):
    with pytest.raises(InputError, match=f"^Expected {name} to be .*, but got {value!r}"):
        Settings(**{name: value})


@pytest.mark.parametrize("value", ["auto:-1", "linear:1:2", "warm"])
def test_a_temperature_in_words_is_checked_when_it_is_given(value: str):
    with pytest.raises(InputError, match=f"^Expected temperature from .*, but got {value!r}; see gio_pyro.Settings.$"):
        Settings(temperature=value)


FINITE = (Discrete(16), Discrete(4))
DISCRETE = (vector(4), Discrete(2))
SMOOTH = (vector(3), vector(1))
MIXED = (Discrete(16), vector(1))
PICTURES = (image(7), Discrete(7))


def of(spaces: tuple[Any, Any], **given: Any) -> Settings:
    return Settings.of(given, states=spaces[0], actions=spaces[1])


def test_finite_worlds_have_the_defaults_that_are_written():
    assert of(FINITE) == Settings()


@pytest.mark.parametrize("spaces", [DISCRETE, PICTURES])
def test_networks_over_discrete_actions_have_defaults_of_their_own(spaces: Any):
    assert of(spaces) == Settings(**NETWORK)


@pytest.mark.parametrize("spaces", [SMOOTH, MIXED])
def test_networks_over_continuous_actions_have_defaults_of_their_own(spaces: Any):
    assert of(spaces) == Settings(**CONTINUOUS)


def test_only_continuous_actions_are_explored_by_the_policy_alone():
    shares = [of(spaces).uniform_share for spaces in (FINITE, DISCRETE, SMOOTH)]
    assert shares[0] > 0
    assert shares[1] > 0
    assert shares[2] == 0


def test_a_sample_is_drawn_for_networks_and_none_for_tables():
    assert of(FINITE).batch_size is None
    assert of(DISCRETE).batch_size is not None
    assert of(SMOOTH).batch_size is not None


@pytest.mark.parametrize("spaces", [FINITE, DISCRETE, SMOOTH])
def test_what_is_given_stands_in_place_of_the_defaults(spaces: Any):
    settings = of(spaces, temperature=0.7, batch_size=9, seed=3)
    assert (settings.temperature, settings.batch_size, settings.seed) == (0.7, 9, 3)
    assert replace(settings, temperature=0.01, batch_size=None, seed=0) == replace(
        of(spaces), temperature=0.01, batch_size=None
    )


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("seed", np.int64(3), 3),
        ("temperature", np.float32(0.5), 0.5),
        ("hidden", [64, 32], (64, 32)),
        ("compile", np.bool_(True), True),
    ],
)
def test_numbers_of_numpy_and_lists_are_taken_as_plain_values(name: str, given: Any, kept: Any):
    value = getattr(of(FINITE, **{name: given}), name)
    assert value == kept
    assert type(value) is type(kept)


def test_an_unknown_setting_is_told_with_the_known_ones():
    with pytest.raises(InputError) as error:
        of(FINITE, temprature=0.1)
    assert str(error.value).startswith("Expected settings among temperature, discount, objective, ")
    assert str(error.value).endswith(" more, but got 'temprature' (did you mean temperature?); see gio_pyro.Settings.")
    assert len(str(error.value)) <= 300


def test_a_wrong_value_is_refused_for_every_kind_of_world():
    for spaces in (FINITE, DISCRETE, SMOOTH):
        with pytest.raises(InputError, match="Expected discount"):
            of(spaces, discount=2.0)


@pytest.mark.parametrize(
    ("spaces", "finite"),
    [(FINITE, True), (DISCRETE, False), (SMOOTH, False), (MIXED, False), (PICTURES, False)],
)
def test_a_world_is_finite_where_states_and_actions_are(spaces: Any, finite: bool):
    assert finite_world(*spaces) == finite


@pytest.mark.parametrize("given", [NETWORK, CONTINUOUS, defaults(*SMOOTH)])
def test_nobody_can_change_the_defaults_of_others(given: Any):
    with pytest.raises(TypeError):
        given["temperature"] = 9.0


def test_every_default_is_a_setting():
    names = {field.name for field in fields(Settings)}
    assert set(NETWORK) | set(CONTINUOUS) <= names


def test_a_replay_that_never_holds_a_batch_is_refused_with_both_names():
    for given in ({"buffer_size": 100}, {"batch_size": 2**21}):
        with pytest.raises(
            InputError, match=r"^Expected buffer_size of at least batch_size, .*; raise buffer_size or low"
        ):
            of(DISCRETE, **given)
    assert of(DISCRETE, buffer_size=128).batch_size == 128
    assert of(FINITE, buffer_size=1).batch_size is None


@pytest.mark.parametrize(
    ("make", "meant"),
    [
        (lambda: gio.GIO("FrozenLake-v1", temprature=0.1), "temperature"),
        (lambda: gio.GIO("FrozenLake-v1", buffersize=1), "buffer_size"),
        (lambda: gio.IntrinsicReward("FrozenLake-v1", learning_rat=0.1), "learning_rate"),
        (lambda: gio.GIO("FrozenLake-v1", model="categoricalmodl"), "CategoricalModel"),
        (lambda: gio.GIO("FrozenLake-v1", guide="BayesGuid"), "BayesGuide"),
        (lambda: gio.GIO("FrozenLake-v1", future="StateAftr(3)"), "StateAfter(steps)"),
        (lambda: gio.GIO("FrozenLake-v1", objective="elbow"), "elbo"),
        (lambda: gio.GIO("FrozenLake-v1", signal="Empowermnt(3)"), "Empowerment"),
        (lambda: gio.GIO("FrozenLake-v1", signal="Empowerment(horison=3)"), "horizon"),
        (lambda: gio.GIO("FrozenLake-v1", signal="Control", explorer="Gaols"), "Goals"),
    ],
)
def test_the_closest_name_is_suggested(make: Any, meant: str):
    with pytest.raises(gio.errors.GioError) as error:
        make()
    assert f"(did you mean {meant}?)" in str(error.value)
    assert len(str(error.value)) <= 300
    assert str(error.value).endswith(".")


def test_every_setting_is_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(field.name for field in fields(Settings))


@pytest.mark.parametrize(("alias", "name"), [("gamma", "discount"), ("tau", "target_rate")])
def test_names_of_stable_baselines_are_accepted_but_not_beside_ours(alias: str, name: str):
    assert (
        gio.GIO("CartPole-v1", hidden=(8,), **{alias: 0.5}).settings
        == gio.GIO("CartPole-v1", hidden=(8,), **{name: 0.5}).settings
    )
    with pytest.raises(
        InputError, match=rf"^Expected {name} or {alias}, which mean the same, but got both, 0.5 and 0.6"
    ):
        gio.GIO("CartPole-v1", **{name: 0.5, alias: 0.6})


def test_an_agent_prints_what_it_is_made_of_and_what_is_not_the_default():
    agent = gio.GIO("CartPole-v1", hidden=(8,), guide="UniformGuide", gamma=0.9, seed=3).learn(8)
    lines = [" ".join(line.split()) for line in repr(agent).splitlines()]
    assert lines == [
        "GIO(",
        "environment CartPole-v1",
        "observations Box(4,)",
        "actions Discrete(2)",
        "model GaussianModel",
        "guide UniformGuide",
        "future NextState",
        "steps 8",
        "settings temperature=0.05, discount=0.9, seed=3, hidden=(8,)",
        f"device {agent.device}",
        ")",
    ]
