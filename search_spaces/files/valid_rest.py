"""What is left of a space without its invalid parts, so that one pass finds the problems of all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.errors import UsageError
from search_spaces.search.constraints import Constraint
from search_spaces.search.parameters import overlap
from search_spaces.specs.command_task import CommandTask
from search_spaces.specs.space_parts import SAMPLERS

_LISTS = ("constraints", "starts")
# With these, no problem of a part follows from another part that was left out.
_NEUTRAL: Mapping[str, Any] = {"name": "rest", "runs": 1}
_NEUTRAL_METRIC: Mapping[str, Any] = {"task": "mnist1d", "metric": {"name": "val/nll", "goal": "minimize"}}


@dataclass(frozen=True)
class ValidRest:
    """The valid parts of a space.

    Attributes:
        values: Parts of the space by name, as `SpaceSpec` reads them.
        lost: Dotted fields of the recipe and of the search that are left out.
        kept: Index in the file of each remaining item of `constraints` and `starts`.
    """

    values: Mapping[str, Any]
    lost: frozenset[str]
    kept: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ValidRest:
        """Return the rest from which nothing has been left out."""
        lists = {name: values[name] for name in _LISTS if isinstance(values.get(name), list)}
        return cls(values, frozenset(), {name: tuple(range(len(items))) for name, items in lists.items()})

    def path_in_file(self, path: Sequence[str]) -> tuple[str, ...]:
        """Return the path of a problem with the indices of the file."""
        if len(path) < 2 or path[0] not in self.kept or not path[1].isdecimal():
            return tuple(path)
        return (path[0], str(self.kept[path[0]][int(path[1])]), *path[2:])

    def without(self, path: Sequence[str]) -> ValidRest:
        """Leave out the part with a problem, and what cannot be checked without it.

        Args:
            path: Path of the problem, with the indices of the file.
        """
        match tuple(path):
            case ("search", field, *_):
                return self._without_search([field])
            case ("search",):
                return self._without_search([*self.values["search"], *self.values["one_of"]])
            case ("constraints" | "starts" as name, index, *_) if index.isdecimal() and name in self.kept:
                left = [at for at, number in enumerate(self.kept[name]) if number != int(index)]
                return self._with_items(name, left)._with_one_run()
            case ("recipe", section, name, *_):
                return self._without_points([f"{section}.{name}"], [section])
            case ("sampler", "kind", *_):
                return self._with({"sampler": {}})
            case ("sampler", *_):
                written = self.values.get("sampler")
                kind = written.get("kind") if isinstance(written, Mapping) else None
                return self._with({"sampler": {"kind": kind} if kind in SAMPLERS else {}})
            case ("task" | "metric", *_):
                return self._with_neutral_metric()
            case ("name" | "runs" as name, *_):
                return self._with({name: _NEUTRAL[name]})
            case (name, *_) if name != "recipe":
                return replace(self, values={key: value for key, value in self.values.items() if key != name})
        return self

    def without_sections(self, sections: Sequence[str]) -> ValidRest:
        """Leave out what depends on sections of the recipe that could not be read."""
        rest = self._without_search(sections)
        return rest._with_neutral_metric() if {"averaging", "budget", "signals"} & set(sections) else rest

    def _without_search(self, fields: Sequence[str]) -> ValidRest:
        """Leave out searched fields, and those that depend on them by conditions."""
        search, when = dict(self.values["search"]), self.values["when"]
        lost = set(fields)
        while gone := {
            field
            for field in search
            if any(overlap(field, one) for one in lost)
            or any(overlap(name, one) for name in when.get(field, ()) for one in lost)
        }:
            lost |= gone
            search = {field: search[field] for field in search if field not in gone}
        parts = {
            "search": search,
            "one_of": {name: ones for name, ones in self.values["one_of"].items() if name not in lost},
            "when": {field: when[field] for field in when if field in search},
        }
        return self._with(parts)._without_points(sorted(lost), sorted(lost))

    def _without_points(self, fields: Sequence[str], of_starts: Sequence[str]) -> ValidRest:
        """Leave out the constraints that mention some fields, and the starts that set some."""
        rest = replace(self, lost=self.lost | set(fields))
        for name, among in (("constraints", fields), ("starts", of_starts)):
            items = rest.values.get(name) if name in rest.kept else ()
            left = [
                at
                for at, item in enumerate(items or ())
                if not any(overlap(field, one) for field in _fields(item) for one in among)
            ]
            rest = rest._with_items(name, left)
        return rest._with_one_run()

    def _with_items(self, name: str, left: Sequence[int]) -> ValidRest:
        if name not in self.kept:
            return self
        kept = {**self.kept, name: tuple(self.kept[name][at] for at in left)}
        return replace(self._with({name: [self.values[name][at] for at in left]}), kept=kept)

    def _with_one_run(self) -> ValidRest:
        """Return the rest with a number of runs that every grid has; the size of the whole grid is unknown."""
        return self._with({"runs": 1}) if isinstance(self.values.get("runs"), int) else self

    def _with_neutral_metric(self) -> ValidRest:
        """Return the rest with a task and a metric of it; a command may report any metric."""
        command = {"task": self.values["task"]} if isinstance(self.values.get("task"), CommandTask) else {}
        return self._with({**_NEUTRAL_METRIC, **command})

    def _with(self, values: Mapping[str, Any]) -> ValidRest:
        return replace(self, values={**self.values, **values})


def _fields(item: object) -> tuple[str, ...]:
    """Return the fields of a constraint or of a start, none if it is invalid."""
    if isinstance(item, Mapping):
        return tuple(map(str, item))
    try:
        return Constraint(item).fields if isinstance(item, str) else ()
    except UsageError:
        return ()
