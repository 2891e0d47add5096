"""The lint rules about the searched fields, and about the arms of an ablation."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from search_spaces.lint.context import Context
from search_spaces.lint.rules import LintCode, LintFinding
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Distribution, canonical
from search_spaces.values import show

_BATCH_RATIO = 4.0  # it changes the best learning rate by a factor of 2 (square root) to 4 (linear)
_RATE_RATIO = 3.0  # optimizers whose typical rates differ by more need separate ranges

# Hyperparameters whose best values depend on each other, with the fields that set them.
_COUPLED: Mapping[str, frozenset[str]] = {
    "learning rate": frozenset({"optimizer.lr"}),
    "weight decay": frozenset({"optimizer.weight_decay"}),
    "warmup": frozenset({"schedule.warmup", "schedule.warmup_steps", "schedule.rise"}),
    "batch size": frozenset({"budget.batch_size", "budget.accumulation"}),
}

SearchRule = Callable[[Recipe, Sequence[Recipe], Context], Iterator[LintFinding]]


def _batch_without_rate(recipe: Recipe, draws: Sequence[Recipe], context: Context) -> Iterator[LintFinding]:
    if context.varied & {"optimizer.lr", "budget.lr_scaling"} or recipe.budget.lr_scaling != "none":
        return
    batches = [one.budget.batch_size * one.budget.accumulation for one in (recipe, *draws)]
    if max(batches) >= _BATCH_RATIO * min(batches):
        found = f"batches of {min(batches)} to {max(batches)} share the learning rate {recipe.optimizer.lr:.3g}"
        base = recipe.budget.batch_size * recipe.budget.accumulation
        scaling = recipe.optimizer.LR_SCALING
        fix = f"also search optimizer.lr, or write budget: {{lr_scaling: {scaling}, base_batch_size: {base}}}"
        yield LintFinding(LintCode.BATCH_WITHOUT_RATE, "budget.lr_scaling", found, fix)


def _tuned_alone(recipe: Recipe, draws: Sequence[Recipe], context: Context) -> Iterator[LintFinding]:
    searched = {name: sorted(fields & context.varied) for name, fields in _COUPLED.items() if fields & context.varied}
    if len(searched) != 1:
        return
    [(name, fields)] = searched.items()
    if name == "batch size" and recipe.budget.lr_scaling != "none":  # the learning rate follows the batch size
        return
    others = [f"optimizer.{field}" for field in ("lr", "weight_decay") if field in type(recipe.optimizer).model_fields]
    others += ["schedule.warmup"] if "warmup" in type(recipe.schedule).model_fields else []
    left = [field for field in others if field not in fields]
    fix = f"also search {', '.join(left or ['budget.batch_size'])}"
    found = f"only the {name} is searched, but its best value depends on the others"
    yield LintFinding(LintCode.TUNED_ALONE, fields[0], found, fix)


SEARCH_RULES: tuple[SearchRule, ...] = (_batch_without_rate, _tuned_alone)


def shared_ranges(
    recipes: Mapping[str, Recipe], ranges: Mapping[str, Mapping[str, Distribution]]
) -> Iterator[LintFinding]:
    """Find different optimizers that are compared over the same range of learning rates, or at the same rate.

    Args:
        recipes: Recipe of each arm.
        ranges: Distributions of each arm's tuned fields; an arm that is not tuned has none.
    """
    groups: dict[str, dict[str, Recipe]] = {}
    for arm, recipe in recipes.items():
        groups.setdefault(_rate_text(recipe, ranges.get(arm, {})), {})[arm] = recipe
    for text, arms in groups.items():
        centres = {arm: _centre(recipe) for arm, recipe in arms.items()}
        if max(centres.values()) > _RATE_RATIO * min(centres.values()):
            names = ", ".join(f"{arm} ({recipe.optimizer.kind})" for arm, recipe in arms.items())
            typical = {recipe.optimizer.kind: recipe.optimizer.typical_rates() for recipe in arms.values()}
            own = ", ".join(f"{kind} {rates.low:.3g} to {rates.high:.3g}" for kind, rates in typical.items())
            found = f"{names} share {text}"
            yield LintFinding(LintCode.SHARED_RANGE, "optimizer.lr", found, f"give each arm its own range: {own}")


def _rate_text(recipe: Recipe, ranges: Mapping[str, Distribution]) -> str:
    return spelled(ranges["optimizer.lr"]) if "optimizer.lr" in ranges else f"the rate {recipe.optimizer.lr:.3g}"


def spelled(distribution: Distribution) -> str:
    """Return a distribution as it is written in a space file."""
    [(name, arguments), *_] = canonical(distribution).items()
    return f"{name}: {show(arguments)}"


def _centre(recipe: Recipe) -> float:
    typical = recipe.optimizer.typical_rates()
    return math.sqrt(typical.low * typical.high)
