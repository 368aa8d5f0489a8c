"""A small world with an exact model, and replay of it collected by another policy than the one asked about."""

from dataclasses import dataclass
from functools import cache

import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.guides import CategoricalGuide
from gio_pyro.inference import Inference, Objective
from gio_pyro.models import CategoricalModel
from gio_pyro.programs import Guide, Model, build_guide, build_model, without_validation
from gio_pyro.types import Policy, Spec, Transitions

S, A = 4, 3


@dataclass(frozen=True)
class World:
    channel: Tensor
    pi: Tensor
    mu: Tensor
    batch: Transitions

    def policy(self, state: Tensor) -> dist.Categorical:
        return dist.Categorical(probs=self.pi.float()[state])


@cache
def make_world(seed: int, *, transitions: int = 100_000) -> World:
    """π and μ prefer opposite actions; states are visited evenly."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        channel = torch.distributions.Dirichlet(torch.full((S,), 0.7)).sample((S, A)).double()
        channel = channel / channel.sum(-1, keepdim=True)
        pi = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64).expand(S, A).contiguous()
        mu = pi.flip(-1)
        state = torch.randint(S, (transitions,))
        action = torch.multinomial(mu[state], 1).squeeze(-1)
        future = torch.multinomial(channel[state, action], 1).squeeze(-1)
    zeros, log_mu = torch.zeros(transitions), mu[state, action].log()
    replay = Replay(transitions)
    replay.add(
        Transitions(state, action, zeros, future, zeros.bool(), zeros.bool(), log_mu.float(), torch.ones(transitions))
    )
    return World(channel, pi, mu, replay.merged())


def build(world: World, *, exact: bool) -> tuple[Model, Guide]:
    """A table model, at the truth and frozen if `exact`, and a table guide that knows nothing."""
    spec = Spec(Discrete(S), Discrete(A), Discrete(S))
    first = torch.zeros(1, dtype=torch.long)
    model = build_model(CategoricalModel, spec, world.policy, first)
    if exact:
        with torch.no_grad():
            model.program.table.copy_(world.channel.log())
        model.requires_grad_(False)
    return model, build_guide(CategoricalGuide, spec, model, world.policy, first)


def fit(world: World, objective: Objective, *, exact: bool, steps: int = 400) -> tuple[Model, Guide]:
    model, guide = build(world, exact=exact)
    inference = Inference(model, guide, objective, learning_rate=0.1)
    with without_validation():
        for _ in range(steps):
            inference.step(world.policy, world.batch, world.batch.next_state)
    return model, guide


def expected_kl(world: World, guide: Guide) -> float:
    """E KL(p_π(·|s,F) ‖ q(·|s,F)) over states and the futures of π: the slack of theory, equation 3."""
    row = torch.arange(S).repeat_interleave(S)
    column = torch.arange(S).repeat(S)
    with torch.no_grad():
        log_q = guide.posterior(world.policy, row, column).logits.double().reshape(S, S, A)
    mdp = tabular.TabularMDP(world.channel, torch.zeros(S, A), discount=0.5)
    p = tabular.posterior(mdp, world.pi)
    reached = torch.einsum("sa,saf->sf", world.pi, world.channel)
    kl = (torch.special.xlogy(p, p) - p * log_q).sum(-1)
    return float((reached * kl).sum(-1).mean())


def policy_of(pi: Tensor) -> Policy:
    return lambda state: dist.Categorical(probs=pi.float()[state])
