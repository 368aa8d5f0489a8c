"""Recipes by their names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gio_pyro.errors import InputError, shown, unknown
from gio_pyro.recipes.control import CONTROL
from gio_pyro.recipes.curiosity import CURIOSITY
from gio_pyro.recipes.goals import GOALS
from gio_pyro.recipes.recipe import Recipe

RECIPES: Mapping[str, Recipe] = MappingProxyType({recipe.name: recipe for recipe in (*CONTROL, *CURIOSITY, *GOALS)})
"""All recipes by name."""


def recipe_named(name: str) -> Recipe:
    """Return a recipe by its name, in any spelling of it: plan2explore, Plan2Explore, episodic-curiosity.

    Raises:
        InputError: an unknown name.
    """
    if not isinstance(name, str):
        raise InputError(f"Expected the name of a recipe, but got {shown(name)}; see gio recipes.")
    found = {_plain(known): recipe for known, recipe in RECIPES.items()}.get(_plain(name))
    if found is None:
        raise InputError(unknown("a recipe", name, RECIPES, advice="see gio recipes"))
    return found


def with_recipe(name: str, given: Mapping[str, Any], *, finite: bool) -> dict[str, Any]:
    """Return the arguments of `gio.GIO`, those of a recipe where the user gave none (or None).

    Args:
        name: of the recipe.
        given: programs, future and settings of the user, under their own names.
        finite: whether observations and actions are finite.

    Raises:
        InputError: an unknown recipe.
    """
    return recipe_named(name).arguments(finite=finite) | {k: v for k, v in given.items() if v is not None}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
