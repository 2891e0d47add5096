"""The metrics that a training reports for a recipe, known before it starts. A training loop reports its own."""

from itertools import product

from search_spaces import metric_names
from search_spaces.errors import suggest
from search_spaces.metric_names import RAW, SCORES, TEMPERATURE, metric_name, with_temperature
from search_spaces.recipe.averaging import SWA, NoAverage
from search_spaces.recipe.recipe import Recipe


def epoch_metrics(recipe: Recipe) -> tuple[str, ...]:
    """Return the metrics on `val` that every epoch reports."""
    if recipe.budget.reports == 1:
        return tuple(name for name in final_metrics(recipe) if name.startswith("val/"))
    averaging = recipe.averaging
    # The mean of the last epochs does not exist before them.
    late = isinstance(averaging, SWA) and averaging.first(recipe.budget.reports) > 0
    weights = [RAW] if late else _trained_weights(recipe)
    return tuple(metric_name("val", score, one) for one, score in product(weights, SCORES))


def final_metrics(recipe: Recipe) -> tuple[str, ...]:
    """Return the metrics on `val` and `test` that the last epoch reports."""
    trained = _trained_weights(recipe)
    weights = [
        *trained,
        *map(with_temperature, trained),
        *map(metric_names.pruned, recipe.signals.pruning),
        *map(metric_names.fgsm, recipe.signals.fgsm),
    ]
    scores = [metric_name(split, score, one) for split, one, score in product(("val", "test"), weights, SCORES)]
    return (*scores, *(metric_name("val", TEMPERATURE, one) for one in trained))


def unreported(name: str, reported: tuple[str, ...], when: str = "in every epoch") -> str | None:
    """Return an error message if a metric is not among those that are reported, else None."""
    if name in reported:
        return None
    return f"the task does not report {name} {when}; {suggest(name, reported)}"


def _trained_weights(recipe: Recipe) -> list[str]:
    averaging = recipe.averaging
    return [RAW] if isinstance(averaging, NoAverage) else [RAW, averaging.kind]
