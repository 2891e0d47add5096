"""Read a Hydra configuration with the Optuna sweeper.

Source: "Optuna Sweeper plugin", hydra.cc: `range(1, 10)` is passed to Optuna as bounds, so 10 is included;
`interval(1, 10)` is a float unless it is cast, `int(interval(1, 10))`; a tag `log` makes either logarithmic.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.errors import UsageError
from search_spaces.importers.hydra_grammar import Call, Term, parse_override
from search_spaces.importers.imported import Imported, Parameter, Program, log_between, log_whole, made, stepped
from search_spaces.search.distributions import Choice, Constant, RandInt, Uniform, Value
from search_spaces.values import show

_SAMPLERS = {"tpe": "tpe", "random": "random", "grid": "grid", "gp": "gp", "qmc": "qmc"}
_CASTS = ("int", "float", "str", "bool")
_DEFAULT_TRIALS = 20
_PACKAGE = re.compile(r"^#\s*@package\s+(\S+)\s*$", re.MULTILINE)
_WANDB = "wandb_sweep_config"
_IGNORED = (_WANDB, "_target_", "sampler", "direction", "n_trials", "params", "search_space", "study_name", "storage")


def is_hydra(tree: Mapping[str, Any]) -> bool:
    """Return whether a file looks like a Hydra configuration with a sweeper."""
    return isinstance(_sweeper(tree), Mapping)


def packaged(tree: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """Return a tree inside of the sections that a first line such as `# @package hydra.sweeper` names."""
    found = _PACKAGE.search(text)
    for name in reversed(found[1].split(".")) if found and found[1] in ("hydra", "hydra.sweeper") else ():
        tree = {name: tree}
    return tree


def _sweeper(tree: Mapping[str, Any]) -> Any:
    hydra = tree.get("hydra")
    if isinstance(hydra, Mapping):
        return hydra.get("sweeper")
    return tree.get("hydra.sweeper")


def read_hydra(tree: Mapping[str, Any]) -> Imported:
    """Read a configuration.

    Raises:
        UsageError: There are no parameters to sweep over.
    """
    sweeper = _settings(_sweeper(tree))
    if isinstance(params := sweeper.get("params"), Mapping):
        parameters = tuple(
            _described(name, value) if isinstance(value, Mapping) else _override(name, value)
            for name, value in _flat(params)
        )
    elif isinstance(space := sweeper.get("search_space"), Mapping):
        parameters = tuple(_described(name, entry) for name, entry in space.items())
    elif params is not None:
        raise UsageError(f"hydra.sweeper.params: must be a section of `name: choice(...)` lines, found {show(params)}")
    else:
        raise UsageError("hydra.sweeper.params: is required but missing: there is nothing to sweep over")
    notes = [
        f"hydra.sweeper.{name} has no counterpart: {show(v)}" for name, v in sweeper.items() if name not in _IGNORED
    ]
    metric, about = _metric(tree, sweeper)
    direction = sweeper.get("direction", "minimize")
    if isinstance(direction, list):
        notes.append(f"only one metric is optimized, the first of {show(direction)}")
        direction = direction[0] if direction else "minimize"
    sampler, more = _sampler(tree, sweeper.get("sampler"))
    trials = sweeper.get("n_trials", _DEFAULT_TRIALS)
    rest = {name: value for name, value in tree.items() if name not in ("hydra", "hydra.sweeper", "defaults")}
    return Imported(
        origin=f"a Hydra sweep with {'W&B' if _WANDB in sweeper else 'Optuna'}",
        parameters=parameters,
        metric=metric,
        goal="maximize" if direction == "maximize" else "minimize",
        sampler=sampler,
        points=trials if isinstance(trials, int) and trials > 0 else _DEFAULT_TRIALS,
        baseline=dict(_leaves(rest, "")),
        notes=(*notes, *more, *about),
    )


def hydra_program(source: Path) -> Program | None:
    """Return the application of a configuration: the only file beside or above it that has `hydra.main`."""
    folders = dict.fromkeys([source.parent, source.parent.parent])
    scripts = {path.resolve(): path for folder in folders for path in sorted(folder.glob("*.py")) if _is_app(path)}
    if len(scripts) != 1:
        return None
    [script] = scripts.values()
    note = "the program is guessed: the only file beside or above this one that has hydra.main"
    return Program(("python", str(script), "${args:hydra}", "hydra.run.dir=${out}"), "hydra", notes=(note,))


def _is_app(path: Path) -> bool:
    try:
        return "hydra.main" in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _settings(sweeper: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a sweeper, with those that it keeps in a section of their own."""
    settings = dict(sweeper)
    own = settings.get("optuna_config")
    if isinstance(own, Mapping):
        settings = {**own, **{name: value for name, value in settings.items() if name != "optuna_config"}}
    own = settings.get(_WANDB)
    if isinstance(own, Mapping):
        metric = own.get("metric")
        goal = metric.get("goal", "minimize") if isinstance(metric, Mapping) else "minimize"
        settings |= {"direction": goal, "n_trials": own.get("budget", own.get("run_cap"))}
        settings["sampler"] = {"_target_": {"bayes": "gp"}.get(str(own.get("method")), str(own.get("method", "tpe")))}
    return settings


def _metric(tree: Mapping[str, Any], sweeper: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Return the name of the metric that the file optimizes, or None, and notes."""
    own = sweeper.get(_WANDB)
    metric = own.get("metric") if isinstance(own, Mapping) else None
    name = metric.get("name") if isinstance(metric, Mapping) else tree.get("optimized_metric")
    if not isinstance(name, str):
        return None, ()
    if "${" in name:
        return None, (f"guessed: the metric is {show(name)}, which is not resolved; write its name",)
    return name, ()


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping) and not isinstance(value.get("type"), str):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in _flat(tree, prefix):
        if isinstance(value, bool | int | float) or (isinstance(value, str) and "${" not in value):
            yield name, value


def _sampler(tree: Mapping[str, Any], section: object) -> tuple[dict[str, str | int], tuple[str, ...]]:
    """Return the sampler that the section or the list of defaults names, and notes."""
    found = section if isinstance(section, Mapping) else {}
    name = str(found.get("_target_", "")).rpartition(".")[2].removesuffix("Sampler").lower()
    defaults = tree.get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, Mapping):
            name = next((str(v) for k, v in entry.items() if k.endswith("hydra/sweeper/sampler") and not name), name)
    sampler: dict[str, str | int] = {"kind": _SAMPLERS.get(name or "tpe", "tpe")}
    for key, name_here in (("seed", "seed"), ("n_startup_trials", "startup")):
        value = found.get(key)
        if isinstance(value, int) and 0 <= value < 2**32:
            sampler[name_here] = value
    notes = (
        () if (name or "tpe") in _SAMPLERS else (f"the sampler {show(name)} has no counterpart; tpe is used instead",)
    )
    return sampler, notes


def _override(name: str, value: Any) -> Parameter:
    name = name.removeprefix("+").removeprefix("+")
    if isinstance(value, str) and "${" in value:
        return Parameter(name, None, (f"{show(value)} is not resolved; write its value",))
    try:
        term = parse_override(value) if isinstance(value, str) else value
        if isinstance(value, list):
            return made(name, lambda: Constant(tuple(value)))
        return _swept(name, term)
    except (ValueError, TypeError, OverflowError) as error:
        return Parameter(name, None, (f"cannot be read: {error}",))


def _swept(name: str, term: Term, tags: frozenset[str] = frozenset(), cast: str | None = None) -> Parameter:
    if not isinstance(term, Call):
        return made(name, lambda: Constant(_cast([term], cast)[0]))  # type: ignore[arg-type]  # it checks the value
    match term.name:
        case "tag":
            named = "sweep" in term.named
            inner = term.named["sweep"] if named else term.arguments[-1] if term.arguments else None
            words = frozenset(str(word) for word in (term.arguments if named else term.arguments[:-1]))
            return _swept(name, inner, tags | words, cast)
        case "shuffle" | "sort":
            inner = term.arguments[0] if len(term.arguments) == 1 else Call("choice", term.arguments)
            found = _swept(name, inner, tags, cast)
            return Parameter(name, found.distribution, (*found.notes, f"{term.name}() has no effect on a sampler"))
        case word if word in _CASTS and term.arguments:
            return _swept(name, term.arguments[0], tags, word)
        case "choice":
            options = term.arguments[0] if len(term.arguments) == 1 and isinstance(term.arguments[0], list) else None
            return made(name, lambda: Choice(_cast(options or term.arguments, cast)))  # type: ignore[arg-type]
        case "range":
            return _range(name, term, cast)
        case "interval":
            return _interval(name, term, "log" in tags, cast == "int")
        case _:
            return Parameter(name, None, (f"{term.name}() has no counterpart",))


def _cast(options: Sequence[Term], cast: str | None) -> list[Term]:
    casts: Mapping[str | None, Callable[[Any], Term]] = {"int": int, "float": float, "str": str, "bool": _bool}
    return [casts[cast](option) for option in options] if cast in casts else list(options)


def _bool(term: Term) -> bool:
    """Return a value as the cast ``bool(...)`` of Hydra reads it: the texts true and false in any case, or a number."""
    if isinstance(term, str) and term.lower() in ("true", "false"):
        return term.lower() == "true"
    if isinstance(term, bool | int | float):
        return bool(term)
    raise ValueError(f"{show(term)} is neither true nor false")


def _number(term: object) -> float:
    if isinstance(term, bool) or not isinstance(term, int | float):
        raise ValueError(f"{show(term)} is not a number")
    return term


def _range(name: str, term: Call, cast: str | None) -> Parameter:
    names = ("stop",) if len(term.arguments) == 1 and not term.named.keys() & {"start", "stop"} else ("start", "stop")
    given = {"start": 0, "step": 1, **dict(zip((*names, "step"), term.arguments, strict=False)), **term.named}
    start, stop, step = (_number(given.get(part)) for part in ("start", "stop", "step"))
    whole = cast == "int" or (cast != "float" and all(isinstance(number, int) for number in (start, stop, step)))
    return stepped(name, start, stop, step, whole)


def _interval(name: str, term: Call, log: bool, whole: bool) -> Parameter:
    given = {**dict(zip(("start", "end"), term.arguments, strict=False)), **term.named}
    low, high = _number(given.get("start")), _number(given.get("end"))
    if whole:
        return log_whole(name, int(low), int(high)) if log else made(name, lambda: RandInt(int(low), int(high)))
    return log_between(name, low, high) if log else made(name, lambda: Uniform(low, high))


def _described(name: str, entry: object) -> Parameter:
    """Read an entry of `search_space`, as it was written before Hydra 1.2."""
    if not isinstance(entry, Mapping):
        return Parameter(name, None, (f"must be a section, found {show(entry)}",))
    kind, log, step = entry.get("type"), entry.get("log", False), entry.get("step")
    try:
        if kind == "categorical":
            return made(name, lambda: Choice(entry["choices"]))
        low, high = _number(entry.get("low")), _number(entry.get("high"))
        if kind == "int":
            return log_whole(name, int(low), int(high)) if log else stepped(name, int(low), int(high), step or 1, True)
        if kind == "float" and step is not None and not log:
            return stepped(name, low, high, _number(step), whole=False)
        if kind == "float":
            return log_between(name, low, high) if log else made(name, lambda: Uniform(low, high))
    except (KeyError, ValueError, TypeError) as error:
        return Parameter(name, None, (f"cannot be read: {error}",))
    return Parameter(name, None, (f"unknown type {show(kind)}",))
