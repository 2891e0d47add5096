"""The listeners of every command: the only place that names them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sweeps.console.live_view import LiveView
from sweeps.driver.work import ListenerFactory, Session
from sweeps.listener import Listener
from sweeps.study.mirror import StudyMirror
from sweeps.study.study import open_study


def _live_view(session: Session) -> Listener:
    return LiveView(session.conductor, session.console, session.work.progress, session.writer)


def _dashboard(session: Session) -> Listener:
    work, parameters = session.work, session.conductor.plan.parameters
    opened = partial(open_study, session.options.storage, work.spec, parameters, work.facts)
    return StudyMirror(opened, session.store, session.writer.fence)


LISTENERS: Mapping[str, ListenerFactory] = {"live view": _live_view, "dashboard": _dashboard}


def listeners_of(session: Session) -> dict[str, Listener]:
    """Return the listeners of this command, by name."""
    return {name: make(session) for name, make in {**LISTENERS, **session.options.listeners}.items()}
