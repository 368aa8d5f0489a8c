"""Example worlds, most with exact tables; importing this package registers their ids with Gymnasium.

    gymnasium.make("gio/SparseMaze-v0", useless=10)

`env.unwrapped.P` is the table, which `tabular.TabularMDP.from_env` reads; worlds with hidden states have tables of
observations as well, which `tabular.POMDP.from_env` reads. See docs/worlds.md.
"""

from gio_pyro.envs.catalogue import KlyubinMaze, Maze, NoisyTV, Rooms, SlipperyLine, SparseMaze
from gio_pyro.envs.grid_world import GridWorld
from gio_pyro.envs.hidden import HiddenState, HiddenWorld
from gio_pyro.envs.hidden_catalogue import NoisyFrozenLake, RepeatFirst, Tiger, TMaze
from gio_pyro.envs.linear_gaussian import LinearGaussianWorld
from gio_pyro.envs.noisy_pendulum import NoisyPendulum
from gio_pyro.envs.partial_views import CartPolePositions, PendulumAngle, PendulumPixels
from gio_pyro.envs.registry import HIDDEN_IDS, IDS, register
from gio_pyro.envs.swing_up import CartPoleSwingUp

register()

__all__ = [
    "HIDDEN_IDS",
    "IDS",
    "CartPolePositions",
    "CartPoleSwingUp",
    "GridWorld",
    "HiddenState",
    "HiddenWorld",
    "KlyubinMaze",
    "LinearGaussianWorld",
    "Maze",
    "NoisyFrozenLake",
    "NoisyPendulum",
    "NoisyTV",
    "PendulumAngle",
    "PendulumPixels",
    "RepeatFirst",
    "Rooms",
    "SlipperyLine",
    "SparseMaze",
    "TMaze",
    "Tiger",
    "register",
]
