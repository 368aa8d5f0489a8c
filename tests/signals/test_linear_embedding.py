"""Linear dynamics in embeddings that share information: the bounds, and what is left to be explained.

Cost: 5 s.
"""

from math import log

import pytest
import torch

from gio_pyro.models import GaussianModel
from gio_pyro.signals import LinearEmbedding
from gio_pyro.signals.linear_embedding import jensen_shannon_bound, standard_normal_divergence
from gio_pyro.types import Spec
from tests.spaces import vector

from .worlds import fitted, rows


def test_the_bound_is_the_divergence_where_the_critic_is_the_log_ratio_and_below_it_elsewhere():
    generator = torch.Generator().manual_seed(0)
    p, q = torch.rand(2, 6, generator=generator, dtype=torch.float64).softmax(-1)
    middle = (p + q) / 2
    divergence = 0.5 * ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum())
    exact = 2 * float(divergence) - 2 * log(2)
    best = (p / q).log()
    assert float(jensen_shannon_bound(best, best, p, q)) == pytest.approx(exact, abs=1e-12)
    for change in (0.3, -1.0):
        other = best + change * torch.randn(6, generator=generator, dtype=torch.float64)
        assert float(jensen_shannon_bound(other, other, p, q)) < exact


def test_the_divergence_from_a_standard_normal_by_hand():
    """Mean 1 and variance 4 in one dimension: ½ (4 + 1 − 1 − log 4); copies count by their weight."""
    x, weight = torch.tensor([[-1.0], [3.0], [3.0]]), torch.tensor([2.0, 1.0, 1.0])
    assert float(standard_normal_divergence(x, weight)) == pytest.approx(0.5 * (4 - log(4)), rel=1e-6)


def test_what_is_linear_is_explained_and_a_jump_is_not():
    """s' = s + a for every transition that is learned from; then one goes elsewhere."""
    spec, generator = Spec(vector(2), vector(2), vector(2), hidden=(64,)), torch.Generator().manual_seed(3)

    def walk(count: int) -> object:
        state, action = torch.randn(2, count, 2, generator=generator)
        return rows(state, action, state + 0.5 * action.tanh())

    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = LinearEmbedding(fitted(GaussianModel, spec), learning_rate=3e-3)
        signal.observe(walk(500))
        first = signal.update(walk(256))
        for _ in range(600):
            last = signal.update(walk(256))
    assert float(last["embedding_residual"]) < 0.2 * float(first["embedding_residual"])
    assert float(last["embedding_information"]) > float(first["embedding_information"])
    data = walk(256)
    jumped = rows(data.state, data.action, data.next_state.roll(1, 0))
    assert float(signal(jumped).mean()) > 10 * float(signal(data).mean())
