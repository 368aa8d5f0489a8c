"""The temperature α, reward units per nat: constant, scheduled, learned for a target entropy, or from the critic loss.

`0.2` is constant; `"linear:0.5:0.05:20000"` changes linearly from 0.5 to 0.05 over the first 20,000 steps; `"auto"` and
`"auto:0.2"` are learned, starting from 1 or 0.2 (Haarnoja et al., 2018, arXiv 1812.05905, equation 18);
`"auto:START:LEAST:MOST"` keeps α in [LEAST, MOST]. Where nats are paid for information, a larger α need not raise the
entropy: the policy with the most information may have less than the target, and without bounds α then rises for ever.

`"loss:START:RATE"` follows the critic's mean squared error with every policy improvement,
1/α ← (1 − RATE)/α + RATE/loss (Grau-Moya et al., 2019, MIRL): a large error raises α and so keeps the policy near its
prior. As published, the loss is in squared reward units and α in reward units, so suitable values depend on the scale
of the rewards. 1/loss is clipped to [1/MOST, 1/LEAST] (`"loss:START:RATE:LEAST:MOST"`; by default START/1000 and
1000 · START), so that α stays in [LEAST, MOST] and one loss changes 1/α by at most RATE/LEAST.
"""

import math
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError, shown
from gio_pyro.schedules.weights import interpolate, parse_numbers

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-9, 1e9
DISCRETE_SHARE = 0.3
"""Target entropy of discrete actions, as a share of log A; 1 would force uniform actions."""
LOSS_RATE, LOSS_RANGE = 1e-3, 1e3
"""Defaults of `"loss"`: the rate of 1/α, and the factor by which α may leave its start in either direction."""


def target_entropy_of(actions: Space[Any]) -> float:
    """Return the default target entropy of an automatic temperature, nats.

    For A discrete actions it is `DISCRETE_SHARE` · log A. For d continuous ones it is −d, of the density over the
    squashed action box [−1, 1]^d, which is log 2 · d for the uniform policy.
    """
    if isinstance(actions, Discrete):
        return DISCRETE_SHARE * math.log(int(actions.n))
    assert actions.shape is not None
    return -float(math.prod(actions.shape))


def allowed_entropy_share(allowed: Tensor | None) -> Tensor | float:
    """Return the mean log-number of allowed actions as a share of log A; 1 without masks.

    Args:
        allowed: `[B, A]` booleans, the allowed actions; None for all.
    """
    if allowed is None or allowed.shape[-1] < 2:
        return 1.0
    return allowed.sum(-1).float().log().mean() / math.log(allowed.shape[-1])


class Temperature(nn.Module):
    """The temperature α: read by `at(step)`, learned by `update`.

    Args:
        given: a constant, `"linear:FROM:TO:STEPS"`, `"auto"`, `"auto:START"`, `"auto:START:LEAST:MOST"`, `"loss"`,
            `"loss:START"`, `"loss:START:RATE"` or `"loss:START:RATE:LEAST:MOST"`.
        target: target entropy of an automatic temperature, nats.
        learning_rate: Adam's step size for an automatic temperature.

    Raises:
        InputError: text of another form, or a temperature that is not positive.
    """

    inverse: Tensor | None

    def __init__(self, given: float | str, *, target: float, learning_rate: float) -> None:
        super().__init__()
        kind, numbers = parse_temperature(given)
        self.target = target
        self.start, self.end, self.steps = numbers[:3]
        self.rate = numbers[3] if kind == "loss" else 0.0
        """How fast 1/α follows the critic's loss."""
        self.bounds = numbers[-2:] if len(numbers) > 3 else None
        """Least and most α of `"loss"` and `"auto"`; None where none are given."""
        self.register_buffer("inverse", torch.tensor(1 / self.start) if kind == "loss" else None)
        self.log_value = nn.Parameter(torch.tensor(math.log(self.start))) if kind == "auto" else None
        self.optimiser = (
            None if self.log_value is None else torch.optim.Adam([self.log_value], lr=learning_rate, fused=True)
        )

    def at(self, step: int) -> float | Tensor:
        """Return α after `step` environment steps, reward units per nat; a detached tensor if it is learned."""
        if self.log_value is not None:
            return self.log_value.detach().exp()
        if self.inverse is not None:
            return 1 / self.inverse
        return interpolate(self.start, self.end, self.steps, step) if self.steps else self.start

    def update(self, entropy: Tensor, loss: Tensor | None = None, target_share: Tensor | float = 1.0) -> None:
        """Update a learned α: raise it if the entropy is below the target, lower it if it is above.

        Args:
            entropy: mean policy entropy, nats.
            loss: the critic's loss, squared reward units, for `"loss"`; ignored if not finite.
            target_share: factor of the target, below 1 if masks forbid actions (see `allowed_entropy_share`).
        """
        if self.inverse is not None and self.bounds and loss is not None:
            self._follow_loss(self.inverse, loss.detach(), *self.bounds)
        if self.optimiser is None or self.log_value is None:
            return
        # the gradient of log α (H − target)
        self.log_value.grad = (entropy.detach() - self.target * target_share).to(self.log_value)
        self.optimiser.step()
        if self.bounds:
            with torch.no_grad():
                self.log_value.clamp_(*map(math.log, self.bounds))

    def _follow_loss(self, inverse: Tensor, loss: Tensor, least: float, most: float) -> None:
        """Update 1/α on the device, without synchronising with the host."""
        aim = (1 / loss).clamp(1 / most, 1 / least)
        inverse.lerp_(torch.where(torch.isfinite(loss), aim, inverse).to(inverse), self.rate)


def parse_temperature(given: float | str) -> tuple[str, tuple[float, ...]]:
    """Return the kind of a temperature and its numbers: (start, end, steps), and bounds of a learned one.

    For "loss" (rate, least, most) follow, for "auto" (least, most) where they are given.

    Raises:
        InputError: text of another form, or a number out of range.
    """
    kind, numbers = parse_numbers(given)
    whole = len(numbers) == str(given).count(":")
    if kind == "auto" and whole and len(numbers) in (0, 1, 3):
        found: tuple[float, ...] = _auto_numbers(*numbers)
    elif kind == "loss" and whole and len(numbers) in (0, 1, 2, 4):
        found = _loss_numbers(*numbers)
    elif kind == "linear" and len(numbers) == 3 and 1 <= numbers[2] < math.inf:
        found = (numbers[0], numbers[1], numbers[2])
    elif kind == "fixed" and len(numbers) == 1:
        found = (numbers[0], numbers[0], 0.0)
    else:
        found = (math.nan,) * 3
    if not all(MIN_TEMPERATURE <= number <= MAX_TEMPERATURE for number in found[:2]):
        raise InputError(f"Expected {_expected_form(kind)}, but got {shown(given)}; see gio_pyro.Settings.")
    return kind, found


def _expected_form(kind: str) -> str:
    """Return the expected form of a temperature of this kind, in words."""
    span = f"from {MIN_TEMPERATURE:.9g} to {MAX_TEMPERATURE:.9g}"
    if kind == "loss":
        return (
            'temperature "loss:START:RATE" or "loss:START:RATE:LEAST:MOST" with RATE above 0 and at most 1, and '
            f"START {span} and between its bounds"
        )
    forms = '"linear:FROM:TO:STEPS", "auto:START", "auto:START:LEAST:MOST" with START between its bounds'
    return f'temperature {span} (reward units per nat), {forms}, or "loss:START:RATE"'


def _auto_numbers(start: float = 1.0, *bounds: float) -> tuple[float, ...]:
    """Return the numbers of a learned temperature; all NaN if its bounds are out of range."""
    least, most = bounds or (start, start)
    if not MIN_TEMPERATURE <= least <= start <= most <= MAX_TEMPERATURE:
        return (math.nan,) * 3
    return start, start, 0.0, *bounds


def _loss_numbers(start: float = 1.0, rate: float = LOSS_RATE, *bounds: float) -> tuple[float, ...]:
    """Return the numbers of a temperature that follows the loss; all NaN if one is out of range."""
    least, most = bounds or (max(start / LOSS_RANGE, MIN_TEMPERATURE), min(start * LOSS_RANGE, MAX_TEMPERATURE))
    if not (0 < rate <= 1 and MIN_TEMPERATURE <= least <= start <= most <= MAX_TEMPERATURE):
        return (math.nan,) * 6
    return start, start, 0.0, rate, least, most
