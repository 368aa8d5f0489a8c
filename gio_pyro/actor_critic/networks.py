"""Actor and critic as networks: one gradient step of each for every batch."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from gio_pyro.actor_critic.auxiliary_value import AuxiliaryValue, AuxiliaryValues, total
from gio_pyro.actor_critic.behaviour import ContinuousBehaviour, DiscreteBehaviour
from gio_pyro.actor_critic.guide_reward import Reward, intrinsic_reward
from gio_pyro.actor_critic.network_policy import network_policy
from gio_pyro.actor_critic.twin_critic import squared_error, twin_critic
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import ActionSamples, detached, sample_actions
from gio_pyro.schedules.temperature import Temperature, allowed_entropy_share
from gio_pyro.settings import Settings
from gio_pyro.types import Policy, Spec, Transitions, WeightedBatch


class NetworkActorCritic(nn.Module):
    """Policy and twin critics as networks (theory, equations 5 and 6).

    Args:
        spec: the spaces.
        settings: `hidden`, `critic`, `bounded_policy`, `learning_rate`, `target_rate`, `discount`, `uniform_share`
            and `auxiliary_discounts`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions, s = spec.state_space, spec.action_space, settings
        self.settings = settings
        self.spec = spec
        self.policy = network_policy(states, actions, s.hidden, spec.allowed, bounded=s.bounded_policy)
        critic = partial(twin_critic, states, actions, s.hidden, rate=s.target_rate, kind=s.critic)
        self.critic = critic()
        self.apart = AuxiliaryValues(AuxiliaryValue(critic(), d) for d in s.auxiliary_discounts)
        self.optimisers = {
            "critic": adam(list(self.critic.online.parameters()), s.learning_rate),
            "policy": adam(list(self.policy.parameters()), s.learning_rate),
        }
        self.evaluation = Descent("critic", self._critic_loss, self.optimisers["critic"])
        self.evaluations = [self._auxiliary_evaluation(value) for value in self.apart]
        self.projection = Descent("policy", self._policy_loss, self.optimisers["policy"])

    def _auxiliary_evaluation(self, value: AuxiliaryValue) -> Descent:
        self.optimisers["signal_critic"] = adam(list(value.critic.online.parameters()), self.settings.learning_rate)
        loss = partial(self._auxiliary_loss, value)
        return Descent("signal_critic", loss, self.optimisers["signal_critic"])

    def behaviour(
        self, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None
    ) -> DiscreteBehaviour | ContinuousBehaviour:
        """Return the behaviour that collects until the next update; `greedy` is for finitely many actions."""
        if self.policy.pathwise:
            return ContinuousBehaviour(self.policy, uniform_share, explore=explore)
        return DiscreteBehaviour(self.policy, uniform_share, greedy=greedy, explore=explore)

    def observe(self, state: Tensor) -> None:
        """Update input normalisers with new states `[B, ...]`."""
        self.policy.encoder.observe(state)
        for critic in (self.critic, *(value.critic for value in self.apart)):
            critic.observe(state)

    def rows(self, replay: Replay) -> Transitions:
        """Return the transitions of an improvement: a sample."""
        return replay.batch(self.settings.batch_size)

    def improve(
        self,
        batch: Transitions,
        reward: Reward,
        temperature: Temperature,
        step: int,
        auxiliary: Sequence[WeightedBatch] = (),
    ) -> Figures:
        """Take one gradient step on the critics, on the policy and on a learned temperature; update the targets.

        The figures stay on the device until `GIO.metrics` reads them, so that nothing here waits for the host.

        Args:
            batch: replayed transitions.
            reward: where the guide is evaluated.
            temperature: α.
            step: environment steps taken.
            auxiliary: the same transitions with the reward of each auxiliary value.
        """
        self.weigh(auxiliary)
        alpha = as_tensor(temperature.at(step), batch.reward.device)
        return self.descend(alpha, batch, reward, temperature, [weighted.rows.reward for weighted in auxiliary])

    def weigh(self, auxiliary: Sequence[WeightedBatch]) -> None:
        """Set the weight of each auxiliary value."""
        for value, weighted in zip(self.apart, auxiliary, strict=True):
            value.set_weight(weighted.weight)

    def descend(
        self,
        alpha: Tensor,
        batch: Transitions,
        reward: Reward,
        temperature: Temperature,
        auxiliary: Sequence[Tensor] = (),
    ) -> Figures:
        """Take the gradient steps of `improve`, given α and the rewards of the auxiliary values, `[B]` each."""
        # evaluation, equation 5: a gradient step on (Q - target)², then the Polyak update of the target networks
        figures = self.evaluation.step(reward, alpha, *batch.tensors())
        self.critic.polyak_update()
        # auxiliary values, equation 17: the same with the auxiliary rewards, without entropy or information
        for value, evaluation, rewards in zip(self.apart, self.evaluations, auxiliary, strict=True):
            figures |= evaluation.step(None, *batch.with_reward(rewards).tensors())
            value.critic.polyak_update()
        # improvement, equation 6: a gradient step on the divergence of π from p* ∝ exp(Q/α + bonus)
        figures |= self.projection.step(reward, alpha, batch.state)
        # temperature: a step on the entropy or the critic's loss, if it is learned
        temperature.update(
            figures["entropy"], figures["critic_loss"], allowed_entropy_share(self.spec.allowed(batch.state))
        )
        return figures

    def _critic_loss(self, reward: Reward, alpha: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*batch)
        policy = detached(self.policy)
        after = next_actions(policy, rows)
        both, later = self.critic.here_and_later(rows.state, rows.action, rows.next_state, after)
        loss, mean_q = squared_error(both, self._bootstrapped(policy, rows, reward, alpha, after, later))
        return loss, {"critic_loss": loss, "q": mean_q}

    def _auxiliary_loss(self, value: AuxiliaryValue, context: None, *batch: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*batch)
        after = next_actions(detached(self.policy), rows)
        both, later = value.critic.here_and_later(rows.state, rows.action, rows.next_state, after)
        loss, mean_q = squared_error(both, value.target(rows, after.mean(later)))
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
        """Return r + α transition_bonus + γ V(s') of each transition, `[B]` reward units (equation 5)."""
        after = next_actions(policy, batch)
        return self._bootstrapped(policy, batch, reward, alpha, after, self.critic.later(batch.next_state, after))

    @torch.no_grad()
    def _bootstrapped(
        self, policy: Policy, batch: Transitions, reward: Reward, alpha: Tensor, after: ActionSamples, later: Tensor
    ) -> Tensor:
        """Return the targets, given next actions and their Q, `[B, K]`."""
        # V(s') = E_{a'~π} [ Q'(s', a') + α (bonus(s', a') - log π(a'|s')) ], with Q' of the targets if there are any
        bonus = reward.bonus(policy, batch.next_state, after)
        value = after.mean(later + alpha * (bonus - after.log_prob))
        # bootstrap from V(s') unless the episode terminated
        here = batch.reward + alpha * reward.transition_bonus(policy, batch)
        return here + self.settings.discount * (~batch.terminated) * value

    @torch.no_grad()
    def auxiliary_target(self, auxiliary: AuxiliaryValue, policy: Policy, batch: Transitions) -> Tensor:
        """Return the targets of an auxiliary value, `[B]` (`AuxiliaryValue.target`)."""
        after = next_actions(policy, batch)
        return auxiliary.target(batch, after.mean(auxiliary.critic.later(batch.next_state, after)))

    @torch.no_grad()
    def action_values(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of the K chosen actions in each state `[B, ...]`, `[B, K]` reward units."""
        return total(self.critic, self.apart, state, chosen)

    @torch.no_grad()
    def value(self, reward: Reward, alpha: Tensor | float, state: Tensor) -> Tensor:
        """Return V(s) = E_{a~π} [ Q + α (bonus − log π) ] of states `[B, ...]`, one draw each, `[B]` reward units."""
        chosen = sample_actions(self.policy(state))
        q = total(self.critic, self.apart, state, chosen)
        return chosen.mean(q + alpha * (reward.bonus(self.policy, state, chosen) - chosen.log_prob))

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return the intrinsic reward of each state `[B, ...]`, `[B]` nats; continuous actions are sampled once."""
        chosen = sample_actions(self.policy(state))
        return intrinsic_reward(chosen, reward.bonus(self.policy, state, chosen))

    @torch.no_grad()
    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats; of continuous actions after the squash."""
        return self.policy.entropy(sample_actions(self.policy(state)))


@torch.no_grad()
def next_actions(policy: Policy, batch: Transitions) -> ActionSamples:
    """Return actions of a policy at the next states."""
    return sample_actions(policy(batch.next_state))


def as_tensor(number: float | Tensor, device: torch.device) -> Tensor:
    """Return a number as a tensor on a device, by a fill, where a copy would wait for the device."""
    return number if isinstance(number, Tensor) else torch.full((), number, device=device)
