"""Distributions over action sequences: normalised, with samples that match scores, in linear time."""

import itertools
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gio_pyro.distributions.sequences import ActionSequences, SequenceNetwork


def some(length: int = 3, count: int = 3, batch: int = 4) -> ActionSequences:
    """Distributions that are not uniform."""
    torch.manual_seed(0)
    network = SequenceNetwork(5, length, count, (16, 16))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network.requires_grad_(False)(torch.randn(batch, 5))


def every(length: int, count: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(count), repeat=length)))


def test_probabilities_of_all_sequences_sum_to_one():
    sequences = some()
    total = sequences.log_prob(every(3, 3)[:, None].expand(-1, 4, -1)).exp().sum(0)
    assert total.tolist() == pytest.approx([1.0] * 4, abs=1e-5)


def test_a_new_network_finds_all_sequences_alike():
    sequences = SequenceNetwork(5, 4, 3, (8,))(torch.randn(2, 5))
    assert sequences.log_prob(torch.tensor([[0, 1, 2, 0], [2, 2, 2, 2]])).tolist() == pytest.approx(
        [-4 * math.log(3)] * 2
    )


def test_draws_come_as_often_as_they_score():
    sequences = some(length=2, count=2, batch=3)
    drawn = sequences.sample(torch.Size([40_000]))
    assert drawn.shape == (40_000, 3, 2)
    for value in every(2, 2):
        often = (drawn == value).all(-1).double().mean(0)
        assert often.tolist() == pytest.approx(sequences.log_prob(value.expand(3, 2)).exp().tolist(), abs=0.01)


def test_an_action_is_scored_by_those_before_it_alone():
    sequences = some()
    first, second = torch.tensor([[0, 1, 2]] * 4), torch.tensor([[0, 1, 0]] * 4)
    assert torch.equal(sequences.log_probs(first)[:, :2], sequences.log_probs(second)[:, :2])
    assert not torch.equal(sequences.log_probs(torch.tensor([[1, 1, 2]] * 4))[:, 1], sequences.log_probs(first)[:, 1])


def test_a_batch_is_expanded_to_the_left():
    sequences, value = some(), torch.tensor([[0, 1, 2]] * 4)
    wide = sequences.expand([2, 4])
    assert wide.batch_shape == (2, 4)
    assert torch.equal(wide.log_prob(value.expand(2, 4, 3)), sequences.log_prob(value).expand(2, 4))


@pytest.mark.parametrize("what", ["log_prob", "sample"])
def test_four_times_the_length_costs_at_most_four_times_as_much(what: str):
    def work(length: int) -> int:
        sequences = some(length, batch=8)
        with FlopCounterMode(display=False) as counter:
            sequences.sample() if what == "sample" else sequences.log_prob(torch.zeros(8, length, dtype=torch.long))
        return counter.get_total_flops()

    assert work(16) <= 4 * work(4)
