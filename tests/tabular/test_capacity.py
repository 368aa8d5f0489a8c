from math import e, log, log2

import pytest
import torch

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular import blahut_arimoto, mutual_information

from .worlds import bsc, random_rows

TYPEWRITER = 0.5 * (torch.eye(26) + torch.eye(26).roll(1, dims=1))


@pytest.mark.parametrize(
    ("channel", "bits"),
    [
        (bsc(0.11), 0.500084),
        (bsc(0.1), 0.531004),
        ([[0.7, 0.3, 0.0], [0.0, 0.3, 0.7]], 0.7),
        ([[1.0, 0.0], [0.5, 0.5]], 0.321928),
        (TYPEWRITER, 3.70044),
    ],
    ids=["binary symmetric .11", "binary symmetric .1", "erasure .3", "Z .5", "noisy typewriter"],
)
def test_textbook_capacities(channel: object, bits: float):
    assert blahut_arimoto(channel).capacity.item() / log(2) == pytest.approx(bits, abs=1e-6)


def test_the_z_channel_uses_its_noisy_input_less():
    source = blahut_arimoto([[1.0, 0.0], [0.5, 0.5]]).source
    torch.testing.assert_close(source, torch.tensor([0.6, 0.4], dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_noiseless_channel_passes_log_of_its_inputs():
    assert blahut_arimoto(torch.eye(7)).capacity.item() == pytest.approx(log(7), abs=1e-9)


def test_a_reward_in_nats_is_added_to_the_information():
    """Outcome = action: max Σ π r + H(π) = log Σ exp r, at the softmax."""
    best = blahut_arimoto(torch.eye(2), [1.0, 0.0])
    assert best.capacity.item() == pytest.approx(log(e + 1), abs=1e-9)
    assert best.source[0].item() == pytest.approx(0.731059, abs=1e-6)


def test_a_reward_through_a_symmetric_channel():
    best = blahut_arimoto(bsc(0.1), [1.0, 0.0])
    assert best.capacity.item() == pytest.approx(1.051846, abs=1e-6)
    torch.testing.assert_close(best.source, torch.tensor([0.846625, 0.153375], dtype=torch.float64), atol=1e-5, rtol=0)


def test_without_information_only_the_reward_is_left():
    best = blahut_arimoto([[0.3, 0.7]] * 4, [1.0, 1.0, 0.0, 0.5])
    assert best.capacity.item() == pytest.approx(1.0, abs=1e-8)
    assert best.source[2:].max() < 1e-6


def test_channels_and_rewards_broadcast_and_keep_their_shape():
    best = blahut_arimoto(random_rows(0, 5, 1, 3, 4), torch.zeros(6, 3))
    assert best.capacity.shape == best.gap.shape == (5, 6)
    assert best.source.shape == (5, 6, 3)


@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
@pytest.mark.parametrize("shape", [(200, 2, 2), (200, 8, 3), (200, 3, 8), (50, 40, 12)])
def test_random_channels_all_reach_the_certificate(kind: str, shape: tuple[int, int, int]):
    channel = random_rows(sum(shape), *shape, kind=kind)
    best = blahut_arimoto(channel)
    assert best.gap.max() <= 1e-9
    assert (best.source >= 0).all()
    torch.testing.assert_close(best.source.sum(-1), torch.ones(shape[0], dtype=torch.float64))
    torch.testing.assert_close(mutual_information(channel, best.source), best.capacity, atol=1e-12, rtol=0)


@pytest.mark.parametrize("scale", [1e3, 1e4, 1e5])
def test_huge_rewards_decide(scale: float):
    reward = scale * torch.randn(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    best = blahut_arimoto(random_rows(0, 100, 6, 5), reward)
    assert best.gap.max() <= 1e-9
    highest = reward.max(-1).values
    assert ((best.capacity >= highest - 1e-9) & (best.capacity <= highest + log(5) + 1e-9)).all()
    assert best.source.isfinite().all()


@pytest.mark.parametrize("level", [-1e5, 1e3, 1e5])
def test_a_reward_for_everything_shifts_the_capacity(level: float):
    best = blahut_arimoto(bsc(0.1), [level, level - 0.1])
    near = blahut_arimoto(bsc(0.1), [0.0, -0.1])
    assert best.capacity.item() - level == pytest.approx(near.capacity.item(), abs=1e-8)


@pytest.mark.parametrize(
    "channel",
    [
        [[0.3, 0.7]],
        [[1.0]] * 3,
        [[0.3, 0.7]] * 4,
        [[1 - 1e-12, 1e-12], [1 - 2e-12, 2e-12]],
        [[1.0, 0.0], [1 - 1e-12, 1e-12]],
    ],
    ids=["one input", "one output", "identical rows", "nearly identical rows", "one rare outcome"],
)
def test_channels_that_carry_nothing_have_capacity_zero(channel: object):
    best = blahut_arimoto(channel)
    assert best.gap <= 1e-9
    assert 0 <= best.capacity <= 1e-9
    assert best.source.isfinite().all()


def test_a_capacity_is_never_below_zero_by_rounding():
    channel = random_rows(0, 300, 1, 6).expand(300, 3, 6)
    assert blahut_arimoto(channel).capacity.min() >= 0


def test_a_nearly_noiseless_channel():
    best = blahut_arimoto(bsc(1e-12))
    assert best.capacity.item() == pytest.approx(log(2) - 1e-12 * (12 * log(10) + 1), abs=1e-13)


def test_a_single_input_is_paid_its_reward():
    assert blahut_arimoto([[0.3, 0.7]], [5.0]).capacity.item() == 5.0


def test_one_output_leaves_the_best_reward():
    assert blahut_arimoto([[1.0]] * 3, [1.0, 1 + 1e-7, 1 - 1e-5]).capacity.item() == pytest.approx(1 + 1e-7, abs=1e-8)


def test_a_nearly_useless_input_does_not_slow_it_down():
    """Blahut-Arimoto steps alone take more than 10,000 here."""
    best = blahut_arimoto([[1.0, 0.0], [0.5, 0.5], [0.9999, 0.0001]], tolerance=1e-12)
    assert best.iterations < 100
    assert best.capacity.item() == pytest.approx(log(1.25), abs=1e-10)


def test_inputs_that_nearly_agree():
    rows = random_rows(0, 100, 4, 6)
    near = torch.softmax(rows.log() + 1e-7, -1)
    doubled = blahut_arimoto(torch.cat([rows, near], -2))
    torch.testing.assert_close(doubled.capacity, blahut_arimoto(rows).capacity, atol=3e-9, rtol=0)


def test_stopping_early_warns_with_the_gap_and_the_bounds_hold():
    with pytest.warns(ConvergenceWarning, match=r"^Stopped after 2 iterations with a certified gap of \S+ nats"):
        early = blahut_arimoto([[1.0, 0.0], [0.5, 0.5]], max_iterations=2)
    assert early.capacity < log(1.25) < early.capacity + early.gap


def test_bits_are_nats_over_log_two():
    assert blahut_arimoto(torch.eye(8)).capacity.item() / log(2) == pytest.approx(log2(8))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_reward_must_be_finite(bad: float):
    with pytest.raises(InputError, match=r"^Expected a finite reward for every input, but got NaN or infinity; .+\.$"):
        blahut_arimoto(bsc(0.1), [bad, 0.0])


def test_a_reward_has_one_entry_for_each_input():
    with pytest.raises(InputError, match=r"^Expected the reward to have one entry for each input"):
        blahut_arimoto(bsc(0.1), [1.0, 2.0, 3.0])


@pytest.mark.parametrize(("tolerance", "most"), [(0.0, 10), (-1.0, 10), (float("nan"), 10), (1e-9, 0)])
def test_a_tolerance_is_positive_and_one_iteration_the_least(tolerance: float, most: int):
    with pytest.raises(InputError, match=r"^Expected a tolerance > 0 and at least one iteration, but got .+\.$"):
        blahut_arimoto(bsc(0.1), tolerance=tolerance, max_iterations=most)


def test_a_channel_is_made_of_distributions():
    with pytest.raises(InputError, match=r"^Expected the rows of the channel to sum to 1, but row \(0,\) sums to 2; "):
        blahut_arimoto([[1.0, 1.0], [0.5, 0.5]])
