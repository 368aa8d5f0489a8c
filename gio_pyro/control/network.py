"""Any other world, held as networks: one gradient step of critic and policy for each batch."""

import torch
from torch import Tensor, nn

from gio_pyro.control.behaviour import ContinuousBehaviour, DiscreteBehaviour
from gio_pyro.evaluation import TwinCritic
from gio_pyro.improvement import network_policy
from gio_pyro.optimisation import adam, descend
from gio_pyro.programs import choices, detached
from gio_pyro.replay import Replay
from gio_pyro.rewards import Reward, intrinsic_reward
from gio_pyro.settings import Settings
from gio_pyro.temperature import Temperature
from gio_pyro.types import Policy, Spec, Transitions


class NetworkControl(nn.Module):
    """Policy and twin critics as networks (theory, equations 5 and 6).

    Args:
        spec: the spaces.
        settings: `hidden`, `learning_rate`, `target_rate`, `discount`, `uniform_share`.
    """

    def __init__(self, spec: Spec, settings: Settings) -> None:
        super().__init__()
        states, actions, s = spec.state_space, spec.action_space, settings
        self.settings = settings
        self.policy = network_policy(states, actions, s.hidden)
        self.critic = TwinCritic(states, actions, s.hidden, learning_rate=s.learning_rate, rate=s.target_rate)
        self.optimiser = adam(list(self.policy.parameters()), s.learning_rate)

    def behaviour(self, *, uniform_share: float) -> DiscreteBehaviour | ContinuousBehaviour:
        """Return what collects."""
        kind = ContinuousBehaviour if self.policy.pathwise else DiscreteBehaviour
        return kind(self.policy, uniform_share)

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the statistics of the inputs."""
        self.policy.encoder.observe(state)
        self.critic.observe(state)

    def improve(
        self, replay: Replay, batch: Transitions, future: Tensor, reward: Reward, temperature: Temperature, step: int
    ) -> dict[str, Tensor]:
        """Take one step of the critic, of its targets, of the policy and of a learned temperature.

        Nothing here waits for the host: the figures stay on the device until somebody reads them.
        """
        fixed, alpha = detached(self.policy), temperature.at(step)
        target = self.target(fixed, batch, future, reward, alpha)
        critic_loss, mean_q = self.critic.fit(batch.state, batch.action, target)
        chosen = choices(self.policy(batch.state))
        with torch.set_grad_enabled(self.policy.pathwise):
            q = self.critic(batch.state, chosen)
            bonus = reward.bonus(fixed, batch.state, chosen)
        loss = self.policy.loss(chosen, q, bonus, alpha)
        descend(self.optimiser, loss)
        entropy = self.policy.entropy(chosen)
        temperature.update(entropy)
        return {"critic_loss": critic_loss, "actor_loss": loss.detach(), "q": mean_q, "entropy": entropy.detach()}

    @torch.no_grad()
    def target(
        self, policy: Policy, batch: Transitions, future: Tensor, reward: Reward, alpha: float | Tensor
    ) -> Tensor:
        """Return r + α paid + γ V(s') of each transition, `[B]` reward units (see `gio_pyro.rewards`)."""
        after = choices(policy(batch.next_state))
        bonus = reward.bonus(policy, batch.next_state, after)
        value = after.mean(self.critic.later(batch.next_state, after) + alpha * (bonus - after.log_prob))
        here = batch.reward + alpha * reward.paid(policy, batch, future)
        return here + self.settings.discount * (~batch.terminated) * value

    @torch.no_grad()
    def intrinsic(self, reward: Reward, state: Tensor) -> Tensor:
        """Return what the guide pays in each state `[B, ...]`, `[B]` nats; one draw each of continuous actions."""
        chosen = choices(self.policy(state))
        return intrinsic_reward(chosen, reward.bonus(self.policy, state, chosen))

    @torch.no_grad()
    def entropy(self, state: Tensor) -> Tensor:
        """Return the policy's mean entropy over the given states, nats; of continuous actions after the squash."""
        return self.policy.entropy(choices(self.policy(state)))
