"""Any other world, held as networks: one gradient step of critic and policy for each batch."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gio_pyro.actor_critic.auxiliary_value import AuxiliaryValue, Values, WeightedBatch, total
from gio_pyro.actor_critic.behaviour import ContinuousBehaviour, DiscreteBehaviour
from gio_pyro.actor_critic.guide_reward import Reward, intrinsic_reward
from gio_pyro.actor_critic.network_policy import network_policy
from gio_pyro.actor_critic.twin_critic import TwinCritic
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import detached, sample_actions
from gio_pyro.schedules.temperature import Temperature, allowed_entropy_share
from gio_pyro.settings import Settings
from gio_pyro.types import Policy, Spec, Transitions


class NetworkActorCritic(nn.Module):
    """Policy and twin critics as networks (theory, equations 5 and 6).

    Args:
        spec: the spaces.
        settings: `hidden`, `learning_rate`, `target_rate`, `discount`, `uniform_share`, `discounts_apart`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions, s = spec.state_space, spec.action_space, settings
        self.settings = settings
        self.spec = spec
        self.policy = network_policy(states, actions, s.hidden, spec.allowed)
        self.critic = TwinCritic(states, actions, s.hidden, rate=s.target_rate)
        self.apart = Values(
            AuxiliaryValue(TwinCritic(states, actions, s.hidden, rate=s.target_rate), d) for d in s.discounts_apart
        )
        self.optimisers = {
            "critic": adam(list(self.critic.online.parameters()), s.learning_rate),
            "policy": adam(list(self.policy.parameters()), s.learning_rate),
        }
        self.evaluation = Descent("critic", self._critic_loss, self.optimisers["critic"], s.compile)
        self.evaluations = [self._evaluation_apart(other) for other in self.apart]
        self.projection = Descent("policy", self._policy_loss, self.optimisers["policy"], s.compile)

    def _evaluation_apart(self, other: AuxiliaryValue) -> Descent:
        self.optimisers["signal_critic"] = adam(list(other.critic.online.parameters()), self.settings.learning_rate)
        loss = partial(self._apart_loss, other)
        return Descent("signal_critic", loss, self.optimisers["signal_critic"], self.settings.compile)

    def behaviour(
        self, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None
    ) -> DiscreteBehaviour | ContinuousBehaviour:
        """Return what collects; `greedy` is for finitely many actions."""
        if self.policy.pathwise:
            return ContinuousBehaviour(self.policy, uniform_share, explore=explore)
        return DiscreteBehaviour(self.policy, uniform_share, greedy=greedy, explore=explore)

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the statistics of the inputs."""
        self.policy.encoder.observe(state)
        for critic in (self.critic, *(other.critic for other in self.apart)):
            critic.observe(state)

    def rows(self, replay: Replay) -> Transitions:
        """Return what an improvement reads: a sample."""
        return replay.batch(self.settings.batch_size)

    def improve(
        self,
        batch: Transitions,
        reward: Reward,
        temperature: Temperature,
        step: int,
        apart: Sequence[WeightedBatch] = (),
    ) -> Figures:
        """Take one step of the critics, of their targets, of the policy and of a learned temperature.

        Nothing here waits for the host: the figures stay on the device until somebody reads them.

        Args:
            batch: what was seen.
            reward: where the guide is read.
            temperature: α.
            step: environment steps taken.
            apart: the same transitions with what each value of its own sums.
        """
        alpha = temperature.at(step)
        if not isinstance(alpha, Tensor):
            alpha = torch.full((), alpha, device=batch.reward.device)  # a fill, where a copy would wait for the device
        figures = self.evaluation.step(reward, alpha, *batch.tensors())
        self.critic.polyak_update()
        for other, evaluation, paid in zip(self.apart, self.evaluations, apart, strict=True):
            other.weigh(paid.weight)
            figures |= evaluation.step(None, *paid.rows.tensors())
            other.critic.polyak_update()
        figures |= self.projection.step(reward, alpha, batch.state)
        temperature.update(
            figures["entropy"], figures["critic_loss"], allowed_entropy_share(self.spec.allowed(batch.state))
        )
        return figures

    def _critic_loss(self, reward: Reward, alpha: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*batch)
        target = self.target(detached(self.policy), rows, reward, alpha)
        loss, mean_q = self.critic.loss(rows.state, rows.action, target)
        return loss, {"critic_loss": loss, "q": mean_q}

    def _apart_loss(self, other: AuxiliaryValue, context: None, *batch: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*batch)
        target = self.target_apart(other, detached(self.policy), rows)
        loss, mean_q = other.critic.loss(rows.state, rows.action, target)
        return loss, {"signal_critic_loss": loss, "signal_q": mean_q}

    def _policy_loss(self, reward: Reward, alpha: Tensor, state: Tensor) -> tuple[Tensor, Figures]:
        chosen = sample_actions(self.policy(state))
        with torch.set_grad_enabled(self.policy.pathwise):
            q = total(self.critic, self.apart, state, chosen)
            bonus = reward.bonus(detached(self.policy), state, chosen)
        loss = self.policy.loss(chosen, q, bonus, alpha)
        return loss, {"actor_loss": loss, "entropy": self.policy.entropy(chosen)}

    @torch.no_grad()
    def target(self, policy: Policy, batch: Transitions, reward: Reward, alpha: Tensor) -> Tensor:
        """Return r + α paid + γ V(s') of each transition, `[B]` reward units (see `guide_reward`)."""
        after = sample_actions(policy(batch.next_state))
        bonus = reward.bonus(policy, batch.next_state, after)
        value = after.mean(self.critic.later(batch.next_state, after) + alpha * (bonus - after.log_prob))
        here = batch.reward + alpha * reward.paid(policy, batch)
        return here + self.settings.discount * (~batch.terminated) * value

    @torch.no_grad()
    def target_apart(self, other: AuxiliaryValue, policy: Policy, batch: Transitions) -> Tensor:
        """Return r + γ E_π Q(s', a') of each transition, `[B]`, for a value without entropy or information in it."""
        after = sample_actions(policy(batch.next_state))
        value = after.mean(other.critic.later(batch.next_state, after))
        return batch.reward + other.discount * (~batch.terminated) * value

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return what the guide pays in each state `[B, ...]`, `[B]` nats; one draw each of continuous actions."""
        chosen = sample_actions(self.policy(state))
        return intrinsic_reward(chosen, reward.bonus(self.policy, state, chosen))

    @torch.no_grad()
    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats; of continuous actions after the squash."""
        return self.policy.entropy(sample_actions(self.policy(state)))
