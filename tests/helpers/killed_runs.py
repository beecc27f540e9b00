"""Runs of the project in forked processes that can be killed at any moment.

Starting an interpreter and importing everything costs more than a small run. So one parent imports everything and forks
a child per run; a child is a whole run, with its own session, locks and database, and a SIGKILL is a SIGKILL.
"""

import hashlib
import os
import pkgutil
import select
import shutil
import signal
import sqlite3
import sys
import time
import traceback
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from quant_pipeline import pipelines
from quant_pipeline.datasets.kept_digests import FOLDER as DIGESTS

LIMIT = 600.0
DAILY, WHOLE = ("daily",), ("__default__",)


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the node of a number has started; number 0 is the start of the run."""

    node: int
    seconds: float


@dataclass(frozen=True)
class Ended:
    """How a run ended: its status (negative for a signal), the nodes it began, and what it printed."""

    status: int
    nodes: list[str]
    output: str


def import_what_runs_need() -> None:
    """Import in this process what every child would import: seconds for each of them."""
    for module in ("lightgbm", "torch", "numba", "plotly.graph_objects", "kedro.framework.session", "pandera.pandas"):
        import_module(module)
    for stage in pkgutil.iter_modules(pipelines.__path__):
        if stage.ispkg:
            import_module(f"{pipelines.__name__}.{stage.name}.nodes")


def start(project: Path, kill: Moment | None = None, **options: object) -> Ended:
    """Run pipelines of a project in a forked process, and kill it at a moment."""
    report, reporting = os.pipe()
    log = project / "run.log"
    child = os.fork()
    if child == 0:
        os.close(report)
        _be_a_run(project, reporting, log, options)
    os.close(reporting)
    nodes = _watch(child, report, kill)
    _, status = os.waitpid(child, 0)
    return Ended(os.waitstatus_to_exitcode(status), nodes, log.read_text(errors="replace"))


def _be_a_run(project: Path, reporting: int, log: Path, options: dict[str, object]) -> None:
    status = 1
    try:
        os.chdir(project)
        file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.argv = ["kedro", "run", *(str(value) for value in options.values())]
        os.write(reporting, b"\n")
        _run(project, reporting, options)
        status = 0
    except BaseException:  # noqa: BLE001 - the child must not return into the tests
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _run(project: Path, reporting: int, options: dict[str, object]) -> None:
    from kedro.framework.hooks import hook_impl
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    class Reporter:
        @hook_impl
        def before_dataset_loaded(self, node: object) -> None:
            if node is not self.last:
                self.last = node
                os.write(reporting, f"{node.name}\n".encode())

        last = None

    bootstrap_project(project)
    parameters = options.pop("parameters", {})
    session = KedroSession.create(project, env="sim", runtime_params=parameters, save_on_close=False)
    with session:
        session._hook_manager.register(Reporter())
        session.run(**options)


def _watch(child: int, report: int, kill: Moment | None) -> list[str]:
    """Read the names of nodes until the run ends; kill it at the moment."""
    text, due, end = b"", None, time.monotonic() + LIMIT
    with closing(os.fdopen(report, "rb", buffering=0)) as pipe:
        while True:
            if kill is not None and due is None and text.count(b"\n") > kill.node:
                due = time.monotonic() + kill.seconds
            until = end if due is None else due
            if not select.select([pipe], [], [], max(until - time.monotonic(), 0.0))[0]:
                os.kill(child, signal.SIGKILL)
                break
            read = pipe.read(65536)
            if not read:
                break
            text += read
    return text.decode().split("\n")[1:-1]


def contents(project: Path) -> dict[str, str]:
    """Digest of every file of data; of a ledger, of its events; what a database or a lock has beside it counts not.

    Anchors of a ledger count not either: a kill between a commit and its anchor leaves one less; nor do kept digests of
    a panel, which name the files of a disk.
    """
    digests = {}
    for path in sorted((project / "data").rglob("*")):
        if path.is_dir() or path.name.endswith(("-wal", "-shm", ".anchors")) or path.parent.name == DIGESTS:
            continue
        name = str(path.relative_to(project))
        content = _events(path) if path.name == "ledger.sqlite" else path.read_bytes()
        digests[name] = hashlib.sha256(content).hexdigest()
    return digests


def _events(ledger: Path) -> bytes:
    with closing(sqlite3.connect(ledger)) as connection:
        return repr(connection.execute("select * from event order by sequence").fetchall()).encode()


def leftovers(project: Path) -> list[str]:
    """Names of temporary neighbours below a project."""
    found = (path for path in project.rglob(".*") if path.name.endswith((".tmp", ".old", ".partial")))
    return sorted(str(path.relative_to(project)) for path in found)


def copy(source: Path, target: Path) -> Path:
    """Copy a project with its data, replacing what is there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)
    return target
