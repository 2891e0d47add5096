"""The optimizers of a recipe by family; `search_spaces.recipe.optimizers` gathers them."""
