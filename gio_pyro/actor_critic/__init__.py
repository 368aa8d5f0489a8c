"""Actor and critic: policy evaluation and policy improvement (theory, equations 5 and 6), as tables or as networks.

`guide_reward` computes the intrinsic reward from the guide's log-probabilities; the critics evaluate the policy, and
the policy classes improve it; `tables` and `networks` combine them into one update each.
"""

from gio_pyro.actor_critic.auxiliary_value import AuxiliaryValue, AuxiliaryValues, total
from gio_pyro.actor_critic.behaviour import ContinuousBehaviour, DiscreteBehaviour, TableBehaviour
from gio_pyro.actor_critic.build import actor_critic_of, steppers, temperature_of
from gio_pyro.actor_critic.network_policy import CategoricalPolicy, GaussianPolicy, network_policy
from gio_pyro.actor_critic.networks import NetworkActorCritic
from gio_pyro.actor_critic.table_critic import TableCritic, optimistic_value
from gio_pyro.actor_critic.table_policy import LOG_FLOOR, TablePolicy
from gio_pyro.actor_critic.tables import TableActorCritic
from gio_pyro.actor_critic.twin_critic import CriticWithoutTargets, TwinCritic

__all__ = [
    "LOG_FLOOR",
    "AuxiliaryValue",
    "AuxiliaryValues",
    "CategoricalPolicy",
    "ContinuousBehaviour",
    "CriticWithoutTargets",
    "DiscreteBehaviour",
    "GaussianPolicy",
    "NetworkActorCritic",
    "TableActorCritic",
    "TableBehaviour",
    "TableCritic",
    "TablePolicy",
    "TwinCritic",
    "actor_critic_of",
    "network_policy",
    "optimistic_value",
    "steppers",
    "temperature_of",
    "total",
]
