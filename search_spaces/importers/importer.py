"""Convert sweep files of other tools into space files. Comments say what was mapped, guessed or left out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from search_spaces.errors import Problem, SpecError, UsageError
from search_spaces.files.nodes import Node, Section, plain
from search_spaces.files.space_loader import parse_space
from search_spaces.files.yaml_parser import parse_yaml
from search_spaces.importers.command_text import command_text
from search_spaces.importers.field_names import SECTIONS, field_of, kind_of
from search_spaces.importers.hydra import hydra_program, is_hydra, packaged, read_hydra
from search_spaces.importers.imported import Imported, Parameter, middle
from search_spaces.importers.space_text import space_text
from search_spaces.importers.wandb import is_wandb, read_wandb
from search_spaces.lint.lint import lint
from search_spaces.recipe.fields import resolve, unknown_field
from search_spaces.recipe.recipe import Recipe
from search_spaces.search.distributions import Constant, Distribution, RandInt, Uniform, Value
from search_spaces.search.field_checks import validate_search
from search_spaces.search.parameters import Alternative
from search_spaces.specs.space import SpaceSpec
from search_spaces.values import show

_LEFT_OUT = {"seed": "a sweep sets the seeds of its runs itself, from --seed"}


@dataclass(frozen=True)
class Placed:
    """A searched parameter and its place in the space.

    Attributes:
        distribution: Distribution over the field.
        comment: Origin of the parameter.
    """

    distribution: Distribution
    comment: str


@dataclass
class _Placement:
    """Assigns one parameter after the other to a field of the recipe."""

    recipe: Recipe
    lines: Mapping[str, int]
    search: dict[str, Placed] = field(default_factory=dict)
    fixed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    one_of: dict[str, tuple[Alternative, ...]] = field(default_factory=dict)

    def place(self, parameter: Parameter, baseline: Value) -> None:
        """Assign a parameter to the field that its name means, else to `custom`, else list it as left out."""
        distribution = parameter.distribution
        leaf = parameter.name.rpartition(".")[2].lower()
        if distribution is None or leaf in _LEFT_OUT:
            self._leave(parameter, _LEFT_OUT.get(leaf, ""))
            return
        wanted = field_of(parameter.name, self.recipe)
        reason = "not a field of a recipe, so your task must read it from recipe.custom"
        if wanted and wanted.endswith(".kind") and not wanted.startswith("custom."):
            if not self._alternatives(wanted.removesuffix(".kind"), distribution):
                self._leave(parameter, f"this space uses {getattr(self.recipe, wanted[:-5]).kind}")
            return
        unknown = unknown_field(self.recipe, wanted) if wanted else None
        if unknown:
            self._leave(parameter, unknown)
            return
        if wanted == "budget.steps" and not isinstance(distribution, Constant):
            reason = "the runs of a sweep need one budget, so its steps are not searched"
        elif taken := next((one for one in _same(wanted) if one in self.search or one in self.fixed), None):
            reason = f"{taken} is already set by another parameter"
        elif wanted:
            error = self._try(wanted, parameter, distribution, baseline)
            if error is None:
                return
            reason = f"invalid as {wanted}: {error}"
        custom = f"custom.{self._custom(parameter.name)}"
        error = self._try(custom, replace(parameter, notes=(*parameter.notes, reason)), distribution, baseline)
        if error is not None:
            self._leave(parameter, error)

    def _alternatives(self, section: str, distribution: Distribution) -> bool:
        """Search the kinds of a section as its alternatives; return False unless all options are kinds."""
        kinds = [kind_of(section, option) for option in distribution.edges()]
        known = [kind for kind in dict.fromkeys(kinds) if kind is not None]
        if None in kinds or len(known) < 2 or section in self.one_of:
            return False
        self.one_of[section] = tuple(Alternative(kind) for kind in known)
        return True

    def _try(self, name: str, parameter: Parameter, distribution: Distribution, baseline: Value) -> str | None:
        """Assign a parameter to a field, or return why that is invalid."""
        guessed = "." in parameter.name and name not in (parameter.name, f"custom.{parameter.name}")
        guess = ["guessed from the last part of its name"] if guessed and not name.startswith("custom.") else []
        comment = "; ".join([*([] if parameter.name == name else [parameter.name]), *guess, *parameter.notes])
        instead = {"budget.epochs": None} if name == "budget.steps" else {}
        try:
            recipe = resolve(self.recipe, {name: baseline} | instead)
        except UsageError as error:
            problem = error.problems[0]
            whole = _whole(distribution)
            if whole is not None and whole != distribution:
                changed = replace(parameter, notes=(*parameter.notes, "whole numbers"))
                return self._try(name, changed, whole, whole.at(whole.size // 2))
            return problem.message if isinstance(problem, Problem) else problem
        if isinstance(distribution, Constant):
            self.recipe, self.fixed[name] = recipe, ", from ".join(filter(None, (show(distribution.value), comment)))
            return None
        others = {other: placed.distribution for other, placed in self.search.items()}
        problems = validate_search(recipe, {name: distribution}, self.one_of) or validate_search(
            recipe, {**others, name: distribution}, self.one_of
        )
        if problems:
            return problems[0].message
        self.recipe, self.search[name] = recipe, Placed(distribution, comment)
        return None

    def _leave(self, parameter: Parameter, reason: str) -> None:
        paths = [path for path in self.lines if f".{path}".endswith(f".{parameter.name}")]
        where = f"{parameter.name} (line {self.lines[min(paths, key=len)]})" if paths else parameter.name
        self.left.append(": ".join([where, "; ".join([*([reason] if reason else []), *parameter.notes])]))

    def _custom(self, name: str) -> str:
        base = re.sub(r"\W", "_", name, flags=re.ASCII)[:90] or "_"
        base = base if not base[0].isdigit() else f"_{base}"
        number, found = 1, base
        while found in self.recipe.custom:
            number += 1
            found = f"{base}_{number}"
        return found


def _same(wanted: str | None) -> tuple[str, ...]:
    """Return the fields of which a recipe has only one, among them the wanted one."""
    lengths = ("budget.epochs", "budget.steps")
    return lengths if wanted in lengths else (wanted,) if wanted else ()


def _whole(distribution: Distribution) -> RandInt | None:
    """Return the range of whole numbers for a range that was written with floats, or None."""
    if isinstance(distribution, Uniform) and round(distribution.low) < round(distribution.high):
        return RandInt(round(distribution.low), round(distribution.high))
    return None


def import_sweep(text: str, source: str) -> str:
    """Return the space file for a sweep of W&B, or of Hydra with Optuna.

    Args:
        text: YAML of the sweep file.
        source: Name of the file, for messages and for the first comment.

    Returns:
        Space file as YAML. Its task is the program that the file names, or a placeholder.

    Raises:
        UsageError: The file is neither, or is invalid as a whole.
    """
    root = parse_yaml(text, source, core_tags=True)
    tree = plain(root)
    if not isinstance(tree, Mapping):
        raise SpecError(Problem(source, "", "must be a section of `name: value` lines"))
    try:
        tree = packaged(tree, text)
        if is_hydra(tree):
            found = replace(read_hydra(tree), program=hydra_program(Path(source)))
        elif is_wandb(tree):
            found = read_wandb(tree)
        else:
            rule = "must be a W&B sweep, with parameters, or a Hydra configuration, with hydra.sweeper.params"
            raise UsageError(f"{rule}; found {', '.join(show(name) for name in list(tree)[:5]) or 'nothing'}")
    except UsageError as error:
        raise SpecError(*(Problem(source, "", str(problem)) for problem in error.problems)) from None
    written = _recipe_text(found, source, root) if found.program is None else command_text(found, found.program, source)
    spec = parse_space(written, f"{source} (imported)", "imported")  # raises if the result is not a valid space
    return written + "".join(f"# `sweeps run` refuses this space: {line}\n" for line in _refusals(spec))


def _recipe_text(found: Imported, source: str, root: Node) -> str:
    """Return the space file of a sweep without a program, whose parameters become fields of a recipe."""
    placement = _placed(found, dict(_lines(_swept(root))))
    search = {name: placed.distribution for name, placed in placement.search.items()}
    comments = placement.fixed | {name: placed.comment for name, placed in placement.search.items()}
    guessed = not any(kind_of("optimizer", value) for value in _kinds(found, "optimizer", Recipe()))
    return space_text(found, source, placement.recipe, search, placement.one_of, comments, placement.left, guessed)


def _refusals(spec: SpaceSpec) -> tuple[str, ...]:
    """Return the findings for which `sweeps run` refuses a space."""
    return tuple(f"{one.field}: {one.evidence}; {one.fix}" for one in lint(spec) if one.severity == "error")


def _lines(node: Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield the dotted path and the line of every key. W&B nests parameters in sections named `parameters`."""
    if isinstance(node, Section):
        for name, entry in node.entries.items():
            inside = prefix if name == "parameters" else f"{prefix}{name.lstrip('+')}."
            yield inside[:-1], node.keys[name].line
            yield from _lines(entry, inside)


def _swept(root: Node) -> Node:
    """Return the section of a file that has the parameters; the rest of a Hydra file may have their names, too."""
    sections = root.entries if isinstance(root, Section) else {}
    return next((sections[name] for name in ("parameters", "hydra", "hydra.sweeper") if name in sections), root)


def _placed(found: Imported, lines: Mapping[str, int]) -> _Placement:
    placement = _Placement(_start(found), lines)
    # The kinds come first: they decide which other fields can be searched.
    for parameter in sorted(found.parameters, key=lambda one: not str(field_of(one.name, Recipe())).endswith(".kind")):
        given = found.baseline.get(parameter.name)
        baseline = middle(parameter.distribution) if given is None else given
        placement.place(parameter, baseline)
    return placement


def _start(found: Imported) -> Recipe:
    """Return the recipe with the kinds of optimizer and schedule that the file names."""
    recipe = Recipe()
    for section in SECTIONS:
        kinds = [kind for value in _kinds(found, section, recipe) if (kind := kind_of(section, value)) is not None]
        if kinds:
            recipe = resolve(recipe, {f"{section}.kind": kinds[0]})
    fields = {field_of(one.name, recipe) for one in found.parameters}
    if (
        not fields & {"optimizer.kind"}
        and "optimizer.momentum" in fields
        and unknown_field(recipe, "optimizer.momentum")
    ):
        recipe = resolve(recipe, {"optimizer.kind": "sgd"})
    return recipe


def _kinds(found: Imported, section: str, recipe: Recipe) -> list[Value]:
    """Return the names that the file gives for the kind of a section, that of its own configuration first."""
    kind = f"{section}.kind"
    named = [one for one in found.parameters if field_of(one.name, recipe) == kind]
    values = [value for name, value in found.baseline.items() if field_of(name, recipe) == kind]
    return values + [value for one in named if one.distribution is not None for value in one.distribution.edges()]
