"""A finite world, held as tables: everything that was ever seen is backed up at once."""

from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.control.behaviour import TableBehaviour
from gio_pyro.evaluation import TableCritic
from gio_pyro.improvement import TablePolicy
from gio_pyro.optimisation import Figures
from gio_pyro.programs import choices
from gio_pyro.replay import Replay
from gio_pyro.rewards import Reward, finite_nats, intrinsic_reward
from gio_pyro.settings import Settings
from gio_pyro.temperature import Temperature
from gio_pyro.types import Policy, Spec, Transitions, finite


class TableControl(nn.Module):
    """Policy and critic of a finite world.

    Args:
        spec: the spaces.
        settings: `discount`, `sweeps`, `uniform_share`, `initial_value`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions = finite(spec.state_space, "state"), finite(spec.action_space, "action")
        self.settings = settings
        self.policy = TablePolicy(states, actions)
        self.critic = TableCritic(states, actions, initial_value=settings.initial_value)

    def behaviour(self, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None) -> TableBehaviour:
        """Return what collects while the policy rests."""
        return TableBehaviour(self.policy, uniform_share, greedy=greedy, explore=explore)

    def observe(self, state: Tensor) -> None:
        """Tables need no statistics of their inputs."""

    def rows(self, replay: Replay) -> Transitions:
        """Return what an improvement reads: everything that was seen, equal transitions merged."""
        return replay.merged()

    def improve(self, everything: Transitions, reward: Reward, temperature: Temperature, step: int) -> Figures:
        """Evaluate the policy and improve it, once; returns figures of the step."""
        alpha = temperature.at(step)
        given = (everything, self.policy, self.intrinsic(reward, everything.next_state))
        priced: Any = {
            "discount": self.settings.discount,
            "temperature": alpha,
            "paid": reward.paid(self.policy, everything),
        }
        loss = self.critic.loss(*given, **priced)
        change = self.critic.evaluate(*given, **priced, sweeps=self.settings.sweeps)
        state, _ = everything.distinct_states()
        self.policy.improve(state, self.critic(state), self._bonus(reward, state), temperature=alpha)
        temperature.update(self.policy(state).entropy().mean(), loss)
        return {"value_change": change}

    @torch.no_grad()
    def _bonus(self, reward: Reward, state: Tensor) -> Tensor:
        return finite_nats(reward.bonus(self.policy, state, choices(self.policy(state))), "the guide")

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return what the guide pays in each state `[B]`, `[B]` nats."""
        distinct, where = torch.unique(state, return_inverse=True)
        return intrinsic_reward(choices(self.policy(distinct)), self._bonus(reward, distinct))[where]

    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats."""
        entropy: Tensor = self.policy(state).entropy().mean()
        return entropy
