from math import log

import numpy as np
import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import mutual_information, posterior
from gio_pyro.tabular.information import as_distribution, divergence_from_mean, safe_log

from .worlds import UNIFORM, bsc, random_rows, two_states


def test_a_uniform_source_through_a_symmetric_channel():
    assert mutual_information(bsc(0.1), [0.5, 0.5]).item() == pytest.approx(0.368064, abs=1e-6)


def test_a_noiseless_channel_passes_the_entropy_of_its_source():
    entropy = -(0.7 * log(0.7) + 0.2 * log(0.2) + 0.1 * log(0.1))
    assert mutual_information(torch.eye(3), [0.7, 0.2, 0.1]).item() == pytest.approx(entropy, abs=1e-12)


def test_an_erasure_channel_by_hand():
    channel = [[0.7, 0.3, 0.0], [0.0, 0.3, 0.7]]
    assert mutual_information(channel, [0.5, 0.5]).item() == pytest.approx(0.7 * log(2), abs=1e-12)


def test_rows_that_agree_carry_nothing():
    assert mutual_information([[0.3, 0.7]] * 4, [0.1, 0.2, 0.3, 0.4]).item() == pytest.approx(0.0, abs=1e-15)


def test_an_input_that_is_never_chosen_is_ignored():
    assert mutual_information([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0.5, 0.5, 0.0]).item() == pytest.approx(log(2))


def test_leading_shapes_broadcast():
    channels, sources = random_rows(0, 5, 1, 3, 4), random_rows(1, 7, 3)
    together = mutual_information(channels, sources)
    assert together.shape == (5, 7)
    torch.testing.assert_close(together[2, 3], mutual_information(channels[2, 0], sources[3]))


def test_lists_arrays_and_single_precision_become_double():
    value = mutual_information(bsc(0.25).numpy().astype(np.float32), [0.5, 0.5])
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(log(2) + 0.25 * log(0.25) + 0.75 * log(0.75), abs=1e-9)


def test_it_is_never_below_zero_by_rounding():
    channel = random_rows(3, 200, 1, 6).expand(200, 5, 6)
    assert (mutual_information(channel, random_rows(4, 200, 5)) >= 0).all()


def test_an_outcome_out_of_reach_has_a_divergence_beyond_600_nats_but_finite():
    d = divergence_from_mean(torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert d[0] == 0
    assert 600 < d[1] < 800


def test_the_log_of_zero_is_about_minus_708():
    assert safe_log(torch.zeros((), dtype=torch.float64)).item() == pytest.approx(-708.4, abs=0.1)


def test_the_elbo_of_a_guide_loses_the_other_kl():
    """Theory, equation 7, with F = 0 seen: evidence log 1/2, posterior (.9, .1), guide (.8, .2)."""
    q = torch.tensor([0.8, 0.2], dtype=torch.float64)
    p = posterior(two_states(bsc(0.1)), UNIFORM)[0, 0]
    elbo = (q * (bsc(0.1)[:, 0].log() + log(0.5) - q.log())).sum()
    torch.testing.assert_close(p, torch.tensor([0.9, 0.1], dtype=torch.float64))
    assert elbo.item() == pytest.approx(-0.73755, abs=1e-6)
    assert log(0.5) - elbo.item() == pytest.approx(0.044403, abs=1e-6)
    assert (q * (q / p).log()).sum().item() == pytest.approx(0.044403, abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_entries_must_be_finite(bad: float):
    with pytest.raises(InputError, match=r"^Expected the channel to be finite, but got NaN or infinity; .+\.$"):
        mutual_information([[bad, 1.0]], [1.0])


def test_entries_must_not_be_negative():
    with pytest.raises(InputError, match=r"^Expected the channel to be non-negative, but its smallest .* -0\.1; .+\.$"):
        mutual_information([[1.1, -0.1]], [1.0])


def test_rows_must_sum_to_one_and_the_worst_is_named():
    with pytest.raises(
        InputError, match=r"^Expected the rows of the channel to sum to 1, but row \(1,\) sums to 0\.9;"
    ):
        mutual_information([[0.5, 0.5], [0.5, 0.4]], [0.5, 0.5])


def test_a_source_must_sum_to_one():
    with pytest.raises(InputError, match=r"^Expected the rows of the source to sum to 1, but row \(\) sums to 1\.1; "):
        mutual_information(bsc(0.1), [0.6, 0.5])


@pytest.mark.parametrize("empty", [0.5, torch.zeros(0, 2)])
def test_a_table_must_hold_something(empty: object):
    with pytest.raises(InputError, match=r"^Expected it to hold at least one probability, but got shape .+\.$"):
        as_distribution("it", empty)


@pytest.mark.parametrize("channel", [bsc(0.1), torch.tensor([0.5, 0.5])])
def test_a_source_has_one_entry_for_each_input(channel: torch.Tensor):
    with pytest.raises(InputError, match=r"^Expected the source to have one entry for each input .*last but one\.$"):
        mutual_information(channel, [0.2, 0.3, 0.5])
