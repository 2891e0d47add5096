"""A fake SLURM on one machine: its nodes are namespaces, and `srun` and `scontrol` are small programs that enter them.

A node has its own network, processes, mounts and host names, as far as this machine allows: `ray symmetric-run` finds
the head by its address, searches all processes for Ray, and ends every Ray process that it finds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SUBNET = "10.213.77"  # of the bridge between the nodes

# Process 1 of a node: adopts orphans, as init does; when it is killed, all processes of the node end.
INIT = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: signal.pause()"
)

SRUN = """#!{python}
import contextlib, json, psutil, signal, subprocess, sys
options, command = {{}}, sys.argv[1:]
while command and command[0].startswith("--"):
    name, _, value = command.pop(0)[2:].partition("=")
    options[name] = value
nodes = json.load(open({nodes!r}))
names = options["nodelist"].split(",") if "nodelist" in options else list(nodes)[: int(options["nodes"])]
with open({log!r}, "a") as log:
    print("srun", *sys.argv[1:], file=log)
tasks = [subprocess.Popen([*nodes[name], *command]) for name in names]
def forward(number, frame):  # to every process of the step, as slurmstepd does
    for task in tasks:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(task.pid)
            for inside in [*process.children(recursive=True), *([] if nodes[names[0]] else [process])]:
                inside.send_signal(number)
signal.signal(signal.SIGTERM, forward)
codes = [task.wait() for task in tasks]
if "overlap" not in options:  # slurmstepd also kills the processes that the tasks leave behind
    for name in names:
        if nodes[name]:
            subprocess.run([*nodes[name], "sh", "-c", "kill -9 -1"], capture_output=True)
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""

SCONTROL = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    print("scontrol", *sys.argv[1:], file=log)
if sys.argv[1:3] == ["show", "hostnames"]:
    print(*json.load(open({nodes!r})), sep="\\n")
"""


class UnavailableError(Exception):
    """This machine cannot create the namespaces; the text says why."""


@dataclass
class Cluster:
    """A SLURM cluster.

    Attributes:
        folder: Folder that all nodes share; jobs start in it.
        job: Number of the job.
        nodes: Host name -> words before a command that runs there.
    """

    folder: Path
    job: int
    nodes: dict[str, list[str]]
    node_tmp: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tools = self.folder / "bin"
        tools.mkdir()
        facts = {
            "python": sys.executable,
            "nodes": str(self.folder / "nodes.json"),
            "log": str(self.folder / "slurm.log"),
        }
        (self.folder / "nodes.json").write_text(json.dumps(self.nodes))
        for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
            (tools / name).write_text(text.format(**facts))
        for tool in tools.iterdir():
            tool.chmod(0o755)
        (self.folder / "home").mkdir()
        self.environment = {
            "PATH": f"{tools}:{BIN}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "SLURM_JOB_ID": str(self.job),
            "SLURM_JOB_NODELIST": f"node[1-{len(self.nodes)}]",
            "SLURM_NNODES": str(len(self.nodes)),
            "SLURM_CPUS_PER_TASK": "1",
            "SWEEPS_NODE_TMP": str(self.node_tmp),
            "SWEEPS_CHECKPOINTS": str(self.folder / "checkpoints"),
        }

    def submit(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the script as SLURM does: on the first machine, in the folder where it was submitted."""
        with (self.folder / "job.log").open("ab") as log:
            return subprocess.Popen(
                ["bash", str(ROOT / "deploy/slurm/sweep.sbatch"), *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        return (self.folder / "job.log").read_text()

    def calls(self) -> list[str]:
        """Return the SLURM commands that the script called."""
        return (self.folder / "slurm.log").read_text().splitlines()

    def processes(self) -> dict[psutil.Process, str]:
        """Return the running processes of this job on all nodes, with their command lines."""
        found = {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # gone, or a zombie
                if process.environ().get("SLURM_JOB_ID") == str(self.job):
                    found[process] = " ".join(process.cmdline())[:200]
        return found


@contextmanager
def cluster(folder: Path, job: int, count: int) -> Iterator[Cluster]:
    """Yield a cluster with this number of nodes, and remove it afterwards.

    Raises:
        UnavailableError: This machine cannot create so many nodes.
    """
    with ExitStack() as stack:
        node_tmp = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="node-", ignore_cleanup_errors=True)))
        names = [f"node{number}" for number in range(1, count + 1)] if _networks() else ["localhost"]
        if count > len(names):
            raise UnavailableError(_reason("ip", "netns", "add", "sweeps-try"))
        if _networks():
            enter = _bridged(stack, folder, names, node_tmp, f"sw{os.getpid() % 10000}")
        else:
            enter = {"localhost": _isolated(stack, folder, [], node_tmp, None) if _mounts() else []}
        made = Cluster(folder, job, enter, node_tmp)
        stack.callback(_end, made)
        yield made


def _bridged(stack: ExitStack, folder: Path, names: list[str], node_tmp: Path, mark: str) -> dict[str, list[str]]:
    """Create nodes with their own addresses on one bridge, which has its own namespace; return how to enter them."""
    hosts = folder / "hosts"
    addresses = {name: f"{SUBNET}.{number}" for number, name in enumerate(names, 1)}
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items()))
    switch = f"{mark}-0"
    _namespace(stack, switch)
    _run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
    _run("ip", "-n", switch, "link", "set", "bridge", "up")
    enter = {}
    for number, (name, address) in enumerate(addresses.items(), 1):
        space = f"{mark}-{number}"
        _namespace(stack, space)
        pair = ("type", "veth", "peer", "name", f"port{number}", "netns", switch)
        _run("ip", "-n", space, "link", "add", "eth0", *pair)
        _run("ip", "-n", switch, "link", "set", f"port{number}", "master", "bridge", "up")
        _run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", space, "link", "set", device, "up")
        enter[name] = _isolated(stack, folder, ["ip", "netns", "exec", space], node_tmp, hosts)
    return enter


def _isolated(stack: ExitStack, folder: Path, outer: list[str], node_tmp: Path, hosts: Path | None) -> list[str]:
    """Create a node with its own processes and mounts, and return how to enter it."""
    mounts = f"mount -t tmpfs none {node_tmp}" + (f" && mount --bind {hosts} /etc/hosts" if hosts else "")
    enter = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    init = subprocess.Popen(
        [*outer, *enter, "sh", "-c", f'{mounts} && exec "$0" -c "$1"', sys.executable, INIT],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    stack.callback(init.communicate)
    stack.callback(init.kill)  # --kill-child: process 1 of the node ends, and with it all its processes
    assert init.stdout is not None
    assert init.stdout.readline() == b"up\n"
    (first,) = psutil.Process(init.pid).children()  # `ip netns exec` has become `unshare`
    return ["nsenter", "--target", str(first.pid), "--pid", "--mount", "--net", "env", f"--chdir={folder}"]


def _namespace(stack: ExitStack, name: str) -> None:
    _run("ip", "netns", "add", name)
    stack.callback(_run, "ip", "netns", "del", name)


def _networks() -> bool:
    """Return whether this machine can create network namespaces."""
    try:
        _run("ip", "netns", "add", "sweeps-try")
    except (OSError, subprocess.CalledProcessError):
        return False
    _run("ip", "netns", "del", "sweeps-try")
    return True


def _mounts() -> bool:
    try:
        _run("unshare", "--pid", "--mount", "--fork", "--mount-proc", "true")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _reason(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"{command[0]} is not installed"
    result = subprocess.run(command, capture_output=True, text=True)
    return f"{' '.join(command)}: {result.stderr.strip()}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _end(made: Cluster) -> None:
    for process in made.processes():
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
