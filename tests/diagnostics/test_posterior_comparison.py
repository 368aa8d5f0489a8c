"""Guides that are exact, overconfident and underconfident by a known amount, against each reference posterior."""

from math import log
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.diagnostics import Triples, fitted_channel, policy_table, reference_methods, reference_posterior
from gio_pyro.diagnostics.arviz_versions import arviz, has_data_tree
from gio_pyro.diagnostics.evidence import imagined, judging, played
from gio_pyro.diagnostics.program_pair import Pair
from gio_pyro.diagnostics.reference_methods import Size, importance, nuts
from gio_pyro.errors import InputError
from gio_pyro.programs import Guide, Model
from tests.agents import differences, untouched
from tests.diagnostics import linear
from tests.slow import slow_but

az = arviz()
EXACT, OVERCONFIDENT, UNDERCONFIDENT = 1.0, 0.5, 2.0
"""Scale of the guide, relative to the posterior."""
CASES = [
    ("importance", EXACT), ("importance", OVERCONFIDENT), ("importance", UNDERCONFIDENT),
    ("nuts", OVERCONFIDENT), ("nuts", UNDERCONFIDENT), ("nuts", EXACT),
]  # fmt: skip
SMALL = {"chains": 2, "draws": 200, "warmup": 100, "jit_compile": True}


def examples(agent: GIO, count: int) -> Triples:
    with judging(agent):
        return imagined(agent, played(agent, count).state)


def within(found: np.ndarray, error: np.ndarray, truth: Any) -> bool:
    """Whether each estimate is within five standard errors."""
    return bool((np.abs(found - truth) < 5 * error + 1e-6).all())


@torch.no_grad()
def closed_form(agent: GIO, rows: Triples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p(F|s), `[N]`, and mean and standard deviation of the posterior, `[N, 2]` each."""
    pi = agent.policy(rows.state).base_dist
    effect, noise = (torch.tensor(x, dtype=torch.float64) for x in (linear.EFFECT, linear.NOISE))
    wide = (noise.square() + (effect * pi.scale).square()).sqrt()
    centre = linear.DECAY * rows.state + effect * pi.loc
    evidence = torch.distributions.Normal(centre, wide).log_prob(rows.future).sum(-1)
    precision = pi.scale.double().pow(-2) + (effect / noise).square()
    mean = pi.loc / pi.scale.square() + (effect / noise).square() * (rows.future - linear.DECAY * rows.state) / effect
    return evidence.numpy(), (mean / precision).numpy(), precision.rsqrt().numpy()


def divergence(scale: float) -> float:
    """KL(N(0, scale²) ‖ N(0, 1)) of two numbers, nats."""
    return 2 * (-log(scale) + 0.5 * scale**2 - 0.5)


@pytest.mark.parametrize("case", slow_but(CASES, *CASES[:4]), ids=lambda case: f"{case[0]}-{case[1]}")
def test_a_linear_gaussian_world_has_its_closed_form(case: tuple[str, float]):
    method, width = case
    agent = linear.agent(width)
    rows = examples(agent, 2)
    found = reference_posterior(agent, method, triples=rows, **SMALL)
    evidence, mean, deviation = closed_form(agent, rows)
    assert within(found.log_evidence, found.log_evidence_error, evidence)
    assert within(found.amortisation_gap, found.amortisation_gap_error, divergence(width))
    assert within(found.forward_kl, found.forward_kl_error, divergence(1 / width))
    assert (found.amortisation_gap_error < 0.2).all()
    action = found.reference.posterior["action"]
    error = deviation / np.sqrt(found.ess.clip(max=400)[:, None])
    assert (np.abs(action.mean(["chain", "draw"]).values - mean) < 6 * error).all()
    assert action.std(["chain", "draw"]).values == pytest.approx(deviation, rel=0.25)
    assert found.guide.posterior["action"].std(["chain", "draw"]).values == pytest.approx(width * deviation, rel=0.2)
    assert (found.r_hat < 1.1).all()
    assert (found.ess > 30).all()


@pytest.fixture(scope="module")
def lake() -> GIO:
    return GIO("FrozenLake-v1", train_freq=100, seed=0, guide="CategoricalGuide").learn(600)


@torch.no_grad()
def tables(agent: GIO, rows: Triples) -> tuple[Tensor, Tensor]:
    """log p(F, a|s) and log q(a|s, F), `[N, A]` each, from the transition table of the fitted model."""
    channel, pi = fitted_channel(agent, torch.arange(16)), policy_table(agent)
    joint = pi[rows.state] * channel[rows.state, :, rows.future]
    return joint.log(), agent.guide.posterior(agent.policy, rows.state, rows.future).logits.log_softmax(-1).double()


class TestFinite:
    def test_enumeration_is_the_posterior_of_the_table(self, lake: GIO):
        rows = examples(lake, 12)
        found = reference_posterior(lake, triples=rows, draws=2_000)
        joint, q = tables(lake, rows)
        evidence = joint.logsumexp(-1)
        p = joint - evidence[:, None]
        assert found.method == "enumeration"
        np.testing.assert_allclose(found.log_evidence, evidence, atol=1e-5)
        np.testing.assert_allclose(found.amortisation_gap, (q.exp() * (q - p)).sum(-1), atol=1e-5)
        np.testing.assert_allclose(found.forward_kl, (p.exp() * (p - q)).sum(-1), atol=1e-5)
        assert not found.amortisation_gap_error.any()
        for data, nats in ((found.reference, p), (found.guide, q)):
            shares = np.stack([(data.posterior["action"] == a).mean(["chain", "draw"]) for a in range(4)], -1)
            assert np.abs(shares - nats.exp().numpy()).max() < 0.03
        scores = found.reference.sample_stats
        np.testing.assert_allclose(scores["lp"], scores["log_p"] + scores["log_pi"])

    def test_importance_agrees_with_enumeration(self, lake: GIO):
        rows = examples(lake, 6)
        exact, found = (reference_posterior(lake, method, triples=rows) for method in ("enumeration", "importance"))
        assert within(found.log_evidence, found.log_evidence_error, exact.log_evidence)
        assert within(found.amortisation_gap, found.amortisation_gap_error, exact.amortisation_gap)
        assert within(found.forward_kl, found.forward_kl_error, exact.forward_kl)

    def test_the_exact_guide_loses_nothing(self):
        agent = GIO("FrozenLake-v1", guide="BayesGuide", train_freq=100).learn(200)
        found = reference_posterior(agent, transitions=6, draws=10)
        assert np.abs(found.amortisation_gap).max() < 1e-5
        assert np.abs(found.forward_kl).max() < 1e-5
        assert len(found.elbo) == 6


def model(policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
    """A latent number z between action and future: both have unit noise."""
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        z = pyro.sample("z", dist.Normal(action, 1.0))
        return pyro.sample("future", dist.Normal(z, 1.0), obs=future)


def guide(policy: Any, state: Tensor, future: Tensor) -> Any:
    """The posterior, a ~ N(F/3, 2/3) and z ~ N((a + F)/2, ½)."""
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", dist.Normal(future / 3, (2 / 3) ** 0.5))
        pyro.sample("z", dist.Normal((action + future) / 2, 0.5**0.5))


def without_z(policy: Any, state: Tensor, future: Tensor) -> Any:
    with pyro.plate("batch", len(state)):
        pyro.sample("action", dist.Normal(future / 3, (2 / 3) ** 0.5))


def shared(policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0))
    with pyro.plate("batch", len(state)):
        action = pyro.sample("action", policy(state))
        return pyro.sample("future", dist.Normal(weight * action, 1.0), obs=future)


def pair(model: Any, guide: Any) -> Pair:
    def normal(state: Tensor) -> dist.Normal:
        return dist.Normal(torch.zeros(len(state)), 1.0)

    return Pair(Model(model), Guide(guide), normal, torch.zeros(2), torch.tensor([0.0, 2.0]))


class TestLatentSites:
    @pytest.mark.parametrize("method", slow_but([importance, nuts], importance))
    def test_they_are_further_variables(self, method: Any):
        found = method(pair(model, guide), Size(2, 200, 4_000, 100, jit_compile=True))
        evidence = dist.Normal(0.0, 3**0.5).log_prob(torch.tensor([0.0, 2.0])).numpy()
        assert within(found.log_evidence.value.numpy(), found.log_evidence.error.numpy(), evidence)
        assert found.elbo.value.numpy() == pytest.approx(evidence, abs=1e-5)
        assert set(found.posterior.values) == set(found.guide.values) == {"action", "z"}
        assert found.posterior.values["z"].mean(0).numpy() == pytest.approx([0.0, 4 / 3], abs=0.25)

    def test_a_site_that_the_guide_leaves_out_has_its_prior(self):
        """Its KL from the posterior of z is that of N(a, 1) from N((a + F)/2, ½), averaged over a."""
        found = importance(pair(model, without_z), Size(2, 300, 20_000, 0))
        square = 2 / 3 + (4 / 3) ** 2  # E (a − F)², F = 2
        expected = 0.5 * (2 - 1 - log(2)) + square / 4
        assert float(found.log_evidence.value[1] - found.elbo.value[1]) == pytest.approx(expected, abs=0.05)

    def test_weights_are_those_of_pyro(self):
        """`pyro.infer.Importance` runs the programs once for each draw; ours has the draws in the batch."""
        one = pair(model, guide)
        theirs = pyro.infer.Importance(one.model, one.guide, num_samples=50).run(one.policy, one.state, one.future)
        traces = theirs.exec_traces
        values = {name: torch.stack([t.nodes[name]["value"] for t in traces]) for name in ("action", "z")}
        np.testing.assert_allclose(one.at(values).log_weight.sum(-1), np.array(theirs.log_weights), atol=1e-4)

    @pytest.mark.parametrize("method", [importance, nuts])
    def test_one_for_all_examples_is_refused(self, method: Any):
        with pytest.raises(InputError, match='"weight" is shared by all of them'):
            method(pair(shared, without_z), Size(2, 20, 100, 10))


@pytest.mark.parametrize(
    ("model", "sites"),
    [("RegimeModel", {"action"}), ("BayesianModel", {"action"}), ("VariationalModel", {"action", "z"})],
)
def test_latent_sites_of_models_of_the_library(model: str, sites: set[str]):
    """The evidence is that of `Model.log_prob` over draws of the policy, of which local sites give a lower bound.

    The bound holds on average over examples: the noise of one example is kept, and may happen to lie above.
    """
    agent = GIO("Pendulum-v1", model=model, hidden=(8,), learning_starts=20, batch_size=16).learn(40)
    rows = examples(agent, 20)
    found = reference_posterior(agent, triples=rows, chains=2, draws=50, proposals=1_000)
    assert set(found.reference.posterior.data_vars) == set(found.guide.posterior.data_vars) == sites
    with judging(agent):
        state, future = (x.repeat(1_000, 1) for x in (rows.state, rows.future))
        log_p = agent.model.log_prob(agent.policy, state, agent.policy(state).sample(), future).reshape(1_000, -1)
    excess = (log_p.double().logsumexp(0) - log(1_000)).numpy() - found.log_evidence
    assert excess.mean() < 0.02 if "z" in sites else (np.abs(excess) < 0.15).all()
    assert (found.forward_kl > -4 * found.forward_kl_error - 1e-3).all()


@pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")  # between arviz and matplotlib
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # between arviz and pandas
def test_arviz_summarises_compares_and_draws_what_is_exported():
    from matplotlib import use

    use("Agg")
    agent = linear.agent(0.5)
    found = reference_posterior(agent, triples=examples(agent, 3), chains=2, draws=100)
    coords = {"transition": [0, 1]}
    for data in (found.reference, found.guide):
        assert data.posterior["action"].dims == ("chain", "draw", "transition", "action_dim")
        summary = az.summary(data, var_names=["action"])
        assert len(summary) == 6
        assert float(summary["r_hat"].astype(float).max()) < 1.1
        assert az.plot_trace(data, var_names=["action"], coords=coords) is not None
        assert az.plot_pair(data, var_names=["action"], coords=coords) is not None
        assert az.plot_rank(data, var_names=["action"], coords=coords) is not None
    both = {"reference": found.reference, "guide": found.guide}
    if has_data_tree():
        assert az.plot_forest(both, var_names=["action"]) is not None
    else:
        assert az.plot_forest(list(both.values()), model_names=list(both), var_names=["action"]) is not None
    ranks = az.compare(found.elpd)
    assert list(ranks.index) == ["reference", "guide"]
    lost = float(ranks.loc["guide", "elpd_diff"])
    assert abs(lost) == pytest.approx(found.amortisation_gap.sum(), abs=0.06)
    assert "amortisation gap, KL(q || p)" in str(found)


@pytest.mark.parametrize("method", ["importance", "nuts"])
def test_the_agent_and_the_user_are_not_touched(method: str):
    settings = {"hidden": (8,), "learning_starts": 20, "batch_size": 16}
    watched, alone = (GIO("Pendulum-v1", **settings).learn(40) for _ in range(2))
    with untouched():
        first, second = (
            reference_posterior(watched, method, transitions=2, chains=2, draws=10, warmup=10) for _ in range(2)
        )
    assert first.reference.posterior.equals(second.reference.posterior)
    assert set(first.reference.posterior["action_dim"].values) == {"torque"}
    assert not differences(watched.learn(5), alone.learn(5))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "gibbs"}, "Expected a method of enumeration, importance, nuts"),
        ({"chains": 1}, "Expected chains to be a whole number of 2"),
        ({"draws": 2.5}, "Expected draws to be a whole number"),
        ({"method": "nuts"}, "Expected continuous actions for NUTS"),
    ],
)
def test_mistakes_are_refused(lake: GIO, given: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        reference_posterior(lake, **given)


def test_continuous_actions_cannot_be_enumerated():
    agent = linear.agent()
    with pytest.raises(InputError, match="Expected finite actions to enumerate"):
        reference_posterior(agent, "enumeration", triples=examples(agent, 2))


def test_chains_that_stay_in_one_place_are_refused(monkeypatch: pytest.MonkeyPatch):
    programs = pair(model, guide)
    stuck = {name: value[:1].expand_as(value) for name, value in programs.from_guide(20).values.items()}
    count = stuck["action"].shape[1]
    monkeypatch.setattr(reference_methods, "chains_of_nuts", lambda *given: (stuck, torch.zeros(20, count)))
    with pytest.raises(InputError, match=f"chains that move, but they stayed in one place at {count} of {count}"):
        nuts(programs, Size(2, 10, 100, 10, jit_compile=False))


def test_a_model_that_cannot_be_traced_is_refused():
    def untraceable(policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
        if torch.jit.is_tracing():
            raise RuntimeError("an operation without a trace")
        return model(policy, state, future)

    with pytest.raises(InputError, match=r"torch.jit can trace.*leave out jit_compile"):
        nuts(pair(untraceable, guide), Size(2, 10, 100, 10, jit_compile=True))
