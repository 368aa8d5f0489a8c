"""The count-based model of finite MDPs, against integrals and digammas.

Cost: under a second.
"""

from math import log

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from scipy.integrate import quad
from scipy.special import betaln, digamma, gammaln, xlogy
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from gio_pyro.models import CategoricalModel, DirichletModel
from gio_pyro.programs import Model, build_model
from gio_pyro.testing import check_model
from gio_pyro.types import Spec

S, A, F = 2, 3, 4
SPEC = Spec(Discrete(S), Discrete(A), Discrete(F))
STATE, ACTION, FUTURE = (torch.tensor(x) for x in ([0, 0, 1], [2, 2, 0], [1, 1, 3]))


def policy(state: Tensor) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), A))


def built(kind: type = DirichletModel, spec: Spec = SPEC) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(kind, spec, policy, torch.zeros(1, dtype=torch.long))


def counted(counts: list[float], **settings: float) -> Model:
    """A model of one state whose every action has these counts on top of the prior."""
    kind = type("Kind", (DirichletModel,), settings)
    model = built(kind, Spec(Discrete(1), Discrete(A), Discrete(len(counts))))
    model.program.counts.copy_(torch.tensor(counts).expand(1, A, -1))
    return model


ONE = torch.zeros(1, dtype=torch.long)


def test_it_passes_the_kit():
    check_model(DirichletModel, SPEC)
    check_model(DirichletModel, Spec(Discrete(1), Discrete(2), Discrete(1)))


def test_it_starts_uniform_and_has_no_parameters():
    model = built()
    assert list(model.parameters()) == []
    torch.testing.assert_close(model.log_prob(policy, STATE, ACTION, FUTURE), torch.full((3,), -log(F)))


def test_its_prediction_is_the_posterior_mean():
    model = built()
    model.observe(STATE, ACTION, FUTURE)
    expected = torch.tensor([[2.25, 0.25]] * 2 + [[1.25, 0.25]])
    for future, numerator in ((FUTURE, expected[:, 0]), ((FUTURE + 1) % F, expected[:, 1])):
        found = model.log_prob(policy, STATE, ACTION, future).exp()
        torch.testing.assert_close(found, numerator / torch.tensor([3.0, 3.0, 2.0]))


def test_the_order_of_what_is_observed_does_not_matter():
    one, other = built(), built()
    one.observe(STATE, ACTION, FUTURE)
    for k in (2, 0, 1):
        other.observe(STATE[k : k + 1], ACTION[k : k + 1], FUTURE[k : k + 1])
    assert torch.equal(one.program.counts, other.program.counts)


def by_hand(alpha: list[float], seen: int) -> float:
    """KL(Dir(α + e) ‖ Dir(α)) by the formula of two Dirichlet distributions."""
    new = [a + (i == seen) for i, a in enumerate(alpha)]
    norm = gammaln(sum(new)) - sum(map(gammaln, new)) - gammaln(sum(alpha)) + sum(map(gammaln, alpha))
    return norm + sum((n - a) * (digamma(n) - digamma(sum(new))) for n, a in zip(new, alpha, strict=True))


ALPHA = [0.5, 1.25, 7.25, 31.0]


@pytest.mark.parametrize("seen", range(4))
def test_the_information_gain_is_that_of_digammas(seen: int):
    model = counted([a - 0.25 for a in ALPHA])
    found = float(model.information_gain(ONE, ONE, torch.tensor([seen])))
    assert found == pytest.approx(by_hand(ALPHA, seen), rel=1e-5)
    old = torch.tensor(ALPHA, dtype=torch.double)
    new = old + torch.eye(4, dtype=torch.double)[seen]
    assert found == pytest.approx(float(kl_divergence(Dirichlet(new), Dirichlet(old))), rel=1e-5)


def test_the_information_gain_is_that_of_an_integral():
    """Two futures: the posterior over p(F=0) is a beta distribution, and the divergence one integral."""
    a, b = 1.5, 3.0
    model = counted([a - 0.5, b - 0.5])

    def integrand(p: float) -> float:
        log_new = xlogy(a, p) + xlogy(b - 1, 1 - p) - betaln(a + 1, b)
        log_old = xlogy(a - 1, p) + xlogy(b - 1, 1 - p) - betaln(a, b)
        return float(torch.tensor(log_new).exp()) * (log_new - log_old)

    found = float(model.information_gain(ONE, ONE, ONE))
    assert found == pytest.approx(quad(integrand, 0, 1)[0], rel=1e-5)


def mutual_information(alpha: list[float]) -> float:
    """I(W; F) = H(E p) − E H(p) of a Dirichlet row."""
    total = sum(alpha)
    mean = [a / total for a in alpha]
    expected = -sum(m * (digamma(a + 1) - digamma(total + 1)) for m, a in zip(mean, alpha, strict=True))
    return float(-sum(xlogy(m, m) for m in mean) - expected)


@pytest.mark.parametrize("counts", [[0.0] * 4, [3.0, 0.0, 1.0, 0.0], [40.0, 2.0, 60.0, 1.0]])
def test_the_expected_information_gain_is_the_mutual_information(counts: list[float]):
    model, every = counted(counts), torch.arange(4)
    probability = model.log_prob(policy, ONE.expand(4), ONE.expand(4), every).exp()
    found = float((probability * model.information_gain(ONE.expand(4), ONE.expand(4), every)).sum())
    assert found == pytest.approx(mutual_information([c + 0.25 for c in counts]), rel=1e-4)


def test_a_million_observations_leave_a_small_positive_gain():
    gain = float(counted([1e6, 1e6]).information_gain(ONE, ONE, ONE))
    assert gain == pytest.approx(1 / (2 * 1e6) - 1 / (2 * 2e6), rel=1e-2)


def test_beliefs_are_draws_from_the_posterior():
    """The mean of the draws, and of their squares, are those of the Dirichlet distribution."""
    alpha = torch.tensor([0.25, 1.25, 3.25, 0.75])
    model = counted([0.0, 1.0, 3.0, 0.5], draws=20_000)
    found = model.beliefs(ONE, ONE)
    assert found.batch_shape == (20_000, 1)
    exact = Dirichlet(alpha)
    torch.testing.assert_close(found.probs[:, 0].mean(0), exact.mean, atol=0.01, rtol=0)
    torch.testing.assert_close(found.probs[:, 0].var(0), exact.variance, atol=0.003, rtol=0)


def test_beliefs_repeat_themselves_and_do_not_depend_on_the_batch():
    model = built()
    model.observe(STATE, ACTION, FUTURE)
    before = torch.get_rng_state()
    found = model.beliefs(STATE, ACTION).probs
    assert torch.equal(found, model.beliefs(STATE, ACTION).probs)
    torch.testing.assert_close(found[:, 2:], model.beliefs(STATE[2:], ACTION[2:]).probs)
    assert torch.equal(before, torch.get_rng_state())


def test_beliefs_agree_where_much_was_seen():
    deviation = counted([2_000.0, 6_000.0]).beliefs(ONE, ONE).probs.std(0)
    assert float(deviation.max()) < 0.01


def test_a_model_without_beliefs_is_told_apart():
    from gio_pyro.errors import InputError

    with pytest.raises(InputError, match=r"^Expected a model that implements .*, but CategoricalModel does not; .*\.$"):
        built(CategoricalModel).beliefs(STATE, ACTION)
