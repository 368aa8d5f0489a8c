"""Rollouts of a world model: beliefs are a martingale, information is mutual information, and planners use both."""

import pytest
import torch

import gio_pyro as gio
from gio_pyro.beliefs.imagination import WorldImagination
from gio_pyro.errors import InputError
from gio_pyro.guides import ForwardFilter
from gio_pyro.models import FiniteStateSpace
from tests.beliefs.test_programs import SMALL, Small
from tests.beliefs.worlds import finite_pomdp, finite_spec, linear_world, world_of

DRAWS = 20_000


def test_drawn_steps_agree_with_the_tables():
    """E b' = p(z'|b, a), and the mean information is H(x|b, a) − E H(x|z') plus that of the reward, here none."""
    torch.manual_seed(0)
    pomdp = finite_pomdp()
    spec = finite_spec(pomdp)
    world = world_of(FiniteStateSpace.of(pomdp), ForwardFilter, spec)
    listen = torch.zeros(DRAWS, dtype=torch.long)
    imagined = WorldImagination(world, lambda rows: rows, 1, listen[:1], captured=False)
    belief = torch.tensor([0.7, 0.3])
    found = imagined.step(belief.expand(DRAWS, -1), listen)
    assert found.next_state.mean(0).tolist() == pytest.approx(belief.tolist(), abs=0.02)  # listening moves no tiger
    heard = pomdp.observation[0].float()  # [S, X]
    shown = belief @ heard
    wanted = float(-(shown * shown.log()).sum() + (belief @ (heard * heard.log()).sum(-1)))
    assert float(found.information.mean()) == pytest.approx(wanted, abs=0.02)
    assert float((found.reward + 1).abs().max()) < 1e-5  # the mean, although the program draws around it
    assert float(found.ended.max()) < 1e-6


def test_a_reward_is_a_mixture_over_the_states_that_it_may_have_come_from():
    """Behind a door is the tiger or gold, −100 or 10: never their mean, as p(z|b) says; the next tiger is anywhere."""
    torch.manual_seed(0)
    pomdp = finite_pomdp()
    model = FiniteStateSpace.of(pomdp)
    belief, action = torch.tensor([[0.7, 0.3]]), torch.tensor([1])
    for z in (0, 1):
        found = model.reward(belief, action, torch.tensor([z]))
        paid = pomdp.mdp.reward[:, 1].float()  # of each state that was left
        wanted = (belief[0] * torch.distributions.Normal(paid, 1.0).log_prob(torch.tensor(10.5)).exp()).sum().log()
        assert float(found.log_prob(torch.tensor([10.5]))) == pytest.approx(float(wanted), abs=1e-5)
        assert float(found.mean) == pytest.approx(float(belief[0] @ paid), abs=1e-4)
        draws = found.sample((DRAWS,))
        assert float((draws < -50).float().mean()) == pytest.approx(float(belief[0] @ (paid < 0).float()), abs=0.02)


def test_a_planner_needs_a_world_model_with_rewards():
    world = linear_world()
    with pytest.raises(InputError, match='samples "reward" for a planner'):
        WorldImagination(world, lambda rows: rows, 1, torch.zeros(1, 1), captured=False)


@pytest.mark.parametrize("name", ["gio/CartPolePositions-v0", "gio/PendulumAngle-v0"])
def test_an_agent_plans_in_its_world_model(name: str):
    planner = "PathIntegral(horizon=3, draws=8)"
    agent = gio.GIO(name, seed=0, world_model=Small, planner=planner, guide="HabitGuide", **SMALL)
    agent.learn(40)
    assert isinstance(agent.planning.acting.problem.imagination, WorldImagination)
    seen = agent.collector.observations.raw.sample()
    action, state = agent.predict(seen, deterministic=True)
    assert agent.env.action_space.contains(action)
    agent.planner = None
    assert agent.env.action_space.contains(agent.predict(seen, state)[0])
