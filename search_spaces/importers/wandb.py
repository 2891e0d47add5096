"""Read a sweep configuration of Weights & Biases.

Source: "Sweep configuration options", docs.wandb.ai. Its `log_uniform` takes exponents of e, and `log_uniform_values`
takes values; quantised values are `round(x / q) * q`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from search_spaces.errors import UsageError
from search_spaces.importers.imported import Imported, Parameter, Program, log_between, log_whole, made, stepped
from search_spaces.search.distributions import Choice, Constant, Normal, RandInt, Uniform
from search_spaces.values import show

_METHODS = {"random": "random", "grid": "grid", "bayes": "gp"}
_KNOWN = ("program", "command", "method", "metric", "parameters", "early_terminate", "run_cap", "name", "description")
_DEFAULT_ETA = 3

Read = Callable[[str, Mapping[str, Any]], Parameter]


def is_wandb(tree: Mapping[str, Any]) -> bool:
    """Return whether a file looks like a sweep of Weights & Biases."""
    return isinstance(tree.get("parameters"), Mapping) and "kind" not in tree


def read_wandb(tree: Mapping[str, Any]) -> Imported:
    """Read a sweep configuration.

    Raises:
        UsageError: The method is unknown.
    """
    method = tree.get("method", "random")
    if method not in _METHODS:
        raise UsageError(f"method: must be random, grid or bayes, found {show(method)}")
    metric = tree.get("metric")
    metric = metric if isinstance(metric, Mapping) else {}
    notes = [f"{key} has no counterpart: {show(value)}" for key, value in tree.items() if key not in _KNOWN]
    if "target" in metric:
        notes.append(f"metric.target has no counterpart: {show(metric['target'])}; a sweep ends with its last run")
    if method == "bayes":
        notes.append(
            "bayes is a Gaussian process in W&B, so the sampler is gp; tpe handles choices and many dimensions better"
        )
    stopping, more = _stopping(tree.get("early_terminate"))
    cap = tree.get("run_cap")
    return Imported(
        origin="a W&B sweep",
        parameters=tuple(_parameters(tree["parameters"], "")),
        metric=None if metric.get("name") is None else str(metric["name"]),
        goal="maximize" if metric.get("goal") == "maximize" else "minimize",  # the default of W&B
        sampler={"kind": _METHODS[method]},
        points=cap if isinstance(cap, int) and cap > 0 else None,
        stopping=stopping,
        notes=(*notes, *more),
        program=_program(tree),
    )


_ARGUMENTS: Mapping[str, tuple[Literal["equals", "hydra", "json"], str]] = {
    "${args}": ("equals", "python"),  # W&B writes --flag=True
    "${args_no_boolean_flags}": ("equals", "present"),
    "${args_no_hyphens}": ("hydra", "pair"),
    "${args_json}": ("json", "pair"),
}


def _program(tree: Mapping[str, Any]) -> Program | None:
    """Return the program of a file; None if it names none."""
    program, command = tree.get("program"), tree.get("command")
    if not isinstance(program, str) and not isinstance(command, list):
        return None
    written = (
        [str(word) for word in command] if isinstance(command, list) else ["${interpreter}", "${program}", "${args}"]
    )
    notes = []
    if not any(word in _ARGUMENTS for word in written):
        notes.append("guessed: the command has no ${args}, so the program must take its parameters as --name=value")
        written.append("${args}")
    form, booleans = next(_ARGUMENTS[word] for word in written if word in _ARGUMENTS)
    known = {"${interpreter}": "python", "${program}": str(program), **dict.fromkeys(_ARGUMENTS, f"${{args:{form}}}")}
    words = []
    for word in written:
        if word not in known and "${" in word and word != "${env}":
            notes.append(f"{word} has no counterpart: write what it stands for")
        words += [] if word == "${env}" else [known.get(word, word.replace("${", "$${"))]
    return Program(tuple(words), form, booleans, tuple(notes))


def _stopping(rule: object) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
    """Return grace epochs and reduction factor of ASHA for a hyperband, and notes."""
    if rule is None:
        return None, ()
    if not isinstance(rule, Mapping) or rule.get("type") != "hyperband":
        return None, (f"early_terminate has no counterpart: {show(rule)}",)
    eta = rule.get("eta", _DEFAULT_ETA)
    eta = max(2, eta) if isinstance(eta, int) else _DEFAULT_ETA
    first, last, brackets = rule.get("min_iter"), rule.get("max_iter"), rule.get("s")
    if not isinstance(first, int):
        if not (isinstance(last, int) and isinstance(brackets, int)):
            return None, ("early_terminate needs min_iter, or max_iter and s",)
        first = int(last / eta**brackets)
    note = "hyperband became asha; an iteration of W&B is one log of the metric, and counts as one epoch"
    return (max(1, first), eta), (note,)


def _parameters(section: Mapping[str, Any], prefix: str) -> Iterator[Parameter]:
    for name, entry in section.items():
        path = f"{prefix}{name}"
        if not isinstance(entry, Mapping):
            yield Parameter(path, None, (f"must be a section, found {show(entry)}",))
        elif isinstance(entry.get("parameters"), Mapping):
            yield from _parameters(entry["parameters"], f"{path}.")
        else:
            yield _parameter(path, entry)


def _parameter(name: str, entry: Mapping[str, Any]) -> Parameter:
    kind = entry.get("distribution") or _inferred(entry)
    if kind is None:
        return Parameter(name, None, ("has none of value, values, min and max, parameters",))
    if kind not in _READERS:
        return Parameter(name, None, (f"unknown distribution {show(kind)}",))
    try:
        return _READERS[kind](name, entry)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        missing = f"{kind} needs {error.args[0]}" if isinstance(error, KeyError) else f"{kind}: {error}"
        return Parameter(name, None, (missing,))


def _inferred(entry: Mapping[str, Any]) -> str | None:
    """Return the distribution that W&B uses when none is named, or None if there is none."""
    if "value" in entry:
        return "constant"
    if "values" in entry:
        return "categorical"
    if "min" in entry and "max" in entry:
        return "int_uniform" if isinstance(entry["min"], int) and isinstance(entry["max"], int) else "uniform"
    return "normal" if "mu" in entry or "sigma" in entry else None


def _constant(name: str, entry: Mapping[str, Any]) -> Parameter:
    return made(name, lambda: Constant(entry["value"]))


def _categorical(name: str, entry: Mapping[str, Any]) -> Parameter:
    weights = entry.get("probabilities")
    notes = () if weights is None else (f"all options are equally likely; the probabilities were {show(weights)}",)
    return made(name, lambda: Choice(entry["values"]), notes)


def _int_uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    return made(name, lambda: RandInt(int(entry["min"]), int(entry["max"])))


def _uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    return made(name, lambda: Uniform(entry["min"], entry["max"]))


def _q(entry: Mapping[str, Any]) -> float:
    q = entry.get("q", 1)
    if q <= 0:
        raise ValueError(f"q must be greater than 0, found {q!r}")
    return float(q)


def _quantised(name: str, low: float, high: float, q: float) -> Parameter:
    """Return the multiples of q from the one nearest to low to the one nearest to high."""
    ends = float(f"{round(low / q) * q:.12g}"), float(f"{round(high / q) * q:.12g}")
    found = stepped(name, *ends, q, whole=q.is_integer())
    note = f"multiples of {q:g}; in W&B, the first and the last are half as likely as the others"
    return Parameter(name, found.distribution, (*found.notes, note))


def _q_uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    return _quantised(name, entry["min"], entry["max"], _q(entry))


def _log_uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    low, high = entry["min"], entry["max"]
    note = f"the bounds are exponents of e in W&B: exp({low:g}) to exp({high:g})"
    return log_between(name, float(f"{math.exp(low):.6g}"), float(f"{math.exp(high):.6g}"), (note,))


def _log_uniform_values(name: str, entry: Mapping[str, Any]) -> Parameter:
    return log_between(name, entry["min"], entry["max"])


def _inv_log_uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    low, high = math.exp(-entry["max"]), math.exp(-entry["min"])
    note = "in W&B, log(1/x) is uniform between the bounds"
    return log_between(name, float(f"{low:.6g}"), float(f"{high:.6g}"), (note,))


def _q_log(name: str, low: float, high: float, q: float) -> Parameter:
    if q.is_integer():
        ends = max(int(q), int(round(low / q) * q)), int(round(high / q) * q)
        return log_whole(name, *ends, step=int(q))
    return log_between(name, low, high, (f"not rounded to multiples of {q:g}",))


def _q_log_uniform(name: str, entry: Mapping[str, Any]) -> Parameter:
    return _q_log(name, math.exp(entry["min"]), math.exp(entry["max"]), _q(entry))


def _q_log_uniform_values(name: str, entry: Mapping[str, Any]) -> Parameter:
    return _q_log(name, entry["min"], entry["max"], _q(entry))


def _normal(name: str, entry: Mapping[str, Any]) -> Parameter:
    note = "truncated at four standard deviations"
    return made(name, lambda: Normal(entry.get("mu", 0.0), entry.get("sigma", 1.0)), (note,))


def _q_normal(name: str, entry: Mapping[str, Any]) -> Parameter:
    found = _normal(name, entry)
    return Parameter(name, found.distribution, (*found.notes, f"not rounded to multiples of {_q(entry):g}"))


def _log_normal(name: str, entry: Mapping[str, Any]) -> Parameter:
    mu, sigma = entry.get("mu", 0.0), entry.get("sigma", 1.0)
    low, high = float(f"{math.exp(mu - 2 * sigma):.3g}"), float(f"{math.exp(mu + 2 * sigma):.3g}")
    note = f"guessed: a log-normal with mu {mu:g} and sigma {sigma:g} became log-uniform over its middle 95 %"
    return log_between(name, low, high, (note,))


_READERS: Mapping[str, Read] = {
    "constant": _constant,
    "categorical": _categorical,
    "categorical_w_probabilities": _categorical,
    "int_uniform": _int_uniform,
    "uniform": _uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log_uniform,
    "log_uniform_values": _log_uniform_values,
    "q_log_uniform": _q_log_uniform,
    "q_log_uniform_values": _q_log_uniform_values,
    "inv_log_uniform": _inv_log_uniform,
    "inv_log_uniform_values": _log_uniform_values,
    "normal": _normal,
    "q_normal": _q_normal,
    "log_normal": _log_normal,
    "q_log_normal": _log_normal,
}
