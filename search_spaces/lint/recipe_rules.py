"""The lint rules about one recipe. A rule finds nothing where it lacks the facts to decide."""

from collections.abc import Callable, Iterator

from search_spaces.lint.context import Context
from search_spaces.lint.rules import LintCode, LintFinding
from search_spaces.recipe.optimizers import SGD, Adam, AdamL2, Optimizer, RAdam
from search_spaces.recipe.recipe import Recipe
from search_spaces.recipe.schedules import Cyclical, OneCycle, Schedule
from search_spaces.recipe.typical_rates import SMALL_BATCH, rates

_FAR = 10.0 * (1 + 1e-9)  # times outside the usual range, what data and width can explain; 1e-5 / 10 is not 1e-6
_LOWEST_CLIP = 0.5
_STRONG_DECAY, _STRONG_DROPOUT = 0.1, 0.3
_SEVERAL = 3  # two are common: decay of 0.1 with dropout in a small network, smoothing with mixup in a large one
_SMALLEST_NORM_BATCH = 16
_HIGHEST_FINE_TUNE_RATE = 5e-5  # of the Adam family in a pretrained transformer

RecipeRule = Callable[[Recipe, Context], Iterator[LintFinding]]


def _optimizers(recipe: Recipe) -> Iterator[tuple[str, Optimizer]]:
    yield "optimizer", recipe.optimizer
    if recipe.switch is not None:
        yield "switch.to", recipe.switch.to


def _adam_with_decay(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in _optimizers(recipe):
        if isinstance(optimizer, AdamL2) and optimizer.weight_decay > 0 and optimizer.decay != "none":
            found = f"weight_decay {optimizer.weight_decay:.3g} inside Adam's gradient"
            fix = f"write {section}.kind: adamw, whose decay is decoupled"
            yield LintFinding(LintCode.ADAM_WITH_DECAY, f"{section}.weight_decay", found, fix)


def _rate_out_of_range(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    batch = recipe.budget.batch_size * recipe.budget.accumulation
    gentle = context.pretrained is not False or batch <= SMALL_BATCH
    for rate in rates(recipe):
        low, high = rate.typical.gentle if gentle else rate.typical.low, rate.typical.high
        if not low / _FAR <= rate.value <= high * _FAR:
            found = f"{rate.kind} at {rate.value:.3g}, usual are {low:.3g} to {high:.3g}"
            fix = f"write or search rates from {low:.3g} to {high:.3g}"
            yield LintFinding(LintCode.RATE_OUT_OF_RANGE, rate.field, found, fix, rate.typical.source)


def _adam_for_transformer(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    # Low-rank adapters want little decay or none.
    if context.family != "transformer" or recipe.model.lora_rank is not None:
        return
    for section, optimizer in _optimizers(recipe):
        if isinstance(optimizer, Adam):
            fix = f"write {section}: {{kind: adamw, weight_decay: 0.1}}, or 0.01 for a fine-tune"
            yield LintFinding(LintCode.ADAM_FOR_TRANSFORMER, f"{section}.kind", "adam, which has no weight decay", fix)


def _no_nesterov(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in _optimizers(recipe):
        if isinstance(optimizer, SGD) and optimizer.momentum > 0 and not optimizer.nesterov:
            found = f"momentum {optimizer.momentum:.3g} without the look-ahead"
            yield LintFinding(LintCode.NO_NESTEROV, f"{section}.nesterov", found, f"write {section}.nesterov: true")


def _warms_up(schedule: Schedule) -> bool:
    if isinstance(schedule, OneCycle | Cyclical):  # they begin with a rise
        return True
    return schedule.warmup > 0 or bool(schedule.warmup_steps)


def _no_warmup(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    # RAdam has a warmup of its own.
    if context.family != "transformer" or isinstance(recipe.optimizer, RAdam) or _warms_up(recipe.schedule):
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
        found = f"null: nothing stops a gradient that explodes in {model}"
        yield LintFinding(
            LintCode.NO_CLIPPING, "regularization.clip_norm", found, "write regularization.clip_norm: 1.0"
        )


def _clip_too_low(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    norm = recipe.regularization.clip_norm
    if norm is not None and norm < _LOWEST_CLIP:
        found = f"{norm:.3g}: most steps of a healthy run would be clipped, so it acts as a learning rate"
        fix = "write regularization.clip_norm: 1.0, and lower the learning rate if need be"
        yield LintFinding(LintCode.CLIP_TOO_LOW, "regularization.clip_norm", found, fix)


def _decay_everywhere(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for section, optimizer in _optimizers(recipe):
        strength = _decay(optimizer)
        if strength > 0 and getattr(optimizer, "decay", "none") == "all":
            found = f"all: weight_decay {strength:.3g} also pulls biases and norm scales to 0"
            yield LintFinding(LintCode.DECAY_EVERYWHERE, f"{section}.decay", found, f"write {section}.decay: matrices")


def _decay(optimizer: Optimizer) -> float:
    """Return the weight decay; some kinds have none."""
    return float(getattr(optimizer, "weight_decay", 0.0))


def _one_rate(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    groups = recipe.groups
    # A searched rate looks for one that suits both; with a frozen backbone or adapters, new weights are all there is.
    if not context.new_head or groups.frozen or recipe.model.lora_rank is not None or _looks_for_a_rate(context):
        return
    if groups.head_lr_scale == 1 and groups.layer_decay == 1:
        found = f"1.0: the new head and the pretrained layers both train at {recipe.optimizer.lr:.3g}"
        fix = "write groups.head_lr_scale: 10.0 (up to 100), or search optimizer.lr"
        yield LintFinding(LintCode.ONE_RATE, "groups.head_lr_scale", found, fix)


def _looks_for_a_rate(context: Context) -> bool:
    return bool(context.varied & {"optimizer.lr", "groups.head_lr_scale", "groups.layer_decay"})


def _scratch_rate(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    # Small pretrained networks, such as that of mnist1d_transfer, take the rates of any small network; and layers
    # that are frozen, adapted or slowed down are safe from a large rate.
    safe = recipe.model.lora_rank is not None or recipe.groups.frozen or recipe.groups.layer_decay < 1
    if context.family != "transformer" or not context.pretrained or safe:
        return
    optimizer = recipe.optimizer
    # The rates of other optimizers are to those of AdamW as their ranges are.
    most = _HIGHEST_FINE_TUNE_RATE * optimizer.typical_rates().gentle / 1e-5
    if optimizer.lr > most * _FAR:
        found = f"{optimizer.kind} at {optimizer.lr:.3g} forgets what a pretrained transformer knows"
        low = optimizer.typical_rates().gentle
        fix = f"write or search rates from {low:.3g} to {most:.3g}; {most * _FAR:.3g} at most for a small network"
        yield LintFinding(LintCode.SCRATCH_RATE, "optimizer.lr", found, fix)


def _strong_regularizers(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    part, decay = recipe.regularization, _decay(recipe.optimizer)
    strong = {
        f"weight decay {decay:.3g}": decay >= _STRONG_DECAY,
        f"dropout {part.dropout:.3g}": part.dropout >= _STRONG_DROPOUT,
        f"label smoothing {part.label_smoothing:.3g}": part.label_smoothing > 0,
        f"mixup {part.mixup:.3g}, cutmix {part.cutmix:.3g}": part.mixup > 0 or part.cutmix > 0,  # a batch gets either
    }
    found = [words for words, here in strong.items() if here]
    if len(found) >= _SEVERAL:
        fix = "keep one at its strength and weaken the others, until a curve shows which is needed"
        yield LintFinding(LintCode.STRONG_REGULARIZERS, "regularization", f"{', '.join(found)} at once", fix)


def _small_batch_norm(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    size = recipe.budget.batch_size  # accumulation does not help: each micro-batch has statistics of its own
    if recipe.model.norm == "batch" and size < _SMALLEST_NORM_BATCH:
        found = f"batch: the mean and variance of {size} examples are noise"
        norm = "layer" if context.family == "mlp" else "group"
        fix = f"write model.norm: {norm}, or budget.batch_size: {_SMALLEST_NORM_BATCH} and more"
        yield LintFinding(LintCode.SMALL_BATCH_NORM, "model.norm", found, fix)


def _dropout_batch_norm(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    dropout = recipe.regularization.dropout
    # The built-in CNNs drop after their last BatchNorm, where the shift of variance meets no statistics.
    if recipe.model.norm == "batch" and dropout > 0 and context.family != "cnn":
        found = f"{dropout:.3g} with model.norm: batch, whose statistics are those without dropout when it evaluates"
        fix = "write regularization.dropout: 0.0, or another model.norm"
        yield LintFinding(LintCode.DROPOUT_BATCH_NORM, "regularization.dropout", found, fix)


def _betas_moved(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for field, value, default in _moved(recipe, context, ("betas", "adamw_betas")):
        # A shorter memory of the second moment is usual for transformers, which an unknown model may be.
        short = field.endswith(".1") and isinstance(value, float) and 0.95 <= value <= 0.98
        if not (short and context.family in ("transformer", None)):
            fix = f"write {default} back, or search it: {{choice: [{default}, {value}]}}"
            yield LintFinding(
                LintCode.BETAS_MOVED, field, f"{value}, where the default is {default}, and not searched", fix
            )


def _eps_moved(recipe: Recipe, context: Context) -> Iterator[LintFinding]:
    for field, value, default in _moved(recipe, context, ("eps", "adamw_eps")):
        # In half precision 1e-8 is lost next to the moments; BERT uses 1e-6.
        reason = recipe.precision.kind != "fp32" or (value == 1e-6 and context.family in ("transformer", None))
        if not reason:
            fix = f"write {default} back, or search it: {{choice: [{default}, {value}]}}"
            yield LintFinding(
                LintCode.EPS_MOVED, field, f"{value}, where the default is {default}, and not searched", fix
            )


def _moved(recipe: Recipe, context: Context, names: tuple[str, ...]) -> Iterator[tuple[str, object, object]]:
    """Yield the fields of the optimizers that are not at their kind's default, and that no search moves."""
    for section, optimizer in _optimizers(recipe):
        for name in names:
            if name not in type(optimizer).model_fields:
                continue
            value, default = getattr(optimizer, name), type(optimizer).model_fields[name].default
            items = {f"{section}.{name}": (value, default)}
            if isinstance(value, tuple):
                pairs = zip(value, default, strict=True)
                items = {f"{section}.{name}.{index}": pair for index, pair in enumerate(pairs)}
            for field, (item, usual) in items.items():
                if item != usual and not context.varied & {field, f"{section}.{name}"}:
                    yield field, item, usual


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
