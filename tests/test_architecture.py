"""docs/architecture.md describes the tree as it is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PACKAGES = ("search_spaces", "trainers", "sweeps", "analysis")
PATHS = sorted({path for path in re.findall(r"[\w.]+/[\w./]*", PAGE) if path.split("/")[0] in (*PACKAGES, "tests")})


def test_every_path_of_the_page_exists() -> None:
    assert len(PATHS) > 70
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


def test_every_folder_has_its_line() -> None:
    folders = {f"{path.parent.relative_to(ROOT)}/" for name in PACKAGES for path in (ROOT / name).glob("*/__init__.py")}
    assert [folder for folder in sorted(folders) if f"| `{folder}` |" not in PAGE] == []
