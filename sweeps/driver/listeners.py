"""The listeners of every command, and those that `--listener` names."""

from collections.abc import Mapping
from functools import partial

from search_spaces import UsageError
from sweeps.console.live_view import LiveView
from sweeps.driver.work import ListenerFactory, Session
from sweeps.import_paths import add_import_paths, import_paths
from sweeps.listener import Listener
from sweeps.study.mirror import StudyMirror
from sweeps.study.study import open_study
from trainers.user_code import FAILURES, describe, import_user_module


def _live_view(session: Session) -> Listener:
    return LiveView(session.conductor, session.console, session.work.progress, session.writer)


def _dashboard(session: Session) -> Listener:
    work, parameters = session.work, session.conductor.plan.parameters
    opened = partial(open_study, session.options.storage, work.spec, parameters, work.facts)
    return StudyMirror(opened, session.store, session.writer.fence)


LISTENERS: Mapping[str, ListenerFactory] = {"live view": _live_view, "dashboard": _dashboard}


def load_listener(reference: str) -> ListenerFactory:
    """Return a factory of the listener class `module:Class`, which is created without arguments.

    Raises:
        UsageError: The class cannot be imported, or is not a `Listener`.
    """
    add_import_paths(import_paths())
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_user_module(module), name)
    except FAILURES as error:
        text = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"--listener must be module:Class of a subclass of sweeps.listener.Listener, {text}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Listener)):
        raise UsageError(f"--listener {reference}: must be a subclass of sweeps.listener.Listener, found {found!r}")
    return lambda session: _create(reference, found)


def _create(reference: str, kind: type[Listener]) -> Listener:
    try:
        return kind()
    except FAILURES as error:
        raise UsageError(f"--listener {reference}: creating it failed: {describe(error)}") from error


def listeners_of(session: Session) -> dict[str, Listener]:
    """Return the listeners of this command, by name."""
    return {name: make(session) for name, make in {**LISTENERS, **session.options.listeners}.items()}
