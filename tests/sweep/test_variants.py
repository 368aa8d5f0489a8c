"""What the texts of `gio sweep` mean. Cost: none."""

import pytest

from gio_pyro.errors import InputError
from gio_pyro.sweep.runs import run_name
from gio_pyro.sweep.variants import Range, parse_choices, parse_range, parse_seeds, split_values, variants


def test_every_combination_is_a_variant_and_commas_in_brackets_or_quotes_belong_to_a_value():
    choices = parse_choices(["temperature=0.1, 0.2", "future=NextState,Return(50, 0.99)", "signal=A(kind='x,y')"])
    assert choices["future"] == ["NextState", "Return(50, 0.99)"]
    assert choices["signal"] == ["A(kind='x,y')"]
    assert [str(one) for one in variants(choices)] == [
        "temperature=0.1 future=NextState signal=A(kind='x,y')",
        "temperature=0.1 future=Return(50, 0.99) signal=A(kind='x,y')",
        "temperature=0.2 future=NextState signal=A(kind='x,y')",
        "temperature=0.2 future=Return(50, 0.99) signal=A(kind='x,y')",
    ]
    assert [str(one) for one in variants({})] == [""]


def test_a_flag_may_be_written_as_on_the_command_line():
    assert parse_choices(["--batch-size=64,128", "env.gravity=9"]) == {
        "batch_size": ["64", "128"],
        "env.gravity": ["9"],
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["temperature"], 'Expected --set "NAME=VALUE,VALUE,..."'),
        (["temperature="], 'Expected --set "NAME=VALUE,VALUE,..."'),
        (["1=2"], 'Expected --set "NAME=VALUE,VALUE,..."'),
        (["a=1", "a=2"], "Expected each setting once, but got a twice"),
        (["a=1,1"], "Expected different values of --set a"),
        (["a=1,,2"], "Expected --set a to be values between commas"),
        (["a=f(1,2"], "Expected --set a to be values between commas"),
        (["a='1,2"], "Expected --set a to be values between commas"),
    ],
)
def test_another_form_is_refused(texts: list[str], message: str):
    with pytest.raises(InputError) as caught:
        parse_choices(texts)
    assert str(caught.value).startswith(message)


def test_seeds():
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("7, 0-1,3") == [7, 0, 1, 3]
    for wrong in ("", "a", "-1", "3-1", "1,1", "0-3,2", "0-999999999", "1.5"):
        with pytest.raises(InputError, match=r"^Expected (seeds|each seed)"):
            parse_seeds(wrong)


def test_ranges():
    assert parse_range("1e-4..1e-2:log") == Range(1e-4, 1e-2, whole=False, log=True)
    assert parse_range("64..512") == Range(64, 512, whole=True, log=False)
    assert parse_range("-1..1.5") == Range(-1, 1.5, whole=False, log=False)
    assert parse_range("0.1") is parse_range("NextState") is None
    for wrong in ("2..1", "0..1:log", "1e..2"):
        with pytest.raises(InputError, match=r"^Expected a range LOW\.\.HIGH"):
            parse_range(wrong)


def test_different_runs_have_different_readable_names():
    assert run_name("CartPole-v1", "temperature=0.1", 3) == "CartPole-v1-temperature=0.1-seed-3"
    names = [
        run_name(environment, variant, seed)
        for environment in ("A-v0", "module:A-v0", "gio/A-v0", "gio_A-v0")
        for variant in ("", "f=R(1, 2)", "f=R(1,2)", "f=R 1, 2 ", "f=" + "x" * 300, "f=" + "x" * 301)
        for seed in (0, 10)
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 90 and not set(name) & set("/ :()") for name in names)


def test_values_are_split_at_commas_only():
    assert split_values("gio,soft_actor_critic", "--recipe") == ["gio", "soft_actor_critic"]
