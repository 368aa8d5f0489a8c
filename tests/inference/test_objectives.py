import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.inference import OBJECTIVES, Elbo, ForwardKL, Inference, Sleep, WakeSleep, dynamics, objective_named
from gio_pyro.programs import score_every_action
from tests.inference.worlds import A, S, build, expected_kl, fit, make_world


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("objective", [Elbo(), Sleep(), WakeSleep(), ForwardKL()], ids=lambda o: type(o).__name__)
def test_reaches_the_exact_posterior_on_another_policys_replay(objective, seed):
    world = make_world(seed)
    _, guide = fit(world, objective, exact=True)
    assert expected_kl(world, guide) <= 0.005


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_unweighted_forward_kl_learns_the_posterior_of_the_wrong_policy(seed):
    world = make_world(seed)
    _, guide = fit(world, ForwardKL(weighted=False), exact=True)
    assert expected_kl(world, guide) > 0.05


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["elbo", "forward_kl", "sleep", "wake_sleep"])
def test_model_and_guide_fitted_together_reach_the_truth(name, seed):
    world = make_world(seed)
    model, guide = fit(world, OBJECTIVES[name], exact=False)
    assert expected_kl(world, guide) <= 0.01
    assert model_error(world, model) <= 0.005


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
        log_p = score_every_action(model, world.policy, row, column).double().reshape(S, S, A).mT
    return float((torch.special.xlogy(world.channel, world.channel) - world.channel * log_p).sum(-1).mean())


def test_elbo_matches_numbers_worked_by_hand():
    """Binary symmetric channel 0.1, uniform policy, q = (.8, .2): log evidence −log 2, gap KL((.8,.2) ‖ (.9,.1))."""
    from gymnasium.spaces import Discrete

    from gio_pyro.guides import CategoricalGuide
    from gio_pyro.models import CategoricalModel
    from gio_pyro.programs import build_guide, build_model
    from gio_pyro.types import Spec, Transitions
    from tests.inference.worlds import policy_of

    policy = policy_of(torch.full((1, 2), 0.5))
    spec = Spec(Discrete(1), Discrete(2), Discrete(2))
    zero, one = torch.zeros(1, dtype=torch.long), torch.ones(1)
    model = build_model(CategoricalModel, spec, policy, zero)
    guide = build_guide(CategoricalGuide, spec, model, policy, zero)
    with torch.no_grad():
        model.program.table.copy_(torch.tensor([[[0.9, 0.1], [0.1, 0.9]]]).log())
        guide.program.table.copy_(torch.tensor([[[0.8, 0.2], [0.2, 0.8]]]).log())
    batch = Transitions(zero, zero, one, zero, one.bool(), one.bool(), one / 2, one)
    elbo = Elbo()(model, guide, policy, batch, zero)
    assert float(elbo.detach()) == pytest.approx(-0.73755, abs=1e-5)
    evidence = -0.693147
    assert evidence - float(elbo.detach()) == pytest.approx(0.044403, abs=1e-5)
    assert float(dynamics(model, policy, batch, zero).detach()) == pytest.approx(
        torch.tensor(0.9).log().item(), abs=1e-6
    )


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
    import pyro.distributions as dist

    model, guide = build(world, exact=False)
    Inference(model, guide, Elbo(), learning_rate=0.1).step(
        lambda state: dist.Categorical(logits=logits[state]), world.batch, world.batch.next_state
    )
    assert logits.grad is None


def test_an_unknown_objective_is_named_in_the_error():
    with pytest.raises(InputError, match="elbo, joint_elbo, forward_kl, sleep, wake_sleep, but got 'elbow'"):
        objective_named("elbow")
