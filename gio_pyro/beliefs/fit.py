"""Fit a world model and its filter to episodes of random actions, without an agent.

replay = random_play("gio/Tiger-v0", 10_000, seed=0)
beliefs = fit(replay, "gio/Tiger-v0", world_model="FiniteStateSpace", updates=1_000, seed=0)
bound = bound_of(beliefs.world, whole_episodes(replay))     # nats a step
"""

from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.bound import mean_field_bound
from gio_pyro.beliefs.build import Given, beliefs_of, world_programs
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.world import World
from gio_pyro.collection import Actions, Collector, Env, Observations, make_env
from gio_pyro.collection.make import single_spaces
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.step_sizes import scale_step_sizes
from gio_pyro.programs import without_validation
from gio_pyro.settings import Settings
from gio_pyro.types import finite

ROUNDS = 10
"""Parts of the updates, between which the step size falls."""


def random_play(environment: str | Env, steps: int, *, seed: int) -> Replay:
    """Return a replay of `steps` transitions under uniform actions, whose episodes can be read."""
    device = torch.device("cpu")
    collector = Collector(make_env(environment), seed=seed, device=device)
    space = collector.actions.space
    shape = space.shape or ()

    def uniform(state: Tensor) -> tuple[Tensor, Tensor]:
        nothing = torch.zeros(len(state))
        if isinstance(space, Discrete):
            return torch.randint(finite(space, "action"), (len(state),)), nothing
        return torch.rand(len(state), *shape).logit(1e-6) / 2, nothing  # its tanh is uniform on (−1, 1)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        collected = collector.collect(uniform, steps)
    replay = Replay(len(collected.rows), histories=True)
    replay.add(collected.rows, *collected.links())
    return replay


def whole_episodes(replay: Replay) -> Piece:
    """Return the episodes of a replay, each from its beginning, as one piece each."""
    episode = replay.all().episode
    last = torch.cat([episode[1:] != episode[:-1], torch.ones(1, dtype=torch.bool)]).nonzero().squeeze(-1)
    longest = int(torch.bincount(episode - episode.min()).max())
    return Piece.of(*replay.histories(last + replay.oldest, longest))


def fit(
    replay: Replay,
    environment: str | Env,
    *,
    world_model: Given,
    filter: Given = None,
    updates: int,
    cooled: int = 0,
    **settings: Any,
) -> Beliefs:
    """Return a world model and its filter after gradient steps on the bound.

    Args:
        replay: what was seen and done.
        environment: an id or an environment, whose spaces count.
        world_model: a name in `gio_pyro.models`, or a program.
        filter: a name in `gio_pyro.guides`, or a program; by default that of the world model.
        updates: gradient steps.
        cooled: further ones, with a step size that falls to a hundredth.
        **settings: `burn_in`, `piece_length`, `pieces`, `learning_rate` and `seed`, as those of the agent.
    """
    states, raw = single_spaces(make_env(environment))
    observations, actions = Observations.of(states, quiet=True).space, Actions.of(raw).space
    chosen, device = Settings.of(settings, states=observations, actions=actions), torch.device("cpu")
    with torch.random.fork_rng(devices=[]), without_validation():
        torch.manual_seed(chosen.seed)
        beliefs = beliefs_of(chosen, world_programs(world_model, filter), observations, actions, 1, device)
        assert isinstance(beliefs, Beliefs)
        beliefs.observe(replay.all())
        believed = beliefs.replay(1, None)
        believed.seen = replay
        for number in range(ROUNDS + 1 if cooled else 1):
            scale_step_sizes(beliefs.optimisers.values(), 0.01 ** (number / ROUNDS))
            beliefs.update(believed, cooled // ROUNDS if number else updates)
    return beliefs


@torch.no_grad()
def bound_of(world: World, piece: Piece, draws: int = 1) -> float:
    """Return the bound of a world model and its filter on pieces of episodes, nats an instant.

    It is the mean over several draws of each state, given the beliefs along the pieces, which are computed once.
    """
    with without_validation():
        beliefs = world.along(piece)
        return float(torch.stack([mean_field_bound(world, piece, 0, beliefs) for _ in range(draws)]).mean())
