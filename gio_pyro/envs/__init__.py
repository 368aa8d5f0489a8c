"""Example worlds with exact transition tables; importing this package registers their ids with Gymnasium.

    gymnasium.make("gio/SparseMaze-v0", useless=10)

`env.unwrapped.P` is the table, which `tabular.TabularMDP.from_env` reads. See docs/worlds.md.
"""

from gio_pyro.envs.catalogue import KlyubinMaze, Maze, NoisyTV, Rooms, SlipperyLine, SparseMaze
from gio_pyro.envs.grid_world import GridWorld
from gio_pyro.envs.registry import IDS, register

register()

__all__ = [
    "IDS",
    "GridWorld",
    "KlyubinMaze",
    "Maze",
    "NoisyTV",
    "Rooms",
    "SlipperyLine",
    "SparseMaze",
    "register",
]
