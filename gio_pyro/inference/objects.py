"""Objectives and optimisers among settings: settings hold their text, an agent the objects themselves."""

from collections.abc import Mapping
from typing import Any

from gio_pyro.inference.names import objective_text
from gio_pyro.inference.optimisers import optim_text

TEXTS = {"objective": objective_text, "optim": optim_text}


def separated(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings with objectives and optimisers as text, and those that were given as objects.

    An object whose text makes the same one again, such as `Trace_ELBO()`, is not kept: no two agents share it.
    """
    written, objects = dict(settings), {}
    for name, text in TEXTS.items():
        given = settings.get(name)
        if given is None or isinstance(given, str):
            continue
        written[name] = text(given)
        if ":" in written[name]:
            objects[name] = given
    return written, objects
