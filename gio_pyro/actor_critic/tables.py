"""Actor and critic of a finite world as tables, updated with the whole replay at once."""

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.actor_critic.auxiliary_value import AuxiliaryValue, AuxiliaryValues, total
from gio_pyro.actor_critic.behaviour import TableBehaviour
from gio_pyro.actor_critic.guide_reward import Reward, finite_nats, intrinsic_reward
from gio_pyro.actor_critic.table_critic import TableCritic, optimistic_value
from gio_pyro.actor_critic.table_policy import TablePolicy
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import ActionSamples, sample_actions
from gio_pyro.schedules.temperature import Temperature, allowed_entropy_share
from gio_pyro.settings import NEUTRAL, Settings
from gio_pyro.types import Policy, Spec, Transitions, WeightedBatch, finite

AT_ONCE = 2**26
"""Pairs of an action and a future evaluated at once: a few arrays of 256 MB."""


class TableActorCritic(nn.Module):
    """Policy and critic of a finite world.

    Args:
        spec: the spaces.
        settings: `discount`, `sweeps`, `uniform_share`, `initial_value`, `auxiliary_discounts`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions = finite(spec.state_space, "state"), finite(spec.action_space, "action")
        self.settings = settings
        self.width = actions * (int(spec.future_space.n) if isinstance(spec.future_space, Discrete) else 1)
        self.spec = spec
        self.policy = TablePolicy(states, actions, spec.allowed)
        self.critic = TableCritic(states, actions, initial_value=settings.initial_value)
        discounts = settings.auxiliary_discounts
        self.apart = AuxiliaryValues(AuxiliaryValue(TableCritic(states, actions), d) for d in discounts)

    def behaviour(self, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None) -> TableBehaviour:
        """Return the behaviour that collects until the next update."""
        key = getattr(self.spec.masks, "key", int)
        return TableBehaviour(self.policy, uniform_share, greedy=greedy, explore=explore, key=key)

    def observe(self, state: Tensor) -> None:
        """Do nothing: tables need no input normalisers."""

    def rows(self, replay: Replay) -> Transitions:
        """Return the transitions of an improvement: the whole replay, equal transitions merged."""
        return replay.merged()

    def improve(
        self,
        everything: Transitions,
        reward: Reward,
        temperature: Temperature,
        step: int,
        auxiliary: Sequence[WeightedBatch] = (),
    ) -> Figures:
        """Evaluate the policy and improve it, once; return the figures of the step.

        Args:
            everything: the replayed transitions.
            reward: where the guide is evaluated.
            temperature: α.
            step: environment steps taken.
            auxiliary: the same transitions with the reward of each auxiliary value.
        """
        alpha = temperature.at(step)
        # evaluation, equation 5: Q ← r + α transition_bonus + γ (E_π Q' + α I(s')), until it no longer changes
        given = (everything, self.policy, self.intrinsic(reward, everything.next_state))
        priced: Any = {
            "discount": self.settings.discount,
            "temperature": alpha,
            "transition_bonus": reward.transition_bonus(self.policy, everything),
        }
        loss = self.critic.loss(*given, **priced)
        change = self.critic.evaluate(*given, **priced, sweeps=self.settings.sweeps)
        figures = {"value_change": change} | self._evaluate_auxiliary(auxiliary)
        # improvement, equation 6: π ∝ exp(Q/α + log ρ̄) in every state that was visited
        state, _ = everything.distinct_states()
        q, log_rho = total(self.critic, self.apart, state), self._bonus(reward, state)
        self.policy.improve(state, q, log_rho, temperature=alpha)
        # temperature: a step on the entropy or the critic's loss, if it is learned
        temperature.update(self.policy(state).entropy().mean(), loss, allowed_entropy_share(self.spec.allowed(state)))
        return figures

    def _evaluate_auxiliary(self, auxiliary: Sequence[WeightedBatch]) -> Figures:
        """Evaluate the auxiliary values (equation 17): plain sums of their rewards, without entropy or information."""
        figures = {}
        for value, batch in zip(self.apart, auxiliary, strict=True):
            value.set_weight(batch.weight)
            figures["signal_value_change"] = value.critic.evaluate(
                batch.rows,
                self.policy,
                torch.zeros_like(batch.rows.reward),
                discount=value.discount,
                temperature=0.0,
                sweeps=self.settings.sweeps,
                untried=self._untried(batch, value.discount),
            )
        return figures

    def _untried(self, batch: WeightedBatch, discount: float) -> float | str:
        """Return the auxiliary value of untried pairs: an upper bound of β Q, or 0 where `initial_value` is given."""
        if self.settings.initial_value is not None:
            return NEUTRAL if self.settings.initial_value == NEUTRAL else 0.0
        sign = -1.0 if batch.weight < 0 else 1.0
        return sign * optimistic_value(float((sign * batch.rows.reward).max()), 1, discount, 0.0)

    @torch.no_grad()
    def _bonus(self, reward: Reward, state: Tensor) -> Tensor:
        """Return log ρ̄ `[B, A]` nats, in parts small enough for their futures to fit in memory."""
        parts = state.split(max(1, AT_ONCE // self.width))
        nats = [reward.bonus(self.policy, part, sample_actions(self.policy(part))) for part in parts]
        return finite_nats(nats[0] if len(nats) == 1 else torch.cat(nats), "the guide")

    @torch.no_grad()
    def action_values(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of all actions, which are the chosen ones, in states `[B]`; `[B, A]` reward units."""
        return total(self.critic, self.apart, state)

    @torch.no_grad()
    def value(self, reward: Reward, alpha: Tensor | float, state: Tensor) -> Tensor:
        """Return V(s) = Σ_a π(a|s) [ Q + α (log ρ̄ − log π) ] of states `[B]`, `[B]` reward units."""
        distinct, where = torch.unique(state, return_inverse=True)
        chosen = sample_actions(self.policy(distinct))
        soft = total(self.critic, self.apart, distinct) + alpha * (self._bonus(reward, distinct) - chosen.log_prob)
        return chosen.mean(soft)[where]

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return the intrinsic reward of each state `[B]` (equation 3), `[B]` nats."""
        distinct, where = torch.unique(state, return_inverse=True)
        return intrinsic_reward(sample_actions(self.policy(distinct)), self._bonus(reward, distinct))[where]

    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats."""
        entropy: Tensor = self.policy(state).entropy().mean()
        return entropy
