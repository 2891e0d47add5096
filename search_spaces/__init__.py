"""Recipes, distributions over their fields, and the files that define spaces and ablations.

`Constant` is the distribution; the schedule of that name is in `search_spaces.recipe.schedules`.
"""

from search_spaces.errors import (
    CheckpointError,
    LeaseLostError,
    Problem,
    SpecError,
    SweepError,
    UsageError,
    suggest,
)
from search_spaces.files.ablation_loader import Overrides, load_ablation, parse_ablation
from search_spaces.files.ablation_tasks import load_ablations
from search_spaces.files.dump import diff_specs, dump_ablation, dump_space
from search_spaces.files.lookup import shipped_spaces
from search_spaces.files.space_loader import load_space, parse_space
from search_spaces.recipe.fields import flatten, lookup, resolve, unknown_field
from search_spaces.recipe.hash import recipe_hash
from search_spaces.recipe.optimizers import SGD, AdamW, Optimizer
from search_spaces.recipe.recipe import Budget, Recipe, Regularization
from search_spaces.search.distributions import (
    Choice,
    Constant,
    Distribution,
    FiniteDistribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Uniform,
    Value,
)
from search_spaces.search.sequences import grid_point, grid_points, random_point, sobol_point
from search_spaces.seeds import derive_seed
from search_spaces.specs.ablation import MATCHED, RETUNED, TUNING, AblationSpec, tuning_ranges
from search_spaces.specs.ablation_parts import Arm, Metrics
from search_spaces.specs.factorial import Contrast
from search_spaces.specs.resources import Resources
from search_spaces.specs.space import SpaceSpec
from search_spaces.specs.space_parts import Asha, Metric, NoStopping, Sampler

__all__ = [
    "MATCHED",
    "RETUNED",
    "SGD",
    "TUNING",
    "AblationSpec",
    "AdamW",
    "Arm",
    "Asha",
    "Budget",
    "CheckpointError",
    "Choice",
    "Constant",
    "Contrast",
    "Distribution",
    "FiniteDistribution",
    "LeaseLostError",
    "LogUniform",
    "Metric",
    "Metrics",
    "NoStopping",
    "Normal",
    "Optimizer",
    "Overrides",
    "Problem",
    "QUniform",
    "RandInt",
    "Recipe",
    "Regularization",
    "Resources",
    "Sampler",
    "SpaceSpec",
    "SpecError",
    "SweepError",
    "Uniform",
    "UsageError",
    "Value",
    "derive_seed",
    "diff_specs",
    "dump_ablation",
    "dump_space",
    "flatten",
    "grid_point",
    "grid_points",
    "load_ablation",
    "load_ablations",
    "load_space",
    "lookup",
    "parse_ablation",
    "parse_space",
    "random_point",
    "recipe_hash",
    "resolve",
    "shipped_spaces",
    "sobol_point",
    "suggest",
    "tuning_ranges",
    "unknown_field",
]
