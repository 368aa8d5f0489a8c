"""Categorical distributions with a few values of their own, beside the dense ones that they stand for."""

import torch
from torch.distributions import Categorical

from gio_pyro.distributions.listed import EMPTY, ListedCategorical
from gio_pyro.distributions.normalised import log_softmax, normalised

COUNT = 5
VALUES = torch.tensor([[4, 1], [2, EMPTY], [EMPTY, EMPTY]])


def both() -> tuple[ListedCategorical, Categorical, tuple[torch.Tensor, ...]]:
    """Return the same distributions in both forms, and the parts of the first."""
    logits, rest = torch.randn(3, 2), torch.randn(3)
    dense = rest.unsqueeze(-1).repeat(1, COUNT)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        dense[row, VALUES[row, column]] = logits[row, column]
    return ListedCategorical(VALUES, logits, rest, COUNT), Categorical(logits=dense), (VALUES, logits, rest)


def test_probabilities_are_those_of_the_dense_distribution() -> None:
    listed, dense, _ = both()
    torch.testing.assert_close(listed.probs, dense.probs)
    values = listed.enumerate_support(expand=False)
    torch.testing.assert_close(listed.log_prob(values), dense.log_prob(values))


def test_samples_and_weighted_support_have_the_expectations_of_the_dense_distribution() -> None:
    torch.manual_seed(0)
    listed, dense, parts = both()
    exact = (dense.probs * torch.arange(COUNT).square()).sum(-1)
    torch.testing.assert_close(listed.sample(torch.Size([40_000])).square().float().mean(0), exact, rtol=0.03, atol=0.1)
    many = ListedCategorical(*(x.repeat_interleave(20_000, 0) for x in parts), COUNT)
    values, weight = many.weighted_support()
    found = (weight * values.square()).sum(-1).reshape(3, -1).mean(-1)
    torch.testing.assert_close(found, exact, rtol=0.03, atol=0.1)


def test_every_value_listed_leaves_no_others() -> None:
    logits = torch.randn(1, 2)
    listed = ListedCategorical(torch.tensor([[1, 0]]), logits, torch.zeros(1), 2)
    torch.testing.assert_close(listed.probs, torch.softmax(logits.flip(-1), -1))
    assert torch.equal(listed.weighted_support()[1][:, 0], torch.zeros(1))
    assert set(listed.sample(torch.Size([50])).flatten().tolist()) == {0, 1}


def test_columns_are_normalised_as_rows_are() -> None:
    x = torch.randn(1000, 6).masked_fill(torch.rand(1000, 6) < 0.2, -torch.inf)
    x[:, 0] = 0.5
    torch.testing.assert_close(log_softmax(x), torch.log_softmax(x, -1))
    torch.testing.assert_close(normalised(log_softmax(x)).probs, Categorical(logits=x).probs)
