"""An agent as text for people: what it was made of, and how far it got."""

from dataclasses import asdict
from textwrap import indent
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Box

from gio_pyro.checkpointing.trained_agent import TrainedAgent
from gio_pyro.collection.make import single_spaces
from gio_pyro.futures import written
from gio_pyro.settings import Settings, defaults
from gio_pyro.utils.text import table

LONGEST = 100
"""Characters of a space."""
ALWAYS = ("temperature", "discount", "seed")
"""Settings that are shown even where they are the defaults."""


def summary(agent: TrainedAgent) -> str:
    """Return environment, spaces, programs, steps, and the settings that are not the defaults, a line for each."""
    states, actions = single_spaces(agent.env)
    count = agent.collector.environments.count
    rows = [
        ("environment", agent.env.spec.id if agent.env.spec else type(agent.env).__name__),
        ("observations", _short(states)),
        ("actions", _short(actions)),
        ("model", agent.model.name),
        ("guide", agent.guide.name),
        *((kind.replace("_", " "), name) for kind, name in agent.beliefs.names.items()),
        ("future", written(agent.future) or type(agent.future).__name__),
        ("steps", f"{agent.steps:,}" + (f" in {count} environments" if count > 1 else "")),
        ("settings", _settings(agent)),
        ("device", str(agent.device)),
    ]
    return f"GIO(\n{indent(table(rows), '  ')}\n)"


def _settings(agent: TrainedAgent) -> str:
    usual = asdict(Settings(**defaults(agent.spec.state_space, agent.spec.action_space)))
    given = asdict(agent.settings)
    names = [*ALWAYS, *(name for name in given if name not in ALWAYS and given[name] != usual[name])]
    return ", ".join(f"{name}={given[name]!r}" for name in names)


def _short(space: Space[Any]) -> str:
    """Return a space without the bounds of a Box."""
    text = f"Box{space.shape}" if isinstance(space, Box) else str(space)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
