"""Serves the Optuna dashboard, and adds reports and files to its pages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound

from search_spaces import UsageError
from sweeps.store.database import parse_url
from sweeps.study.study import rdb_storage


def serve_dashboard(url: str, port: int) -> None:
    """Serve the dashboard on 127.0.0.1 until interrupted; it has no authentication of its own."""
    from optuna_dashboard import run_server

    run_server(rdb_storage(url), host="127.0.0.1", port=port, artifact_store=_artifact_store(artifact_folder(url)))


def artifact_folder(url: str) -> Path:
    """Return the folder for the files of the dashboard: beside a SQLite file, or under ``runs``."""
    parsed = parse_url(url)
    beside = Path(str(parsed.database)).parent if parsed.get_backend_name() == "sqlite" else Path("runs")
    return beside / "artifacts"


class _Figure(Protocol):
    """The methods that are used of a plotly figure."""

    def to_json(self) -> str: ...


def push_report(
    url: str,
    name: str,
    note: str,
    figures: Mapping[str, _Figure],
    artifacts: Sequence[Path],
    folder: Path | None = None,
) -> None:
    """Show a report on the page of its study. Another call replaces the note, the figures and the files.

    Args:
        url: URL of the database.
        name: Name of the study.
        note: Text in Markdown.
        figures: Plotly figures by id; an id has letters, digits and hyphens. The figures must be small: they are
            attributes of the study, and the dashboard reads all attributes at every refresh.
        artifacts: Files that users can open from the page.
        folder: Folder for copies of the files; None for `artifact_folder`.

    Raises:
        UsageError: The database has no study of this name.
    """
    from optuna_dashboard import get_note, save_note, save_plotly_graph_object

    storage = rdb_storage(url)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        if get_note(study) != note:
            save_note(study, note)
        for ident, figure in figures.items():
            save_plotly_graph_object(study, figure, graph_object_id=ident)
        _upload(study, _artifact_store(folder or artifact_folder(url)), artifacts)
    except KeyError:
        raise UsageError(f"the database has no study {name!r} for the dashboard: run the sweep to create it") from None
    finally:
        storage.engine.dispose()


def _upload(study: optuna.Study, store: FileSystemArtifactStore, artifacts: Sequence[Path]) -> None:
    """Add new files and overwrite changed ones, so that links to them stay valid."""
    there = {one.filename: one.artifact_id for one in get_all_artifact_meta(study)}
    for path in artifacts:
        if path.name not in there:
            upload_artifact(artifact_store=store, file_path=str(path), study_or_trial=study)
        elif not _same(store, there[path.name], path):
            with path.open("rb") as content:
                store.write(there[path.name], content)


def _artifact_store(folder: Path) -> FileSystemArtifactStore:
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def _same(store: FileSystemArtifactStore, ident: str, path: Path) -> bool:
    """Return whether the store has a file with the same content."""
    try:
        with store.open_reader(ident) as old, path.open("rb") as new:
            return old.read() == new.read()
    except ArtifactNotFound:
        return False
