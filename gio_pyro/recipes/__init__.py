"""Published systems as tables of settings: `gio.GIO(env, recipe="plan2explore")`, `gio recipes`.

Nothing here is code of a method: a recipe names parts that exist, and whatever is set beside it takes its place.
"""

from gio_pyro.recipes.names import RECIPES, recipe_named, with_recipe
from gio_pyro.recipes.recipe import SHARED_WORLD, Recipe

__all__ = ["RECIPES", "SHARED_WORLD", "Recipe", "recipe_named", "with_recipe"]
