"""The exit codes of every command."""

from typing import Final

DONE: Final = 0
FAILED: Final = 1
"""The sweep cannot continue, no run is complete, or a check or a lint rule found an error."""

USAGE: Final = 2
"""Something must be fixed by the user first."""

INTERRUPTED: Final = 130
"""Ctrl-C or SIGTERM; the same command continues."""
