"""What SECURITY.md promises, each promise tried: by reading the sources, and by attacking the commands."""

from __future__ import annotations

import ast
import html
import io
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import create_engine, text

from analysis.report import page as page_module
from analysis.report.ablation.files import write_report
from search_spaces.errors import CheckpointError
from sweeps.store.database import connect, shown
from sweeps.store.store import Store
from tests.analysis.report_cases import CASES
from tests.command import Command, in_this_process
from tests.fakes import add_sweep, space
from trainers.storage import checkpoints
from trainers.storage.checksummed import write_checksummed
from trainers.storage.local import LocalFolder

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("search_spaces", "trainers", "sweeps", "analysis")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SWEEPS = str(Path(sys.executable).with_name("sweeps"))

# --- the sources ------------------------------------------------------------------------------------------------

# Whatever turns data into code, or a text into a command. A name ending with a dot stands for all that begins with it.
FORBIDDEN = (
    *("eval", "exec", "compile", "__import__", "importlib.import_module", "importlib.reload", "runpy."),
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.", "cloudpickle.", "dill.", "joblib.", "marshal."),
    *("shelve.", "pandas.read_pickle", "torch.jit.load", "torch.hub.", "torch.package.", "sqlalchemy.PickleType"),
    *(
        "yaml.",
        "os.system",
        "os.popen",
        "subprocess.getoutput",
        "subprocess.getstatusoutput",
        "pty.",
        "tempfile.mktemp",
    ),
    *("urllib.request.", "http.", "requests.", "httpx.", "aiohttp.", "ftplib.", "smtplib.", "telnetlib."),
)
EXCEPTIONS = {
    # Through a pipe to a process of our own, which no file and no other user reaches.
    ("trainers/distributed/rank_process.py", "pickle.loads"): 1,
    ("trainers/distributed/distributed_training.py", "pickle.loads"): 1,
    # The only code that a user names: the task of a space file, and the class after --listener on the command line.
    ("trainers/user_code.py", "importlib.import_module"): 1,
}


def findings(source: str) -> Iterator[str]:
    """What a source should not have: forbidden names, however imported, and safe functions without their safety."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _unsafe_arguments(node)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = _dotted(node, names)
            if any(name == bad or (bad.endswith(".") and name.startswith(bad)) for bad in FORBIDDEN):
                yield name
            yield from _without_safety(name, called.get(id(node)))


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full name of an expression such as `np.load`; an expression that is none begins with a question mark."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        name = f"{_dotted(node.value, names)}.{node.attr}"
        return {"torch.serialization.load": "torch.load"}.get(name, name)
    return "?"


def _given(call: ast.Call) -> dict[str | None, object]:
    return {one.arg: one.value.value if isinstance(one.value, ast.Constant) else "?" for one in call.keywords}


def _unsafe_arguments(call: ast.Call) -> Iterator[str]:
    given = _given(call)
    for name, safe in (("shell", False), ("allow_pickle", False), ("trust_remote_code", False)):
        if given.get(name, safe) is not safe:
            yield f"{name}="


def _without_safety(name: str, call: ast.Call | None) -> Iterator[str]:
    """A function that is safe with the right argument alone, called without it or handed on."""
    given = {} if call is None else _given(call)
    if name == "torch.load" and given.get("weights_only") is not True:
        yield "torch.load without weights_only=True"
    if name == "numpy.load" and given.get("allow_pickle") is not False:
        yield "numpy.load without allow_pickle=False"
    if name.endswith(".from_pretrained") and given.get("local_files_only") is not True:
        yield "from_pretrained without local_files_only=True"
    if name == "ruamel.yaml.YAML" and given.get("typ") != "safe":
        yield 'YAML without typ="safe"'


def test_no_data_becomes_code_and_nothing_speaks_to_a_network() -> None:
    found = Counter((str(path.relative_to(ROOT)), one) for path in SOURCES for one in findings(path.read_text()))
    assert found == EXCEPTIONS


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle\npickle.load(file)", "pickle.load"),
        ("from pickle import loads as read\nlist(map(read, parts))", "pickle.loads"),
        ("import pickle as p\nclass Reader(p.Unpickler): pass", "pickle.Unpickler"),
        ("import torch\ntorch.load(file)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load(file, weights_only=False)", "torch.load without weights_only=True"),
        ("import torch\ntorch.load(file, weights_only=flag)", "torch.load without weights_only=True"),
        ("from torch import load\nread = load", "torch.load without weights_only=True"),
        ("import torch\ntorch.serialization.load(file)", "torch.load without weights_only=True"),
        ("import numpy as np\nnp.load(file)", "numpy.load without allow_pickle=False"),
        ("read(file, allow_pickle=True)", "allow_pickle="),
        ("import yaml\nyaml.safe_load(text)", "yaml.safe_load"),
        ("from ruamel.yaml import YAML\nYAML(typ='unsafe')", 'YAML without typ="safe"'),
        ("eval(text)", "eval"),
        ("run = exec", "exec"),
        ("import subprocess\nsubprocess.run(line, shell=True)", "shell="),
        ("start(line, shell=flag)", "shell="),
        ("from os import system\nsystem(line)", "os.system"),
        ("import importlib\nimportlib.import_module(name)", "importlib.import_module"),
        ("import urllib.request\nurllib.request.urlopen(url)", "urllib.request.urlopen"),
        ("Model.from_pretrained(name)", "from_pretrained without local_files_only=True"),
        ("Model.from_pretrained(name, local_files_only=True, trust_remote_code=True)", "trust_remote_code="),
    ],
)
def test_the_search_of_the_sources_finds(source: str, found: str) -> None:
    assert found in set(findings(source))


def test_the_search_of_the_sources_lets_harmless_ones_pass() -> None:
    source = """
import pickle, re, torch, numpy as np
from urllib.parse import quote
model.eval(); re.compile(text); pickle.dumps(state); path.open(); np.loadtxt(file)
torch.load(file, weights_only=True); np.load(file, allow_pickle=False); run(words, shell=False)
"""
    assert list(findings(source)) == []


# --- checkpoints ------------------------------------------------------------------------------------------------


class Payload:
    """What runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.marker,)


def _checksummed(path: Path, content: bytes) -> None:
    write_checksummed(path, content)


def _bare(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _zipped(payload: Payload) -> bytes:
    """A file of `torch.save` whose tensors come with a payload."""
    buffer = io.BytesIO()
    torch.save({"weights": torch.ones(3), "more": payload}, buffer)
    assert zipfile.is_zipfile(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("write", [_bare, _checksummed])
@pytest.mark.parametrize("content", [pickle.dumps, _zipped])
def test_a_checkpoint_with_a_payload_runs_nothing(
    tmp_path: Path, write: Callable[[Path, bytes], None], content: Callable[[Payload], bytes]
) -> None:
    marker, path = tmp_path / "code ran", tmp_path / "epoch-000002.ckpt"
    write(path, content(Payload(marker)))
    with pytest.raises(CheckpointError) as refusal:
        checkpoints.load(LocalFolder(tmp_path), path.name)
    assert len(str(refusal.value).splitlines()) == 1
    assert checkpoints.latest(LocalFolder(tmp_path)) is None
    assert not marker.exists()


def test_the_payload_is_one(tmp_path: Path) -> None:
    marker = tmp_path / "code ran"
    torch.load(io.BytesIO(_zipped(Payload(marker))), weights_only=False)
    assert marker.exists()


@pytest.mark.slow
@pytest.mark.parallel
def test_a_run_whose_checkpoint_has_a_payload_starts_over(tmp_path: Path) -> None:
    from sweeps.engine.messages import Job
    from sweeps.runners.worker import Worker

    marker = tmp_path / "code ran"
    write_checksummed(tmp_path / "epoch-000001.ckpt", _zipped(Payload(marker)))
    recipe = space().recipe.model_dump(mode="json") | {"budget": {"epochs": 1}}
    worker = Worker()
    job = Job(
        number=0,
        task="digits",
        recipe=recipe,
        seed=0,
        rungs=(),
        directory=str(tmp_path),
        checkpoint_every_s=1e9,
        threads=1,
        recorded=1,
    )
    worker.start(job)
    step = worker.step()
    worker.close()
    assert (step.error, step.finished, [one.epoch for one in step.reports]) == (None, True, [1])
    assert not marker.exists()


@pytest.mark.slow
@pytest.mark.parallel
def test_weights_in_a_model_folder_run_nothing(tmp_path: Path) -> None:
    from trainers.models.pretrained import load_backbone

    marker = tmp_path / "code ran"
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 9, **small}))
    (tmp_path / "pytorch_model.bin").write_bytes(_zipped(Payload(marker)))
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        load_backbone(tmp_path)
    assert not marker.exists()


# --- space files ------------------------------------------------------------------------------------------------


def _fuzz(count: int, seed: int, what: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.space_mutations", str(count), str(seed), what],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print({name: value for name, value in found.items() if name not in ("worst_file", "slow", "escaped")})
    assert found["escaped"] == []
    assert found["slow"] == []  # none takes a second
    assert found["files"] == count
    assert found["refused"] > count / 3
    assert found["read"] > count / 10  # else only the first check of all was tried
    assert found["rss_peak_mib"] < 300
    return found


def test_300_damaged_space_files_are_read_or_refused() -> None:
    assert _fuzz(300, 5, "parse")["files"] == 300


@pytest.mark.slow
@pytest.mark.parallel
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [6, 7, 8, 9])
def test_10000_damaged_space_files_are_read_or_refused(seed: int) -> None:
    assert _fuzz(2_500, seed, "all")["files"] == 2_500


# --- names as file names ----------------------------------------------------------------------------------------


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, in a folder of its own."""
    (tmp_path / "project").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(page_module, "write_pngs", lambda *_: "they are pictures, and take a browser")

    return in_this_process(monkeypatch, capsys)


TRAVERSALS = ("../x", "..", ".", "/tmp/x", "a/b", "a\\b", ".hidden", "x\n", "a b", "", "x" * 65, "-x", "~", "x\u202e")


@pytest.mark.parametrize("name", TRAVERSALS)
@pytest.mark.parametrize("command", ["run finetune", "ablate wd_exclusion"])
def test_a_name_that_leads_elsewhere_is_refused_in_one_line(
    sweeps: Command, tmp_path: Path, command: str, name: str
) -> None:
    if name == "" and command.startswith("ablate"):
        pytest.skip("an empty name stands for the file's own there")
    answer = sweeps(*command.split(), "--local", f"--name={name}")
    assert answer.code == 2
    assert re.fullmatch(
        r".*name: must be 1 to 64 letters, digits, dots, dashes and underscores, found .*\n", answer.err
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["project"]


def test_a_name_in_a_foreign_database_is_not_used_as_a_path(sweeps: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/project/foreign.db"
    with Store(url) as store:
        add_sweep(store, space())
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE sweep SET name = '../../escaped'"))
    engine.dispose()
    before = {path.name for path in tmp_path.rglob("*")}
    for command in ("report", "export", "show", "apply"):
        answer = sweeps(command, "../../escaped", "--storage", url)
        assert answer.code == 2, answer.text
        assert "name: must be 1 to 64 letters" in answer.err
        assert "Traceback" not in answer.text
    assert {path.name for path in tmp_path.rglob("*")} - before <= {"foreign.db-wal", "foreign.db-shm"}


# --- passwords, and whose code runs -----------------------------------------------------------------------------

SECRET = "hunter2-%s-wand"
LOOP = """
def train(config, seed, state=None):
    for epoch in range(1, config["budget"]["epochs"] + 1):
        yield {"val/accuracy": 1 - 0.5 ** epoch - config["optimizer"]["lr"]}
"""
SPACE = """
kind: sweep
task: quiet_loop:train
metric: {name: val/accuracy, goal: maximize}
recipe:
  optimizer: {kind: adamw, lr: 1e-3}
  budget: {epochs: 3}
search:
  optimizer.lr: {loguniform: [1e-5, 1e-1]}
sampler: {kind: random, seed: 0}
runs: 3
"""
WITHOUT_PICTURES = """
from analysis.report import page
from sweeps.cli import app
page.write_pngs = lambda *_: "they are pictures, and take a browser"
"""
ONE_AFTER_THE_OTHER = f"""{WITHOUT_PICTURES}
import json, sys
for arguments in json.load(sys.stdin):
    sys.argv = ["sweeps", *arguments]
    code = 0
    try:
        app.main()
    except SystemExit as end:
        code = end.code or 0
    except Exception as error:
        code = "traceback"
        print(arguments[0], type(error).__name__, error)
    print(f"exit {{code}}", flush=True)
sys.exit("quiet_loop" in sys.modules)
"""
ABLATION = """
kind: ablation
question: Does smoothing help?
task: digits
recipe: {budget: {epochs: 1}}
arms: {control: {}, treatment: {regularization.label_smoothing: 0.1}}
pairs: 2
metrics: {primary: test/nll, goal: minimize, margin: 0.05}
"""


def _with_password(url: str, password: str) -> str:
    assert "//postgres@" in url
    return url.replace("//postgres@", f"//postgres:{password}@")


def _contained(folder: Path) -> dict[str, str]:
    """An environment in which all that is written by a command is written below one folder."""
    for name in ("home", "tmp", "cache", "project"):
        (folder / name).mkdir(exist_ok=True)
    places = {"HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "SWEEPS_CACHE": "cache"}
    return {**os.environ, **{name: str(folder / place) for name, place in places.items()}, "COLUMNS": "140"}


def _files_with(folder: Path, secret: str) -> list[str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 5
    return [str(path) for path in paths if secret.encode() in path.read_bytes() or secret in str(path)]


def _cells_with(url: str, secret: str) -> list[str]:
    """The tables of a database that have this text in a row."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        assert {"sweep", "run", "studies"} <= set(tables)
        found = [
            table
            for table in tables
            if any(secret in row for row in connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars())
        ]
    engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.parallel
def test_a_password_is_in_no_file_and_in_no_line_and_reading_runs_no_task(tmp_path: Path, postgres_url: str) -> None:
    secret = SECRET % "run"
    url, environment = _with_password(postgres_url, secret), _contained(tmp_path)
    project = tmp_path / "project"
    (project / "quiet_loop.py").write_text(LOOP)
    (project / "toy.yaml").write_text(SPACE)
    done = subprocess.run(
        [SWEEPS, "run", "toy.yaml", "--local", "--storage", url],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "postgres:***@" in done.stdout
    printed = done.stdout + done.stderr

    # Whoever opens another's database does not run the task that it names; nor do mistakes tell the password.
    (project / "quiet_loop.py").write_text("from pathlib import Path\nPath('code ran').touch()\n" + LOOP)
    elsewhere = re.sub(r"/postgres\?", "/nowhere?", url)
    assert elsewhere != url
    reading = (
        "list",
        "list --json",
        "status toy",
        "show toy",
        "show toy 1 --json",
        "report toy",
        "export toy",
        "apply toy",
    )
    lines = [[*command.split(), "--storage", url] for command in reading]
    lines += [["show", "absent", "--storage", url], ["list", "--storage", elsewhere]]
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER],
        cwd=project,
        env=environment,
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        timeout=100,
    )
    printed += done.stdout + done.stderr
    assert re.findall(r"^exit (\w+)$", done.stdout, re.MULTILINE) == [*["0"] * len(reading), "2", "2"], done
    assert done.returncode == 0, done.stderr
    assert not (project / "code ran").exists()
    _check_offline((project / "reports/toy/index.html").read_text(encoding="utf-8"))

    assert secret not in printed
    assert _files_with(tmp_path, secret) == []
    assert _cells_with(url, secret) == []


@pytest.mark.slow
@pytest.mark.parallel
def test_a_password_is_in_no_file_of_an_ablation(tmp_path: Path, postgres_url: str) -> None:
    secret = SECRET % "ablation"
    url, environment = _with_password(postgres_url, secret), _contained(tmp_path)
    (tmp_path / "project/quick.yaml").write_text(ABLATION)
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT_PICTURES}app.main()", "ablate", "quick.yaml", "--local", "--storage", url],
        cwd=tmp_path / "project",
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "project/reports/quick/index.html").exists()
    assert "postgres:***@" in done.stdout
    assert secret not in done.stdout + done.stderr
    assert _files_with(tmp_path, secret) == []
    assert _cells_with(url, secret) == []


def test_a_password_is_hidden_where_the_url_is_shown() -> None:
    assert "s3cret" not in shown("postgresql+psycopg://ann:s3cret@db/sweeps?sslmode=require")


def test_a_password_in_the_query_is_hidden() -> None:
    assert "s3cret" not in shown("postgresql+psycopg://db/sweeps?user=ann&password=s3cret")


# --- what listens -----------------------------------------------------------------------------------------------


def test_the_dashboard_listens_on_this_machine_alone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna_dashboard

    from sweeps.study.dashboard import serve_dashboard

    asked: dict[str, Any] = {}
    monkeypatch.setattr(optuna_dashboard, "run_server", lambda _, **options: asked.update(options))
    serve_dashboard(sqlite_url, 8080)
    assert (asked["host"], asked["port"]) == ("127.0.0.1", 8080)


RAY = """
import json, os, pathlib, sys
os.umask(0o022)
import psutil, ray
from sweeps.runners.ray.environment import prepare
prepare(None)
from sweeps.runners.ray.connection import RayCluster
cluster = RayCluster()
cluster.wait()
token = pathlib.Path.home() / ".ray" / "auth_token"
ports = [c.laddr.port for p in psutil.Process().children(recursive=True)
         for c in p.net_connections("tcp") if c.status == "LISTEN"]
print(json.dumps({
    "mode": token.stat().st_mode & 0o777, "auth": os.environ.get("RAY_AUTH_MODE"), "dashboard": 8265 in ports,
    "address": ray.get_runtime_context().gcs_address,
}), flush=True)
sys.stdin.readline()
cluster.close()
"""
STRANGER = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False)
except BaseException as error:
    print("refused", type(error).__name__)
else:
    print("let in")
"""


@pytest.mark.slow
def test_rays_token_is_its_owners_and_nobody_joins_without_it(tmp_path: Path) -> None:
    owner, stranger = tmp_path / "owner", tmp_path / "stranger"
    for home in (owner, stranger):
        home.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    with subprocess.Popen(
        [sys.executable, "-c", RAY],
        cwd=ROOT,
        env={**clean, "HOME": str(owner)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        try:
            found = json.loads(driver.stdout.readline())
            assert (found["mode"], found["auth"], found["dashboard"]) == (0o600, "token", False)
            other = subprocess.run(
                [sys.executable, "-c", STRANGER, found["address"]],
                env={**clean, "HOME": str(stranger), "RAY_AUTH_MODE": "disabled"},
                capture_output=True,
                text=True,
                timeout=90,
            )
            assert "refused" in other.stdout, other.stdout + other.stderr
        finally:
            driver.communicate("end\n", timeout=30)


@pytest.mark.slow
def test_a_sweep_leaves_rays_token_to_its_owner(tmp_path: Path) -> None:
    environment = {name: value for name, value in _contained(tmp_path).items() if not name.startswith("RAY_")}
    environment.pop("TMPDIR")  # Ray's sockets have to have short names
    project = tmp_path / "project"
    (project / "quiet_loop.py").write_text(LOOP)
    (project / "toy.yaml").write_text(SPACE)
    done = subprocess.run(
        [SWEEPS, "run", "toy.yaml"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        umask=0o022,  # as on most machines
    )
    assert done.returncode == 0, done.stdout + done.stderr
    token = tmp_path / "home/.ray/auth_token"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


# --- reports ----------------------------------------------------------------------------------------------------


def _policy(page: str) -> dict[str, str]:
    head, tag, rest = page.partition('<meta http-equiv="Content-Security-Policy" content="')
    assert tag
    assert not re.search(r"<(?:script|style|link|img|base)\b", head)  # it holds for what comes after it
    content = html.unescape(rest.partition('"')[0])
    return dict(rule.strip().partition(" ")[::2] for rule in content.split(";"))


def _check_offline(page: str) -> None:
    rules = _policy(page)
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    allowed = {word for name in ("script-src", "style-src", "img-src") for word in rules[name].split()}
    assert {word for word in allowed if not word.startswith("'sha256-")} == {"'unsafe-inline'", "data:", "blob:"}
    assert "unsafe" not in rules["script-src"]
    assert 'http-equiv="refresh"' not in page.casefold()


def test_a_report_may_not_use_the_network(tmp_path: Path) -> None:
    path = write_report(CASES["hostile"](), tmp_path / "report", png=False).page
    _check_offline(path.read_text(encoding="utf-8"))


# --- the page itself --------------------------------------------------------------------------------------------


def test_every_test_that_the_page_names_is_there() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    named += [("tests/test_security.py", name) for name in re.findall(r"`(test_\w+)`", page)]
    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{name}"
