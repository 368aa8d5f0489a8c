"""`gio recipes`: the table of recipes, and one of them on a page."""

from collections.abc import Mapping
from typing import Any

from gio_pyro.cli.option_groups import flag
from gio_pyro.recipes import RECIPES, Recipe, recipe_named
from gio_pyro.utils.text import table

ABOUT = "A further flag takes the place of a recipe's own. gio recipes NAME describes one."


def recipes_table() -> str:
    """Return a line for each recipe, its name and its command."""
    return "\n".join([table([(recipe.title, recipe.command) for recipe in RECIPES.values()]), "", ABOUT])


def recipe_page(name: str) -> str:
    """Return what one recipe is, and the flags that it stands for.

    Raises:
        InputError: an unknown name.
    """
    recipe = recipe_named(name)
    rows = [
        ("recipe", recipe.name),
        ("system", recipe.title),
        ("paper", recipe.paper),
        ("as published", recipe.same),
        ("left out", recipe.left_out),
        ("needs", recipe.needs or "any environment"),
        *_settings(recipe),
        ("command", recipe.command),
    ]
    return table(rows)


def _settings(recipe: Recipe) -> list[tuple[str, str]]:
    """Return the flags for networks and for tables, in one row where they are the same."""
    networks, tables = (flags(recipe.arguments(finite=finite)) for finite in (False, True))
    if networks == tables:
        return [("settings", networks)]
    return [("settings", networks), ("in finite worlds", tables)]


def flags(arguments: Mapping[str, Any]) -> str:
    """Return arguments of `gio.GIO` as flags of `gio train`."""
    each = [flag(name) if value is True else f"{flag(name)} {_quoted(value)}" for name, value in arguments.items()]
    return " ".join(each) or "the defaults"


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text}"' if set(text) & set("(' ") else text
