"""Imagined futures: exact where they can be enumerated, unbiased where they are drawn."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.errors import ProgramError
from gio_pyro.programs import Imagined, Model, every_action, imagine, score_every_action
from gio_pyro.programs.expectations import MAX_ENUMERATED_FUTURES, systematic
from gio_pyro.types import Policy

S, A = 3, 2


def policy(state: Tensor) -> Distribution:
    """Uniform over two actions."""
    return dist.Categorical(logits=torch.zeros(len(state), A))


def table_model(table: Tensor) -> Model:
    """The program whose futures are `table` `[S, A, F]`."""

    def tabular(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=table[state, action].log()), obs=future)

    return Model(tabular)


def gaussian_model() -> Model:
    """A program of continuous futures around s + 10 a."""

    def gaussian(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Normal(state + 10.0 * action, 0.1), obs=future)

    return Model(gaussian)


def random_table(futures: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.softmax(2 * torch.randn(S, A, futures, generator=g), -1)


def sums(dream: Imagined) -> Tensor:
    return dream.mean(torch.ones(len(dream.pair)))


STATE = torch.tensor([2, 0, 1, 2])
SIZES = pytest.mark.parametrize("futures", [1, 2, 5, MAX_ENUMERATED_FUTURES, MAX_ENUMERATED_FUTURES + 1, 300])


def test_every_action_pairs_each_state_with_each_action():
    row, action = every_action(policy, STATE)
    assert row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert action.tolist() == [0, 1] * 4


def test_actions_that_cannot_be_enumerated_are_refused():
    with pytest.raises(ProgramError, match=r"the policy to give actions that can be enumerated, but got Normal"):
        every_action(lambda state: dist.Normal(torch.zeros(len(state)), 1.0), STATE)


@SIZES
def test_the_weights_of_every_pair_sum_to_one(futures: int):
    dream = imagine(table_model(random_table(futures)), policy, STATE, samples=4)
    torch.testing.assert_close(sums(dream), torch.ones(4, A))


@SIZES
def test_rows_name_the_state_and_action_they_belong_to(futures: int):
    dream = imagine(table_model(random_table(futures)), policy, STATE, samples=4)
    assert torch.equal(dream.pair, dream.row * A + dream.action)


@pytest.mark.parametrize("futures", [1, 2, 5, MAX_ENUMERATED_FUTURES])
def test_an_enumerated_mean_is_the_expectation(futures: int):
    table = random_table(futures)
    value = torch.randn(S, A, futures, generator=torch.Generator().manual_seed(7))
    dream = imagine(table_model(table), policy, STATE, samples=1)
    mean = dream.mean(value[STATE[dream.row], dream.action, dream.future])
    torch.testing.assert_close(mean, (table * value).sum(-1)[STATE])


def test_an_enumeration_uses_no_random_number():
    before = torch.get_rng_state()
    imagine(table_model(random_table(5)), policy, STATE, samples=4)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("futures", [4, 100])
def test_futures_of_probability_zero_are_left_out(futures: int):
    table = random_table(futures)
    table[:, :, ::2] = 0.0
    table = table / table.sum(-1, keepdim=True)
    dream = imagine(table_model(table), policy, STATE, samples=8)
    assert bool((table[STATE[dream.row], dream.action, dream.future] > 0.0).all())


def exact_zeros(futures: int) -> Model:
    """A program in which only future 1 can happen."""

    def sure(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))
            logits = torch.full((len(state), futures), -torch.inf)
            logits[:, 1] = 0.0
            return pyro.sample("future", dist.Categorical(logits=logits), obs=future)

    return Model(sure)


@pytest.mark.parametrize("futures", [4, 100])
def test_a_sure_outcome_is_exact(futures: int):
    dream = imagine(exact_zeros(futures), policy, STATE, samples=4)
    assert dream.future.unique().tolist() == [1]
    torch.testing.assert_close(sums(dream), torch.ones(4, A), rtol=0, atol=0)


def test_an_impossible_future_makes_no_nan():
    model = exact_zeros(4)
    dream = imagine(model, policy, STATE, samples=4)
    log_p = model.log_prob(policy, STATE[dream.row], dream.action, dream.future)
    assert dream.mean(log_p).tolist() == [[0.0, 0.0]] * 4


@pytest.mark.parametrize("offset", [0.0, 1 - 2**-24])
def test_a_sure_outcome_is_exact_at_the_ends_of_the_uniform_numbers(offset: float, monkeypatch: Any):
    monkeypatch.setattr(torch, "rand", lambda *size, **kwargs: torch.full(size, offset))
    sure = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    drawn = systematic(sure, 4)
    assert bool((sure.gather(-1, drawn) > 0).all())


def test_systematic_draws_of_a_uniform_distribution_are_one_of_each():
    drawn = systematic(torch.full((50, 8), 1 / 8), 8)
    assert torch.equal(drawn.sort(-1).values, torch.arange(8).expand(50, 8))


def test_systematic_draws_never_differ_from_their_expected_number_by_one_or_more():
    p = torch.softmax(torch.randn(200, 10, generator=torch.Generator().manual_seed(1)), -1)
    counts = torch.nn.functional.one_hot(systematic(p, 16), 10).sum(1)
    assert float((counts - 16 * p).abs().max()) < 1.0 + 1e-4


@pytest.mark.parametrize("samples", [1, 4])
def test_systematic_sampling_is_unbiased(samples: int):
    n = 40_000
    p = random_table(6)[0, 0]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        drawn = systematic(p.expand(n, 6), samples)
    frequency = torch.bincount(drawn.flatten(), minlength=6) / (n * samples)
    assert float(((frequency - p).abs() / (p * (1 - p) / n).sqrt()).max()) < 5.0


def test_a_sampled_mean_is_unbiased():
    table = random_table(MAX_ENUMERATED_FUTURES + 36)
    value = torch.randn(table.shape[-1], generator=torch.Generator().manual_seed(4))
    state = torch.zeros(4_000, dtype=torch.long)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        dream = imagine(table_model(table), policy, state, samples=4)
    mean = dream.mean(value[dream.future])
    error = (mean.mean(0) - (table[0] * value).sum(-1)).abs()
    assert float((error / (mean.std(0) / len(state) ** 0.5)).max()) < 5.0


def test_continuous_futures_are_drawn_for_each_pair():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dream = imagine(gaussian_model(), policy, STATE, samples=50)
    assert len(dream.future) == 4 * A * 50
    expected = STATE[:, None] + 10.0 * torch.arange(A)
    assert float((dream.mean(dream.future) - expected).abs().max()) < 0.1


def test_what_is_imagined_carries_no_gradient():
    table = random_table(5).requires_grad_(True)
    dream = imagine(table_model(table), policy, STATE, samples=4)
    assert not dream.weight.requires_grad


@pytest.mark.parametrize("futures", [4, 100])
def test_nan_probabilities_are_not_dropped(futures: int):
    def half_broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        action = pyro.sample("action", policy(state))
        logits = torch.zeros(len(state), futures)
        logits[(state == 0) & (action == 0)] = torch.nan
        return pyro.sample("future", dist.Categorical(logits=logits), obs=future)

    with pyro.validation_enabled(False):
        try:
            dream = imagine(Model(half_broken), policy, STATE, samples=4)
        except Exception as error:
            assert "NaN" in str(error)  # noqa: PT017 (an error is as good as a NaN that is passed on)
            return
        assert bool(torch.isnan(sums(dream)[1, 0]))


def test_the_score_of_every_action_is_that_of_each():
    model = table_model(random_table(5))
    future = torch.tensor([0, 4, 2, 1])
    table = score_every_action(model, policy, STATE, future)
    for a in range(A):
        alone = model.log_prob(policy, STATE, torch.full((4,), a), future)
        torch.testing.assert_close(table[:, a], alone)
