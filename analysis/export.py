"""Exports a sweep to CSV and YAML files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.load import epochs_frame, output_frame, runs_frame, runs_of, usage_frame
from search_spaces import Recipe, SpaceSpec, dump_space
from sweeps.changes import CodeState
from sweeps.engine.progress import best_run
from sweeps.store.records import RunRecord

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_sweep(spec: SpaceSpec, url: str, folder: Path, code: Sequence[CodeState] = ()) -> tuple[Path, ...]:
    """Write the files of a sweep: ``runs.csv``, ``epochs.csv``, ``space.yaml``, and what else there is.

    ``best.yaml`` is the recipe of the best complete run; ``usage.csv`` has what each start of a run has used: hardware,
    time, memory, energy; ``output.csv`` has what runs have printed. A command whose code had uncommitted changes has
    ``changes.diff``, and ``changes-2.diff`` if it was continued with others.

    Args:
        spec: Stored space of the sweep.
        url: Database URL.
        folder: Output folder; created if missing. Files of these names are replaced.
        code: Recorded states of the code of a command.

    Returns:
        Paths of the written files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = export_texts(spec, url)
    for file, frame in (("usage.csv", usage_frame(url, spec.name)), ("output.csv", output_frame(url, spec.name))):
        if not frame.empty:
            texts[file] = csv(frame)
    for number, state in enumerate(code, 1):
        if not state.clean:
            texts[f"changes-{number}.diff" if number > 1 else "changes.diff"] = state.text
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return tuple(folder / name for name in texts)


def export_texts(spec: SpaceSpec, url: str) -> dict[str, str]:
    """Return the files that `export_sweep` writes, but the output of runs: file name -> text."""
    texts = {
        "runs.csv": csv(_with_recipe_columns(runs_frame(url, spec.name), spec)),
        "epochs.csv": csv(epochs_frame(url, spec.name)),
        "space.yaml": dump_space(spec),
    }
    best = best_recipe(runs_of(url, spec.name), spec)
    return texts if best is None else {**texts, "best.yaml": best_yaml(spec, best)}


def best_yaml(spec: SpaceSpec, recipe: Recipe) -> str:
    """Return a recipe of a sweep as a space with one run."""
    return dump_space(spec.fixed_at(recipe))


def best_recipe(runs: Sequence[RunRecord], spec: SpaceSpec) -> Recipe | None:
    """Return the recipe of the complete run with the best value; None if no run is complete."""
    best = best_run(runs, spec.metric.goal)
    return None if best is None else best.recipe


def _with_recipe_columns(runs: pd.DataFrame, spec: SpaceSpec) -> pd.DataFrame:
    """Replace the column of recipes by one column per recipe field."""
    fields = [spec.fields_of(Recipe.model_validate(recipe)) for recipe in runs["recipe"]]
    recipes = pd.DataFrame(fields, index=runs.index)
    return runs.drop(columns=["recipe", "arm", "pair"]).join(recipes)


def csv(frame: pd.DataFrame) -> str:
    """Return CSV in which no text cell is a formula for a spreadsheet."""
    safe = frame.copy()
    for column in safe.select_dtypes(include=["object", "string"]).columns:
        safe[column] = [_harmless(cell) if isinstance(cell, str) else cell for cell in safe[column]]
    return safe.to_csv(index=False, lineterminator="\n")


def _harmless(cell: str) -> str:
    if cell.startswith(_FORMULA_STARTS):
        cell = f"'{cell}"
    return cell.replace("\r\n", "\n").replace("\r", "\n")  # a lone \r would not be quoted and would end the row
