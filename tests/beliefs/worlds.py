"""Worlds with known exact filters, and pieces of their episodes."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

import gio_pyro.envs  # noqa: F401
from gio_pyro import tabular
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.programs import Filter, WorldModel
from gio_pyro.beliefs.world import World
from gio_pyro.guides import ForwardFilter, KalmanFilter
from gio_pyro.models import FiniteStateSpace, GaussianStateSpace
from gio_pyro.types import WorldSpec

REAL = Box(-np.inf, np.inf, (1,), np.float32)
LINEAR = WorldSpec(REAL, REAL)


class Linear(GaussianStateSpace):
    """A position that is seen in noise; no rewards, so that the filter conditions on all that is seen."""

    rewards = False

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__(spec)
        values = {
            "transition": [[1.0, 0.5], [-0.2, 0.9]],
            "control": [[0.1], [0.6]],
            "emission": [[1.0, 0.0]],
            "log_process": [-1.5, -1.0],
            "log_noise": [-0.7],
            "first_mean": [0.3, -0.2],
            "log_first": [0.1, -0.3],
        }
        for name, value in values.items():
            getattr(self, name).data.copy_(torch.tensor(value))


def world_of(model, filter, spec: WorldSpec) -> World:
    built = WorldModel(model)
    return World(built, Filter(filter(replace(spec, world_model=built.program))))


def linear_world(filter=KalmanFilter) -> World:
    return world_of(Linear(LINEAR), filter, LINEAR)


def linear_system(world: World) -> tabular.LinearGaussian:
    """The exact counterpart of a linear world; its actions are after the squash."""
    own = world.model.program
    return tabular.LinearGaussian(
        transition=own.transition.detach(),
        control=own.control.detach(),
        emission=own.emission.detach(),
        process_noise=own.process.detach(),
        observation_noise=torch.diag(own.noise.detach().square()),
        mean=own.first_mean.detach(),
        covariance=torch.diag(own.log_first.detach().exp().square()),
    )


def finite_pomdp(name: str = "gio/Tiger-v0", **arguments) -> tabular.POMDP:
    return tabular.POMDP.from_env(gym.make(name, **arguments), discount=0.95)


def finite_spec(pomdp: tabular.POMDP) -> WorldSpec:
    return WorldSpec(gym.spaces.Discrete(pomdp.symbols), gym.spaces.Discrete(pomdp.actions))


def finite_world(pomdp: tabular.POMDP, filter=ForwardFilter) -> World:
    """Without rewards, so that the filter conditions on all that is seen."""
    model = FiniteStateSpace.of(pomdp)
    model.rewards = False
    return world_of(model, filter, finite_spec(pomdp))


def piece(first: Tensor, action: Tensor, later: Tensor, length: Tensor | None = None) -> Piece:
    """Pieces that begin their episodes; those of `length` `[B]` end earlier."""
    shape = action.shape[:2]
    valid = torch.ones(shape, dtype=torch.bool)
    if length is not None:
        valid = torch.arange(shape[1]) < length.unsqueeze(1)
    no = torch.zeros(shape, dtype=torch.bool)
    return Piece(first, action, later, torch.zeros(shape), no, valid, torch.ones(shape[0], dtype=torch.bool))


def linear_pieces(count: int = 5, steps: int = 7) -> Piece:
    shown = torch.randn(count, steps + 1, 1)
    return piece(shown[:, 0], torch.randn(count, steps, 1), shown[:, 1:], torch.randint(1, steps + 1, (count,)))


def finite_pieces(pomdp: tabular.POMDP, count: int = 5, steps: int = 7) -> Piece:
    """Pieces drawn from the world under uniform actions, up to the end of the episode."""
    rows = [drawn(pomdp, steps) for _ in range(count)]
    shown, action, ended = (torch.stack(column) for column in zip(*rows, strict=True))
    length = steps - ended[:, :-1].sum(1)
    return replace(piece(shown[:, 0], action, shown[:, 1:], length), terminated=ended)


def drawn(pomdp: tabular.POMDP, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Observations `[steps + 1]`, actions `[steps]`, and whether the episode is over after each, `[steps]`."""
    state = int(torch.multinomial(pomdp.mdp.start, 1))
    shown, actions, ended = [int(torch.multinomial(pomdp.first_observation[state], 1))], [], []
    for _ in range(steps):
        action = int(torch.randint(pomdp.actions, ()))
        state = int(torch.multinomial(pomdp.mdp.transition[state, action], 1))
        shown.append(int(torch.multinomial(pomdp.observation[action, state], 1)))
        actions.append(action)
        ended.append(bool(pomdp.mdp.terminal[state]))
    return torch.tensor(shown), torch.tensor(actions), torch.tensor(ended)
