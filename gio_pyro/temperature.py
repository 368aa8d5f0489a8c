"""The price of a nat, α: a number, a schedule, or whatever keeps the policy's entropy at a target.

`0.2` is a number; `"linear:0.5:0.05:20000"` goes from 0.5 to 0.05 over the first 20,000 steps; `"auto"`, `"auto:0.2"`
are learned, starting from 1 or 0.2 (Haarnoja et al., 2018, arXiv 1812.05905, equation 18).
"""

import math
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.schedules import between, split

LEAST, MOST = 1e-9, 1e9
DISCRETE_SHARE = 0.3
"""The entropy target of discrete actions, as a share of log A: all of it would forbid any choice."""


def target_entropy_of(actions: Space[Any]) -> float:
    """Return the entropy that an automatic temperature keeps, nats.

    For A discrete actions it is `DISCRETE_SHARE` · log A. For d continuous ones it is −d, of the density over the
    squashed action box [−1, 1]^d, which is log 2 · d for the uniform policy.
    """
    if isinstance(actions, Discrete):
        return DISCRETE_SHARE * math.log(int(actions.n))
    assert actions.shape is not None
    return -float(math.prod(actions.shape))


class Temperature(nn.Module):
    """α as the loop uses it: `at(step)` reads it, `update` learns it.

    Args:
        given: a number, `"linear:FROM:TO:STEPS"`, `"auto"` or `"auto:START"`.
        target: entropy that an automatic temperature keeps, nats.
        learning_rate: Adam's step size for an automatic temperature.

    Raises:
        InputError: text of another form, or a number that is not positive.
    """

    def __init__(self, given: float | str, *, target: float, learning_rate: float) -> None:
        super().__init__()
        kind, numbers = parse(given)
        self.target = target
        self.start, self.end, self.steps = numbers
        self.log_value = nn.Parameter(torch.tensor(math.log(self.start))) if kind == "auto" else None
        self.optimiser = None if self.log_value is None else torch.optim.Adam([self.log_value], lr=learning_rate)

    def at(self, step: int) -> float | Tensor:
        """Return α after `step` environment steps, reward units per nat; a tensor without gradient if it is learned."""
        if self.log_value is not None:
            return self.log_value.detach().exp()
        return between(self.start, self.end, self.steps, step) if self.steps else self.start

    def update(self, entropy: Tensor) -> None:
        """Raise a learned α where the mean `entropy` (nats) is below the target, lower it where it is above."""
        if self.optimiser is None or self.log_value is None:
            return
        self.optimiser.zero_grad()
        (self.log_value * (entropy.detach() - self.target)).backward()
        self.optimiser.step()


def parse(given: float | str) -> tuple[str, tuple[float, float, float]]:
    """Return the kind of a temperature and (start, end, steps)."""
    kind, numbers = split(given)
    if kind == "auto" and len(numbers) == str(given).count(":") < 2:
        start = numbers[0] if numbers else 1.0
        found = (start, start, 0.0)
    elif kind == "linear" and len(numbers) == 3 and 1 <= numbers[2] < math.inf:
        found = (numbers[0], numbers[1], numbers[2])
    elif kind == "fixed" and len(numbers) == 1:
        found = (numbers[0], numbers[0], 0.0)
    else:
        found = (math.nan,) * 3
    if not all(LEAST <= number <= MOST for number in found[:2]):
        raise InputError(
            f'Expected temperature from {LEAST:.9g} to {MOST:.9g} (reward units per nat), "linear:FROM:TO:STEPS" or '
            f'"auto:START", but got {given!r}; see gio_pyro.Settings.'
        )
    return kind, found
