"""Learned guides over finitely many actions, written relative to the policy.

    q_φ(a|s, F) ∝ π(a|s) exp h_φ(s, F)_a

The exact posterior (theory, equation 2) has h(s, F)_a = log p(F|s, a) up to a constant, which does not move when
the policy does. So the guide follows a changing policy at once and only has to learn the world.
"""

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gio_pyro.types import Policy, Spec


class CategoricalGuide(PyroModule):
    """q_φ(a|s, F) ∝ π(a|s) exp table[s, F, a]; a table of S · F · A numbers that starts at 0, so q starts as π.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 0.1

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, actions, futures = spec.sizes()
        self.table = nn.Parameter(torch.zeros(states, futures, actions))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", tilted(policy, state, self.table[state, future]))


class CategoricalNetworkGuide(PyroModule):
    """q_φ(a|s, F) ∝ π(a|s) exp h_φ(s, F)_a with a network of one hidden layer over one-hot states and futures.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 1e-3
    hidden = 128

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.states, actions, self.futures = spec.sizes()
        self.net = nn.Sequential(
            nn.Linear(self.states + self.futures, self.hidden), nn.ReLU(), nn.Linear(self.hidden, actions)
        )

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            x = torch.cat([one_hot(state, self.states), one_hot(future, self.futures)], -1)
            return pyro.sample("action", tilted(policy, state, self.net(x.to(torch.get_default_dtype()))))


def tilted(policy: Policy, state: Tensor, h: Tensor) -> dist.Categorical:
    """Return the categorical distribution ∝ π(a|s) exp h_a; `h` is `[B, A]`."""
    return dist.Categorical(logits=log_policy(policy, state) + h)


def log_policy(policy: Policy, state: Tensor) -> Tensor:
    """Return log π(a|s) of all actions, `[B, A]` nats."""
    pi = policy(state)
    log_pi: Tensor = pi.log_prob(pi.enumerate_support(expand=False))
    return log_pi.T
