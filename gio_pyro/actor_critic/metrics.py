"""Metrics of the policy over visited states."""

import torch
from torch import Tensor

from gio_pyro.actor_critic.guide_reward import Reward, finite_nats
from gio_pyro.actor_critic.networks import NetworkActorCritic
from gio_pyro.actor_critic.tables import TableActorCritic


@torch.no_grad()
def policy_metrics(
    actor_critic: TableActorCritic | NetworkActorCritic, reward: Reward, state: Tensor, temperature: float, guide: str
) -> dict[str, float]:
    """Return the intrinsic reward and the entropy of the policy, averaged over states `[B, ...]`.

    Args:
        actor_critic: actor and critic.
        reward: where the guide is evaluated.
        state: the states.
        temperature: α, reward units per nat.
        guide: the guide's name, for errors.
    """
    nats = finite_nats(actor_critic.intrinsic(reward, state), guide)
    entropy = actor_critic.entropy(state)
    return {
        "intrinsic/nats": float(nats.mean()),
        "intrinsic/nats_std": float(nats.std(correction=0)),
        "intrinsic/reward": temperature * float(nats.mean()),
        "train/ent_coef": temperature,
        "train/entropy": float(entropy),
    }
