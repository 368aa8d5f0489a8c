"""What agents share with each other and with their user: nothing that matters."""

from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroModule
from torch import nn

from gio_pyro import GIO
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.models import CategoricalModel
from tests.agents import differences


def test_two_agents_on_one_environment_store_no_impossible_transition():
    env = gym.make("CliffWalking-v1")
    agents = [GIO(env, seed=seed, train_freq=7, gradient_steps=0) for seed in (0, 1)]
    for _ in range(5):
        for agent in agents:
            agent.learn(7)
    table = env.unwrapped.P
    for agent in agents:
        for row in agent.replay.all().state.unsqueeze(-1).tolist():
            assert row[0] in table
        rows = agent.replay.all()
        for s, a, n in zip(rows.state.tolist(), rows.action.tolist(), rows.next_state.tolist(), strict=True):
            assert any(n == after for p, after, _, _ in table[s][a] if p > 0)


@pytest.mark.parametrize("flag", [True, False])
def test_every_validation_flag_is_put_back(flag):
    before = pyro.settings.get()
    try:
        torch.distributions.Distribution.set_default_validate_args(flag)
        during = pyro.settings.get()
        GIO("FrozenLake-v1", train_freq=100).learn(100)
        assert pyro.settings.get() == during
    finally:
        pyro.settings.set(**before)


def test_one_module_given_to_two_agents_becomes_two():
    spec = GIO("FrozenLake-v1").spec
    module = CategoricalModel(spec)
    first, second = (GIO("FrozenLake-v1", model=module, train_freq=100) for _ in range(2))
    first.learn(200)
    assert first.model.program.table.any()
    assert not second.model.program.table.any()
    assert not module.table.any()


class FewActions(PyroModule):
    """A guide of a world with fewer actions than there are."""

    def __init__(self, spec):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(16, 16, 3))

    def forward(self, policy, state, future):
        with pyro.plate("batch", len(state)):
            pyro.sample("action", dist.Categorical(logits=self.table[state, future]))


def test_a_guide_of_other_actions_is_refused_when_the_agent_is_built():
    with pytest.raises(ProgramError, match="over the integers 0 to 3"):
        GIO("FrozenLake-v1", guide=FewActions)


class RaisesLater(FewActions):
    """A guide that cannot take a large batch."""

    def forward(self, policy, state, future):
        if len(state) > 5:
            raise RuntimeError("too many\nexamples")
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))


def test_what_a_program_raises_while_learning_is_one_sentence():
    with pytest.raises(ProgramError, match="RaisesLater to run, but it raised RuntimeError: too many examples"):
        GIO("FrozenLake-v1", guide=RaisesLater).learn(500)


def test_a_future_that_is_none_is_refused():
    with pytest.raises(InputError, match="Expected a future"):
        GIO("FrozenLake-v1", future="Yesterday")


def test_a_policy_in_single_precision_is_no_way_out_of_a_world_without_end():
    from gio_pyro import tabular

    mdp = tabular.TabularMDP(
        torch.eye(2).expand(3, 2, 2).permute(1, 0, 2),
        torch.ones(2, 3),
        discount=0.9,
        terminal=[False, True],
        start=[1, 0],
    )
    with pytest.raises(InputError, match="may never terminate"):
        tabular.expected_return(mdp, torch.tensor([[0.1, 0.2, 0.7]] * 2), None)


def test_two_threads_learn_what_each_would_alone():
    def learned(seed: int) -> GIO:
        return GIO("FrozenLake-v1", train_freq=20, gradient_steps=5, seed=seed).learn(120)

    alone = [learned(seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(learned, (0, 1)))
    for one, other in zip(alone, together, strict=True):
        assert not differences(one, other)
