"""The optimizers of a recipe by family; `search_spaces.optimizers` gathers them."""
