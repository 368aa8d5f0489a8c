"""The engine conditions, runs and scores programs without side effects."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from pyro import poutine
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import one_hot

import gio_pyro as gio
from gio_pyro.errors import ProgramError
from gio_pyro.guides import CategoricalGuide, CategoricalNetworkGuide, GaussianGuide
from gio_pyro.inference import Elbo, Inference
from gio_pyro.models import CategoricalModel, CategoricalNetworkModel, GaussianModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, frozen_parameters, log_probs
from gio_pyro.types import Policy, Spec, Transitions
from tests.spaces import spec, vector

S, A, F, B = 5, 3, 4, 6
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))
STATE = torch.tensor([0, 1, 2, 3, 4, 0])
ACTION = torch.tensor([0, 1, 2, 0, 1, 2])
FUTURE = torch.tensor([3, 2, 1, 0, 3, 2])
TARGET = torch.tensor([0, 2, 1, 2, 0, 1])


def policy(state: Tensor) -> Distribution:
    """A policy that prefers later actions in later states."""
    return dist.Categorical(logits=torch.outer(state.float(), torch.arange(A) / 4))


def inputs(state: Tensor, action: Tensor) -> Tensor:
    """One-hot states and actions, `[B, S + A]`."""
    return torch.cat([one_hot(state, S), one_hot(action, A)], -1).float()


def outcome(state: Tensor, future: Tensor | None, policy: Policy, of: Callable[[Tensor], Distribution]) -> Tensor:
    """The body of every model here: "action" from the policy, "future" from `of(action)`."""
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", of(action), obs=future)


def param_model() -> Any:
    def simplex_model(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        p = pyro.param("p", lambda: torch.full((S, A, F), 1 / F), constraint=constraints.simplex)
        return outcome(state, future, policy, lambda action: dist.Categorical(p[state, action]))

    return simplex_model


def closure_model() -> Any:
    net = nn.Linear(S + A, F)

    def registered_closure(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        pyro.module("net", net)
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=net(inputs(state, a))))

    return registered_closure


class PlainModel(nn.Module):
    """A torch module without Pyro parameters."""

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.net = nn.Linear(S + A, F)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=self.net(inputs(state, a))))


class RegisteredModel(PlainModel):
    """A torch module that registers itself, as Pyro's older tutorials do."""

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        pyro.module("net", self.net)
        return super().forward(policy, state, future)


class ConstrainedModel(PyroModule):
    """A Pyro module with a constrained parameter."""

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.p = PyroParam(torch.full((S, A, F), 1 / F), constraint=constraints.simplex)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return outcome(state, future, policy, lambda action: dist.Categorical(self.p[state, action]))


class NetModel(PyroModule):
    """An unnamed Pyro module with `self.net`."""

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.net = nn.Linear(S + A, F)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=self.net(inputs(state, a))))


class NetGuide(PyroModule):
    """Another unnamed Pyro module with `self.net`."""

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.net = nn.Linear(S + F, A)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        with pyro.plate("batch", len(state)):
            x = torch.cat([one_hot(state, S), one_hot(future, F)], -1).float()
            return pyro.sample("action", dist.Categorical(logits=self.net(x)))


MODELS: dict[str, Callable[[], Any]] = {
    "pyro.param": param_model,
    "nn.Module": lambda: PlainModel,
    "nn.Module with pyro.module": lambda: RegisteredModel,
    "PyroModule": lambda: NetModel,
    "PyroModule with PyroParam": lambda: ConstrainedModel,
    "nn.Module already built": PlainModel,
    "PyroModule already built": NetModel,
    "PyroModule with PyroParam already built": ConstrainedModel,
}
every_model = pytest.mark.parametrize("fresh", MODELS.values(), ids=MODELS.keys())


def built(program: Any) -> Model:
    return build_model(program, SPEC, policy, STATE)


def score(model: Model) -> Tensor:
    return model.log_prob(policy, STATE, ACTION, TARGET)


def train(model: Model, steps: int = 20) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        (-score(model).mean()).backward()
        optimiser.step()


@every_model
def test_a_score_is_one_number_for_each_example(fresh: Callable[[], Any]):
    assert score(built(fresh())).shape == (B,)


@every_model
def test_conditioning_on_the_action_gives_the_distribution_that_is_scored(fresh: Callable[[], Any]):
    model = built(fresh())
    expected = model.future(policy, STATE, ACTION).log_prob(TARGET)
    torch.testing.assert_close(score(model), expected)


@every_model
def test_a_score_depends_on_the_action_it_was_conditioned_on(fresh: Callable[[], Any]):
    model = built(fresh())
    train(model)
    assert not torch.allclose(score(model), model.log_prob(policy, STATE, (ACTION + 1) % A, TARGET))


@every_model
def test_every_parameter_is_trained_by_a_torch_optimiser(fresh: Callable[[], Any]):
    model = built(fresh())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model)
    assert before
    for name, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[name]), name


@every_model
def test_training_raises_the_score(fresh: Callable[[], Any]):
    model = built(fresh())
    before = score(model).mean().item()
    train(model)
    assert score(model).mean().item() > before + 0.5


@every_model
def test_a_state_dict_carries_the_scores_to_a_fresh_program(fresh: Callable[[], Any]):
    trained, other = built(fresh()), built(fresh())
    train(trained)
    other.load_state_dict(trained.state_dict())
    torch.testing.assert_close(score(other), score(trained))


@every_model
def test_a_state_dict_loads_without_running_code(fresh: Callable[[], Any], tmp_path: Any):
    model = built(fresh())
    torch.save(model.state_dict(), tmp_path / "m.pt")
    loaded = torch.load(tmp_path / "m.pt", weights_only=True)
    assert loaded.keys() == model.state_dict().keys()
    assert loaded


@every_model
def test_a_loaded_program_can_be_trained_further(fresh: Callable[[], Any]):
    model = built(fresh())
    model.load_state_dict(deepcopy(model.state_dict()))
    before = score(model).mean().item()
    train(model)
    assert score(model).mean().item() > before + 0.5


# A deep copy of a function is the function itself, so what it closes over is shared.
COPIED = [name for name in MODELS if "closure" not in name]


@pytest.mark.parametrize("name", COPIED)
def test_a_deep_copy_stays_put_while_the_original_trains(name: str):
    model = built(MODELS[name]())
    train(model, 5)
    copy = deepcopy(model)
    before = score(copy).detach().clone()
    train(model)
    torch.testing.assert_close(score(copy), before)
    assert not torch.allclose(score(model), before)


@pytest.mark.parametrize("name", COPIED)
def test_a_deep_copy_trains_without_moving_the_original(name: str):
    model = built(MODELS[name]())
    copy = deepcopy(model)
    before = score(model).detach().clone()
    train(copy)
    torch.testing.assert_close(score(model), before)
    assert score(copy).mean() > before.mean() + 0.5


@pytest.mark.parametrize("program", [PlainModel, RegisteredModel, NetModel, ConstrainedModel, param_model()])
def test_two_instances_of_one_program_stay_apart(program: Any):
    first, second = built(program), built(program)
    before = score(second).detach().clone()
    train(first)
    torch.testing.assert_close(score(second), before)
    train(second)
    assert score(second).mean() > before.mean() + 0.5


@every_model
def test_pyros_own_parameter_store_stays_empty(fresh: Callable[[], Any]):
    pyro.clear_param_store()
    model = built(fresh())
    train(model, 2)
    deepcopy(model)
    assert list(pyro.get_param_store().keys()) == []


def test_a_pyro_param_is_one_parameter_and_one_entry_of_the_state_dict():
    model = built(param_model())
    (name,) = (name for name, _ in model.named_parameters())
    assert name.endswith("p")
    assert list(model.state_dict()) == [name]


def test_a_constrained_pyro_param_stays_in_its_constraint_after_training():
    model = built(param_model())
    train(model)
    p = model.future(policy, STATE, ACTION).probs
    torch.testing.assert_close(p.sum(-1), torch.ones(B))
    assert bool((p >= 0).all())


@pytest.mark.parametrize("name", ["a.b", "layer_1", "Σ", "values", "keys", "type", "training", "weight"])
def test_a_pyro_param_may_have_any_name(name: str):
    def named(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        table = pyro.param(name, torch.zeros(S, A, F))
        return outcome(state, future, policy, lambda action: dist.Categorical(logits=table[state, action]))

    assert len(list(built(named).parameters())) == 1


def test_pyro_params_with_similar_names_are_two_parameters():
    def similar(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        table = pyro.param("a.b", torch.zeros(S, A, F)) + pyro.param("a__b", torch.ones(S, A, F))
        return outcome(state, future, policy, lambda action: dist.Categorical(logits=table[state, action]))

    assert len(list(built(similar).parameters())) == 2


def test_a_frozen_parameter_stays_frozen():
    model = built(NetModel)
    for p in model.program.net.parameters():
        p.requires_grad_(False)
    score(model)
    assert not any(p.requires_grad for p in model.parameters())


def test_a_model_and_a_guide_that_both_hold_a_net_are_both_trained():
    model = built(NetModel)
    guide = build_guide(NetGuide, SPEC, model, policy, STATE)
    before = [p.detach().clone() for program in (model, guide) for p in program.parameters()]
    ones = torch.ones(B)
    no = torch.zeros(B, dtype=torch.bool)
    batch = Transitions(STATE, ACTION, ones, FUTURE, no, no, (ones / A).log(), ones)
    Inference(model, guide, Elbo(), learning_rate=0.1).step(policy, batch, FUTURE)
    after = [p for program in (model, guide) for p in program.parameters()]
    assert len(after) == 4
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_gradient_of_the_objective_has_no_variance():
    model = built(CategoricalNetworkModel)
    guide = build_guide(CategoricalNetworkGuide, SPEC, model, policy, STATE)
    ones, no = torch.ones(B), torch.zeros(B, dtype=torch.bool)
    batch = Transitions(STATE, ACTION, ones, FUTURE, no, no, (ones / A).log(), ones)

    def gradient(seed: int) -> Tensor:
        torch.manual_seed(seed)
        loss = Elbo()(model, guide, policy, batch, FUTURE)
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, guide.parameters())])

    with torch.random.fork_rng():
        assert torch.equal(gradient(0), gradient(1))


@pytest.mark.parametrize("guide", [NetGuide, CategoricalGuide, CategoricalNetworkGuide, NetGuide()])
def test_a_guide_scores_each_example(guide: Any):
    q = build_guide(guide, SPEC, built(CategoricalModel), policy, STATE)
    scored = q.log_prob(policy, STATE, FUTURE, ACTION)
    assert scored.shape == (B,)
    every = log_probs(q.posterior(policy, STATE, FUTURE))
    torch.testing.assert_close(scored, every[torch.arange(B), ACTION])


def test_the_log_probabilities_of_all_actions_are_one_row_for_each_state():
    table = log_probs(policy(STATE))
    assert table.shape == (B, A)
    torch.testing.assert_close(table.exp().sum(-1), torch.ones(B))


COLUMN = ACTION[:, None]
WRONG = {
    "action (B, 1)": (STATE, COLUMN, FUTURE),
    "action (1,)": (STATE, ACTION[:1], FUTURE),
    "action ()": (STATE, ACTION[0], FUTURE),
    "future (B, 1)": (STATE, ACTION, FUTURE[:, None]),
    "future (1,)": (STATE, ACTION, FUTURE[:1]),
    "future (B, 1, 1)": (STATE, ACTION, FUTURE[:, None, None]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_model_refuses_a_shape_that_would_broadcast(case: str):
    state, action, future = WRONG[case]
    with pytest.raises(ProgramError, match="Expected"):
        built(CategoricalModel).log_prob(policy, state, action, future)


@pytest.mark.parametrize(
    ("future", "action"),
    [(FUTURE, COLUMN), (FUTURE, ACTION[:1]), (FUTURE[:1], ACTION), (FUTURE, ACTION[0])],
    ids=["action (B, 1)", "action (1,)", "future (1,)", "action ()"],
)
def test_a_guide_refuses_a_shape_that_would_broadcast(future: Tensor, action: Tensor):
    guide = build_guide(CategoricalGuide, SPEC, built(CategoricalModel), policy, STATE)
    with pytest.raises(ProgramError, match="Expected"):
        guide.log_prob(policy, STATE, future, action)


class GaussianPair:
    """A model and a guide of real numbers, `[B, 1]` each."""

    def __init__(self) -> None:
        world = spec(vector(1), vector(1))
        self.state, self.other = torch.zeros(B, 1), torch.arange(float(B))[:, None]
        with torch.random.fork_rng():
            self.model = build_model(GaussianModel, world, self.policy, self.state)
            self.guide = build_guide(GaussianGuide, world, self.model, self.policy, self.state)

    @staticmethod
    def policy(state: Tensor) -> Distribution:
        return dist.Normal(state, 1.0).to_event(1)


@pytest.mark.parametrize("shape", [(B,), (B, 1, 1), (B, 2), (1, 1), (1,)])
def test_real_numbers_of_a_shape_that_would_broadcast_are_refused(shape: tuple[int, ...]):
    """`[B]` beside a normal over one number makes `[B, B]`, which the event then sums to `[B]` in silence."""
    pair, wrong = GaussianPair(), torch.zeros(shape)
    with pytest.raises(ProgramError, match="Expected"):
        pair.guide.log_prob(pair.policy, pair.state, pair.other, wrong)
    with pytest.raises(ProgramError, match="Expected"):
        pair.model.log_prob(pair.policy, pair.state, pair.other, wrong)


def test_real_numbers_score_one_number_for_each_example():
    pair = GaussianPair()
    assert pair.guide.log_prob(pair.policy, pair.state, pair.other, pair.other).shape == (B,)
    assert pair.model.log_prob(pair.policy, pair.state, pair.other, pair.other).shape == (B,)


def test_a_frozen_program_passes_gradients_through_its_inputs_only():
    pair = GaussianPair()
    action = pair.other.clone().requires_grad_(True)
    with frozen_parameters(pair.model):
        score = pair.model.log_prob(pair.policy, pair.state, action, pair.other)
    found = torch.autograd.grad(score.sum(), [action, *pair.model.parameters()], allow_unused=True)
    assert bool((found[0] != 0).all())
    assert all(gradient is None for gradient in found[1:])
    assert all(p.requires_grad for p in pair.model.parameters())


def test_a_program_is_thawed_when_something_raises():
    pair = GaussianPair()
    with pytest.raises(ZeroDivisionError), frozen_parameters(pair.guide):
        raise ZeroDivisionError
    assert all(p.requires_grad for p in pair.guide.parameters())


def test_a_parameter_that_was_frozen_before_stays_so_when_the_program_is_thawed():
    pair = GaussianPair()
    first = next(pair.guide.parameters()).requires_grad_(False)
    with frozen_parameters(pair.guide):
        pass
    assert not first.requires_grad


def test_a_program_observes_data_if_it_has_the_method():
    pair = GaussianPair()
    before = pair.guide.program.encoder.first.scale.count.item()
    pair.guide.observe(pair.state, pair.other, pair.other)
    assert pair.guide.program.encoder.first.scale.count.item() == before + B
    built(NetModel).observe(STATE, ACTION, FUTURE)  # without observe


def test_input_statistics_travel_in_the_state_dict():
    pair, other = GaussianPair(), GaussianPair()
    pair.model.observe(pair.state + 3.0, pair.other, 7.0 * pair.other)
    other.model.load_state_dict(pair.model.state_dict())
    scores = [p.model.log_prob(p.policy, p.state, p.other, p.other) for p in (pair, other)]
    assert torch.equal(*scores)


def test_a_site_that_is_not_reduced_to_one_number_is_refused():
    def wide(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Normal(torch.zeros(len(state), 2), 1.0), obs=future)

    with pytest.raises(
        ProgramError, match=r"one log-probability for each of 6 examples from wide, .*\(6, 2\).*to_event"
    ):
        Model(wide).log_prob(policy, STATE, ACTION, torch.zeros(B, 2))


def test_a_missing_site_is_one_readable_sentence():
    def nameless(policy: Policy, state: Tensor, future: Tensor | None = None) -> None:
        pyro.sample("action", policy(state))
        pyro.sample("outcome", policy(state))

    with pytest.raises(ProgramError) as error:
        Model(nameless).future(policy, STATE, ACTION)
    assert str(error.value) == (
        'Expected nameless to sample the site "future", but it has "action", "outcome"; add pyro.sample.'
    )


def test_a_program_without_sites_is_told_so():
    with pytest.raises(ProgramError, match='sample the site "action", but it has no sites'):
        Guide(lambda policy, state, future: None).posterior(policy, STATE, FUTURE)


def test_a_plate_does_not_count_as_a_site():
    def plated(policy: Policy, state: Tensor, future: Tensor | None = None) -> None:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))

    with pytest.raises(ProgramError, match='but it has "action";'):
        Model(plated).future(policy, STATE, ACTION)


def test_nothing_is_drawn_to_read_a_future():
    model = built(CategoricalModel)
    before = torch.get_rng_state()
    model.future(policy, STATE, ACTION)
    model.log_prob(policy, STATE, ACTION, FUTURE)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_outer_trace_sees_nothing_of_a_readout():
    model = built(CategoricalModel)
    guide = build_guide(CategoricalGuide, SPEC, model, policy, STATE)

    def read() -> None:
        model.log_prob(policy, STATE, ACTION, FUTURE)
        model.future(policy, STATE, ACTION)
        guide.log_prob(policy, STATE, FUTURE, ACTION)
        built(NetModel)

    nodes = poutine.trace(read).get_trace().nodes
    assert set(nodes) == {"_INPUT", "_RETURN"}


def test_an_outer_condition_does_not_reach_a_readout():
    model = built(NetModel)
    alone = score(model)
    with poutine.condition(data={"action": torch.zeros(B, dtype=torch.long), "future": FUTURE}):
        torch.testing.assert_close(score(model), alone)


def test_an_outer_scale_does_not_reach_a_readout():
    model = built(NetModel)
    with poutine.scale(scale=100.0):
        scaled = score(model)
    torch.testing.assert_close(scaled, score(model))


@pytest.mark.parametrize("size", [B, 60])
def test_the_scale_of_a_subsampling_plate_is_not_in_a_score(size: int):
    def subsampled(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("data", size, subsample_size=len(state)):
            pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=torch.zeros(len(state), F)), obs=future)

    torch.testing.assert_close(score(Model(subsampled)), torch.full((B,), -torch.tensor(float(F)).log()))


def test_the_loss_does_not_grow_with_the_batch():
    model = built(CategoricalModel)
    guide = build_guide(CategoricalGuide, SPEC, model, policy, STATE)

    def loss(repeat: int) -> Tensor:
        ones, no = torch.ones(B * repeat), torch.zeros(B * repeat, dtype=torch.bool)
        rows = [x.repeat(repeat) for x in (STATE, ACTION, FUTURE)]
        batch = Transitions(rows[0], rows[1], ones, rows[2], no, no, (ones / A).log(), ones)
        return Elbo()(model, guide, policy, batch, rows[2])

    torch.testing.assert_close(loss(1), loss(50))


def test_a_user_parameter_of_the_same_name_is_left_alone():
    pyro.clear_param_store()
    mine = pyro.param("p", torch.tensor(3.0))
    model = built(param_model())
    train(model, 2)
    assert list(pyro.get_param_store().keys()) == ["p"]
    assert pyro.param("p") is mine
    pyro.clear_param_store()


def test_a_program_that_raises_leaves_pyro_as_it_was():
    def broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> None:
        pyro.param("half_made", torch.zeros(1))
        raise RuntimeError("broken on purpose")

    pyro.clear_param_store()
    before = pyro.settings.get()
    with pytest.raises(ProgramError, match="on purpose"):
        Model(broken)(policy, STATE)
    assert pyro.settings.get() == before
    assert list(pyro.get_param_store().keys()) == []
    assert set(poutine.trace(lambda: None).get_trace().nodes) == {"_INPUT", "_RETURN"}


def test_a_network_that_a_function_registers_is_refused_since_agents_would_share_it():
    with pytest.raises(ProgramError, match="make the program an nn"):
        Model(closure_model())(policy, STATE)


def test_a_network_that_a_function_closes_over_in_silence_is_refused():
    net = nn.Linear(S + A, F)

    def hidden(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=net(inputs(state, a))))

    with pytest.raises(ProgramError, match="make the program an nn"):
        build_model(hidden, SPEC, policy, STATE)


def test_a_parameter_met_only_when_there_is_data_is_found():
    def late(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        table = torch.zeros(S, A, F) if future is None else pyro.param("t", torch.zeros(S, A, F))
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=table[state, a]))

    assert len(list(build_model(late, SPEC, policy, STATE).parameters())) == 1


class StatementModel(NetModel):
    """A Pyro module that also makes a `pyro.param` statement."""

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        shift = pyro.param("shift", torch.zeros(F))
        return outcome(state, future, policy, lambda a: dist.Categorical(logits=self.net(inputs(state, a)) + shift))


@pytest.mark.parametrize("validate", [True, False])
def test_a_pyro_param_inside_a_pyro_module_is_refused(validate: bool):
    words = r"Expected StatementModel to declare its parameters, but its forward calls pyro.param"
    with pyro.validation_enabled(validate), pytest.raises(ProgramError, match=words):
        built(StatementModel)


class Asking(NetModel):
    """A model with attributes of its own."""

    def __init__(self, learning_rate: Any = None, observe: Any = None) -> None:
        super().__init__()
        self.learning_rate, self.observe = learning_rate, observe


@pytest.mark.parametrize("given", [-1e-3, 0, 0.0, float("nan"), float("inf"), "fast", True, torch.tensor(0.1)], ids=str)
def test_an_invalid_learning_rate_is_refused(given: Any):
    with pytest.raises(ProgramError, match=r"^Expected learning_rate of Asking to be a number above 0, .*but got"):
        Model(Asking(given))


@pytest.mark.parametrize("given", [1, 0.5, np.float32(0.25)], ids=repr)
def test_a_learning_rate_is_a_plain_number_however_it_was_given(given: Any):
    rate = Model(Asking(given)).learning_rate
    assert (type(rate), rate) == (float, float(given))
    assert Model(Asking()).learning_rate is None


def test_what_is_no_method_cannot_observe():
    with pytest.raises(ProgramError, match=r"^Expected observe of Asking to be a method observe.*but got 3; "):
        Model(Asking(observe=3))


def test_what_observing_raises_is_told_in_one_sentence():
    def fail(*_: Tensor) -> None:
        raise ValueError("too many\nlines")

    with pytest.raises(ProgramError, match=r"^Expected Asking to observe .*but it raised ValueError: too many lines; "):
        Model(Asking(observe=fail)).observe(STATE, ACTION, FUTURE)


def globals_now() -> dict[str, Any]:
    return {
        "settings": pyro.settings.get(),
        "store": list(pyro.get_param_store().keys()),
        "distributions": Distribution._validate_args,
        "poutine": poutine.util.is_validation_enabled(),
        "torch": torch.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
    }


@pytest.mark.parametrize("validate", [True, False])
def test_an_agent_changes_no_global_setting(validate: bool):
    pyro.clear_param_store()
    with pyro.validation_enabled(validate):
        before = globals_now()
        agent = gio.GIO(gym.make("FrozenLake-v1"), model=NetLake, guide=CategoricalNetworkGuide, seed=1)
        agent.learn(600)
        agent.predict(0)
        agent.intrinsic_reward(torch.arange(16))
        gio.diagnostics.compare_with_exact(agent)
        assert globals_now() == before


class NetLake(PyroModule):
    """A user's model of FrozenLake."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.table = PyroParam(torch.full((16, 4, 16), 1 / 16), constraint=constraints.simplex)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return outcome(state, future, policy, lambda action: dist.Categorical(self.table[state, action]))
