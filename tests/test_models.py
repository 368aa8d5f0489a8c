"""The models of this library: p_ψ(F|s, a)."""

from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary
from torch import Tensor

from gio_pyro import models
from gio_pyro.errors import InputError
from gio_pyro.models import CategoricalModel, CategoricalNetworkModel
from gio_pyro.programs import Model, build_model
from gio_pyro.types import Spec

S, A, F = 4, 3, 5
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))
STATE, ACTION, FUTURE = (torch.tensor(x) for x in ([0, 1, 2, 3], [0, 1, 2, 0], [4, 3, 2, 1]))
every_model = pytest.mark.parametrize("kind", [getattr(models, name) for name in models.__all__])


def policy(state: Tensor) -> Any:
    return dist.Categorical(logits=torch.zeros(len(state), A))


def built(kind: Any, seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(kind, SPEC, policy, STATE)


def train(model: Model, future: Tensor, steps: int = 200) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimiser.zero_grad()
        (-model.log_prob(policy, STATE, ACTION, future).mean()).backward()
        optimiser.step()


def test_the_table_starts_uniform():
    score = built(CategoricalModel).log_prob(policy, STATE, ACTION, FUTURE)
    torch.testing.assert_close(score, torch.full((4,), -log(F)))


def test_the_table_holds_one_number_for_each_state_action_and_future():
    assert [p.shape for p in built(CategoricalModel).parameters()] == [(S, A, F)]


def test_the_table_is_the_softmax_of_its_entries():
    model = built(CategoricalModel)
    table = torch.randn(S, A, F, generator=torch.Generator().manual_seed(1))
    model.load_state_dict({"program.table": table})
    expected = torch.log_softmax(table, -1)[STATE, ACTION, FUTURE]
    torch.testing.assert_close(model.log_prob(policy, STATE, ACTION, FUTURE), expected)


def test_an_entry_of_the_table_learns_alone():
    model = built(CategoricalModel)
    train(model, FUTURE)
    untouched = model.future(policy, STATE, (ACTION + 1) % A).probs
    torch.testing.assert_close(untouched, torch.full((4, F), 1 / F))


@every_model
def test_a_model_learns_a_sure_outcome(kind: Any):
    model = built(kind)
    train(model, FUTURE)
    assert float(model.log_prob(policy, STATE, ACTION, FUTURE).detach().exp().min()) > 0.98


@every_model
def test_a_model_gives_one_distribution_over_futures_for_each_example(kind: Any):
    future = built(kind).future(policy, STATE, ACTION)
    assert future.batch_shape == (4,)
    assert future.enumerate_support(expand=False).shape == (F, 1)
    torch.testing.assert_close(future.probs.sum(-1), torch.ones(4))


@every_model
def test_a_model_run_forward_draws_futures_inside_the_space(kind: Any):
    with torch.random.fork_rng():
        future = built(kind)(policy, STATE)
    assert future.shape == (4,)
    assert bool(((future >= 0) & (future < F)).all())


@every_model
def test_a_model_returns_the_future_that_it_was_given(kind: Any):
    assert torch.equal(built(kind)(policy, STATE, FUTURE), FUTURE)


def test_the_network_shares_what_it_learns_between_states():
    model = built(CategoricalNetworkModel)
    before = model.log_prob(policy, torch.tensor([3]), torch.tensor([2]), torch.tensor([4]))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(50):
        optimiser.zero_grad()
        (-model.log_prob(policy, torch.tensor([0, 1]), torch.tensor([2, 2]), torch.tensor([4, 4])).mean()).backward()
        optimiser.step()
    assert model.log_prob(policy, torch.tensor([3]), torch.tensor([2]), torch.tensor([4])) > before + 0.5


@every_model
@pytest.mark.parametrize(("position", "name"), [(0, "state"), (1, "action"), (2, "future")])
@pytest.mark.parametrize("space", [Box(0.0, 1.0, (2,)), MultiBinary(3)])
def test_a_space_that_is_not_discrete_is_refused(kind: Any, position: int, name: str, space: Any):
    spaces: list[Any] = [Discrete(3)] * 3
    spaces[position] = space
    with pytest.raises(InputError, match=f"Expected a Discrete {name} space here, but got"):
        kind(Spec(*spaces))
