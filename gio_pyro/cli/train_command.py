"""The signature of `gio train`, on which `gio sweep` builds."""

from typing import Annotated

import tyro
from tyro.conf import Positional

from gio_pyro.cli.flag_types import OptionalText
from gio_pyro.cli.option_groups import group
from gio_pyro.cli.options import (
    AgentOptions,
    CollectionOptions,
    DreamOptions,
    ExplorerOptions,
    NetworkOptions,
    PlannerOptions,
    RunOptions,
    SignalOptions,
    WorldOptions,
)


def train(
    env: Positional[Annotated[OptionalText, tyro.conf.arg(metavar="ENV", help_behavior_hint="")]] = None,
    *,
    agent: Annotated[AgentOptions, *group("Agent")],
    networks: Annotated[NetworkOptions, *group("Networks")],
    collection: Annotated[CollectionOptions, *group("Collection")],
    worlds: Annotated[WorldOptions, *group("World model")],
    signals: Annotated[SignalOptions, *group("Signal")],
    explorers: Annotated[ExplorerOptions, *group("Explorer")],
    planners: Annotated[PlannerOptions, *group("Planner")],
    dreams: Annotated[DreamOptions, *group("Dreams")],
    run: Annotated[RunOptions, *group("Run")],
) -> int:
    """Train an agent and write a run folder. Without arguments: Pendulum-v1, in about 3 minutes.

    Some defaults differ by kind of agent: tables where observations and actions are finite, networks over finitely many
    actions, and networks over continuous actions.

    Args:
        env: Gymnasium environment id, or module:id where a module registers it; Pendulum-v1 by default.
    """
    from gio_pyro.cli import run_commands

    return run_commands.train(
        env,
        agent=agent,
        networks=networks,
        collection=collection,
        worlds=worlds,
        signals=signals,
        explorers=explorers,
        planners=planners,
        dreams=dreams,
        run=run,
    )
