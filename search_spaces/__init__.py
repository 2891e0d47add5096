"""What can be tried: recipes, distributions over their fields, and the files that name them.

`Constant` here is the distribution; the schedules are in `search_spaces.schedules`.
"""

from search_spaces.ablation import MATCHED, RETUNED, TUNING, AblationSpec, Arm, Metrics, Retune, tuning_ranges
from search_spaces.ablation_loader import Overrides, load_ablation, parse_ablation
from search_spaces.alternatives import Alternative
from search_spaces.arrangements import Arrangement, Contrast
from search_spaces.constraints import Constraint
from search_spaces.distributions import (
    Choice,
    Constant,
    Distribution,
    FiniteDistribution,
    LogUniform,
    Normal,
    QUniform,
    RandInt,
    Scalar,
    Uniform,
    Value,
)
from search_spaces.dump import diff_specs, dump_ablation, dump_space
from search_spaces.errors import (
    CheckpointError,
    LeaseLostError,
    Problem,
    RunError,
    SpecError,
    SweepError,
    SweepsError,
    UsageError,
)
from search_spaces.loader import load_space, parse_space
from search_spaces.optimizers import SGD, Adam, AdamW, Optimizer
from search_spaces.parameters import Parameter, Parameters
from search_spaces.points import grid_point, grid_points, random_point, sobol_point
from search_spaces.problems import suggest
from search_spaces.recipe import Budget, Recipe, Regularization
from search_spaces.resolve import flatten, lookup, recipe_hash, resolve, unknown_field
from search_spaces.schedules import Schedule
from search_spaces.seeds import derive_seed
from search_spaces.sources import shipped_spaces
from search_spaces.spec import Asha, EarlyStopping, Metric, NoStopping, Resources, Sampler, SpaceSpec

__all__ = [
    "MATCHED",
    "RETUNED",
    "SGD",
    "TUNING",
    "AblationSpec",
    "Adam",
    "AdamW",
    "Alternative",
    "Arm",
    "Arrangement",
    "Asha",
    "Budget",
    "CheckpointError",
    "Choice",
    "Constant",
    "Constraint",
    "Contrast",
    "Distribution",
    "EarlyStopping",
    "FiniteDistribution",
    "LeaseLostError",
    "LogUniform",
    "Metric",
    "Metrics",
    "NoStopping",
    "Normal",
    "Optimizer",
    "Overrides",
    "Parameter",
    "Parameters",
    "Problem",
    "QUniform",
    "RandInt",
    "Recipe",
    "Regularization",
    "Resources",
    "Retune",
    "RunError",
    "Sampler",
    "Scalar",
    "Schedule",
    "SpaceSpec",
    "SpecError",
    "SweepError",
    "SweepsError",
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
