"""The objectives of finite worlds: where they end, by hand, and whom their gradients reach."""

from dataclasses import replace
from math import log

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.guides import BayesGuide, CategoricalGuide
from gio_pyro.inference import (
    OBJECTIVES,
    Elbo,
    ForwardKL,
    Inference,
    Objective,
    Sleep,
    WakeSleep,
    dynamics,
    objective_named,
    sequence_length_of,
)
from gio_pyro.models import CategoricalModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, sample_actions, score
from gio_pyro.types import Policy, Spec, Transitions
from tests.finite import true_model
from tests.inference.worlds import A, S, build, expected_kl, fit, make_world, policy_of
from tests.slow import slow_but


@pytest.mark.parametrize("seed", slow_but([0, 1, 2], 0))
@pytest.mark.parametrize("objective", [Elbo(), Sleep(), WakeSleep(), ForwardKL()], ids=lambda o: type(o).__name__)
def test_reaches_the_exact_posterior_on_another_policys_replay(objective, seed):
    world = make_world(seed)
    _, guide = fit(world, objective, exact=True)
    assert expected_kl(world, guide) <= 0.005


@pytest.mark.parametrize("seed", slow_but([0, 1, 2], 0))
def test_unweighted_forward_kl_learns_the_posterior_of_the_wrong_policy(seed):
    world = make_world(seed)
    _, guide = fit(world, ForwardKL(weighted=False), exact=True)
    assert expected_kl(world, guide) > 0.05


@pytest.mark.parametrize("seed", slow_but([0, 1], 0))
@pytest.mark.parametrize("name", ["elbo", "forward_kl", "sleep", "wake_sleep"])
def test_model_and_guide_fitted_together_reach_the_truth(name, seed):
    world = make_world(seed)
    model, guide = fit(world, objective_named(name), exact=False)
    assert expected_kl(world, guide) <= 0.01
    assert model_error(world, model) <= 0.005


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_joint_elbo_bends_the_dynamics_on_another_policys_replay(seed):
    world = make_world(seed)
    bent, _ = fit(world, Elbo(joint=True), exact=False)
    straight, _ = fit(world, Elbo(joint=False), exact=False)
    assert model_error(world, bent) > 10 * model_error(world, straight)


def model_error(world, model) -> float:
    """Mean KL(p ‖ p_ψ) over states and actions."""
    row, column = torch.arange(S).repeat_interleave(S), torch.arange(S).repeat(S)
    with torch.no_grad():
        log_p = score(model, world.policy, row, sample_actions(world.policy(row)), column).double().reshape(S, S, A).mT
    return float((torch.special.xlogy(world.channel, world.channel) - world.channel * log_p).sum(-1).mean())


def test_the_score_of_every_action_is_that_of_each():
    world = make_world(0)
    model, _ = build(world, exact=True)
    state, future = torch.arange(S), torch.arange(S).flip(0)
    table = score(model, world.policy, state, sample_actions(world.policy(state)), future)
    for a in range(A):
        alone = model.log_prob(world.policy, state, torch.full((S,), a), future)
        torch.testing.assert_close(table[:, a], alone)


def symmetric(behaviour: float = 0.5, weight: float = 1.0) -> tuple[Model, Guide, Policy, Transitions, Tensor]:
    """A binary symmetric channel of 0.1, a uniform policy, q = (0.8, 0.2), and one row: action 0 led to future 0."""
    policy = policy_of(torch.full((1, 2), 0.5))
    spec = Spec(Discrete(1), Discrete(2), Discrete(2))
    zero, one = torch.zeros(1, dtype=torch.long), torch.ones(1)
    model = build_model(CategoricalModel, spec, policy, zero)
    guide = build_guide(CategoricalGuide, spec, model, policy, zero)
    with torch.no_grad():
        model.program.table.copy_(torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]).log())
        guide.program.table.copy_(torch.tensor([[[0.8, 0.2], [0.2, 0.8]]]).log())
    batch = Transitions(zero, zero, one, zero, one.bool(), one.bool(), (behaviour * one).log(), weight * one)
    return model, guide, policy, batch, zero


def test_elbo_matches_numbers_worked_by_hand():
    """log evidence −log 2, gap KL((.8, .2) ‖ (.9, .1))."""
    elbo = Elbo()(*symmetric()).item()
    assert elbo == pytest.approx(-0.73755, abs=1e-5)
    assert -log(2) - elbo == pytest.approx(0.044403, abs=1e-5)


def test_dynamics_is_the_score_of_what_was_done():
    model, _, policy, batch, future = symmetric()
    assert dynamics(model, policy, batch, future).item() == pytest.approx(log(0.9), abs=1e-6)


@pytest.mark.parametrize("behaviour", [0.5, 0.25, 1.0])
def test_forward_kl_weighs_by_the_ratio_of_the_policies(behaviour: float):
    given = symmetric(behaviour)
    assert ForwardKL()(*given).item() == pytest.approx(0.5 / behaviour * log(0.8), abs=1e-6)
    assert ForwardKL(weighted=False)(*given).item() == pytest.approx(log(0.8), abs=1e-6)


def test_sleep_and_wake_sleep_average_over_the_posterior():
    """By symmetry the same number for either future."""
    expected = 0.9 * log(0.8) + 0.1 * log(0.2)
    assert Sleep()(*symmetric()).item() == pytest.approx(expected, abs=1e-6)
    assert WakeSleep()(*symmetric()).item() == pytest.approx(expected, abs=1e-6)


def of_one_step(name: str) -> Objective:
    """The objective; one along trajectories with pieces of a single transition."""
    objective = objective_named(name)
    return replace(objective, steps=1) if sequence_length_of(objective) > 1 else objective


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_is_a_mean_over_the_batch(name: str):
    """So that a step does not depend on the batch size, nor on whether equal rows were merged."""
    given, heavier = symmetric(), symmetric(weight=5.0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        once = of_one_step(name)(*given)
        torch.manual_seed(0)
        weighed = of_one_step(name)(*heavier)
    torch.testing.assert_close(once, weighed)
    assert once.ndim == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_a_joint_objective_reaches_the_model(name: str):
    model, guide, policy, batch, future = symmetric()
    reached = torch.autograd.grad(
        of_one_step(name)(model, guide, policy, batch, future),
        [model.program.table, guide.program.table],
        allow_unused=True,
    )
    assert (reached[0] is not None) == (name == "joint_elbo")
    assert reached[1] is not None
    assert model.program.table.requires_grad, "the model was left frozen"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("elbo", Elbo(7)),
        ("joint_elbo", Elbo(7, joint=True)),
        ("forward_kl", ForwardKL()),
        ("sleep", Sleep(7)),
        ("wake_sleep", WakeSleep()),
    ],
)
def test_an_objective_is_made_from_its_name_and_the_number_of_draws(name: str, made: Objective):
    assert objective_named(name, samples=7) == made


def test_every_objective_has_a_name():
    one_step = ["elbo", "joint_elbo", "forward_kl", "sleep", "wake_sleep"]
    assert list(OBJECTIVES) == [*one_step, "trajectory_elbo", "weighted_trajectory_elbo"]


def test_an_objective_of_ones_own_is_taken_as_it_is():
    def own(model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        return batch.mean(guide.log_prob(policy, batch.state, future, batch.action))

    assert objective_named(own) is own
    model, guide, policy, batch, future = symmetric()
    figures = Inference(model, guide, own, learning_rate=0.1).step(policy, batch, future)
    assert figures["guide_nats"].item() == pytest.approx(log(0.8), abs=1e-6)


def test_each_program_is_stepped_at_its_own_rate():
    model, guide, policy, batch, future = symmetric()
    before = model.program.table.detach().clone(), guide.program.table.detach().clone()
    model.learning_rate, guide.learning_rate = 0.3, None
    Inference(model, guide, Sleep(), learning_rate=0.01).step(policy, batch, future)
    moved = [(p.program.table.detach() - b).abs().max().item() for p, b in zip((model, guide), before, strict=True)]
    assert moved == pytest.approx([0.3, 0.01], rel=1e-2)


def test_a_guide_without_parameters_leaves_the_model_to_learn():
    model, _, policy, batch, future = symmetric()
    spec = Spec(Discrete(1), Discrete(2), Discrete(2))
    guide = build_guide(BayesGuide, spec, model, policy, future)
    inference = Inference(model, guide, Sleep(), learning_rate=0.1)
    first = inference.step(policy, batch, future)["dynamics_nats"]
    assert inference.step(policy, batch, future)["dynamics_nats"] > first


def test_programs_without_parameters_are_only_read():
    _, _, policy, batch, future = symmetric()
    model = true_model(torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]))
    guide = build_guide(BayesGuide, Spec(Discrete(1), Discrete(2), Discrete(2)), model, policy, future)
    inference = Inference(model, guide, Sleep(), learning_rate=0.1)
    assert inference.optimiser is None
    assert inference.step(policy, batch, future)["dynamics_nats"].item() == pytest.approx(log(0.9), abs=1e-6)


def test_losses_do_not_depend_on_how_often_the_batch_is_repeated():
    world = make_world(0, transitions=2_000)
    model, guide = build(world, exact=False)
    once = Inference(model, guide, Sleep(), learning_rate=0.1).step(world.policy, world.batch, world.batch.next_state)
    twice = world.batch[torch.arange(len(world.batch)).repeat(2)]
    model, guide = build(world, exact=False)
    again = Inference(model, guide, Sleep(), learning_rate=0.1).step(world.policy, twice, twice.next_state)
    for name in once:
        torch.testing.assert_close(once[name], again[name])


def test_gradients_of_the_guide_are_exact_not_sampled():
    world = make_world(0, transitions=2_000)
    gradients = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model, guide = build(world, exact=True)
        loss = Elbo()(model, guide, world.policy, world.batch, world.batch.next_state)
        gradients.append(torch.autograd.grad(loss, list(guide.parameters())))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_no_gradient_reaches_the_policy():
    world = make_world(0, transitions=2_000)
    logits = torch.zeros(S, A, requires_grad=True)
    model, guide = build(world, exact=False)
    Inference(model, guide, Elbo(), learning_rate=0.1).step(
        lambda state: dist.Categorical(logits=logits[state]), world.batch, world.batch.next_state
    )
    assert logits.grad is None


def test_an_unknown_objective_is_named_in_the_error():
    known = ", ".join(OBJECTIVES)
    with pytest.raises(
        InputError, match=f"^Expected an objective among {known}, or an ELBO of pyro.infer, but got 'elbow'"
    ):
        objective_named("elbow")
