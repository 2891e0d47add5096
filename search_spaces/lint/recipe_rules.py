"""The lint rules about one recipe. A rule yields nothing where the context it needs is unknown."""

from collections.abc import Callable, Iterator

from search_spaces.lint.context import Context
from search_spaces.lint.rules import LintCode, LintFinding
from search_spaces.recipe.optimizers import SGD, Adam, AdamL2, Optimizer
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.schedules import Cyclical, OneCycle, Schedule
from search_spaces.recipe.typical_rates import SMALL_BATCH, rates

_FAR = 10.0 * (1 + 1e-9)  # data and width explain a factor of 10 outside the typical range; 1e-5 / 10 is not 1e-6
_LOWEST_CLIP = 0.5
_STRONG_DECAY, _STRONG_DROPOUT = 0.1, 0.3
_SEVERAL = 3  # two are common: decay of 0.1 with dropout in a small network, smoothing with mixup in a large one
_SMALLEST_NORM_BATCH = 16
_HIGHEST_FINE_TUNE_RATE = 5e-5  # for the Adam family in a pretrained transformer

RecipeRule = Callable[[Recipe, Context], Iterator[LintFinding]]


def _adam_with_decay(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in recipe.optimizers.items():
        if isinstance(optimizer, AdamL2) and optimizer.weight_decay > 0 and optimizer.decay != "none":
            found = f"weight_decay {optimizer.weight_decay:.3g} is added to Adam's gradient"
            fix = f"write {section}.kind: adamw, whose decay is decoupled"
            yield LintFinding(LintCode.ADAM_WITH_DECAY, f"{section}.weight_decay", found, fix)


def _rate_out_of_range(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    batch = recipe.budget.batch_size * recipe.budget.accumulation
    gentle = context.pretrained is not False or batch <= SMALL_BATCH
    for rate in rates(recipe):
        low, high = rate.typical.gentle if gentle else rate.typical.low, rate.typical.high
        if not low / _FAR <= rate.value <= high * _FAR:
            found = f"{rate.kind} at {rate.value:.3g}, typical rates are {low:.3g} to {high:.3g}"
            fix = f"write or search rates from {low:.3g} to {high:.3g}"
            yield LintFinding(LintCode.RATE_OUT_OF_RANGE, rate.field, found, fix, rate.typical.source)


def _adam_for_transformer(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    # Low-rank adapters need little weight decay or none.
    if context.family != "transformer" or recipe.model.lora_rank is not None:
        return
    for section, optimizer in recipe.optimizers.items():
        if isinstance(optimizer, Adam):
            fix = f"write {section}: {{kind: adamw, weight_decay: 0.1}}, or 0.01 for a fine-tune"
            yield LintFinding(LintCode.ADAM_FOR_TRANSFORMER, f"{section}.kind", "adam, which has no weight decay", fix)


def _no_nesterov(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in recipe.optimizers.items():
        if isinstance(optimizer, SGD) and optimizer.momentum > 0 and not optimizer.nesterov:
            found = f"momentum {optimizer.momentum:.3g} without Nesterov's look-ahead"
            yield LintFinding(LintCode.NO_NESTEROV, f"{section}.nesterov", found, f"write {section}.nesterov: true")


def _warms_up(schedule: Schedule) -> bool:
    if isinstance(schedule, OneCycle | Cyclical):  # they start with a rise
        return True
    return schedule.warmup > 0 or bool(schedule.warmup_steps)


def _no_warmup(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    if context.family != "transformer" or recipe.optimizer.BUILT_IN_WARMUP or _warms_up(recipe.schedule):
        return
    share = "0.1" if context.pretrained else "0.05"
    found = f"a transformer starts at the peak of its {recipe.schedule.kind} schedule"
    yield LintFinding(LintCode.NO_WARMUP, "schedule.warmup", found, f"write schedule.warmup: {share}")


def _no_clipping(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    clip = recipe.regularization
    if context.family not in ("transformer", "rnn") or recipe.optimizer.BOUNDED_STEP:
        return
    if clip.clip_norm is None and clip.clip_value is None:
        model = "a transformer" if context.family == "transformer" else "a recurrent network"
        found = f"null: exploding gradients of {model} are not clipped"
        yield LintFinding(
            LintCode.NO_CLIPPING, "regularization.clip_norm", found, "write regularization.clip_norm: 1.0"
        )


def _clip_too_low(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    norm = recipe.regularization.clip_norm
    if norm is not None and norm < _LOWEST_CLIP:
        found = f"{norm:.3g}: most steps of a stable run would be clipped, so it acts like a learning rate"
        fix = "write regularization.clip_norm: 1.0, and lower the learning rate if necessary"
        yield LintFinding(LintCode.CLIP_TOO_LOW, "regularization.clip_norm", found, fix)


def _decay_everywhere(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in recipe.optimizers.items():
        strength = _decay(optimizer)
        if strength > 0 and getattr(optimizer, "decay", "none") == "all":
            found = f"all: weight_decay {strength:.3g} also shrinks biases and norm scales towards 0"
            yield LintFinding(LintCode.DECAY_EVERYWHERE, f"{section}.decay", found, f"write {section}.decay: matrices")


def _decay(optimizer: Optimizer) -> float:
    """Return the weight decay, or 0 for a kind without one."""
    return float(getattr(optimizer, "weight_decay", 0.0))


def _one_rate(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    groups = recipe.groups
    # A search can find a rate that suits both. With a frozen backbone or adapters, only new weights are trained.
    searched = context.varied & {"optimizer.lr", "groups.head_lr_scale", "groups.layer_decay"}
    if not context.new_head or groups.frozen or recipe.model.lora_rank is not None or searched:
        return
    if groups.head_lr_scale == 1 and groups.layer_decay == 1:
        found = f"1.0: the new head and the pretrained layers both train at a rate of {recipe.optimizer.lr:.3g}"
        fix = "write groups.head_lr_scale: 10.0 (up to 100), or search optimizer.lr"
        yield LintFinding(LintCode.ONE_RATE, "groups.head_lr_scale", found, fix)


def _scratch_rate(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    # Small pretrained networks such as that of mnist1d_transfer take the same rates as other small networks. Layers
    # that are frozen, adapted, or trained at a reduced rate are protected from a large rate.
    safe = recipe.model.lora_rank is not None or recipe.groups.frozen or recipe.groups.layer_decay < 1
    if context.family != "transformer" or not context.pretrained or safe:
        return
    optimizer = recipe.optimizer
    # The highest rate of AdamW is converted to other optimizers by the ratio of their typical ranges.
    low = optimizer.typical_rates().gentle
    most = _HIGHEST_FINE_TUNE_RATE * low / 1e-5
    if optimizer.lr > most * _FAR:
        found = f"{optimizer.kind} at {optimizer.lr:.3g} destroys what a pretrained transformer has learned"
        fix = f"write or search rates from {low:.3g} to {most:.3g}; {most * _FAR:.3g} at most for a small network"
        yield LintFinding(LintCode.SCRATCH_RATE, "optimizer.lr", found, fix)


def _strong_regularizers(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    part, decay = recipe.regularization, _decay(recipe.optimizer)
    strong = {
        f"weight decay {decay:.3g}": decay >= _STRONG_DECAY,
        f"dropout {part.dropout:.3g}": part.dropout >= _STRONG_DROPOUT,
        f"label smoothing {part.label_smoothing:.3g}": part.label_smoothing > 0,
        f"mixup {part.mixup:.3g}, cutmix {part.cutmix:.3g}": part.mixup > 0 or part.cutmix > 0,  # each batch gets one
    }
    found = [words for words, is_strong in strong.items() if is_strong]
    if len(found) >= _SEVERAL:
        fix = "keep one and weaken the others, until a learning curve shows which is needed"
        yield LintFinding(LintCode.STRONG_REGULARIZERS, "regularization", f"{', '.join(found)} at once", fix)


def _small_batch_norm(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    size = recipe.budget.batch_size  # accumulation does not help: each micro-batch has its own statistics
    if recipe.model.norm == "batch" and size < _SMALLEST_NORM_BATCH:
        found = f"batch: the mean and variance of only {size} examples are too noisy"
        norm = "layer" if context.family == "mlp" else "group"
        fix = f"write model.norm: {norm}, or budget.batch_size: {_SMALLEST_NORM_BATCH} or more"
        yield LintFinding(LintCode.SMALL_BATCH_NORM, "model.norm", found, fix)


def _dropout_batch_norm(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    dropout = recipe.regularization.dropout
    # The built-in CNNs apply dropout after their last BatchNorm, where it cannot shift any statistics.
    if recipe.model.norm == "batch" and dropout > 0 and context.family != "cnn":
        found = f"{dropout:.3g} with model.norm: batch, whose training statistics do not fit evaluation without dropout"
        fix = "write regularization.dropout: 0.0, or another model.norm"
        yield LintFinding(LintCode.DROPOUT_BATCH_NORM, "regularization.dropout", found, fix)


def _betas_moved(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for field, value, default in _moved(recipe, context, ("betas", "adamw_betas")):
        # A shorter memory of the second moment is common for transformers, and an unknown model may be one.
        short = field.endswith(".1") and isinstance(value, float) and 0.95 <= value <= 0.98
        if not (short and context.family in ("transformer", None)):
            yield _changed(LintCode.BETAS_MOVED, field, value, default)


def _eps_moved(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for field, value, default in _moved(recipe, context, ("eps", "adamw_eps")):
        # In half precision 1e-8 is lost beside the moments; BERT uses 1e-6.
        justified = recipe.precision.kind != "fp32" or (value == 1e-6 and context.family in ("transformer", None))
        if not justified:
            yield _changed(LintCode.EPS_MOVED, field, value, default)


def _changed(code: LintCode, field: str, value: object, default: object) -> LintFinding:
    found = f"{value} differs from the default {default} and is not searched"
    return LintFinding(code, field, found, f"use {default}, or search it: {{choice: [{default}, {value}]}}")


def _moved(recipe: Recipe, context: Context, names: tuple[str, ...]) -> Iterator[tuple[str, object, object]]:
    """Yield field, value and default of the optimizers' fields that differ from the default and are not searched."""
    for section, optimizer in recipe.optimizers.items():
        for name in names:
            if name not in type(optimizer).model_fields:
                continue
            value, default = getattr(optimizer, name), type(optimizer).model_fields[name].default
            items = {f"{section}.{name}": (value, default)}
            if isinstance(value, tuple):
                pairs = zip(value, default, strict=True)
                items = {f"{section}.{name}.{index}": pair for index, pair in enumerate(pairs)}
            for field, (item, item_default) in items.items():
                if item != item_default and not context.varied & {field, f"{section}.{name}"}:
                    yield field, item, item_default


RECIPE_RULES: tuple[RecipeRule, ...] = (
    _adam_with_decay,
    _rate_out_of_range,
    _adam_for_transformer,
    _no_nesterov,
    _no_warmup,
    _no_clipping,
    _clip_too_low,
    _decay_everywhere,
    _one_rate,
    _scratch_rate,
    _strong_regularizers,
    _small_batch_norm,
    _dropout_batch_norm,
    _betas_moved,
    _eps_moved,
)
