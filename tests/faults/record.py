"""Results as lines of JSON, and the table of docs/reliability.md."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from command import ROOT
from stage import FAULTS, Result

BEGIN, END = "<!-- the table: made by tests/faults/run.py -->", "<!-- the end of the table -->"
HEAD = ("fault", "how it was injected", "injections", "what was lost", "command")


def machine() -> dict[str, Any]:
    """Return the properties of this machine that a result may depend on."""
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "ray": version("ray"),
        "commit": _commit(),
    }


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git(
        "status", "--porcelain", "--untracked-files=no", "--", "sweeps", "trainers", "search_spaces", "analysis"
    )
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes" if changed else "")


def append(path: Path, result: Result) -> None:
    """Append one result to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**asdict(result), "machine": machine()}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Return the newest result of every fault, in the order in which the faults are registered."""
    newest = {line["fault"]: line for line in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    return sorted(newest.values(), key=lambda line: [*FAULTS, line["fault"]].index(line["fault"]))


def table(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the table in Markdown, followed by the machines where it was made."""
    lines = list(lines)
    rows = [HEAD, ("---",) * len(HEAD)]
    for line in lines:
        lost = (
            "nothing"
            if not line["lost"]
            else f"**{'; '.join(map(_brief, line['lost'][:3]))}**{_more(line['lost'][3:])}"
        )
        rows.append((f"`{line['fault']}`", line["how"], str(line["count"]), lost, f"`{line['command']}`"))
    text = "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    )
    return f"{text}\n\n{_where(lines)}"


def _brief(breach: str) -> str:
    """Return a breach without the folders of the machine where it was found."""
    return " ".join(re.sub(r"(?<![\w.])/\S*/", "", breach).split())[:200]


def _more(rest: list[str]) -> str:
    return f" and {len(rest)} more" if rest else ""


def _where(lines: list[Mapping[str, Any]]) -> str:
    machines: dict[str, list[str]] = {}
    for line in lines:
        facts = line["machine"]
        text = (
            f"{facts['cores']} cores, {facts['memory_gib']} GiB of memory, {facts['system']}, "
            f"Python {facts['python']}, Ray {facts['ray']}, commit {facts['commit']}"
        )
        machines.setdefault(text, []).append(f"`{line['fault']}`")
    minutes = sum(line["seconds"] for line in lines) / 60
    checks = sum(len(line["checked"]) + len(line["lost"]) for line in lines)
    faults = sum(line["count"] for line in lines)
    head = f"{faults} faults, {checks} checks, {minutes:.0f} minutes."
    if len(machines) <= 1:
        return f"{head} {''.join(machines)}{'.' if machines else ''}"
    return "\n".join([head, "", *(f"- {text}: {', '.join(names)}" for text, names in machines.items())])


def write_table(page: Path, results: Path) -> None:
    """Write the table between its marks.

    Raises:
        ValueError: The page does not have both marks once.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page}: expected one line {BEGIN} and one {END}")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{table(read(results))}\n{END}{after}", encoding="utf-8")
