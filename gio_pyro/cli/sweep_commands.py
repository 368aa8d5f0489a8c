"""The signatures of `gio sweep` and `gio report`, which need no torch of their own."""

from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from gio_pyro.cli.flag_types import PATH, OptionalPath, OptionalText, Repeated
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

Folders = Annotated[
    tuple[Annotated[Path, PATH], ...], tyro.conf.arg(metavar="FOLDER [FOLDER ...]", help_behavior_hint="")
]
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
    killed goes on with --resume; the same command with more --steps lets its runs go on to that many. Several recipes
    may be given with commas: --recipe gio,soft. Exit status 0: all runs are complete, 1: some failed, which are rows of
    runs.csv.

    Args:
        env: Gymnasium environment ids, or module:id where a module registers one.
    """
    from gio_pyro.cli.sweeping import run_sweep

    return run_sweep(env, sweep, (agent, networks, collection, worlds, signals, explorers, planners, dreams))


def report(
    folder: Positional[Folders] = (),
    by: Repeated = (),
    against: OptionalText = None,
    scale: Repeated = (),
    out: OptionalPath = None,
) -> int:
    """Compare the returns of runs: interquartile means, performance profiles and probabilities of improvement.

    Intervals are stratified bootstrap intervals of 95 % (Agarwal et al., 2021): runs are resampled within each
    environment. Prints tables and writes them as CSV, with figures and the page report.html.

    Args:
        folder: Run folders, folders that contain some, such as those of gio sweep, or CSV files with the columns
            environment, method, seed and return, for instance of another library.
        by: Setting that distinguishes methods, may be given several times; those that differ by default.
        against: Method that the others are compared with; the one with the highest mean by default.
        scale: ENV=LOW:HIGH, the returns of an environment that count as 0 and as 1; where each environment has one,
            all are compared together, too. May be given several times.
        out: Folder of the report; the folder report inside FOLDER by default. Files of an earlier report are replaced.
    """
    from gio_pyro.cli.report import report as print_report

    return print_report(folder, by, against, scale, out)
