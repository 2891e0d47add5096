"""A sweep as files that any other tool reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.load import epochs_frame, runs_frame
from search_spaces import Recipe, SpaceSpec, dump_space, flatten

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def export_sweep(spec: SpaceSpec, url: str, folder: Path) -> tuple[Path, ...]:
    """Write ``runs.csv``, ``epochs.csv``, ``space.yaml`` and, where a run is complete, ``best.yaml``.

    Args:
        spec: Of the sweep, as it is stored.
        url: Of the database.
        folder: Made when missing; files of these names are replaced.

    Returns:
        The paths written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = export_texts(spec, url)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return tuple(folder / name for name in texts)


def export_texts(spec: SpaceSpec, url: str) -> dict[str, str]:
    """Return what `export_sweep` writes: name of the file -> its text."""
    runs = runs_frame(url, spec.name)
    texts = {
        "runs.csv": csv(_with_recipe_columns(runs)),
        "epochs.csv": csv(epochs_frame(url, spec.name)),
        "space.yaml": dump_space(spec),
    }
    best = best_recipe(runs, spec)
    return texts if best is None else {**texts, "best.yaml": best_yaml(spec, best)}


def best_yaml(spec: SpaceSpec, recipe: Recipe) -> str:
    """Return a recipe of a sweep as a space of its own, of one run."""
    return dump_space(spec.fixed_at(recipe))


def best_recipe(runs: pd.DataFrame, spec: SpaceSpec) -> Recipe | None:
    """The recipe of the complete run with the best value; None where none is complete."""
    complete = runs[runs["state"] == "COMPLETE"].dropna(subset=["value"])
    if complete.empty:
        return None
    ascending = spec.metric.goal == "minimize"
    first = complete.sort_values(["value", "number"], ascending=[ascending, True]).iloc[0]
    return Recipe.model_validate(first["recipe"])


def _with_recipe_columns(runs: pd.DataFrame) -> pd.DataFrame:
    """Each recipe field a column of its own."""
    recipes = pd.DataFrame([flatten(Recipe.model_validate(recipe)) for recipe in runs["recipe"]], index=runs.index)
    return runs.drop(columns=["recipe", "arm", "pair"]).join(recipes)


def csv(frame: pd.DataFrame) -> str:
    """CSV whose text cells no spreadsheet takes for a formula."""
    safe = frame.copy()
    for column in safe.select_dtypes(include=["object", "string"]).columns:
        safe[column] = [_harmless(cell) if isinstance(cell, str) else cell for cell in safe[column]]
    return safe.to_csv(index=False, lineterminator="\n")


def _harmless(cell: str) -> str:
    if cell.startswith(_FORMULA_STARTS):
        cell = f"'{cell}"
    return cell.replace("\r\n", "\n").replace("\r", "\n")  # a lone \r would not be quoted, and end the row
