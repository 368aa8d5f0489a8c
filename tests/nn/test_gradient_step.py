"""Gradient steps: eager, compiled, or skipped because the loss is not finite."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.actor_critic import NetworkActorCritic
from gio_pyro.actor_critic.guide_reward import Imagined
from gio_pyro.errors import InputError
from gio_pyro.guides import CategoricalNetworkGuide, GaussianGuide
from gio_pyro.inference import Inference, Objective, Sleep, objective_named
from gio_pyro.models import CategoricalNetworkModel, GaussianModel
from gio_pyro.nn.gradient_step import Descent, adam
from gio_pyro.programs import build_guide, build_model, without_validation
from gio_pyro.schedules.temperature import Temperature
from gio_pyro.settings import Settings
from gio_pyro.types import Spec, Transitions
from tests.spaces import image, spec, vector


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

    def descent(self, compiled: bool = False) -> Descent:
        return Descent("line", self, adam(list(self.net.parameters()), 0.01), compiled)


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


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Leave the traced graph as it is; returns the options of each compilation."""
    calls: list[dict[str, Any]] = []

    def identity(graph: Any, **options: Any) -> Any:
        calls.append(options)
        return graph

    monkeypatch.setattr(torch, "compile", identity)
    return calls


def test_a_traced_step_is_the_plain_step(uncompiled: list[dict[str, Any]]):
    traced, plain = Line(), Line()
    first, second = traced.descent(compiled=True), plain.descent()
    for _ in range(10):
        torch.testing.assert_close(first.step(None, X, Y), second.step(None, X, Y), rtol=0, atol=0)
    torch.testing.assert_close(traced.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    assert len(uncompiled) == 1
    assert plain.calls == 10
    assert traced.calls <= 2


def test_another_shape_is_traced_once_more(uncompiled: list[dict[str, Any]]):
    descent = Line().descent(compiled=True)
    for rows in (3, 2, 3, 2):
        descent.step(None, X[:rows], Y[:rows])
    assert len(uncompiled) == 2


def test_another_context_is_traced_once_more(uncompiled: list[dict[str, Any]]):
    parameter, contexts = nn.Parameter(torch.ones(1)), [2.0, 5.0]
    descent = Descent(
        "line", lambda c: (c * parameter.sum(), {"loss": c * parameter.sum()}), adam([parameter], 0.0), True
    )
    assert [descent.step(c)["loss"].item() for c in (*contexts, *contexts)] == [2.0, 5.0, 2.0, 5.0]
    assert len(uncompiled) == 2


class Times:
    """A context that is equal to every other one."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_a_graph_is_that_of_its_own_context_even_where_another_took_its_place_in_memory(
    uncompiled: list[dict[str, Any]],
):
    """`id` of an object that is gone is soon that of another: a context must be kept as long as its graph is."""
    net = nn.Linear(2, 1)

    def loss(context: Times, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        found = context.factor * net(x).square().mean()
        return found, {"loss": found}

    descent, plain = Descent("line", loss, None, True), Descent("line", loss, None)
    for factor in (1.0, 2.0, 3.0):  # each context is gone before the next one is made
        assert float(descent.step(Times(factor), X)["loss"]) == float(plain.step(Times(factor), X)["loss"])
    assert len(uncompiled) == 3


def test_a_copy_is_traced_anew_over_its_own_parameters(uncompiled: list[dict[str, Any]]):
    line = Line()
    first = line.descent(compiled=True)
    first.step(None, X, Y)
    other = copy.deepcopy(first)
    with torch.no_grad():
        other.loss.net.weight.fill_(7.0)
    expected = float(other.loss(None, X, Y)[0].detach())
    assert float(other.step(None, X, Y)["loss"]) == expected
    assert len(uncompiled) == 2


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_traced_loss_that_is_not_finite_changes_nothing(bad: float, uncompiled: list[dict[str, Any]]):
    line = Line()
    descent = line.descent(compiled=True)
    descent.step(None, X, Y)
    before = copy.deepcopy(line.net.state_dict())
    descent.step(None, X, Y * bad)
    torch.testing.assert_close(line.net.state_dict(), before, rtol=0, atol=0)


def test_a_program_that_asks_the_host_is_told_so_in_one_sentence(uncompiled: list[dict[str, Any]]):
    parameter = nn.Parameter(torch.ones(1))

    def decides(_: Any, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return (parameter.sum() if float(x.sum()) > 0 else -parameter.sum()), {}

    with pytest.raises(InputError) as error:
        Descent("line", decides, adam([parameter], 0.1), compiled=True).step(None, torch.ones(2))
    text = str(error.value)
    assert text.startswith("Expected programs that compile, but tracing or compiling raised ")
    assert text.endswith("; leave compile off, or remove Python control flow and .item() from the programs.")
    assert "\n" not in text


WORLDS = {
    "vector, continuous": (spec(vector(3), vector(2)), GaussianGuide),
    "vector, discrete": (spec(vector(3), Discrete(3)), CategoricalNetworkGuide),
    "image, discrete": (spec(image(7), Discrete(3)), CategoricalNetworkGuide),
    "discrete, continuous": (spec(Discrete(5), vector(2)), GaussianGuide),
}


def batch_of(world: Spec, size: int = 16, seed: int = 0) -> Transitions:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        shape = world.state_space.shape
        states = torch.randn(2, size, *shape)
        if world.state_space.dtype == "uint8":
            states = torch.randint(0, 256, (2, size, *shape), dtype=torch.uint8)
        elif isinstance(world.state_space, Discrete):
            states = torch.randint(int(world.state_space.n), (2, size))
        discrete = isinstance(world.action_space, Discrete)
        action = torch.randint(3, (size,)) if discrete else torch.randn(size, *world.action_space.shape)
        over, cut = torch.rand(2, size) < 0.2
        log_mu = (torch.rand(size) + 0.1).log()
        return Transitions(states[0], action, torch.randn(size), states[1], over, cut, log_mu, torch.ones(size))


class Learner:
    """Everything that learns from a batch, as the agent puts it together."""

    def __init__(self, world: Spec, guide: Any, objective: Objective, compiled: bool) -> None:
        torch.manual_seed(0)
        batch = batch_of(world)
        self.actor_critic = NetworkActorCritic(world, Settings(hidden=(16,), compile=compiled, discount=0.9))
        policy = self.actor_critic.policy
        model = CategoricalNetworkModel if isinstance(world.state_space, Discrete) else GaussianModel
        self.model = build_model(model, world, policy, batch.state[:1])
        self.guide = build_guide(guide, world, self.model, policy, batch.state[:1])
        self.inference = Inference(self.model, self.guide, objective, learning_rate=1e-2, compiled=compiled)
        self.reward = Imagined(self.model, self.guide, 1)
        self.temperature = Temperature("auto:0.2", target=-1.0, learning_rate=0.01)
        for part in (self.model, self.guide):
            part.observe(batch.state, batch.action, batch.next_state)
        self.actor_critic.observe(batch.state)

    def learn(self, batch: Transitions) -> dict[str, Tensor]:
        with without_validation():
            figures = self.inference.step(self.actor_critic.policy, batch, batch.next_state)
            return figures | self.actor_critic.improve(batch, self.reward, self.temperature, 1)

    def state(self) -> dict[str, Any]:
        parts = (self.actor_critic, self.model, self.guide, self.temperature)
        return {str(number): dict(part.state_dict()) for number, part in enumerate(parts)}


def learned(kind: str, objective: str, compiled: bool, steps: int = 4) -> tuple[Learner, list[Any], Tensor]:
    world, guide = WORLDS[kind]
    with torch.random.fork_rng():
        learner = Learner(world, guide, objective_named(objective), compiled)
        torch.manual_seed(1)
        figures = [learner.learn(batch_of(world, seed=seed)) for seed in range(steps)]
        return learner, figures, torch.get_rng_state()


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        ("vector, continuous", "sleep"),
        ("vector, continuous", "elbo"),
        ("vector, discrete", "sleep"),
        *(pytest.param("vector, continuous", name, marks=pytest.mark.slow) for name in ("wake_sleep", "forward_kl")),
        *(pytest.param("discrete, continuous", name, marks=pytest.mark.slow) for name in ("sleep", "elbo")),
        pytest.param("image, discrete", "sleep", marks=pytest.mark.slow),
    ],
)
def test_the_traced_update_is_the_plain_one_to_the_last_bit(
    kind: str, objective: str, uncompiled: list[dict[str, Any]]
):
    plain, figures, numbers = learned(kind, objective, compiled=False)
    traced, traced_figures, traced_numbers = learned(kind, objective, compiled=True)
    assert len(uncompiled) == 3
    assert torch.equal(numbers, traced_numbers), "the traced update drew other random numbers"
    torch.testing.assert_close(traced_figures, figures, rtol=0, atol=0)
    torch.testing.assert_close(traced.state(), plain.state(), rtol=0, atol=0)


def test_the_traced_update_reads_new_input_statistics(uncompiled: list[dict[str, Any]]):
    """Statistics are buffers that are written in place: a graph that had copied them would go on with the old ones."""
    results = []
    for compiled in (False, True):
        with torch.random.fork_rng():
            learner = Learner(*WORLDS["vector, continuous"], Sleep(1), compiled)
            batch = batch_of(WORLDS["vector, continuous"][0])
            torch.manual_seed(2)
            learner.learn(batch)
            learner.model.observe(7 * batch.state, batch.action, 3 * batch.next_state)
            learner.actor_critic.observe(7 * batch.state)
            torch.manual_seed(3)
            results.append(learner.learn(batch))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)


@pytest.mark.learning
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, when its compiler is imported
def test_the_compiled_update_is_the_plain_one_up_to_rounding():
    plain, figures, _ = learned("vector, continuous", "forward_kl", compiled=False, steps=2)
    compiled, others, _ = learned("vector, continuous", "forward_kl", compiled=True, steps=2)
    assert plain.actor_critic.critic.online is not compiled.actor_critic.critic.online
    torch.testing.assert_close(others[0]["dynamics_nats"], figures[0]["dynamics_nats"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(others[0]["guide_nats"], figures[0]["guide_nats"], rtol=1e-4, atol=1e-4)
    for _ in range(200):
        batch = batch_of(WORLDS["vector, continuous"][0])
        last = (plain.learn(batch)["dynamics_nats"], compiled.learn(batch)["dynamics_nats"])
    torch.testing.assert_close(last[1], last[0], rtol=0.05, atol=0.1)


@pytest.mark.parametrize("pick", [lambda x: x[x > 0].sum(), lambda x: (x > 0).nonzero().sum() * x.sum()])
def test_rows_picked_by_a_mask_are_refused(pick: Callable[[Tensor], Tensor]):
    """How many there are would be fixed while tracing; another batch would be cut or fail."""
    weight = nn.Parameter(torch.ones(3))
    descent = Descent("picking", lambda _, x: (pick(weight * x), {}), adam([weight], 0.1), compiled=True)
    with pytest.raises(InputError, match=r"rows are selected by a mask .*; leave compile off"):
        descent.step(None, torch.tensor([1.0, -1.0, 2.0]))
