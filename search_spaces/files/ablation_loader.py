"""Load an ablation from YAML and report every problem at once, like `space_loader`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces.errors import Problem, SpecError, UsageError, suggest
from search_spaces.files.ablation_rest import without, without_fields
from search_spaces.files.command_section import MOVED, has_command
from search_spaces.files.lookup import locate, read_base, read_nodes, read_text
from search_spaces.files.nodes import Leaf, Mark, Node, Section, drop, find, plain, put, written_names
from search_spaces.files.search_section import read_distribution
from search_spaces.files.space_loader import assemble_rest, problems_of
from search_spaces.recipe.validation import invalid_values
from search_spaces.specs.ablation import AblationSpec
from search_spaces.specs.ablation_parts import Arm, CommandMetrics, Metrics
from search_spaces.specs.space import SpaceSpec
from search_spaces.specs.space_parts import Metric
from search_spaces.values import show

_SPACE_NAMES = ("task", "recipe", *MOVED, "search", "resources", "checkpoint_every_s", "time_limit_s")
_OWN_NAMES = tuple(name for name in AblationSpec.model_fields if name != "space")
_NAMES = ("kind", "extends", "space", "seed", *_SPACE_NAMES, *_OWN_NAMES)
TASKS = "tasks"
_NEUTRAL = SpaceSpec(name="x", task="mnist1d", metric=Metric(name="val/nll", goal="minimize"), runs=1)
_SPACE_FREE = ("arms", "factors", "contrasts", "looks", "design")
_ARM_NAMES = tuple(name for name in Arm.model_fields if name != "settings")


@dataclass(frozen=True)
class Overrides:
    """Command-line options that replace values of the file.

    Attributes:
        settings: Texts such as `budget.epochs=9` that set fields of the base recipe.
        pairs: Number of seeds per arm.
        design: `matched`, `retuned` or `both`.
        seed: Seed for all random streams.
        name: Name of the ablation.
    """

    settings: Sequence[str] = ()
    pairs: int | None = None
    design: str | None = None
    seed: int | None = None
    name: str | None = None


def load_ablation(name_or_path: str, library: Path, overrides: Overrides = Overrides()) -> AblationSpec:
    """Read an ablation from an existing file, or else from a library.

    Args:
        name_or_path: Path of a file, or name of a shipped ablation.
        library: Folder of the shipped ablations.
        overrides: Values of command-line options.

    Raises:
        UsageError: There is no such ablation.
        SpecError: The file is invalid; it has every problem.
    """
    path = locate(name_or_path, library, "ablation")
    root = with_options(read_nodes(read_text(path), str(path)), overrides)
    return assemble_ablation(root, str(path), overrides.name or path.stem, overrides.settings)


def parse_ablation(text: str, source: str, name: str) -> AblationSpec:
    """Read an ablation from a text.

    Raises:
        SpecError: The text is invalid; it has every problem.
    """
    return _Assembly(read_nodes(text, source), source).spec(name, ())


def assemble_ablation(root: Section, source: str, name: str, settings: Sequence[str]) -> AblationSpec:
    """Turn the nodes of an ablation into its spec.

    Args:
        root: Nodes of the file.
        source: Name of the file, for messages.
        name: Name of the ablation.
        settings: Texts such as `budget.epochs=9`.

    Raises:
        SpecError: The ablation is invalid; it has every problem.
    """
    return _Assembly(root, source).spec(name, settings)


def with_options(root: Section, overrides: Overrides) -> Section:
    """Return the nodes with the values of options, marked by the name of the option."""
    for name in ("pairs", "design", "seed"):
        value = getattr(overrides, name)
        if value is not None:
            mark = Mark(f"--{name} {value}")
            root = put(root, name, Leaf(mark, value), mark)
    if overrides.design == "matched":
        root = drop(root, ["retune"])
    return root


@dataclass
class _Assembly:
    """Turns nodes into a spec and collects problems."""

    root: Section
    source: str
    found: list[Problem] = field(default_factory=list)
    unreadable: list[tuple[str, ...]] = field(default_factory=list)

    def spec(self, name: str, settings: Sequence[str]) -> AblationSpec:
        """Return the spec, or raise a `SpecError` with every problem."""
        self._check_names()
        merged = self._merged()
        values = self._values(command=merged is not None and has_command(merged))
        space, lost = (None, frozenset()) if merged is None else self._space(merged, name, values, settings)
        spec = self._validated(without_fields(values, lost), space)
        if spec is None or self.found:
            raise SpecError(*dict.fromkeys(self.found))
        return spec

    def _values(self, command: bool) -> Mapping[str, Any]:
        """Return the parts of the ablation but its space, without those that could not be read.

        Args:
            command: Whether its task is a command, whose metrics follow other rules.
        """
        values: Mapping[str, Any] = {
            key: _tuples(plain(node)) for key, node in self.root.entries.items() if key in _OWN_NAMES
        }
        if "arms" in values:
            values = {**values, "arms": self._arms(self.root.entries["arms"])}
        if "factors" in values:
            values = {**values, "factors": self._sections("factors", self.root.entries["factors"])}
        if isinstance(values.get("retune"), dict):
            values = {"design": "both", **values, "retune": self._retune(self.root.entries["retune"])}
        if command and isinstance(values.get("metrics"), dict):
            values = {**values, "metrics": self._command_metrics(values["metrics"])}
        for path in self.unreadable:
            values = without(values, path)
        return values

    def _command_metrics(self, values: Mapping[str, Any]) -> CommandMetrics | None:
        try:
            return CommandMetrics.model_validate(values)
        except ValidationError as error:
            for path, message in invalid_values(error, CommandMetrics):
                names = ("metrics", *path)
                self._add(find(self.root, names), ".".join(names), message)
                self.unreadable.append(("metrics",))
        return None

    def _add(self, mark: Mark, path: str, message: str) -> None:
        self.found.append(Problem(str(mark), path, message))

    def _check_names(self) -> None:
        kind = plain(self.root.entries["kind"]) if "kind" in self.root.entries else None
        if kind == "sweep":  # every other problem follows from it
            rule = f"must be kind: ablation, found 'sweep'; run it with: sweeps run {self.source}"
            raise SpecError(Problem(str(find(self.root, ["kind"])), "kind", rule))
        for name in self.root.entries:
            if name == TASKS:
                self._add(self.root.keys[name], name, "several tasks are one ablation each; `sweeps ablate` runs them")
            elif name not in _NAMES:
                self._add(self.root.keys[name], name, f"unknown name; {suggest(name, _NAMES)}")
        if kind != "ablation":
            found = "none" if kind is None else show(kind)
            self._add(find(self.root, ["kind"]), "kind", f"must be kind: ablation, found {found}")

    # --- arms -----------------------------------------------------------------------------------------------

    def _arms(self, node: Node) -> dict[str, Any]:
        arms: dict[str, Any] = {}
        for name, settings in self._sections("arms", node).items():
            own = {key: settings.pop(key) for key in _ARM_NAMES if key in settings}
            arms[name] = {**own, "settings": settings}
        return arms

    def _sections(self, name: str, node: Node) -> dict[str, dict[str, Any]]:
        """Read `{arm: {field: value}}`; the fields may be nested sections, too."""
        if not isinstance(node, Section):
            self._add(
                node.mark, name, f"must be a section of `name: {{field: value}}` lines, found {show(plain(node))}"
            )
            self.unreadable.append((name,))
            return {}
        sections: dict[str, dict[str, Any]] = {}
        for key, entry in node.entries.items():
            if isinstance(entry, Section):
                sections[key] = dict(_flat(entry))
            elif entry == Leaf(entry.mark, None):
                sections[key] = {}
            else:
                self._add(entry.mark, f"{name}.{key}", f"must be {{field: value}}, found {show(plain(entry))}")
                sections[key] = {}
        return sections

    def _retune(self, node: Node) -> dict[str, Any]:
        values: dict[str, Any] = {}
        entries = node.entries if isinstance(node, Section) else {}
        for name, entry in entries.items():
            values[name] = _tuples(plain(entry))
        ranges = entries.get("ranges")
        if isinstance(ranges, Section):
            values["ranges"] = {
                arm: {key: self._range(("retune", "ranges", arm, key), one) for key, one in section.entries.items()}
                for arm, section in ranges.entries.items()
                if isinstance(section, Section)
            }
        return values

    def _range(self, path: tuple[str, ...], node: Node) -> Any:
        try:
            return read_distribution(node)
        except UsageError as error:
            self._add(node.mark, ".".join(path), str(error))
            self.unreadable.append(path)
            return None

    # --- the space ------------------------------------------------------------------------------------------

    def _merged(self) -> Section | None:
        """Return the nodes of the file, merged with those of its space; None if the file of the space is invalid."""
        try:
            return read_base(self.root, "space", self.source)
        except SpecError as error:
            self._keep(error.problems)
            return None

    def _space(
        self, merged: Section, name: str, values: Mapping[str, Any], settings: Sequence[str]
    ) -> tuple[SpaceSpec | None, frozenset[str]]:
        """Return the valid parts of the space that the driver needs, and the fields that are left out.

        Its metric may be used in every epoch.
        """
        root = self.root
        kept = {key: node for key, node in merged.entries.items() if key in _SPACE_NAMES}
        section = Section(root.mark, kept, {key: merged.keys[key] for key in kept})
        used = _used_fields(values)
        search = kept.get("search")
        if isinstance(search, Section):
            section = put(
                section, "search", drop(search, [one for one in search.entries if one not in used]), search.mark
            )
        for key, node in self._driven(values).items():
            section = put(section, key, node, root.mark)
        rest, problems = assemble_rest(section, self.source, name, settings)
        self._keep(problems)
        try:
            return SpaceSpec.model_validate(rest.values), rest.lost
        except (ValidationError, UsageError):
            if not problems:
                raise
            return None, rest.lost

    def _driven(self, values: Mapping[str, Any]) -> dict[str, Node]:
        """Return the parts of a space that are the same for every ablation or follow from its metrics."""
        mark = self.root.mark
        metric, goal = _selection(values.get("metrics")) or ("val/nll", "minimize")
        sampler = _section(mark, {"kind": "random"})
        driven: dict[str, Node] = {
            "sampler": sampler,
            "kind": Leaf(mark, "sweep"),
            "metric": _section(mark, {"name": metric, "goal": goal}),
            "early_stopping": _section(mark, {"kind": "none"}),
            "runs": Leaf(mark, 1),
        }
        if "seed" in self.root.entries:
            driven["sampler"] = put(sampler, "seed", self.root.entries["seed"], self.root.keys["seed"])
        return driven

    def _keep(self, problems: Iterable[Problem | str]) -> None:
        for problem in problems:
            one = problem if isinstance(problem, Problem) else Problem(self.source, "", problem)
            if one.field in ("metric.name", "metric.goal"):  # they follow from the metrics of the ablation
                if _selection(plain(self.root.entries.get("metrics", self.root))) is None:
                    continue
                name = "select" if self._selects() else "primary"
                path = ["metrics", "goal" if one.field == "metric.goal" else name]
                one = Problem(str(find(self.root, path)), ".".join(path), one.message)
            self.found.append(Problem(one.where, one.field.removeprefix("sampler."), one.message))

    def _selects(self) -> bool:
        """Return whether the file names the metric that selects points."""
        metrics = self.root.entries.get("metrics")
        return isinstance(metrics, Section) and "select" in metrics.entries

    # --- the whole ------------------------------------------------------------------------------------------

    def _validated(self, values: Mapping[str, Any], space: SpaceSpec | None) -> AblationSpec | None:
        """Return the spec of the valid parts, or None if they do not fit each other.

        Without a space, only problems that do not depend on it are reported.
        """
        before = values
        try:
            return AblationSpec.model_validate({**values, "space": space or _NEUTRAL})
        except ValidationError as error:
            for path, message in invalid_values(error, AblationSpec):
                names = [name for name in path if name != "settings"]
                self._add(find(self.root, names), ".".join(names), message)
                values = without(values, path)
            return self._validated(values, space) if values != before else None
        except UsageError as error:
            for one in problems_of(error):
                if space is not None or one.field.partition(".")[0] in _SPACE_FREE:
                    self._add(find(self.root, written_names(self.root, one.field)), one.field, one.message)
        return None


def _section(mark: Mark, values: Mapping[str, Any]) -> Section:
    return Section(mark, {key: Leaf(mark, value) for key, value in values.items()}, dict.fromkeys(values, mark))


def _flat(section: Section, prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, node in section.entries.items():
        if isinstance(node, Section):
            yield from _flat(node, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", plain(node)


def _selection(metrics: object) -> tuple[str, str] | None:
    """Return the metric that selects points and its goal, or None if the metrics of the file are invalid."""
    try:
        read = Metrics.model_validate(_tuples(metrics))
    except ValidationError:
        return None
    return read.selection, read.goal


def _tuples(value: object) -> Any:
    """Return the value with tuples instead of lists, as the frozen parts need."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


def _used_fields(values: Mapping[str, Any]) -> set[str]:
    """Return the searched fields that the ablation varies; it ignores the rest of the search."""
    retune, nuisance = values.get("retune"), values.get("nuisance")
    over = retune.get("over") if isinstance(retune, dict) else ()
    return {str(name) for names in (over, nuisance) if isinstance(names, tuple) for name in names}
