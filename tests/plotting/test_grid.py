from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest

from gio_pyro.plotting.grid import Grid, grid_of
from tests.environments import make


def world(count: int, **fields: Any) -> Any:
    """An environment as `grid_of` looks at it."""
    return SimpleNamespace(unwrapped=SimpleNamespace(**fields), observation_space=SimpleNamespace(n=count))


def test_frozen_lake_is_its_map():
    grid = grid_of(gymnasium.make("FrozenLake-v1"))
    assert grid == Grid(4, 4, tuple("SFFFFHFHFFFHHFFG"))


def test_the_larger_lake_and_a_lake_of_ones_own_are_theirs():
    assert grid_of(gymnasium.make("FrozenLake-v1", map_name="8x8")).rows == 8
    assert grid_of(gymnasium.make("FrozenLake-v1", desc=["SFF", "FHG"])) == Grid(2, 3, tuple("SFFFHG"))


def test_cliff_walking_has_cells_without_labels():
    assert grid_of(gymnasium.make("CliffWalking-v1")) == Grid(4, 12, ("",) * 48)


@pytest.mark.parametrize("env", ["Taxi-v4", "Blackjack-v1", "CartPole-v1"])
def test_a_world_that_is_no_grid_has_none(env: str):
    assert grid_of(gymnasium.make(env)) is None


def test_a_world_of_ones_own_without_a_map_has_none():
    assert grid_of(make()) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"desc": None, "shape": None}, {"desc": np.array([["S"]])}, {"desc": ["SF", "FG"]}, {"shape": (2, 3)},
        {"shape": (2, 2, 1)}, {"shape": "22"}, {"desc": 4}, {"shape": [2, 2]}, {},
    ],
    ids=repr,
)  # fmt: skip
def test_a_map_of_another_size_or_kind_is_no_grid(fields: dict[str, Any]):
    assert grid_of(world(4, **fields)) is None


def test_a_map_wins_over_a_shape():
    found = grid_of(world(4, desc=np.array([[b"a", b"b"], [b"c", b"d"]]), shape=(1, 4)))
    assert found == Grid(2, 2, ("a", "b", "c", "d"))


def test_every_cell_has_a_label():
    for name in ("FrozenLake-v1", "CliffWalking-v1"):
        env = gymnasium.make(name)
        grid = grid_of(env)
        assert len(grid.labels) == grid.rows * grid.columns == env.observation_space.n
