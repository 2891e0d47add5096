"""The wheel that `pip install` makes of the project."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("search_spaces", "trainers", "sweeps", "analysis")


@pytest.mark.slow
@pytest.mark.parallel
def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    """A folder or a kind of file that is new and not packaged would only be missed where no clone is at hand."""
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    files = set(tracked.stdout.splitlines())
    copy = tmp_path / "project"
    for name in [*files, "pyproject.toml", "README.md", "LICENSE"]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("sweeps-*.whl")
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == files
