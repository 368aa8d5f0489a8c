"""Options of the commands that are not settings, by group; their docstrings are the help."""

from dataclasses import dataclass

from gio_pyro.cli.flag_types import EnvironmentArguments, OptionalInt, OptionalPath, OptionalText, Repeated


@dataclass(frozen=True)
class AgentOptions:
    """Programs, objective, and what is maximised."""

    recipe: OptionalText = None
    """Published system by its name, such as plan2explore, which fills in what no other flag gives; `gio recipes` lists
    them."""
    model: OptionalText = None
    """Model p(F | s, a): a name in `gio_pyro.models`, package.module:Name or file.py:Name; one that fits the spaces by
    default."""
    guide: OptionalText = None
    """Guide q(a | s, F), which selects the method: a name in `gio_pyro.guides`, or a program of your own; one that fits
    the spaces by default."""
    future: OptionalText = None
    """Future F to be controlled: NextState (the default), "StateAfter(3)", "Return(50, 0.99)" or another of
    `gio_pyro.futures`, or one of your own."""


@dataclass(frozen=True)
class NetworkOptions:
    """Policy and critic."""


@dataclass(frozen=True)
class CollectionOptions:
    """The environment, how data are collected from it, and how often the agent learns from them."""

    envs: OptionalInt = None
    """Number of environments stepped together; 1 by default."""
    env_arg: EnvironmentArguments = ()
    wrapper: Repeated = ()
    """Wrapper put around the environment, package.module:Name; may be given several times, the innermost first."""


@dataclass(frozen=True)
class WorldOptions:
    """An environment that is seen in part: states are the beliefs of a filter."""

    world_model: OptionalText = None
    """World model p(z, x, r | belief, a): a name in `gio_pyro.models`, such as RecurrentStateSpace, or a program of
    your own."""
    filter: OptionalText = None
    """Filter q(z | belief, a, x, r): a name in `gio_pyro.guides`, or a program of your own; by default the one that the
    world model names."""


@dataclass(frozen=True)
class SignalOptions:
    """Another intrinsic reward."""


@dataclass(frozen=True)
class ExplorerOptions:
    """A second policy that only collects data."""


@dataclass(frozen=True)
class PlannerOptions:
    """Acting by plans in the model."""


@dataclass(frozen=True)
class DreamOptions:
    """Learning from rollouts in the model."""


@dataclass(frozen=True)
class RunOptions:
    """Length, output and hardware."""

    steps: OptionalInt = None
    """Environment steps to take: 40,000 with tables and 4,000 with networks by default. With --resume: further steps,
    by default those that are left."""
    out: OptionalPath = None
    """Run folder, which must not exist; runs/ENV-001, -002, ... by default."""
    resume: OptionalPath = None
    """Run folder to continue, with its own settings. Name again what is not part of the library: environments that a
    module registers, wrappers, and your own programs, futures, signals, explorers, planners, objectives and
    optimisers."""
    device: str = "auto"
    """Where tables, networks and replay are kept: cpu, cuda or auto."""
    checkpoint_every: OptionalInt = None
    """Smallest number of environment steps between checkpoints, 5,000 by default. One is written with the next report,
    and at the end, also after Ctrl-C, SIGTERM or SIGHUP."""
    quiet: bool = False
    """Print no progress: neither the bar nor, where standard error is not a terminal, a line per report."""


@dataclass(frozen=True)
class SweepOptions:
    """Which runs there are, and where they take place."""

    seeds: OptionalText = None
    """Seeds of the runs, such as 0-9 or 0,3,10-14; 0-4 by default."""
    set: Repeated = ()
    """Values of one flag of gio train, each of which gets runs of its own: --set "temperature=0.1,0.2". May be given
    several times, which gives every combination. Commas in brackets or quotes belong to a value."""
    search: OptionalInt = None
    """Number of combinations to try that Optuna chooses, for the highest mean return over the seeds, instead of all of
    --set, whose values may be ranges here: "temperature=0.01..1:log", "batch_size=64..512". Needs gio-pyro[scale]."""
    jobs: OptionalInt = None
    """Runs at once on this machine; one for each processor by default."""
    on: OptionalText = None
    """Where the runs take place: in processes of this machine by default; ray (a Ray cluster on this machine), auto or
    ray://HOST:PORT (another Ray cluster), or slurm, perhaps with options of its jobs: "slurm:partition=NAME,time=60".
    Needs gio-pyro[scale] and a file system that all machines share."""
    out: OptionalPath = None
    """Folder of the sweep; sweeps/ENV-001, -002, ... by default. In the folder of a sweep, runs that it lacks are
    added."""
    resume: OptionalPath = None
    """Folder of a sweep to continue: runs that are not complete, with their own settings."""
    steps: OptionalInt = None
    """Environment steps of each run, as of gio train."""
    device: str = "auto"
    """Device of each run, as of gio train."""
    checkpoint_every: OptionalInt = None
    """Smallest number of environment steps between checkpoints, 5,000 by default."""
    quiet: bool = False
    """Show no progress."""


TRAINING = {
    "Agent": AgentOptions,
    "Networks": NetworkOptions,
    "Collection": CollectionOptions,
    "World model": WorldOptions,
    "Signal": SignalOptions,
    "Explorer": ExplorerOptions,
    "Planner": PlannerOptions,
    "Dreams": DreamOptions,
    "Run": RunOptions,
}
"""Groups of `gio train`, beside the settings of the same group in `gio_pyro.settings.GROUPS`."""


@dataclass(frozen=True)
class OwnParts:
    """Needed only for a run whose environment or programs are not part of the library."""

    env: OptionalText = None
    """Environment of the run, if Gymnasium does not know it by itself: its id, or module:id."""
    wrapper: Repeated = ()
    """Wrapper of the run; may be given several times, the innermost first."""
    model: OptionalText = None
    """Model of the run: package.module:Name or file.py:Name."""
    guide: OptionalText = None
    """Guide of the run, likewise."""
    world_model: OptionalText = None
    """World model of the run, likewise."""
    filter: OptionalText = None
    """Filter of the run, likewise."""
    future: OptionalText = None
    """Future of the run, likewise."""
    signal: OptionalText = None
    """Signal of the run, likewise."""
    explorer: OptionalText = None
    """Explorer of the run, likewise."""
    planner: OptionalText = None
    """Planner of the run, likewise."""
    objective: OptionalText = None
    """Objective of the run, likewise."""
    optim: OptionalText = None
    """Optimiser of the run, likewise."""


@dataclass(frozen=True)
class OtherEnvironment:
    """To play in another environment with the same spaces, or in the run's own with other arguments."""

    environment: OptionalText = None
    """Id of the environment, or module:id; that of the run by default. The wrappers of the run are put around it."""
    env_arg: EnvironmentArguments = ()
