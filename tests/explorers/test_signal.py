"""A policy that seeks the signal, against the exact tier on a world whose reward is the signal.

Cost: 2 s.
"""

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.actor_critic.guide_reward import Entropy, Imagined
from gio_pyro.explorers import SignalExplorer
from gio_pyro.guides import UniformGuide
from gio_pyro.models import GaussianModel
from gio_pyro.programs import build_guide, sample_actions
from gio_pyro.types import Spec
from tests.explorers.worlds import MDP_DISCOUNT, distances, everything, replay_of, source_of, table
from tests.finite import table_policy, true_model
from tests.signals.worlds import VECTORS, built, policy_of
from tests.tabular.worlds import random_mdp, random_rows

MDP = table()


@pytest.fixture(autouse=True)
def private_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def sought(values: Tensor, **settings: object) -> SignalExplorer:
    source = source_of(MDP.states, MDP.actions, values=values, discount=MDP_DISCOUNT, **settings)
    explorer = SignalExplorer(source, temperature=0.05)
    replay = replay_of(everything(MDP))
    for step in range(60):
        explorer.improve(replay, step)
    return explorer


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_it_is_the_exact_optimum_where_the_reward_is_the_signal(sign: float):
    """r(s, a) = E signal(s'): π and Q of policy iteration with uniform priors, whatever the world itself pays."""
    values = sign * torch.rand(MDP.states)
    explorer = sought(values)
    reward = MDP.transition @ values.double()
    world = tabular.TabularMDP(MDP.transition, reward, discount=MDP_DISCOUNT, terminal=MDP.terminal, start=MDP.start)
    exact = tabular.policy_iteration(world, 0.05, guide=tabular.uniform)
    walked = distances(MDP)[int(MDP.start.argmax())].isfinite() & ~MDP.terminal
    pi = explorer.control.policy(torch.arange(MDP.states)).probs.double()
    torch.testing.assert_close(pi[walked], exact.policy[walked], atol=1e-3, rtol=0)
    torch.testing.assert_close(explorer.control.critic.q[walked].double(), exact.q[walked], atol=2e-3, rtol=0)


def test_a_signal_that_changes_is_followed():
    """Nothing is stale: the same replay, another signal, another policy."""
    explorer = sought(torch.rand(MDP.states))
    before = explorer.control.critic.q.clone()
    explorer.source.reward_mix.signal.values = torch.zeros(MDP.states)
    for step in range(10):
        explorer.improve(replay_of(everything(MDP)), step)
    tried = explorer.control.critic.tried
    assert float(before[tried].abs().max()) > 1
    assert float(explorer.control.critic.q[tried].abs().max()) < 0.05


def test_it_acts_by_its_own_policy_with_the_agents_share_of_uniform_actions():
    explorer = sought(torch.rand(MDP.states), uniform_share=0.4)
    state = torch.arange(MDP.states)
    action, log_mu = explorer.behaviour(replay_of(everything(MDP)))(state, torch.zeros_like(state))
    pi = explorer.control.policy(state).probs.gather(1, action[:, None])[:, 0]
    torch.testing.assert_close(log_mu.exp(), 0.6 * pi + 0.4 / 4)


def test_entropy_pays_what_the_uniform_guide_does_for_finite_actions():
    mdp, pi = random_mdp(0, 4, 3, kind="dense"), random_rows(1, 4, 3)
    policy, model, state = table_policy(pi), true_model(mdp.transition), torch.arange(4)
    spec = Spec(Discrete(4), Discrete(3), Discrete(4))
    guide = build_guide(UniformGuide, spec, model, policy, state)
    chosen = sample_actions(policy(state))
    expected = Imagined(model, guide, 1).bonus(policy, state, chosen)
    torch.testing.assert_close(Entropy().bonus(policy, state, chosen), expected)


def test_entropy_pays_what_the_uniform_guide_does_for_continuous_actions():
    policy, model, state = policy_of(VECTORS), built(GaussianModel, VECTORS), torch.randn(5, 2)
    guide = build_guide(UniformGuide, VECTORS, model, policy, state)
    chosen = sample_actions(policy(state))
    with torch.no_grad():
        expected = Imagined(model, guide, 1).bonus(policy, state, chosen)
    torch.testing.assert_close(Entropy().bonus(policy, state, chosen), expected)


def test_the_temperature_is_the_agents_unless_it_is_given():
    assert SignalExplorer(source_of(4, temperature=0.3)).temperature.at(0) == 0.3
    assert SignalExplorer(source_of(4), temperature="linear:1:0.5:10").temperature.at(5) == 0.75
    learned = SignalExplorer(source_of(None), temperature="auto:0.2")
    assert learned.optimisers().keys() == {"critic", "policy", "temperature"}
