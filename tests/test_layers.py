"""The import direction of the packages, and the places where each third-party engine is imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("search_spaces", "trainers", "sweeps", "analysis")  # a package imports itself and those before it

UPWARD = {"sweeps/cli/": "analysis"}  # the composition root, and only inside a command

ENGINE_IMPORTS: dict[str, tuple[str, ...]] = {
    "ruamel": ("search_spaces/files/",),
    "optuna": ("sweeps/study/",),
    "optuna_dashboard": ("sweeps/study/",),
    "ray": ("sweeps/runners/ray/",),
    "sqlalchemy": ("sweeps/store/", "analysis/load.py"),
    "plotly": ("analysis/figures/",),
    "pyarrow": ("trainers/storage/",),
    "tomlkit": ("trainers/command/",),
    "google": ("trainers/command/metrics/event_file.py",),
    "google_crc32c": ("trainers/command/metrics/event_file.py",),
    "torch": ("trainers/", "sweeps/runners/worker.py"),
    "transformers": ("trainers/", "sweeps/integrations/hugging_face.py"),
    "accelerate": ("sweeps/integrations/hugging_face.py",),
    "lightning": ("sweeps/integrations/lightning.py",),
}


@dataclass(frozen=True)
class Import:
    """One import: the module's full name, and whether it runs when the file is imported."""

    module: str
    line: int
    inside_function: bool


def imports(source: str, path: str) -> Iterator[Import]:
    """Every import of a file; those under TYPE_CHECKING too, since they are knowledge all the same."""
    package = path.removesuffix(".py").split("/")[:-1]
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(source), False)]
    while stack:
        node, inside = stack.pop()
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *([node.module] if node.module else [])])
            # `from sweeps import worker` names a module as `import sweeps.worker` does.
            yield from (
                Import(f"{whole}.{alias.name}" if whole else alias.name, node.lineno, inside) for alias in node.names
            )
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield Import(node.args[0].value, node.lineno, inside)
        stack.extend((child, inside) for child in ast.iter_child_nodes(node))


def breaches(source: str, path: str) -> list[str]:
    """What a file imports against the rules, a line each."""
    own = path.split("/")[0]
    found = []
    for one in imports(source, path):
        top = one.module.partition(".")[0]
        if top in LAYERS and LAYERS.index(top) > LAYERS.index(own):
            allowed = one.inside_function and any(path.startswith(place) and top == up for place, up in UPWARD.items())
            if not allowed:
                found.append(f"{path}:{one.line}: {own} may not import {one.module}")
        places = ENGINE_IMPORTS.get(top)
        if places is not None and not any(
            path == place or (place[-1] == "/" and path.startswith(place)) for place in places
        ):
            found.append(f"{path}:{one.line}: {top} is imported in {', '.join(places)} only")
    return found


def files() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for package in LAYERS for path in (ROOT / package).rglob("*.py"))


def test_there_is_something_to_check() -> None:
    assert len(files()) > 50
    assert {path.split("/")[0] for path in files()} == set(LAYERS)
    places = {place for each in ENGINE_IMPORTS.values() for place in each if place.endswith(".py")}
    assert places <= set(files())


@pytest.mark.parametrize("path", files())
def test_every_import_keeps_the_rules(path: str) -> None:
    assert breaches((ROOT / path).read_text(encoding="utf-8"), path) == []


# The folders of each package; one imports itself, those before it, and the files beside them.
FOLDERS = {
    "search_spaces": ("recipe", "search", "command", "specs", "files", "lint", "importers", "recommend"),
    "trainers": (
        "models",
        "storage",
        "optim",
        "compute",
        "data",
        "evaluation",
        "loop",
        "command",
        "distributed",
        "tasks",
        "sanity",
    ),
    "sweeps": ("integrations", "store", "study", "plan", "engine", "runners", "console", "preflight", "driver", "cli"),
    "analysis": ("statistics", "calibration", "diagnosis", "sweep", "ablation", "across_tasks", "figures", "report"),
}
MOST_MODULES = 14  # directly in one folder
MOST_LINES = 45  # of code, in one function


def folder_breaches(source: str, path: str) -> list[str]:
    """Return what a file imports from folders above its own, a line each."""
    package, _, rest = path.partition("/")
    order, folder = FOLDERS[package], rest.partition("/")[0]
    if folder not in order:
        return []
    found = []
    for one in imports(source, path):
        top, _, below = one.module.partition(".")
        other = below.partition(".")[0]
        if top == package and other in order and order.index(other) > order.index(folder):
            found.append(f"{path}:{one.line}: {package}/{folder} may not import {one.module}")
    return found


@pytest.mark.parametrize("path", files())
def test_every_folder_imports_only_those_below_it(path: str) -> None:
    assert folder_breaches((ROOT / path).read_text(encoding="utf-8"), path) == []


def test_every_folder_has_its_place_and_its_sentence() -> None:
    for package, order in FOLDERS.items():
        found = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert found == set(order)
    for path in files():
        if path.endswith("__init__.py"):
            assert ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))), path


def test_no_folder_is_a_heap() -> None:
    folders = Counter(str(Path(path).parent) for path in files() if not path.endswith("__init__.py"))
    assert {folder: count for folder, count in folders.items() if count > MOST_MODULES} == {}


def code_lines(source: str) -> Iterator[tuple[str, int]]:
    """Yield the name of each function and its lines without docstring, comments and blank lines."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            text = range(first.lineno, (first.end_lineno or 0) + 1) if ast.get_docstring(node) else ()
            own = [lines[at - 1].strip() for at in range(node.lineno, (node.end_lineno or 0) + 1) if at not in text]
            yield node.name, sum(bool(line) and not line.startswith("#") for line in own)


def test_no_function_is_long() -> None:
    sources = {path: (ROOT / path).read_text(encoding="utf-8") for path in files()}
    assert [(path, *one) for path in sources for one in code_lines(sources[path]) if one[1] > MOST_LINES] == []
    assert list(code_lines('def f():\n    """Text."""\n    # why\n\n    return 1')) == [("f", 2)]


def circle(sources: dict[str, str]) -> tuple[str, ...]:
    """Return modules that import each other in a circle, from the first to itself; imports in functions count."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in sources}
    graph: dict[str, set[str]] = {}
    for name, path in names.items():
        for one in imports(sources[path], path):
            # `from a.b import c` imports the module a.b.c where there is one, and else a.b.
            target = next((n for n in (one.module, one.module.rpartition(".")[0]) if n in names), name)
            graph.setdefault(name, set()).update({target} - {name})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def test_no_module_imports_itself_through_others() -> None:
    assert circle({path: (ROOT / path).read_text(encoding="utf-8") for path in files()}) == ()


@pytest.mark.parametrize(
    ("path", "source", "words"),
    [
        ("search_spaces/specs/space.py", "import trainers.reports", "search_spaces may not import trainers.reports"),
        ("search_spaces/specs/space.py", "from sweeps import asha", "search_spaces may not import sweeps.asha"),
        (
            "trainers/factory.py",
            "def f():\n    from sweeps.plan.asha import Rungs",
            "trainers may not import sweeps.plan.asha.Rungs",
        ),
        ("trainers/task.py", "from analysis.load import x", "trainers may not import analysis"),
        ("sweeps/console/sweep_view.py", "def f():\n    import analysis.load", "sweeps may not import analysis.load"),
        (
            "sweeps/cli/read_commands.py",
            "import analysis.load",
            "read_commands.py:1: sweeps may not import analysis.load",
        ),
        ("sweeps/commands/x.py", "class A:\n    from analysis import load", "x.py:2: sweeps may not import"),
        ("sweeps/driver/driver.py", "def f():\n    import analysis", "sweeps may not import analysis"),
        (
            "sweeps/plan/plan.py",
            "import importlib\nimportlib.import_module('analysis.load')",
            "may not import analysis.load",
        ),
        (
            "search_spaces/recipe/recipe.py",
            "from ruamel.yaml import YAML",
            "ruamel is imported in search_spaces/files/",
        ),
        ("sweeps/plan/plan.py", "try:\n    import optuna as o\nexcept ImportError:\n    pass", "optuna is imported in"),
        (
            "sweeps/cli/app.py",
            "def f():\n    from optuna_dashboard import run_server",
            "optuna_dashboard is imported in",
        ),
        ("sweeps/driver/driver.py", "import os, ray.tune", "ray is imported in"),
        ("sweeps/plan/asha.py", "from sqlalchemy import text", "sqlalchemy is imported in"),
        ("analysis/report/page.py", "import plotly.graph_objects", "plotly is imported in"),
        ("sweeps/engine/conductor.py", "def f():\n    import torch", "torch is imported in"),
        ("analysis/load.py", "async def f():\n    from torch import nn", "torch is imported in"),
        ("trainers/loop/training.py", "from pyarrow.fs import FileSystem", "pyarrow is imported in"),
    ],
)
def test_the_check_finds_a_breach(path: str, source: str, words: str) -> None:
    [found] = breaches(source, path)
    assert words in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sweeps/cli/read_commands.py", "def export():\n    from analysis.export import export_sweep"),
        ("sweeps/study/study.py", "import optuna"),
        ("sweeps/runners/worker.py", "def _open():\n    import torch"),
        ("trainers/tasks/digits.py", "import torch\nfrom search_spaces import Recipe\nfrom . import task"),
        ("analysis/export.py", "from sweeps.store.tables import RunState\nimport search_spaces"),
        ("search_spaces/raytracing.py", "import rayleigh\nimport torchless"),
    ],
)
def test_the_check_lets_the_rest_pass(path: str, source: str) -> None:
    assert breaches(source, path) == []


def test_an_import_of_a_higher_folder_is_found() -> None:
    [found] = folder_breaches("def f():\n    from sweeps.engine import conductor", "sweeps/store/store.py")
    assert "sweeps/store may not import sweeps.engine.conductor" in found
    assert folder_breaches("from sweeps.store.store import Store\nimport sweeps.run_state", "sweeps/engine/x.py") == []


def test_a_circle_is_found() -> None:
    planted = {
        "sweeps/a.py": "from sweeps import b",
        "sweeps/b.py": "def f():\n    from sweeps.store.c import x",
        "sweeps/store/c.py": "import sweeps.a",
        "sweeps/d.py": "import sweeps.a",
    }
    assert set(circle(planted)) == {"sweeps.a", "sweeps.b", "sweeps.store.c"}
    assert circle({**planted, "sweeps/store/c.py": ""}) == ()


def test_a_relative_import_is_resolved() -> None:
    [found] = imports("from ..sweeps import asha", "trainers/tasks/x.py")
    assert found.module == "trainers.sweeps.asha"


HEAVY = ("torch", "ray", "optuna", "pandas", "pyarrow", "scipy", "sklearn")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import search_spaces", (*HEAVY, "sqlalchemy")),
        ("import analysis", HEAVY),
        ("import analysis.load", ("torch", "ray", "optuna")),
        ("import analysis.load, analysis.export, sweeps.console.sweep_view", ("torch", "ray")),
        ("import sweeps.cli.app", ("torch", "ray", "optuna", "pandas", "pyarrow")),
        ("import sweeps.driver.driver, sweeps.runners.ray.connection", ("torch", "pandas", "pyarrow")),
        ("import sweeps.driver.driver, sweeps.runners.ray.runner", ("torch",)),
        ("import sweeps.runners.worker", ("torch", "ray", "optuna", "sqlalchemy", "pyarrow")),
        (
            "import search_spaces.command.template_parser, trainers.command.config_file",
            ("torch", "ray", "optuna", "sqlalchemy", "pyarrow"),
        ),
        ("import trainers.command.metrics.sources", (*HEAVY, "numpy", "sqlalchemy", "google")),
        ("import trainers.command.metrics.tensorboard", (*HEAVY, "numpy", "sqlalchemy")),
        ("import trainers.storage.checkpoints", ("ray", "optuna", "sqlalchemy", "pyarrow")),
    ],
)
def test_what_an_import_loads(statement: str, absent: tuple[str, ...]) -> None:
    code = f"import sys\n{statement}\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert set(absent) & set(done.stdout.split()) == set()
    assert "pydantic" in done.stdout or statement == "import analysis"  # it did load something


# What `make test-gpu` does not install.
NOT_ON_A_GPU_MACHINE = (
    *("ray", "optuna", "pyarrow", "fsspec", "sqlalchemy", "plotly"),
    *("pandas", "sklearn", "tomlkit", "rich"),
)


def test_gpu_tests_need_few_packages() -> None:
    """Collect `make test-gpu` without the packages that it does not install; this imports trainers and the worker."""
    code = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_ON_A_GPU_MACHINE!r}))
import pytest
sys.exit(pytest.main(["tests/gpu", "--collect-only", "-p", "no:cacheprovider"]))
"""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_no_step_waits" in done.stdout
