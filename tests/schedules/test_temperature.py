"""Temperatures: constant, scheduled, learned, or from the critic loss."""

from math import log
from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.errors import InputError
from gio_pyro.schedules.temperature import Temperature, parse_temperature, target_entropy_of
from tests.spaces import vector


def temperature(given: float | str, target: float = 0.0, learning_rate: float = 0.1) -> Temperature:
    return Temperature(given, target=target, learning_rate=learning_rate)


@pytest.mark.parametrize("given", [0.2, 1, 1e-9, 1e9])
def test_a_number_stays(given: float):
    alpha = temperature(given)
    alpha.update(torch.tensor(100.0))
    assert [alpha.at(step) for step in (0, 7, 10**9)] == [given] * 3
    assert list(alpha.parameters()) == []


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.5), (5_000, 0.3875), (10_000, 0.275), (20_000, 0.05), (10**9, 0.05)]
)
def test_a_schedule_goes_straight_from_one_number_to_another(step: int, expected: float):
    assert temperature("linear:0.5:0.05:20000").at(step) == pytest.approx(expected)


def test_a_schedule_may_rise():
    rising = temperature("linear:0.1:0.3:10")
    assert [rising.at(step) for step in (0, 5, 10)] == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(("given", "start"), [("auto", 1.0), ("auto:0.2", 0.2), ("auto:1e-3", 1e-3)])
def test_a_learned_temperature_starts_where_it_is_told(given: str, start: float):
    alpha = temperature(given).at(12_345)
    assert isinstance(alpha, torch.Tensor)
    assert not alpha.requires_grad
    assert float(alpha) == pytest.approx(start)


@pytest.mark.parametrize(("entropy", "rises"), [(0.2, True), (0.8, False), (-5.0, True)])
def test_a_learned_temperature_rises_where_the_entropy_is_too_low(entropy: float, rises: bool):
    alpha = temperature("auto:0.2", target=0.5)
    for _ in range(5):
        alpha.update(torch.tensor(entropy))
    assert (float(alpha.at(0)) > 0.2) == rises
    assert float(alpha.at(0)) != 0.2


def test_a_learned_temperature_rests_at_the_target():
    alpha = temperature("auto:0.2", target=0.5)
    alpha.update(torch.tensor(0.5))
    assert float(alpha.at(0)) == pytest.approx(0.2)


def test_a_learned_temperature_takes_steps_of_its_learning_rate_in_log_alpha():
    alpha = temperature("auto:0.2", target=0.5, learning_rate=0.01)
    alpha.update(torch.tensor(0.0))
    assert log(float(alpha.at(0)) / 0.2) == pytest.approx(0.01, rel=1e-3)


def test_no_gradient_reaches_the_entropy():
    entropy = torch.tensor(0.1, requires_grad=True)
    alpha = temperature("auto", target=0.5)
    alpha.update(2 * entropy)
    assert entropy.grad is None


def test_a_learned_temperature_settles_where_a_policys_entropy_is_the_target():
    """Two actions with Q = (1, 0): the entropy of softmax(Q/α) is 0.5 nats at one α only."""
    alpha = temperature("auto:1.0", target=0.5, learning_rate=0.02)
    q = torch.tensor([1.0, 0.0])
    for _ in range(600):
        pi = torch.softmax(q / alpha.at(0), -1)
        alpha.update(-(pi * pi.log()).sum())
    assert float(-(pi * pi.log()).sum()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("entropy", "end", "back"), [(0.0, 0.25, 1.0), (1.0, 0.1, 0.0)])
def test_a_learned_temperature_stays_within_its_bounds_and_can_leave_them(entropy: float, end: float, back: float):
    alpha = temperature("auto:0.2:0.1:0.25", target=0.5, learning_rate=0.1)
    for _ in range(20):
        alpha.update(torch.tensor(entropy))
    assert float(alpha.at(0)) == pytest.approx(end)
    for _ in range(20):
        alpha.update(torch.tensor(back))
    assert abs(float(alpha.at(0)) - end) > 0.01


def test_a_learned_temperature_travels_in_the_state_dict():
    first, second = temperature("auto:0.2", target=0.5), temperature("auto:0.9", target=0.5)
    first.update(torch.tensor(0.0))
    second.load_state_dict(first.state_dict())
    assert float(second.at(0)) == float(first.at(0))


WRONG: list[Any] = [
    *["Auto", "auto:", "auto:x", "auto:0", "auto:-1", "auto:nan", "auto:1:2", "", "0.2", "cosine:1:2:3"],
    *["auto:1:2:3", "auto:1:0:2", "auto:1:0.1:inf"],
    *["linear", "linear:1:2", "linear:1:2:0", "linear:1:2:3:4", "linear:a:b:c", "linear:0:1:10", "linear:1:0:10"],
    *["linear:1:2:nan", "linear:1:2:inf", 0.0, -1.0, float("nan"), float("inf"), 1e-10, 1e10, None, True],
]


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_temperature_is_refused_in_one_sentence(given: Any):
    with pytest.raises(InputError) as error:
        temperature(given)
    text = str(error.value)
    assert text.startswith('Expected temperature from 1e-09 to 1e+09 (reward units per nat), "linear:FROM:TO:STEPS"')
    assert text.endswith(f"but got {given!r}; see gio_pyro.Settings.")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("given", "kind", "numbers"),
    [
        (0.2, "fixed", (0.2, 0.2, 0.0)),
        ("linear:1:0.5:10", "linear", (1.0, 0.5, 10.0)),
        ("auto", "auto", (1.0, 1.0, 0.0)),
        ("auto:3", "auto", (3.0, 3.0, 0.0)),
        ("auto:3:0.5:3", "auto", (3.0, 3.0, 0.0, 0.5, 3.0)),
    ],
)
def test_the_parts_of_a_temperature(given: float | str, kind: str, numbers: tuple[float, ...]):
    assert parse_temperature(given) == (kind, numbers)


@pytest.mark.parametrize(
    ("space", "target"),
    [
        (Discrete(2), 0.3 * log(2)),
        (Discrete(10), 0.3 * log(10)),
        (Discrete(1), 0.0),
        (vector(1), -1.0),
        (vector(6), -6.0),
    ],
)
def test_the_entropy_that_is_kept(space: Any, target: float):
    assert target_entropy_of(space) == pytest.approx(target)


class TestFromTheCriticsLoss:
    """1/α ← (1 − η)/α + η/loss (Grau-Moya et al., 2019), the aim kept between bounds."""

    def test_a_step_by_hand(self):
        """From α = 2, half of the way from 1/2 to 1/0.25: 1/α = 2.25."""
        alpha = temperature("loss:2:0.5")
        alpha.update(torch.tensor(0.0), torch.tensor(0.25))
        assert float(alpha.at(7)) == pytest.approx(1 / 2.25)

    @pytest.mark.parametrize("loss", [0.01, 0.3, 40.0])
    def test_it_settles_at_a_loss_that_stays(self, loss: float):
        alpha = temperature("loss:1:0.1")
        for _ in range(400):
            alpha.update(torch.tensor(0.0), torch.tensor(loss))
        assert float(alpha.at(0)) == pytest.approx(loss, rel=1e-4)

    @pytest.mark.parametrize(("loss", "bound"), [(0.0, 0.05), (1e-30, 0.05), (1e30, 3.0)])
    def test_it_stays_between_its_bounds(self, loss: float, bound: float):
        alpha = temperature("loss:1:0.1:0.05:3")
        for _ in range(400):
            alpha.update(torch.tensor(0.0), torch.tensor(loss))
            assert 0.05 * (1 - 1e-6) <= float(alpha.at(0)) <= 3 * (1 + 1e-6)
        assert float(alpha.at(0)) == pytest.approx(bound, rel=1e-4)

    @pytest.mark.parametrize("loss", [float("nan"), float("inf")])
    def test_a_loss_that_is_not_finite_moves_nothing(self, loss: float):
        alpha = temperature("loss:0.3:0.5")
        alpha.update(torch.tensor(0.0), torch.tensor(loss))
        assert float(alpha.at(0)) == pytest.approx(0.3)

    def test_it_has_no_optimiser_and_travels_in_the_state_dict(self):
        first, second = temperature("loss:2:0.5"), temperature("loss")
        first.update(torch.tensor(0.0), torch.tensor(0.25))
        assert first.optimiser is None
        second.load_state_dict(first.state_dict())
        assert torch.equal(torch.as_tensor(second.at(0)), torch.as_tensor(first.at(0)))

    def test_other_temperatures_do_not_look_at_the_loss(self):
        for given in (0.3, "linear:1:0.5:10"):
            alpha = temperature(given)
            before = alpha.at(5)
            alpha.update(torch.tensor(0.0), torch.tensor(9.0))
            assert alpha.at(5) == before
            assert not alpha.state_dict()

    @pytest.mark.parametrize(
        ("given", "numbers"),
        [
            ("loss", (1.0, 1.0, 0.0, 1e-3, 1e-3, 1e3)),
            ("loss:2", (2.0, 2.0, 0.0, 1e-3, 2e-3, 2e3)),
            ("loss:2:0.5", (2.0, 2.0, 0.0, 0.5, 2e-3, 2e3)),
            ("loss:2:1:0.1:3", (2.0, 2.0, 0.0, 1.0, 0.1, 3.0)),
        ],
    )
    def test_its_parts(self, given: str, numbers: tuple[float, ...]):
        kind, found = parse_temperature(given)
        assert (kind, found) == ("loss", pytest.approx(numbers))

    @pytest.mark.parametrize(
        "given",
        [
            "loss:0",
            "loss:-1:2",
            "loss:",
            "loss:a",
            "loss:inf",
            "loss:1:0",
            "loss:1:1.1",
            "loss:1:0.1:0.5",
            "loss:1:0.1:2:3",
            "loss:1:0.1:0.1:0.5",
            "loss:nan",
        ],
    )
    def test_other_forms_are_refused(self, given: str):
        with pytest.raises(InputError, match=r'^Expected temperature "loss:START:RATE" .*RATE above 0.*, but got'):
            temperature(given)
