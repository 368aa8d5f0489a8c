"""Exact methods for finite MDPs, hidden states and linear systems, in float64: no sampling, no learning, no Pyro.

The learned methods of this library are tested against these functions.
"""

from gio_pyro.tabular.belief_tree import BeliefTree, belief_return, belief_tree
from gio_pyro.tabular.beliefs import (
    Filtered,
    Smoothed,
    belief_update,
    forward_backward,
    forward_filter,
    observation_probabilities,
)
from gio_pyro.tabular.capacity import Capacity, blahut_arimoto
from gio_pyro.tabular.empowerment import empowerment
from gio_pyro.tabular.episodes import discounted_visits, episode_visits, expected_return, optimal_return, reachable
from gio_pyro.tabular.futures import (
    Future,
    discounted_return,
    discounted_state,
    features,
    final_state,
    grouped,
    next_state,
    next_state_and_reward,
    state_after,
    trajectory,
)
from gio_pyro.tabular.grids import grid_world, klyubin_maze
from gio_pyro.tabular.guides import bayes, fixed_posterior, fixed_prior, marginal, marginal_over, uniform
from gio_pyro.tabular.imitation import Imitation, imitate
from gio_pyro.tabular.information import mutual_information
from gio_pyro.tabular.iteration import Solution, intrinsic_bellman, policy_iteration, posterior
from gio_pyro.tabular.kalman import Kalman, KalmanSmoothed, kalman, kalman_smoother
from gio_pyro.tabular.linear import LinearGaussian
from gio_pyro.tabular.lqg import LQG, lqg, lqg_cost
from gio_pyro.tabular.marginals import action_information, action_marginal
from gio_pyro.tabular.mdp import Outcomes, TabularMDP
from gio_pyro.tabular.planning import Plan, arrival_information, plan
from gio_pyro.tabular.point_based import Bounds, point_based
from gio_pyro.tabular.pomdp import POMDP

__all__ = [
    "LQG",
    "POMDP",
    "BeliefTree",
    "Bounds",
    "Capacity",
    "Filtered",
    "Future",
    "Imitation",
    "Kalman",
    "KalmanSmoothed",
    "LinearGaussian",
    "Outcomes",
    "Plan",
    "Smoothed",
    "Solution",
    "TabularMDP",
    "action_information",
    "action_marginal",
    "arrival_information",
    "bayes",
    "belief_return",
    "belief_tree",
    "belief_update",
    "blahut_arimoto",
    "discounted_return",
    "discounted_state",
    "discounted_visits",
    "empowerment",
    "episode_visits",
    "expected_return",
    "features",
    "final_state",
    "fixed_posterior",
    "fixed_prior",
    "forward_backward",
    "forward_filter",
    "grid_world",
    "grouped",
    "imitate",
    "intrinsic_bellman",
    "kalman",
    "kalman_smoother",
    "klyubin_maze",
    "lqg",
    "lqg_cost",
    "marginal",
    "marginal_over",
    "mutual_information",
    "next_state",
    "next_state_and_reward",
    "observation_probabilities",
    "optimal_return",
    "plan",
    "point_based",
    "policy_iteration",
    "posterior",
    "reachable",
    "state_after",
    "trajectory",
    "uniform",
]
