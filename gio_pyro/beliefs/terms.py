"""The terms of the generative agent's bound, one number each for each step (theory, section 6).

    L = E[ Σ r + log p(x, r|z) / p(x, r|b, a) − log q(z|b, a, x, r) / p(z|b, a) − log π(a|b) / ρ(a|b) ]
               information gain                 state consistency               action consistency

b is the belief before, z a draw of the filter q. The marginal p(x, r|b, a) = E_{z~p(z|b,a)} p(x, r|z) is summed over
finitely many states, or taken from the world model where it has one (its method `log_marginal`); otherwise it is the
mean over K draws of the prior. That is unbiased, so its logarithm is too low, by about Var[p(x, r|z)] / (2 K p(x, r)²)
(Jensen), and the information gain too high by as much. For the exact filter information gain and state consistency are
equal for every draw, by Bayes' rule.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.beliefs.bound import repeated
from gio_pyro.beliefs.programs import STATE
from gio_pyro.beliefs.world import World
from gio_pyro.types import Seen


@dataclass(frozen=True)
class Terms:
    """Terms of B steps, `[B]` nats each."""

    information: Tensor
    """log p(x, r|z) − log p(x, r|b, a)."""
    consistency: Tensor
    """log q(z|b, a, x, r) − log p(z|b, a)."""


def terms_of(world: World, belief: Tensor, action: Tensor | None, seen: Seen, draws: int) -> Terms:
    """Return the terms of one step with one draw of the state each.

    Args:
        world: the programs.
        belief: the beliefs before, `[B, D]`.
        action: `[B, ...]`, None at the first step.
        seen: what was seen.
        draws: K, draws of the prior for the marginal.
    """
    inferred, _ = world.filter.run(belief, action, seen)
    q, z = inferred[STATE]["fn"], inferred[STATE]["value"]
    joint = world.model.run(belief, action, seen, z)
    gained = world.model.evidence(joint, belief) - log_marginal(world, belief, action, seen, draws)
    return Terms(gained, q.log_prob(z) - joint[STATE]["fn"].log_prob(z))


def log_marginal(world: World, belief: Tensor, action: Tensor | None, seen: Seen, draws: int) -> Tensor:
    """Return log p(x, r|belief before, a), `[B]` nats; see the module on its bias."""
    known = world.model.log_marginal(belief, action, seen)
    if known is not None:
        return known
    prior = world.model.run(belief, action, seen)[STATE]["fn"]
    finite = prior.has_enumerate_support
    z = prior.enumerate_support() if finite else prior.sample((draws,))
    flat = z.flatten(0, 1)
    nodes = world.model.run(*repeated(len(z), belief, action, seen), flat)
    scores = world.model.evidence(nodes, flat).unflatten(0, z.shape[:2])
    weight = prior.log_prob(z) if finite else torch.full_like(scores, -math.log(len(z)))
    found: Tensor = (scores + weight).logsumexp(0)
    return found
