"""Any other world, held as networks: one gradient step of critic and policy for each batch."""

import torch
from torch import Tensor, nn

from gio_pyro.control.behaviour import ContinuousBehaviour, DiscreteBehaviour
from gio_pyro.evaluation import TwinCritic
from gio_pyro.improvement import network_policy
from gio_pyro.optimisation import Descent, Figures, adam
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
        self.critic = TwinCritic(states, actions, s.hidden, rate=s.target_rate)
        self.optimisers = {
            "critic": adam(list(self.critic.online.parameters()), s.learning_rate),
            "policy": adam(list(self.policy.parameters()), s.learning_rate),
        }
        self.evaluation = Descent("critic", self._critic_loss, self.optimisers["critic"], s.compile)
        self.projection = Descent("policy", self._policy_loss, self.optimisers["policy"], s.compile)

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
        self.critic.observe(state)

    def rows(self, replay: Replay) -> Transitions:
        """Return what an improvement reads: a sample."""
        return replay.batch(self.settings.batch_size)

    def improve(self, batch: Transitions, reward: Reward, temperature: Temperature, step: int) -> Figures:
        """Take one step of the critic, of its targets, of the policy and of a learned temperature.

        Nothing here waits for the host: the figures stay on the device until somebody reads them.
        """
        alpha = temperature.at(step)
        if not isinstance(alpha, Tensor):
            alpha = torch.full((), alpha, device=batch.reward.device)  # a fill, where a copy would wait for the device
        figures = self.evaluation.step(reward, alpha, *batch.tensors())
        self.critic.follow()
        figures |= self.projection.step(reward, alpha, batch.state)
        temperature.update(figures["entropy"], figures["critic_loss"])
        return figures

    def _critic_loss(self, reward: Reward, alpha: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*batch)
        target = self.target(detached(self.policy), rows, reward, alpha)
        loss, mean_q = self.critic.loss(rows.state, rows.action, target)
        return loss, {"critic_loss": loss, "q": mean_q}

    def _policy_loss(self, reward: Reward, alpha: Tensor, state: Tensor) -> tuple[Tensor, Figures]:
        chosen = choices(self.policy(state))
        with torch.set_grad_enabled(self.policy.pathwise):
            q = self.critic(state, chosen)
            bonus = reward.bonus(detached(self.policy), state, chosen)
        loss = self.policy.loss(chosen, q, bonus, alpha)
        return loss, {"actor_loss": loss, "entropy": self.policy.entropy(chosen)}

    @torch.no_grad()
    def target(self, policy: Policy, batch: Transitions, reward: Reward, alpha: Tensor) -> Tensor:
        """Return r + α paid + γ V(s') of each transition, `[B]` reward units (see `gio_pyro.rewards`)."""
        after = choices(policy(batch.next_state))
        bonus = reward.bonus(policy, batch.next_state, after)
        value = after.mean(self.critic.later(batch.next_state, after) + alpha * (bonus - after.log_prob))
        here = batch.reward + alpha * reward.paid(policy, batch)
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
