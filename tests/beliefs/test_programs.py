"""Every pair of the library in environments of every kind, for a few updates."""

import gymnasium as gym
import pytest
import torch

import gio_pyro as gio
from gio_pyro.models import FiniteStateSpace, RecurrentStateSpace
from tests.beliefs.worlds import finite_pomdp

SMALL = {"hidden": (16,), "learning_starts": 20, "batch_size": 8, "burn_in": 3, "piece_length": 6, "pieces": 2}


class Small(RecurrentStateSpace):
    memory = 8
    latent = 3


PAIRS = {
    "vectors": ("gio/CartPolePositions-v0", {"world_model": Small}),
    "vectors, continuous actions": ("gio/PendulumAngle-v0", {"world_model": Small}),
    "images": ("gio/PendulumPixels-v0", {"world_model": Small}),
    "symbols": ("gio/Tiger-v0", {"world_model": Small}),
    "linear": ("gio/LinearGaussian-v0", {"world_model": "GaussianStateSpace"}),
    "linear, learned filter": (
        "gio/LinearGaussian-v0",
        {"world_model": "GaussianStateSpace", "filter": "GaussianFilter"},
    ),
    "finite": ("gio/TMaze-v0", {"world_model": "FiniteStateSpace"}),
    "finite, learned filter": ("gio/TMaze-v0", {"world_model": "FiniteStateSpace", "filter": "CategoricalFilter"}),
    "tables given": ("gio/Tiger-v0", {"world_model": FiniteStateSpace.of(finite_pomdp())}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_learns_and_plays(name: str):
    world, programs = PAIRS[name]
    agent = gio.GIO(world, seed=0, **programs, **SMALL)
    agent.learn(40)
    torch.manual_seed(5)
    stream = torch.get_rng_state()
    metrics = agent.metrics()
    assert torch.equal(torch.get_rng_state(), stream)  # of the caller
    assert metrics == pytest.approx(agent.metrics(), rel=0, abs=0, nan_ok=True)
    assert {"bound/information_gain", "bound/state_consistency", "bound/action_consistency"} <= metrics.keys()
    assert all(value == value for name, value in metrics.items() if name.startswith(("bound", "train")))
    assert len(agent.evaluate(2, max_steps=5).returns) == 2
    env = gym.make(world)
    seen, _ = env.reset(seed=0)
    action, state = agent.predict(seen)
    again, later = agent.predict(env.step(action)[0], state)
    assert later.shape == state.shape
    assert env.action_space.contains(again)
