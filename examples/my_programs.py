"""A model, a guide, a future and a signal of one's own, for environments with finitely many states and actions.

    gio train FrozenLake-v1 --model examples/my_programs.py:MyModel --guide examples/my_programs.py:MyGuide
    gio train FrozenLake-v1 --future examples/my_programs.py:MyFuture
    gio train FrozenLake-v1 --signal examples/my_programs.py:MySignal --reward-weight 1

Copy this file and change it; docs/programs.md has the contract of each class. The checks of `gio_pyro.testing` say in
one sentence what is wrong:

    python examples/my_programs.py
"""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn.functional import one_hot

import gio_pyro as gio


class MyModel(PyroModule):
    """p(F|s, a): logits of the future from a table of states and a table of pairs of state and action."""

    learning_rate = 0.05

    def __init__(self, spec: gio.Spec) -> None:
        super().__init__()
        states, actions, futures = spec.state_space.n, spec.action_space.n, spec.future_space.n
        self.of_state = nn.Parameter(torch.zeros(states, futures))
        self.of_pair = nn.Parameter(torch.zeros(states, actions, futures))

    def forward(self, policy: Any, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" from the policy and "future" from the logits, `[B]` each."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            logits = self.of_state[state] + self.of_pair[state, action]
            return pyro.sample("future", dist.Categorical(logits=logits), obs=future)


class MyGuide(PyroModule):
    """q(a|s, F): the policy's logits plus those of a small network, so that the guide follows the policy."""

    def __init__(self, spec: gio.Spec) -> None:
        super().__init__()
        self.states, self.futures = int(spec.state_space.n), int(spec.future_space.n)
        actions = int(spec.action_space.n)
        self.net = nn.Sequential(nn.Linear(self.states + self.futures, 64), nn.ReLU(), nn.Linear(64, actions))

    def forward(self, policy: Any, state: Tensor, future: Tensor) -> None:
        """Sample "action", `[B]`."""
        x = torch.cat([one_hot(state, self.states), one_hot(future, self.futures)], -1).float()
        with pyro.plate("batch", state.shape[0]):
            pyro.sample("action", dist.Categorical(logits=policy(state).logits + self.net(x)))


class MyFuture(gio.futures.Future):
    """F: whether the next state is odd."""

    def space(self, state_space: Discrete) -> Discrete:
        """Return the space of F."""
        return Discrete(2)

    def of(self, transitions: gio.Transitions) -> Tensor:
        """Return F of each transition, `[B]`."""
        return transitions.next_state % 2


class MySignal(gio.signals.Signal):
    """Novelty of the next state: 1 / sqrt(n) at its n-th visit."""

    unit = "1/sqrt(visits)"

    def __init__(self, fitted: gio.signals.Fitted) -> None:
        super().__init__(fitted)
        self.register_buffer("visits", torch.zeros(fitted.spec.state_space.n))

    def observe(self, rows: gio.Transitions) -> None:
        """Count the next states of new transitions."""
        self.visits += torch.bincount(rows.next_state, minlength=len(self.visits))

    def read(self, rows: gio.Transitions) -> Tensor:
        """Return the novelty of each transition, `[B]`."""
        return self.visits[rows.next_state].clamp_min(1).rsqrt()


def main() -> None:
    """Check the programs, then train an agent with them for a moment."""
    spec = gio.GIO("FrozenLake-v1").spec
    gio.testing.check_model(MyModel, spec)
    gio.testing.check_guide(MyGuide, MyModel, spec)
    gio.testing.check_signal(f"{__file__}:MySignal", "FrozenLake-v1")
    agent = gio.GIO("FrozenLake-v1", model=MyModel, guide=MyGuide, signal=f"{__file__}:MySignal", reward_weight=1.0)
    agent.learn(2_000)
    print(f"All checks passed; mean return after {agent.steps} steps: {agent.evaluate(20).mean:.2f}")


if __name__ == "__main__":
    main()
