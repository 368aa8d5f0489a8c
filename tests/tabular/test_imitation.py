"""The likeliest policy of an expert whose actions are unknown. Cost: 2 s."""

import math

import pytest
import torch
from scipy.optimize import minimize

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular import imitate, posterior
from tests.tabular.worlds import random_mdp, random_rows


def test_it_is_the_maximum_of_the_likelihood_and_the_gap_bounds_what_is_missing():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(6, 4, 5, generator=generator, dtype=torch.float64)
    p /= p.sum(-1, keepdim=True)
    n = torch.randint(0, 9, (6, 5), generator=generator).double()
    found = imitate(p, n, tolerance=1e-7)
    for one in range(6):
        share = n[one] / n[one].sum()

        def loss(logits, one=one, share=share):
            pi = torch.softmax(torch.as_tensor(logits), -1)
            return -float((share * (pi @ p[one]).log()).sum())

        best = -min(minimize(loss, start, tol=1e-12).fun for start in random_rows(0, 3, 4).log())
        assert float(found.log_likelihood[one]) == pytest.approx(best, abs=1e-6)
        loose = imitate(p[one], n[one], tolerance=1e-2)
        assert best - 1e-9 <= float(loss_of(p[one], share, loose.policy)) + float(loose.gap) <= best + 1e-2 + 1e-9


def loss_of(p: torch.Tensor, share: torch.Tensor, policy: torch.Tensor) -> torch.Tensor:
    return (share * (policy @ p).log()).sum()


def test_an_expert_that_is_seen_everywhere_for_ever_is_found_where_next_states_tell_the_action():
    mdp = random_mdp(0, states=5, actions=3)
    expert = random_rows(1, 5, 3)
    counts = torch.einsum("sa,saf->sf", expert, mdp.transition)
    torch.testing.assert_close(imitate(mdp.transition, counts, tolerance=1e-10).policy, expert, atol=1e-3, rtol=0)


def test_one_reading_averages_the_posterior_over_what_was_seen():
    mdp = random_mdp(0, states=4, actions=3)
    counts = torch.tensor([[3.0, 1, 0, 0]] * 4, dtype=torch.float64)
    with pytest.warns(ConvergenceWarning, match=r"^Stopped after 1 iterations with a certified gap of"):
        once = imitate(mdp.transition, counts, max_iterations=1).policy
    q = posterior(mdp, torch.full((4, 3), 1 / 3, dtype=torch.float64))
    torch.testing.assert_close(once, 0.75 * q[:, 0] + 0.25 * q[:, 1])


def test_states_that_were_not_seen_keep_every_action():
    found = imitate([[[1.0, 0], [0, 1]], [[0.5, 0.5], [0, 1]]], [[0.0, 0], [1, 1]])
    assert found.policy.tolist() == [[0.5, 0.5], pytest.approx([1, 0], abs=1e-3)]
    assert found.gap.tolist() == [0, pytest.approx(0, abs=1e-6)]
    assert found.log_likelihood.tolist() == [0, pytest.approx(-math.log(2), abs=1e-6)]


@pytest.mark.parametrize(
    ("channel", "counts", "message"),
    [
        ([[0.5, 0.6]], [1, 1], "Expected the rows of the channel to sum to 1"),
        ([[0.5, 0.5]], [1, 1, 1], r"Expected counts \[..., F\]"),
        ([[0.5, 0.5]], [1, -1], r"Expected counts \[..., F\]"),
        ([[0.5, 0.5]], [1, math.nan], r"Expected counts \[..., F\]"),
        ([[1.0, 0.0]], [1, 1], "Expected futures that some action leads to"),
    ],
)
def test_mistakes(channel: object, counts: object, message: str):
    with pytest.raises(InputError, match=f"^{message}"):
        imitate(channel, counts)
