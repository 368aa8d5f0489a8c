"""A channel that is linear in the actions, fitted by likelihood, against the exact capacity.

Cost: 15 s.
"""

from collections.abc import Callable
from functools import cache, partial

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.func import jacrev, vmap

from gio_pyro.empowerment import gaussian_capacity, linear_empowerment
from gio_pyro.errors import InputError
from gio_pyro.models import LatentChannelModel, LinearChannelModel
from gio_pyro.models.latent import Code
from gio_pyro.programs import without_validation
from gio_pyro.testing import check_model
from gio_pyro.types import Spec
from tests.slow import slow_but
from tests.spaces import image, vector

World = Callable[[int], tuple[Tensor, Tensor, Tensor]]
"""`count -> state, actions, future`."""


def fitted(
    world: World, horizon: int, steps: int, hidden: tuple[int, ...], kind: type = LinearChannelModel, futures: int = 2
) -> LinearChannelModel:
    """A model fitted by plain maximum likelihood; Adam's steps fall from 0.01 to 0."""
    with torch.random.fork_rng(), without_validation():
        torch.manual_seed(0)
        model = kind(Spec(vector(futures), vector(horizon), vector(futures), hidden=hidden))
        model.observe(*world(4_000))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
        for _ in range(steps):
            state, action, future = world(512)
            loss = -model.outcome(state, action).log_prob(future).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return model


A, B = torch.tensor([[1.0, 0.5], [-0.2, 0.9]]), torch.tensor([[0.1], [0.5]])
DEVIATION = torch.tensor([0.3, 0.2])


def line(horizon: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences of a linear system, its final state seen in noise."""
    start, actions = torch.randn(count, 2), torch.randn(count, horizon)
    state = start
    for action in actions.unbind(-1):
        state = state @ A.T + action[:, None] @ B.T
    return start, actions, state + DEVIATION * torch.randn(count, 2)


@cache
def of_the_line(horizon: int) -> LinearChannelModel:
    return fitted(partial(line, horizon), horizon, steps=500, hidden=(64,))


SQUARE = torch.cartesian_prod(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9))


@pytest.mark.parametrize("horizon", slow_but([1, 2, 4], 2))
def test_what_it_learns_of_a_linear_system_is_its_empowerment(horizon: int):
    for power in (0.1, 1.0):
        truth = linear_empowerment(A, B, horizon, power, final_noise=DEVIATION.square())
        found = of_the_line(horizon).empowerment(SQUARE, power).detach()
        assert float((found - truth).abs().max()) < 0.05


STEP, GRAVITY, TORQUE, DRAG = 0.1, 9.81, 2.0, 0.1
SEEN = torch.tensor([0.05, 0.1])
ACTIONS = 5
SPREAD = 0.5


def swing(state: Tensor, actions: Tensor) -> Tensor:
    """Where a pendulum of limited torque is after the actions: its angle from the top, and its velocity."""
    angle, velocity = state.unbind(-1)
    for action in actions.unbind(-1):
        velocity = velocity + STEP * (GRAVITY * angle.sin() + TORQUE * action.tanh() - DRAG * velocity)
        angle = angle + STEP * velocity
    return torch.stack([angle, velocity], -1)


def pendulum(count: int) -> tuple[Tensor, Tensor, Tensor]:
    start = (2 * torch.rand(count, 2) - 1) * torch.tensor([torch.pi, 4.0])
    actions = SPREAD * torch.randn(count, ACTIONS)
    return start, actions, swing(start, actions) + SEEN * torch.randn(count, 2)


def ranks(values: Tensor) -> Tensor:
    return values.argsort().argsort().double()


@cache
def of_the_pendulum() -> LinearChannelModel:
    return fitted(pendulum, ACTIONS, steps=600, hidden=(64, 64))


GRID = torch.cartesian_prod(torch.linspace(-3, 3, 15), torch.linspace(-3.5, 3.5, 11))


def of_the_linearisation(power: float, share: float = 1.0) -> Tensor:
    """The capacity where the actions are small, or where the torque is a share of itself."""
    gain = vmap(jacrev(swing, argnums=1))(GRID, torch.zeros(len(GRID), ACTIONS))
    return gaussian_capacity(share * gain, SEEN.square(), power)


@pytest.mark.parametrize("power", slow_but([0.1, 1.0], 1.0))
def test_it_ranks_the_states_of_a_pendulum_as_the_linearisation_does(power: float):
    found = of_the_pendulum().empowerment(GRID, power).detach()
    both = torch.stack([ranks(found), ranks(of_the_linearisation(power))])
    assert float(torch.corrcoef(both)[0, 1]) >= 0.95


@pytest.mark.parametrize("power", [0.1, 1.0])
def test_what_it_says_less_than_the_linearisation_is_the_squash(power: float):
    slope = 1 - (SPREAD * torch.linspace(-5, 5, 2_001)).tanh().square()
    share = float((slope * (-0.5 * torch.linspace(-5, 5, 2_001).square()).softmax(0)).sum())
    missing = of_the_linearisation(power, share) - of_the_pendulum().empowerment(GRID, power).detach()
    assert abs(float(missing.mean())) < 0.05


SIZE, HAZE = 10, 0.05
BEND, SECOND = torch.randn(2, SIZE, generator=torch.Generator().manual_seed(0)), torch.linspace(-1, 1, 2 * SIZE)


def seen(state: Tensor) -> Tensor:
    """Ten numbers, bent, of a state of two; their derivatives differ from place to place."""
    return 0.5 * state @ BEND + torch.sin(state @ BEND.flip(-1) + SECOND[:SIZE])


def veiled(count: int) -> tuple[Tensor, Tensor, Tensor]:
    start, actions, state = line(2, count)
    haze = HAZE * torch.randn(2, count, SIZE)
    return seen(start) + haze[0], actions, seen(state) + haze[1]


def of_the_veiled(power: float) -> Tensor:
    """The capacity where haze is small: it adds to the noise, in the state seen at the end and at the beginning."""
    slope = vmap(jacrev(seen))(SQUARE)
    haze = HAZE**2 * torch.linalg.inv(slope.mT @ slope)
    noise = torch.diag(DEVIATION.square()) + haze + A @ A @ haze @ (A @ A).T
    return gaussian_capacity(torch.cat([A @ B, B], -1).expand_as(noise), noise, power)


@pytest.mark.slow
def test_a_latent_channel_reads_two_numbers_behind_ten():
    model = fitted(veiled, 2, steps=300, hidden=(64,), kind=LatentChannelModel, futures=SIZE)
    plain = fitted(veiled, 2, steps=300, hidden=(64,), futures=SIZE)
    for power in (0.1, 1.0):
        found = model.empowerment(seen(SQUARE), power).detach()
        other = plain.empowerment(seen(SQUARE), power).detach()
        truth = of_the_veiled(power)
        assert abs(float((found - truth).mean())) < 0.1
        assert abs(float((other - truth).mean())) > 0.1


@pytest.mark.parametrize("size", [2, 5])
def test_a_code_is_invertible_and_knows_its_slope(size: int):
    code = Code(size, 3, (8,)).double()
    for parameter in code.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(4, size, dtype=torch.float64)
    z, slope = code(x)
    assert torch.allclose(code.inverse(z), x)
    assert torch.allclose(slope, torch.linalg.slogdet(vmap(jacrev(lambda v: code(v)[0]))(x)).logabsdet)


def test_draws_of_a_latent_channel_have_the_density_that_it_says():
    model = LatentChannelModel(Spec(vector(3), vector(4), vector(2), hidden=(16,)))
    torch.nn.init.normal_(model.code.nets[0][-1].weight, std=0.3)
    with torch.no_grad():
        outcome = model.outcome(torch.zeros(1, 3), torch.zeros(1, 4))
        draws = outcome.sample((50_000,))
        side = torch.linspace(-12, 12, 241)
        volume = outcome.log_prob(torch.cartesian_prod(side, side)[:, None]).exp().sum() * 0.01
        inside = (outcome.log_prob(draws) > -3).float().mean()
        density = outcome.log_prob(torch.cartesian_prod(side, side)[:, None])
    assert float(volume) == pytest.approx(1, abs=0.01)
    assert float(inside) == pytest.approx(float(density[density > -3].exp().sum() * 0.01), abs=0.02)


@pytest.mark.parametrize("kind", [LinearChannelModel, LatentChannelModel])
@pytest.mark.parametrize("states", [vector(3), image(5, 1), Discrete(4)])
def test_it_passes_the_kit(kind: type, states: object):
    check_model(kind, Spec(states, vector(4), vector(3), hidden=(16,)))


def small() -> LinearChannelModel:
    return LinearChannelModel(Spec(vector(3), vector(4), vector(3), hidden=(16,)))


def test_its_mean_is_linear_in_the_actions():
    model, state = small(), torch.randn(5, 3)
    first, second = torch.randn(2, 5, 4).unbind(0)
    origin = model.outcome(state, torch.zeros(5, 4)).mean
    summed = model.outcome(state, first).mean + model.outcome(state, second).mean - origin
    gain, scale = model.channel(state)
    assert torch.allclose(model.outcome(state, first + second).mean, summed, atol=1e-5)
    assert torch.allclose(origin + (gain @ first[:, :, None])[..., 0], model.outcome(state, first).mean, atol=1e-5)
    assert torch.allclose(scale, model.outcome(state, first).stddev)


def test_its_empowerment_does_not_depend_on_units():
    model, state = small(), torch.randn(5, 3)
    before = model.empowerment(state, 1.0)
    model.target.deviation.mul_(torch.tensor([1e-3, 1.0, 1e3]))
    assert torch.allclose(model.empowerment(state, 1.0), before, rtol=1e-5)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_gradients_of_its_empowerment_are_finite_where_actions_do_nothing(power: float):
    model, state = small(), torch.randn(5, 3, requires_grad=True)
    for parameter in model.net.parameters():
        torch.nn.init.zeros_(parameter)
    model.empowerment(state, power).sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in [state, *model.net.parameters()])


def test_power_may_differ_from_state_to_state():
    model, state = small(), torch.randn(2, 3)
    both = model.empowerment(state, torch.tensor([0.5, 2.0])).detach()
    assert float(both[1]) == pytest.approx(float(model.empowerment(state, 2.0)[1].detach()))


def test_what_cannot_be_used_is_said():
    with pytest.raises(InputError, match="Box of actions for LinearChannelModel"):
        LinearChannelModel(Spec(vector(3), Discrete(4), vector(3)))
    with pytest.raises(InputError, match="Box of futures for LinearChannelModel"):
        LinearChannelModel(Spec(vector(3), vector(4), Discrete(3)))
    with pytest.raises(InputError, match="power of at least 0"):
        small().empowerment(torch.randn(2, 3), -1.0)
    with pytest.raises(InputError, match="2 numbers or more"):
        LatentChannelModel(Spec(vector(3), vector(4), vector(1)))
