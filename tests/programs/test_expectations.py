"""Expectations over futures: exact where enumerated, unbiased where sampled."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.errors import ProgramError, TrainingError
from gio_pyro.programs import FutureSamples, Model, every_action, imagine, sample_actions
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


def sums(dream: FutureSamples) -> Tensor:
    return dream.mean(torch.ones(len(dream.pair)))


STATE = torch.tensor([2, 0, 1, 2])
ROW, ACTION = torch.arange(4).repeat_interleave(A), torch.arange(A).repeat(4)
PAIRS = STATE[ROW]
SIZES = pytest.mark.parametrize("futures", [1, 2, 5, MAX_ENUMERATED_FUTURES, MAX_ENUMERATED_FUTURES + 1, 300])


def dreams(model: Model, samples: int = 4, state: Tensor = PAIRS, action: Tensor = ACTION) -> FutureSamples:
    """Futures of every state with every action, unless others are given."""
    return imagine(model, policy, state, action, samples=samples)


def test_every_action_pairs_each_state_with_each_action():
    row, action = every_action(policy, STATE)
    assert row.tolist() == ROW.tolist()
    assert action.tolist() == ACTION.tolist()


def test_actions_that_cannot_be_enumerated_are_refused():
    with pytest.raises(ProgramError, match=r"the policy to give actions that can be enumerated, but got Normal"):
        every_action(lambda state: dist.Normal(torch.zeros(len(state)), 1.0), STATE)


@SIZES
def test_the_weights_of_every_pair_sum_to_one(futures: int):
    torch.testing.assert_close(sums(dreams(table_model(random_table(futures)))), torch.ones(4 * A))


@SIZES
def test_rows_belong_to_their_pairs_in_order(futures: int):
    dream = dreams(table_model(random_table(futures)))
    assert dream.pairs == 4 * A
    assert dream.pair.tolist() == sorted(dream.pair.tolist())
    assert torch.equal(dream.spread(PAIRS), PAIRS[dream.pair])


@pytest.mark.parametrize("futures", [1, 2, 5, MAX_ENUMERATED_FUTURES])
def test_an_enumerated_mean_is_the_expectation(futures: int):
    table = random_table(futures)
    value = torch.randn(S, A, futures, generator=torch.Generator().manual_seed(7))
    dream = dreams(table_model(table), samples=1)
    mean = dream.mean(value[dream.spread(PAIRS), dream.spread(ACTION), dream.future])
    torch.testing.assert_close(mean.reshape(4, A), (table * value).sum(-1)[STATE])


def test_an_enumeration_uses_no_random_number():
    before = torch.get_rng_state()
    dreams(table_model(random_table(5)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("futures", [4, 100])
def test_futures_of_probability_zero_are_left_out(futures: int):
    table = random_table(futures)
    table[:, :, ::2] = 0.0
    table = table / table.sum(-1, keepdim=True)
    dream = dreams(table_model(table), samples=8)
    assert bool((table[dream.spread(PAIRS), dream.spread(ACTION), dream.future] > 0.0).all())


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
    dream = dreams(exact_zeros(futures))
    assert dream.future.unique().tolist() == [1]
    torch.testing.assert_close(sums(dream), torch.ones(4 * A), rtol=0, atol=0)


def test_an_impossible_future_makes_no_nan():
    model = exact_zeros(4)
    dream = dreams(model)
    log_p = model.log_prob(policy, dream.spread(PAIRS), dream.spread(ACTION), dream.future)
    assert dream.mean(log_p).tolist() == [0.0] * 4 * A


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
    state, action = torch.zeros(8_000, dtype=torch.long), torch.arange(A).repeat(4_000)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        dream = dreams(table_model(table), 4, state, action)
    mean = dream.mean(value[dream.future]).reshape(4_000, A)
    error = (mean.mean(0) - (table[0] * value).sum(-1)).abs()
    assert float((error / (mean.std(0) / 4_000**0.5)).max()) < 5.0


def test_continuous_futures_are_drawn_for_each_pair():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dream = dreams(gaussian_model(), 50)
    assert len(dream.future) == 4 * A * 50
    expected = PAIRS + 10.0 * ACTION
    assert float((dream.mean(dream.future) - expected).abs().max()) < 0.1


def test_one_draw_of_each_pair_is_not_copied_about():
    with torch.random.fork_rng():
        dream = dreams(gaussian_model(), 1)
    assert dream.single
    assert dream.spread(PAIRS) is PAIRS
    assert not dreams(table_model(random_table(5)), 1).single


def test_vectors_and_images_are_drawn_whole():
    def image_model(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            mean = (state + 10.0 * action)[:, None, None].expand(-1, 2, 3)
            return pyro.sample("future", dist.Normal(mean, 0.1).to_event(2), obs=future)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        dream = dreams(Model(image_model), 3)
    assert dream.future.shape == (4 * A * 3, 2, 3)
    far = (dream.future - (dream.spread(PAIRS) + 10.0 * dream.spread(ACTION))[:, None, None]).abs()
    assert float(far.max()) < 1.0


def test_what_is_imagined_without_gradients_carries_none():
    table = random_table(5).requires_grad_(True)
    with torch.no_grad():
        assert not dreams(table_model(table)).weight.requires_grad


def test_a_gradient_passes_through_enumerated_probabilities():
    table = random_table(5).requires_grad_(True)
    value = torch.randn(5, generator=torch.Generator().manual_seed(0))
    dream = dreams(table_model(table), 1, torch.tensor([0]), torch.tensor([1]))
    (gradient,) = torch.autograd.grad(dream.mean(value[dream.future]).sum(), table)
    p = table.detach()[0, 1]
    torch.testing.assert_close(gradient[0, 1], value - (p * value).sum(), atol=1e-5, rtol=1e-4)  # of normalised p
    assert not bool(gradient[0, 0].any())


def test_many_futures_are_enumerated_where_a_gradient_has_to_pass():
    """Draws of an index carry none; so a policy over continuous actions would not feel the model."""
    table = random_table(MAX_ENUMERATED_FUTURES + 36).requires_grad_(True)
    assert dreams(table_model(table), 2).weight.requires_grad
    with torch.no_grad():
        assert len(dreams(table_model(table), 2).future) == 2 * 4 * A


def test_a_gradient_passes_through_drawn_futures():
    action = torch.tensor([1.0, 2.0], requires_grad=True)
    with torch.random.fork_rng():
        dream = dreams(gaussian_model(), 3, torch.tensor([0, 1]), action)
    (gradient,) = torch.autograd.grad(dream.mean(dream.future).sum(), action)
    torch.testing.assert_close(gradient, torch.tensor([10.0, 10.0]))


def mixture(count: int) -> Distribution:
    """Real numbers that cannot be reparameterised."""
    components = dist.Normal(torch.zeros(count, 2, 1, requires_grad=True), 1.0).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=torch.zeros(count, 2)), components)


def test_draws_that_would_lose_their_gradient_in_silence_are_refused():
    """The elbo of such a guide would not learn, and a policy would not feel such a model."""
    with pytest.raises(ProgramError) as error:
        sample_actions(mixture(4), 3)
    text = str(error.value)
    assert text.startswith(
        "Expected draws that pass on a gradient, but a MixtureSameFamily cannot be reparameterised; "
    )
    assert text.endswith(".")
    with torch.no_grad(), torch.random.fork_rng():
        assert sample_actions(mixture(4), 3).action.shape == (12, 1)


def test_futures_that_would_cut_the_policys_gradient_are_refused_only_where_one_is_wanted():
    def two_humped(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        pyro.sample("action", policy(state))
        return pyro.sample("future", mixture(len(state)), obs=future)

    with pytest.raises(ProgramError, match="MixtureSameFamily cannot be reparameterised"):
        dreams(Model(two_humped))
    with torch.no_grad(), torch.random.fork_rng():
        assert dreams(Model(two_humped)).future.shape == (4 * A * 4, 1)


@pytest.mark.parametrize("futures", [4, 100])
def test_nan_probabilities_stop_loudly(futures: int):
    def half_broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        action = pyro.sample("action", policy(state))
        logits = torch.zeros(len(state), futures)
        logits[(state == 0) & (action == 0)] = torch.nan
        return pyro.sample("future", dist.Categorical(logits=logits), obs=future)

    with pyro.validation_enabled(False), pytest.raises(TrainingError, match=r"probabilities from half_broken, .*NaN"):
        dreams(Model(half_broken))


def test_finite_actions_are_chosen_all_with_their_probabilities():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    chosen = sample_actions(dist.Categorical(logits=logits), 7)
    assert torch.equal(torch.get_rng_state(), before)
    assert chosen.count == 3
    assert chosen.action.tolist() == [0, 1, 2] * 4
    torch.testing.assert_close(chosen.log_prob, torch.log_softmax(logits, -1))
    torch.testing.assert_close(chosen.log_weight, chosen.log_prob)
    values = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(chosen.mean(values), (torch.softmax(logits, -1) * values).sum(-1))


@pytest.mark.parametrize("samples", [1, 3])
def test_other_actions_are_drawn(samples: int):
    normal = dist.Normal(100.0 * torch.arange(4.0)[:, None].expand(4, 2), 1.0).to_event(1)
    with torch.random.fork_rng():
        chosen = sample_actions(normal, samples)
    assert chosen.count == samples
    assert chosen.action.shape == (4 * samples, 2)
    assert chosen.log_prob.shape == (4, samples)
    of_state = chosen.action.reshape(4, samples, 2)
    assert float((of_state - 100.0 * torch.arange(4.0)[:, None, None]).abs().max()) < 10.0
    torch.testing.assert_close(normal.log_prob(of_state.transpose(0, 1)).T, chosen.log_prob)
    torch.testing.assert_close(chosen.log_weight.exp().sum(-1), torch.ones(4))
    torch.testing.assert_close(chosen.mean(of_state[..., 0]), of_state[..., 0].mean(-1))
    states = torch.arange(4)
    assert chosen.spread(states).tolist() == [s for s in range(4) for _ in range(samples)]


def test_draws_carry_a_gradient_where_it_is_wanted():
    mean = torch.zeros(4, 2, requires_grad=True)
    with torch.random.fork_rng():
        assert sample_actions(dist.Normal(mean, 1.0).to_event(1)).action.requires_grad
        with torch.no_grad():
            assert not sample_actions(dist.Normal(mean, 1.0).to_event(1)).action.requires_grad
