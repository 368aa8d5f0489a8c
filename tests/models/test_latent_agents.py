"""Agents whose model has latent sites: compiled, rewarding another learner, dreaming, diagnosed.

That they resume exactly is tested in tests/checkpointing. Cost: 8 s.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro as gio
from tests.adapters.test_intrinsic_reward import samples
from tests.agents import differences
from tests.cli.shell import gio as shell
from tests.slow import slow_but

SMALL: dict[str, Any] = {"hidden": (8,), "learning_starts": 20, "batch_size": 16, "seed": 0}
LATENT = ("BayesianModel", "RegimeModel", "VariationalModel")
every_model = pytest.mark.parametrize("model", LATENT)
pytestmark = pytest.mark.filterwarnings("ignore:The intrinsic reward varies")  # after a few steps it may


@pytest.mark.parametrize("model", slow_but(LATENT, "BayesianModel"))
@pytest.mark.usefixtures("uncompiled")
def test_a_captured_agent_is_the_plain_one(model: str):
    agents = [gio.GIO("Pendulum-v1", model=model, compile=compiled, **SMALL).learn(40) for compiled in (True, False)]
    assert differences(*agents, ignore=("/settings/compile", "/update")) == []


@pytest.mark.learning  # the compiler takes a minute and more
@every_model
def test_a_compiled_agent_is_the_plain_one_up_to_rounding(model: str):
    """Torch's compiler must neither draw random numbers of its own nor draw those of the sites in another order."""
    plain, compiled = (gio.GIO("Pendulum-v1", model=model, compile=on, **SMALL).learn(40) for on in (False, True))
    for part in ("model", "guide", "actor_critic"):
        expected, found = (getattr(agent, part).state_dict() for agent in (plain, compiled))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@every_model
def test_it_rewards_another_learner(model: str):
    reward = gio.IntrinsicReward("CartPole-v1", model=model, hidden=(8,), batch_size=8, updates=2, seed=0)
    given = samples(gym.make("CartPole-v1"), 8)
    reward.update(given)
    found = reward.compute(given)
    assert found.shape == (8, 1)
    assert np.isfinite(found).all()


@pytest.mark.slow
@every_model
def test_it_dreams_and_is_diagnosed(model: str, tmp_path: Path):
    settings = {"dream_horizon": 2, "dream_share": 0.5, "future": gio.futures.NextStateAndReward()}
    agent = gio.GIO("CartPole-v1", model=model, **settings, **SMALL | {"learning_starts": 960}).learn(1_000)
    agent.save(tmp_path / "run")
    assert shell("diagnose", tmp_path / "run") in (0, 1)  # believe, or not yet
