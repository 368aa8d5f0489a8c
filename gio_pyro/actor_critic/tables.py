"""A finite world, held as tables: everything that was ever seen is backed up at once."""

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.actor_critic.auxiliary_value import AuxiliaryValue, Values, WeightedBatch, total
from gio_pyro.actor_critic.behaviour import TableBehaviour
from gio_pyro.actor_critic.guide_reward import Reward, finite_nats, intrinsic_reward
from gio_pyro.actor_critic.table_critic import TableCritic, optimistic_value
from gio_pyro.actor_critic.table_policy import TablePolicy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import sample_actions
from gio_pyro.schedules.temperature import Temperature, allowed_entropy_share
from gio_pyro.settings import NEUTRAL, Settings
from gio_pyro.types import Policy, Spec, Transitions, finite

AT_ONCE = 2**26
"""Pairs of an action and a future that are read at once: a few copies of 256 MB."""


class TableActorCritic(nn.Module):
    """Policy and critic of a finite world.

    Args:
        spec: the spaces.
        settings: `discount`, `sweeps`, `uniform_share`, `initial_value`, `discounts_apart`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions = finite(spec.state_space, "state"), finite(spec.action_space, "action")
        self.settings = settings
        self.width = actions * (int(spec.future_space.n) if isinstance(spec.future_space, Discrete) else 1)
        self.spec = spec
        self.policy = TablePolicy(states, actions, spec.allowed)
        self.critic = TableCritic(states, actions, initial_value=settings.initial_value)
        self.apart = Values(AuxiliaryValue(TableCritic(states, actions), d) for d in settings.discounts_apart)

    def behaviour(self, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None) -> TableBehaviour:
        """Return what collects while the policy rests."""
        key = getattr(self.spec.masks, "key", int)
        return TableBehaviour(self.policy, uniform_share, greedy=greedy, explore=explore, key=key)

    def observe(self, state: Tensor) -> None:
        """Tables need no statistics of their inputs."""

    def rows(self, replay: Replay) -> Transitions:
        """Return what an improvement reads: everything that was seen, equal transitions merged."""
        return replay.merged()

    def improve(
        self,
        everything: Transitions,
        reward: Reward,
        temperature: Temperature,
        step: int,
        apart: Sequence[WeightedBatch] = (),
    ) -> Figures:
        """Evaluate the policy and improve it, once; returns figures of the step.

        Args:
            everything: what was seen.
            reward: where the guide is read.
            temperature: α.
            step: environment steps taken.
            apart: the same transitions with what each value of its own sums.
        """
        alpha = temperature.at(step)
        given = (everything, self.policy, self.intrinsic(reward, everything.next_state))
        priced: Any = {
            "discount": self.settings.discount,
            "temperature": alpha,
            "paid": reward.paid(self.policy, everything),
        }
        loss = self.critic.loss(*given, **priced)
        change = self.critic.evaluate(*given, **priced, sweeps=self.settings.sweeps)
        figures = {"value_change": change} | self._evaluate_apart(apart)
        state, _ = everything.distinct_states()
        self.policy.improve(state, total(self.critic, self.apart, state), self._bonus(reward, state), temperature=alpha)
        temperature.update(self.policy(state).entropy().mean(), loss, allowed_entropy_share(self.spec.allowed(state)))
        return figures

    def _evaluate_apart(self, apart: Sequence[WeightedBatch]) -> Figures:
        """Back up what is kept apart from the task's value: the plain sum, without entropy or information."""
        figures = {}
        for other, paid in zip(self.apart, apart, strict=True):
            other.weigh(paid.weight)
            figures["signal_value_change"] = other.critic.evaluate(
                paid.rows,
                self.policy,
                torch.zeros_like(paid.rows.reward),
                discount=other.discount,
                temperature=0.0,
                sweeps=self.settings.sweeps,
                untried=self._untried(paid, other.discount),
            )
        return figures

    def _untried(self, paid: WeightedBatch, discount: float) -> float | str:
        """Return what Q of a pair never tried is at best for the policy; 0 where the task's value says it all."""
        if self.settings.initial_value is not None:
            return NEUTRAL if self.settings.initial_value == NEUTRAL else 0.0
        sign = -1.0 if paid.weight < 0 else 1.0
        return sign * optimistic_value(float((sign * paid.rows.reward).max()), 1, discount, 0.0)

    @torch.no_grad()
    def _bonus(self, reward: Reward, state: Tensor) -> Tensor:
        """Return log ρ̄ `[B, A]` nats, of so many states at once that their futures take bounded memory."""
        parts = state.split(max(1, AT_ONCE // self.width))
        nats = [reward.bonus(self.policy, part, sample_actions(self.policy(part))) for part in parts]
        return finite_nats(nats[0] if len(nats) == 1 else torch.cat(nats), "the guide")

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return what the guide pays in each state `[B]`, `[B]` nats."""
        distinct, where = torch.unique(state, return_inverse=True)
        return intrinsic_reward(sample_actions(self.policy(distinct)), self._bonus(reward, distinct))[where]

    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats."""
        entropy: Tensor = self.policy(state).entropy().mean()
        return entropy
