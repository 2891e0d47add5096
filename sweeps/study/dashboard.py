"""What the dashboard shows of a study besides its trials, and the dashboard itself."""

from __future__ import annotations

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
    """Where the dashboard's files lie: beside a database that is a file, else under ``runs``."""
    parsed = parse_url(url)
    beside = Path(str(parsed.database)).parent if parsed.get_backend_name() == "sqlite" else Path("runs")
    return beside / "artifacts"


class _Figure(Protocol):
    """What is needed of a plotly figure."""

    def to_json(self) -> str: ...


def push_report(
    url: str,
    name: str,
    note: str,
    figures: Mapping[str, _Figure],
    artifacts: Sequence[Path],
    folder: Path | None = None,
) -> None:
    """Show a report on the page of its study; to push it again replaces what was there, file by file.

    Args:
        url: Of the database.
        name: Of the study.
        note: Markdown.
        figures: Plotly figures by their id, of letters, digits and hyphens. Small ones: they become attributes of the
            study, all of which the dashboard reads whenever it looks.
        artifacts: Files that a person can open from there.
        folder: Where their copies lie; None for `artifact_folder`.

    Raises:
        UsageError: The database holds no study of this name.
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
        raise UsageError(f"the database has no study {name!r} for the dashboard: the run command makes it") from None
    finally:
        storage.engine.dispose()


def _upload(study: optuna.Study, store: FileSystemArtifactStore, artifacts: Sequence[Path]) -> None:
    """Add the files, or write them again where they changed: a link to one stays good."""
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
    """Whether the store has the very bytes of a file."""
    try:
        with store.open_reader(ident) as old, path.open("rb") as new:
            return old.read() == new.read()
    except ArtifactNotFound:
        return False
