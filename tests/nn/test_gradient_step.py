"""Gradient steps, and steps skipped because the loss is not finite."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gio_pyro.nn.gradient_step import Descent, adam
from gio_pyro.nn.optimiser_state import grow_moments
from gio_pyro.nn.seen_values import resize


class Line:
    """Squared error of a line; counts its evaluations."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net, self.other = nn.Linear(2, 1), nn.Linear(1, 1)
        self.calls = 0

    def __call__(self, context: Any, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.calls += 1
        loss = (self.other(self.net(x)) - y).square().mean()
        return loss, {"loss": loss, "twice": 2 * loss}

    def descent(self) -> Descent:
        return Descent("line", self, adam(list(self.net.parameters()), 0.01))


X, Y = torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 0.0]]), torch.tensor([[1.0], [2.0], [3.0]])


def test_steps_are_those_of_plain_torch():
    line, plain = Line(), Line()
    descent, optimiser = line.descent(), torch.optim.Adam(plain.net.parameters(), lr=0.01)
    for _ in range(20):
        figures = descent.step(None, X, Y)
        loss, _ = plain(None, X, Y)
        torch.testing.assert_close(figures["loss"], loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.testing.assert_close(line.net.state_dict(), plain.net.state_dict())


def test_figures_are_those_of_the_loss_before_the_step_and_carry_no_gradient():
    line = Line()
    loss, _ = line(None, X, Y)
    figures = line.descent().step(None, X, Y)
    assert figures["loss"].item() == loss.item()
    assert figures["twice"].item() == 2 * loss.item()
    assert not any(figure.requires_grad for figure in figures.values())


def test_only_own_parameters_get_gradients_and_move():
    line = Line()
    before = copy.deepcopy(line.other.state_dict())
    line.descent().step(None, X, Y)
    assert all(p.grad is None for p in line.other.parameters())
    assert all(p.grad is not None for p in line.net.parameters())
    torch.testing.assert_close(line.other.state_dict(), before, rtol=0, atol=0)


def test_each_parameter_has_the_step_size_of_its_group():
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimiser = adam([{"params": [first], "lr": 0.1}, {"params": [second]}], 0.001)
    Descent("line", lambda _: ((first + second).sum(), {}), optimiser).step(None)
    assert (first.item(), second.item()) == pytest.approx((-0.1, -0.001))


def test_without_an_optimiser_the_loss_is_only_computed():
    line = Line()
    before = copy.deepcopy(line.net.state_dict())
    figures = Descent("line", line, None).step(None, X, Y)
    assert figures["loss"].item() == line(None, X, Y)[0].item()
    torch.testing.assert_close(line.net.state_dict(), before, rtol=0, atol=0)


def test_a_loss_that_reaches_no_parameter_moves_none():
    parameter = nn.Parameter(torch.ones(1))
    Descent("line", lambda _: (torch.ones(()), {}), adam([parameter], 0.1)).step(None)
    assert parameter.item() == 1.0


def test_a_parameter_that_the_loss_does_not_use_rests():
    used, unused = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    Descent("line", lambda _: (used.sum(), {}), adam([used, unused], 0.1)).step(None)
    assert (used.item(), unused.item()) == pytest.approx((0.9, 1.0))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("first", [0, 3])
def test_a_loss_that_is_not_finite_changes_no_parameter_and_no_moment(first: int, bad: float):
    """Neither as the very first step nor later; afterwards all goes on as if it had not been."""
    line, calm = Line(), Line()
    descent, other = line.descent(), calm.descent()
    for _ in range(first):
        descent.step(None, X, Y)
        other.step(None, X, Y)
    before = copy.deepcopy(line.net.state_dict())
    figures = descent.step(None, X, Y * bad)
    assert not bool(torch.isfinite(figures["loss"]))
    torch.testing.assert_close(line.net.state_dict(), before, rtol=0, atol=0)
    for _ in range(3):
        descent.step(None, X, Y)
        other.step(None, X, Y)
    torch.testing.assert_close(line.net.state_dict(), calm.net.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(moments(descent), moments(other), rtol=0, atol=0)


def moments(descent: Descent) -> list[Tensor]:
    assert descent.optimiser is not None
    return [value for state in descent.optimiser.state.values() for value in state.values()]


def test_a_finite_loss_with_a_gradient_that_is_not_changes_no_parameter():
    """sqrt at 0 has a finite value and no finite slope."""
    parameter = nn.Parameter(torch.zeros(1))
    descent = Descent("line", lambda _: ((parameter * 0.0).sqrt().sum(), {}), adam([parameter], 0.1))
    descent.step(None)
    assert parameter.item() == 0.0


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.Adafactor, torch.optim.Adagrad])
def test_moments_grow_with_their_parameter(kind: type[torch.optim.Optimizer]):
    """After a step with zero gradients at the new entries, the old ones move as if nothing had grown."""
    plain, wide = (nn.Parameter(torch.ones(3, 2)) for _ in range(2))
    steps = [kind([parameter], lr=0.1) for parameter in (plain, wide)]
    for number in range(2):
        for parameter, optimiser in zip((plain, wide), steps, strict=True):
            parameter.grad = torch.zeros_like(parameter)
            parameter.grad[:, :2] = torch.arange(1.0, 7.0).reshape(3, 2) + number
            grow_moments(optimiser)
            optimiser.step()
        if not number:
            wide.grad = None
            resize(wide, nn.functional.pad(wide.data, (0, 2)))
    assert wide.shape == (3, 4)
    shapes = [value.shape for value in steps[1].state[wide].values() if value.ndim]
    assert all(4 in shape or 1 in shape for shape in shapes)
    if kind is not torch.optim.Adafactor:  # its steps are scaled by sizes of the whole parameter
        torch.testing.assert_close(wide[:, :2], plain)
