"""The best of a few candidates, by value and signal.

Cost: under a second.
"""

from dataclasses import replace
from itertools import product

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro.distributions.masks import restricted
from gio_pyro.errors import InputError
from gio_pyro.explorers import OptimisticExplorer
from gio_pyro.explorers.optimistic import log_best
from gio_pyro.futures import FinalState
from gio_pyro.programs import ActionSamples
from gio_pyro.types import Spec
from tests.explorers.worlds import replay_of, source_of
from tests.finite import exact_replay, true_model
from tests.spaces import vector
from tests.tabular.worlds import random_mdp, random_rows

REPLAY = replay_of(exact_replay(random_mdp(3)))


@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_the_best_of_some_draws_by_brute_force(candidates: int):
    """All sequences of draws, each with its probability; those that tie for the best share it."""
    pi, score = random_rows(5, 1, 4)[0], torch.tensor([0.3, -1.0, 0.3, 2.0])
    expected = torch.zeros(4, dtype=torch.float64)
    for drawn in product(range(4), repeat=candidates):
        top = [a for a in drawn if score[a] == max(score[b] for b in drawn)]
        for action in top:
            expected[action] += pi[list(drawn)].prod() / len(top)
    found = log_best(pi.log()[None], score[None].double(), candidates)[0].exp()
    torch.testing.assert_close(found, expected)
    forbidden = restricted(pi.log()[None], torch.tensor([[True, True, True, False]]))
    assert log_best(forbidden, score[None].double(), candidates).exp()[0, 3] == 0


def test_value_and_expected_signal_add_up():
    """Q of a table, and E signal(s') by the true channel; with many candidates the best action is certain."""
    mdp, values = random_mdp(7, states=5), torch.rand(5, generator=torch.Generator().manual_seed(1))
    q = torch.rand(5, mdp.actions, generator=torch.Generator().manual_seed(2))
    source = source_of(5, mdp.actions, values=values)
    source = replace(
        source,
        fitted=replace(source.fitted, model=true_model(mdp.transition)),
        action_values=lambda state, chosen: q[state],
    )
    explorer = OptimisticExplorer(source, candidates=1_000)
    action, log_mu = explorer.behaviour(REPLAY)(torch.arange(5), torch.zeros(5, dtype=torch.long))
    best = q + mdp.transition.float() @ values
    assert torch.equal(action, best.argmax(-1))
    assert torch.allclose(log_mu, torch.zeros(5), atol=1e-6)


def test_the_density_of_a_continuous_choice_is_right_on_average():
    """E over choices of π(a)/μ(a) is 1 where μ is the density of the choice; here by its expected rank."""
    count = 16

    def values(state: Tensor, chosen: ActionSamples) -> Tensor:
        return chosen.action.squeeze(-1).unflatten(0, (len(state), -1))

    class Silent(OptimisticExplorer):
        def _novelty(self, state: Tensor, action: Tensor) -> Tensor:
            return torch.zeros(len(state))

    source = source_of(None)
    spec = Spec(vector(2), vector(1), vector(2), hidden=(16,))
    normal = dist.Normal(0.0, 1.0)
    fitted = replace(source.fitted, spec=spec, policy=lambda s: normal.expand([len(s), 1]).to_event(1))
    explorer = Silent(replace(source, fitted=fitted, action_values=values), candidates=count)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        action, log_mu = explorer.behaviour(REPLAY)(torch.zeros(20_000, 2), torch.zeros(20_000, dtype=torch.long))
    x = action.squeeze(-1).double()
    exact = normal.log_prob(x) + torch.tensor(count).log() + (count - 1) * normal.cdf(x).log()
    assert float((log_mu - exact).mean()) == pytest.approx(0.0, abs=0.02)


def test_mistakes_in_a_sentence():
    source = source_of(4)
    with pytest.raises(InputError, match=r"^Expected candidates .* but got 0"):
        OptimisticExplorer(source, candidates=0)
    later = replace(source, fitted=replace(source.fitted, future=FinalState(3)))
    with pytest.raises(InputError, match=r"^Expected a future that holds the next state for the explorer Optimistic"):
        OptimisticExplorer(later)
