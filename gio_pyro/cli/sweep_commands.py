"""The signatures of `gio sweep` and `gio report`, which need no torch of their own."""

from typing import Annotated

import tyro
from tyro.conf import Positional

from gio_pyro.cli.option_groups import group, shared
from gio_pyro.cli.options import (
    AgentOptions,
    CollectionOptions,
    DreamOptions,
    ExplorerOptions,
    NetworkOptions,
    PlannerOptions,
    SignalOptions,
    SweepOptions,
    WorldOptions,
)

Environments = Annotated[tuple[str, ...], tyro.conf.arg(metavar="ENV [ENV ...]", help_behavior_hint="")]


def sweep(
    env: Positional[Environments] = (),
    *,
    sweep: Annotated[SweepOptions, *shared("Sweep", SweepOptions)],
    agent: Annotated[AgentOptions, *group("Agent")],
    networks: Annotated[NetworkOptions, *group("Networks")],
    collection: Annotated[CollectionOptions, *group("Collection")],
    worlds: Annotated[WorldOptions, *group("World model")],
    signals: Annotated[SignalOptions, *group("Signal")],
    explorers: Annotated[ExplorerOptions, *group("Explorer")],
    planners: Annotated[PlannerOptions, *group("Planner")],
    dreams: Annotated[DreamOptions, *group("Dreams")],
) -> int:
    """Train with several seeds and settings, each run in a folder of its own, and compare the returns.

    Every run is what `gio train` with the same settings and seed would make, bit for bit. A sweep that was stopped or
    killed goes on with --resume. Several recipes may be given with commas: --recipe gio,soft. Exit status 0: all runs
    are complete, 1: some failed, which are rows of runs.csv.

    Args:
        env: Gymnasium environment ids, or module:id where a module registers one.
    """
    from gio_pyro.cli.sweeping import run_sweep

    return run_sweep(env, sweep, (agent, networks, collection, worlds, signals, explorers, planners, dreams))
