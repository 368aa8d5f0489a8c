"""Filters of world models with finitely many states: the exact one, and one that is learned."""

import pyro
import torch
from torch import Tensor, nn

from gio_pyro.distributions.normalised import log_softmax, normalised
from gio_pyro.errors import InputError
from gio_pyro.types import Seen, WorldSpec, finite, require_world_spec

RULED_OUT = -30.0
"""log p(x|a, z), nats, up to which the tables rule out a state."""


class ForwardFilter(nn.Module):
    """q(z|belief, a, x) ∝ p(z|belief, a) p(x|a, z), exact: the forward algorithm of hidden Markov models.

    It has no parameters; those of the world model are trained through it. Rewards are not conditioned on; that the
    episode goes on is.

    Raises:
        InputError: a world model without the tables of finitely many states.
    """

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        require_tables(type(self).__name__, spec.world_model)
        self.held = (spec.world_model,)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        world = self.held[0]
        log_q = conditioned(world.prior(belief, action), world.evidence(action, seen))
        with pyro.plate("batch", belief.shape[0]):
            pyro.sample("state", normalised(log_q))
        return log_q.exp()


class CategoricalFilter(nn.Module):
    """q(z|belief, a, x) ∝ p(z|belief, a) exp h_φ(a, x)_z, with a table h of what each observation says of each state.

    The exact filter has h(a, x)_z = log p(x|a, z) up to a constant. It is given whether the episode goes on, and which
    states the tables rule out (`RULED_OUT`), since it takes long until a finite h does.

    Raises:
        InputError: a world model without the tables of finitely many states, or spaces that are not Discrete.
    """

    learning_rate = 3e-2

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        require_tables(type(self).__name__, spec.world_model)
        self.held = (spec.world_model,)
        actions, symbols = finite(spec.action_space, "action"), finite(spec.observation_space, "observation")
        self.table = nn.Parameter(torch.zeros(actions, symbols, spec.world_model.belief_size))
        self.first = nn.Parameter(torch.zeros(symbols, spec.world_model.belief_size))
        self.ended = nn.Parameter(torch.zeros(2, spec.world_model.belief_size))

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        h = self.first[seen.observation] if action is None else self.table[action, seen.observation]
        if action is not None and seen.terminated is not None:
            h = h + self.ended[seen.terminated.long()]
        world = self.held[0]
        possible = world.evidence(action, seen) > RULED_OUT
        log_q = conditioned(world.prior(belief, action), torch.where(possible, h, -torch.inf))
        with pyro.plate("batch", belief.shape[0]):
            pyro.sample("state", normalised(log_q))
        return log_q.exp()


def conditioned(prior: Tensor, evidence: Tensor) -> Tensor:
    """Return the logarithm of a posterior, `[B, S]` nats; where what was seen is impossible, that of the prior.

    A prior of no state at all, as of the belief 0 before an episode, gives the uniform distribution.
    """

    def possible(log_p: Tensor) -> Tensor:
        return log_p.amax(-1, keepdim=True) > -torch.inf

    joint = prior + evidence
    return log_softmax(torch.where(possible(joint), joint, torch.where(possible(prior), prior, 0.0)))


def require_tables(name: str, world_model: object) -> None:
    """Raise `InputError` unless a world model has what a filter of finitely many states reads."""
    missing = [attribute for attribute in ("prior", "evidence") if not callable(getattr(world_model, attribute, None))]
    if missing:
        raise InputError(
            f"Expected a world model of finitely many states for {name}, but {type(world_model).__name__} has no "
            f"{', '.join(missing)}; take FiniteStateSpace, or another filter."
        )
