"""One valid call of every public function of the exact tier."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular

from .harness import Call

PI = torch.full((3, 2), 0.5, dtype=torch.float64)
CHANNEL = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]], dtype=torch.float64)
MOVES = torch.tensor(
    [[[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]], [[0.2, 0.8, 0.0], [0.0, 0.2, 0.8]], [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]],
    dtype=torch.float64,
)
REWARD = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]], dtype=torch.float64)


HEARD = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], dtype=torch.float64)
SYSTEM: dict[str, Any] = {
    "transition": [[1.0]],
    "control": [[1.0]],
    "emission": [[1.0]],
    "process_noise": [[1.0]],
    "observation_noise": [[1.0]],
    "mean": [0.0],
    "covariance": [[1.0]],
}
SEEN: dict[str, Any] = {"observations": [0, 1, 1], "actions": [0, 1], "rewards": [0.0, 0.0], "terminated": [0, 0]}
MEASURED: dict[str, Any] = {"observations": [[0.0], [1.0]], "actions": [[0.5]]}
COSTS: dict[str, Any] = {"state_cost": [[1.0]], "action_cost": [[1.0]], "discount": 0.9}


class World(gym.Env[Any, Any]):
    """Two states, two actions."""

    observation_space, action_space = Discrete(2), Discrete(2)

    def __init__(self) -> None:
        self.P = {s: {a: [(0.5, 0, 0.0, False), (0.5, 1, 1.0, False)] for a in range(2)} for s in range(2)}


def mdp() -> tabular.TabularMDP:
    return tabular.TabularMDP(MOVES, REWARD, discount=0.9, terminal=[False, False, True])


def outcomes() -> tabular.Outcomes:
    return tabular.Outcomes(MOVES, torch.arange(3), torch.zeros(3, dtype=torch.float64))


def channel(world: tabular.TabularMDP) -> Tensor:
    return tabular.next_state(world, PI)


def pomdp() -> tabular.POMDP:
    return tabular.POMDP.from_mdp(mdp(), HEARD)


def system() -> tabular.LinearGaussian:
    return tabular.LinearGaussian(**SYSTEM)


class HiddenWorld(World):
    """The same two states, hidden."""

    observation_table = ((0.9, 0.1), (0.1, 0.9))
    first_observation_table = ((0.5, 0.5), (0.5, 0.5))


def listen(belief: Tensor, t: int) -> list[list[float]]:
    return [[1.0, 0.0]] * len(belief)


def of(function: Callable[..., Any], **arguments: Any) -> Callable[[], Call]:
    """A call whose arguments need not be made anew."""
    return lambda: (function, dict(arguments))


def made(maker: Callable[..., Any], **arguments: Any) -> Callable[[], Call]:
    """A call of a future or guide together with its use in a world, so that what is refused late counts as well."""

    def use(**given: Any) -> Any:
        world = mdp()
        found = maker(**given)
        return found(world, PI, channel(world)) if maker in GUIDES else found(world, PI)

    return lambda: (use, dict(arguments))


GUIDES = (tabular.fixed_posterior, tabular.fixed_prior, tabular.marginal_over)
QUICK = {"tolerance": 1e-3, "max_iterations": 20}

CALLS: dict[str, Callable[[], Call]] = {
    "TabularMDP": of(
        tabular.TabularMDP,
        transition=MOVES,
        reward=REWARD,
        discount=0.9,
        terminal=[False, False, True],
        start=[1.0, 0.0, 0.0],
        outcomes=outcomes(),
        allowed=[[True, True], [True, False], [True, True]],
    ),
    "TabularMDP.from_env": lambda: (tabular.TabularMDP.from_env, {"env": World(), "discount": 0.9}),
    "action_information": lambda: (
        tabular.action_information,
        {"mdp": mdp(), "policy": PI, "visits": [0.5, 0.5, 0.0]},
    ),
    "action_marginal": lambda: (tabular.action_marginal, {"mdp": mdp(), "policy": PI, "visits": [0.5, 0.5, 0.0]}),
    "bayes": lambda: (tabular.bayes, {"mdp": mdp(), "policy": PI, "channel": channel(mdp())}),
    "uniform": lambda: (tabular.uniform, {"mdp": mdp(), "policy": PI, "channel": channel(mdp())}),
    "marginal": lambda: (tabular.marginal, {"mdp": mdp(), "policy": PI, "channel": channel(mdp())}),
    "blahut_arimoto": of(tabular.blahut_arimoto, channel=CHANNEL, reward=[0.0, 0.5], allowed=[True, True], **QUICK),
    "imitate": of(tabular.imitate, channel=CHANNEL, counts=[1.0, 2.0, 1.0], **QUICK),
    "mutual_information": of(tabular.mutual_information, channel=CHANNEL, source=[0.5, 0.5]),
    "discounted_visits": lambda: (tabular.discounted_visits, {"mdp": mdp(), "policy": PI}),
    "episode_visits": lambda: (tabular.episode_visits, {"mdp": mdp(), "policy": PI, "steps": 3}),
    "expected_return": lambda: (tabular.expected_return, {"mdp": mdp(), "policy": PI, "steps": 3}),
    "optimal_return": lambda: (tabular.optimal_return, {"mdp": mdp(), "steps": 3}),
    "reachable": lambda: (tabular.reachable, {"mdp": mdp()}),
    "empowerment": lambda: (
        tabular.empowerment,
        {"mdp": mdp(), "horizon": 2, "tolerance": 1e-3, "max_sequences": 100, "max_elements": 1_000},
    ),
    "discounted_return": made(tabular.discounted_return, horizon=2, discount=0.9, levels=(0.0, 0.5)),
    "discounted_state": made(tabular.discounted_state, n=2, discount=0.9),
    "features": made(tabular.features, future=tabular.next_state, labels=[0, 1, 1]),
    "final_state": made(tabular.final_state, n=2, source=[0.5, 0.5]),
    "state_after": made(tabular.state_after, k=2),
    "trajectory": made(tabular.trajectory, k=2, rewards=True),
    "next_state": lambda: (tabular.next_state, {"mdp": mdp(), "policy": PI}),
    "next_state_and_reward": lambda: (tabular.next_state_and_reward, {"mdp": mdp(), "policy": PI}),
    "grouped": of(tabular.grouped, channel=CHANNEL, label=torch.tensor([0, 1, 1]), count=2),
    "fixed_posterior": made(tabular.fixed_posterior, q=torch.full((3, 3, 2), 0.5)),
    "fixed_prior": made(tabular.fixed_prior, prior=[0.5, 0.5]),
    "marginal_over": made(tabular.marginal_over, visits=[0.5, 0.5, 0.0]),
    "grid_world": of(tabular.grid_world, rows=2, columns=2, walls=(((0, 0), (0, 1)),), noise=0.1, discount=0.9),
    "klyubin_maze": of(tabular.klyubin_maze, noise=0.1, discount=0.9),
    "intrinsic_bellman": lambda: (
        tabular.intrinsic_bellman,
        {
            "mdp": mdp(),
            "policy": PI,
            "q": torch.zeros(3, 2),
            "temperature": 0.1,
            "guide": tabular.bayes,
            "future": tabular.next_state,
        },
    ),
    "policy_iteration": lambda: (
        tabular.policy_iteration,
        {
            "mdp": mdp(),
            "temperature": 0.1,
            "policy": PI,
            "guide": tabular.bayes,
            "future": tabular.next_state,
            **QUICK,
        },
    ),
    "posterior": lambda: (
        tabular.posterior,
        {"mdp": mdp(), "policy": PI, "future": tabular.next_state},
    ),
    **{
        f"{maker.__name__}()": (lambda maker=maker, given=given: (maker(given), {"mdp": mdp(), "policy": PI}))
        for maker, given in ((tabular.final_state, 2), (tabular.state_after, 2), (tabular.trajectory, 2))
    },
    "POMDP": of(
        tabular.POMDP,
        transition=MOVES,
        observation=HEARD,
        reward=REWARD,
        discount=0.9,
        terminal=[False, False, True],
        start=[1.0, 0.0, 0.0],
        first_observation=HEARD,
    ),
    "POMDP.from_mdp": lambda: (
        tabular.POMDP.from_mdp,
        {"mdp": mdp(), "observation": HEARD, "first_observation": HEARD},
    ),
    "POMDP.from_env": lambda: (tabular.POMDP.from_env, {"env": HiddenWorld(), "discount": 0.9}),
    "forward_filter": lambda: (tabular.forward_filter, {"pomdp": pomdp(), **SEEN}),
    "forward_backward": lambda: (tabular.forward_backward, {"pomdp": pomdp(), **SEEN}),
    "belief_update": lambda: (
        tabular.belief_update,
        {"pomdp": pomdp(), "belief": [0.5, 0.5, 0.0], "action": 0, "observation": 1, "reward": 0.0, "terminated": 0},
    ),
    "observation_probabilities": lambda: (
        tabular.observation_probabilities,
        {"pomdp": pomdp(), "belief": [0.5, 0.5, 0.0], "action": 0},
    ),
    "belief_tree": lambda: (
        tabular.belief_tree,
        {"pomdp": pomdp(), "horizon": 2, "belief": [0.5, 0.5, 0.0], "discount": 0.9, "max_beliefs": 100},
    ),
    "belief_return": lambda: (
        tabular.belief_return,
        {"pomdp": pomdp(), "horizon": 2, "policy": listen, "discount": 0.9, "max_beliefs": 100},
    ),
    "point_based": lambda: (tabular.point_based, {"pomdp": pomdp(), "belief": [0.5, 0.5, 0.0], **QUICK}),
    "plan": lambda: (
        tabular.plan,
        {
            "model": pomdp(),
            "horizon": 2,
            "temperature": 0.1,
            "prior": [0.5, 0.5],
            "information_weight": 1.0,
            "value": [0.0, 0.0, 0.0],
        },
    ),
    "arrival_information": lambda: (tabular.arrival_information, {"model": pomdp()}),
    "LinearGaussian": of(tabular.LinearGaussian, **SYSTEM),
    "kalman": lambda: (tabular.kalman, {"system": system(), **MEASURED}),
    "kalman_smoother": lambda: (tabular.kalman_smoother, {"system": system(), **MEASURED}),
    "lqg": lambda: (tabular.lqg, {"system": system(), **COSTS}),
    "lqg_cost": lambda: (
        tabular.lqg_cost,
        {"system": system(), **COSTS, "horizon": 3, "final_cost": [[1.0]]},
    ),
}
