"""Recipes: every one trains, resumes and can be changed.

Cost: half a minute.
"""

import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import gio_pyro.envs
from gio_pyro import GIO
from gio_pyro.errors import InputError
from gio_pyro.recipes import RECIPES, Recipe, recipe_named

assert gio_pyro.envs  # registers the example worlds

SMALL = {"hidden": (16,), "learning_starts": 24, "log_interval": 24, "compile": False, "seed": 3}
STEPS = 48


def world_of(recipe: Recipe) -> gym.Env:
    """The world of a recipe's command."""
    arguments = dict(re.findall(r"--env\.(\w+) (\w+)", recipe.flags))
    return gym.make(recipe.environment, **arguments)


def small(recipe: Recipe, env: str | gym.Env) -> GIO:
    """An agent of the recipe with small networks."""
    sizes = {} if recipe.settings.get("world_model") is None else {"piece_length": 4, "burn_in": 2, "pieces": 2}
    states = (gym.make(env) if isinstance(env, str) else env).observation_space
    if not isinstance(states, gym.spaces.Discrete) or "batch_size" in recipe.settings or sizes:
        sizes |= {"batch_size": 16}  # so that it learns from as few steps; tables learn from all there are
    return GIO(env, recipe=recipe.name, **SMALL, **sizes)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_trains_in_the_world_of_its_command_and_goes_on_bit_for_bit(recipe: Recipe, tmp_path: Path):
    agent = small(recipe, world_of(recipe)).learn(STEPS)
    agent.save(tmp_path / "saved")
    again = GIO.load(tmp_path / "saved", environment=world_of(recipe))
    figures = [one.learn(STEPS).metrics() for one in (agent, again)]
    assert figures[0] == pytest.approx(figures[1], abs=0, rel=0, nan_ok=True)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipe_has_networks_where_states_are_vectors(recipe: Recipe):
    metrics = small(recipe, "Acrobot-v1").learn(STEPS).metrics()
    learned = [value for name, value in metrics.items() if name.startswith("train/")]
    assert "train/critic_loss" in metrics
    assert torch.isfinite(torch.tensor(learned)).all()


def test_the_schedule_of_a_signals_weight_goes_on_where_it_was(tmp_path: Path):
    """MEEE acts by the weight at its last improvement, before it improves again."""
    settings = SMALL | {"signal_weight": "linear:1000:0:60", "train_freq": 24, "batch_size": 16}
    agent = GIO("Acrobot-v1", recipe="meee", **settings).learn(STEPS)
    agent.save(tmp_path / "saved")
    assert int(agent.explorer.explorer.step) == STEPS
    again = GIO.load(tmp_path / "saved")
    taken = [one.learn(20).replay.all().action[-20:] for one in (agent, again)]
    assert torch.equal(*taken)


def test_a_further_setting_takes_the_place_of_the_recipes():
    agent = GIO("FrozenLake-v1", recipe="vime", signal_weight=0.5, guide="CategoricalGuide")
    assert (agent.settings.signal, agent.settings.signal_weight) == ("InformationGain", 0.5)
    assert type(agent.guide.program).__name__ == "CategoricalGuide"
    assert type(agent.model.program).__name__ == "DirichletModel"
    assert GIO("FrozenLake-v1", recipe="gio", gamma=0.5).settings.discount == 0.5


def test_names_in_any_spelling_and_mistakes_in_a_sentence():
    assert recipe_named("Plan2Explore") is recipe_named("plan-2-explore") is RECIPES["plan2explore"]
    with pytest.raises(
        InputError, match=r"^Expected a recipe among .*, but got 'plan2explor'.*plan2explore.*see gio re"
    ):
        GIO("FrozenLake-v1", recipe="plan2explor")
    with pytest.raises(InputError, match=r"^Expected the name of a recipe, but got 3"):
        GIO("FrozenLake-v1", recipe=3)  # type: ignore[arg-type]


def test_recipes_are_tables_that_nobody_can_change():
    for recipe in RECIPES.values():
        with pytest.raises(TypeError):
            recipe.settings["signal"] = "Control"  # type: ignore[index]
        assert recipe.paper
        assert recipe.same.endswith(".")
        assert recipe.left_out.endswith(".")


@pytest.mark.parametrize("name", ["lexa", "meee", "random_walk", "cc_rig", "smorl", "srics"])
def test_explorers_take_only_allowed_actions(name: str):
    """Their masks are numbers of the state, which no action influences; the environment refuses what is forbidden."""
    agent = small(RECIPES[name], HalfMasked()).learn(STEPS)
    assert set(agent.replay.all().action.tolist()) <= {0, 2}


class HalfMasked(gym.Env):
    """Three actions, of which the second is never allowed, and random observations."""

    observation_space = gym.spaces.Box(-1, 1, (3,))
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 10
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), self.info

    def step(self, action: Any) -> Any:
        assert action != 1
        self.left -= 1
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), 0.0, False, self.left == 0, self.info

    @property
    def info(self) -> dict[str, Any]:
        return {"action_mask": np.array([1, 0, 1], np.int8)}
