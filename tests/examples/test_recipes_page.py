"""docs/recipes.md is what the recipes and the rows that are kept say.

Cost: under a second.
"""

from .scripts import script

recipes = script("recipes")


def test_the_page_is_that_of_the_recipes_and_the_rows():
    kept = recipes.Kept(recipes.RESULTS, recipes.KEYS)
    assert recipes.PAGE.read_text("utf-8") == recipes.page(kept)
    assert {row["recipe"] for row in kept.rows.values()} == set(recipes.RECIPES)
    assert recipes.PICTURE.exists()
