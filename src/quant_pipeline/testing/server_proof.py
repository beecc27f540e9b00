"""``make proof-servers``: a project whose tracking, market and ledger lie on servers, one of which is killed.

MLflow's server keeps runs and registry in PostgreSQL and artifacts in a bucket; the market with its models lies in
another bucket, and the ledger of the account and the studies of tuning in databases of their own. The whole path runs
and a model is tuned, then comes a day during which the tracking server is killed, then a day after it was started
again. Another machine that has no copy of the bucket scores the last session once more.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
import yaml

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import MIRROR
from quant_pipeline.testing.postgres_server import PostgresServer, free_port, programs_of_postgres
from quant_pipeline.testing.s3_server import S3Server
from quant_pipeline.testing.small_project import copy_files, keep_ledger_at, make_small
from quant_pipeline.trading.ledger.store import Ledger

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "servers"
MARKET, ARTIFACTS = "s3://market/simulated", "s3://artifacts"
FIRST, KILLED, AFTER = "2024-12-31", "2025-01-02", "2025-01-03"
PATIENCE = 600.0
"""Seconds for a server to answer, and for a step of a run."""
THIRD = "[ 3/"
"""What the line of the third node of a run has in it."""
TUNED = "ridge_alpha158"
TUNING = "tuning.trials=2,tuning.folds=1,tuning.fold_sessions=60,tuning.valid_sessions=60"
TRIALS = "select study_name, count(*) from studies join trials using (study_id) group by study_name"
SILENT = "MLflow does not record this run any further"


class Fact(NamedTuple):
    """Something that has to hold: what, what was found, and whether that is right."""

    what: str
    found: str
    holds: bool


class Project:
    """A small project on the servers, in a folder of its own."""

    def __init__(self, folder: Path, s3: S3Server, ledger: str, studies: str, tracking: str) -> None:
        self.folder, self.anchors = folder, folder / "data" / "accounts" / "sim" / "ledger.anchors"
        self.ledger = ledger
        copy_files(ROOT, folder)
        make_small(folder)
        _change(folder / "conf/base/globals.yml", "market: data/markets/simulated", f"market: {MARKET}")
        keep_ledger_at(folder, ledger)
        entry = {"type": "quant_pipeline.datasets.study.OptunaStudy", "filepath": studies, "name": "{model}"}
        named = {"{model}.study": entry | {"market": "${globals:market}"}}
        (folder / "conf/sim/catalog_studies.yml").write_text(yaml.safe_dump(named))
        (folder / "conf/sim/mlflow.yml").write_text(yaml.safe_dump({"server": {"mlflow_tracking_uri": tracking}}))
        self._environment = {
            **os.environ,
            **s3.environment,
            "PYTHONPATH": str(folder / "src"),
            "COLUMNS": "200",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
        }
        for name in ("KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
            self._environment.pop(name, None)
        self.on_machine("first")

    def on_machine(self, name: str) -> None:
        """Go on with the copies of buckets of another machine."""
        self._environment[MIRROR] = str(self.folder / "copies" / name)

    def start(self, words: str) -> subprocess.Popen[str]:
        """Start a command of Kedro; what it prints can be read line by line."""
        command = [str(Path(sys.executable).parent / "kedro"), *shlex.split(words)]
        return subprocess.Popen(  # noqa: S603 - the words are ours
            command,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, words: str) -> str:
        """Run a command and return what it has printed.

        Raises
        ------
        RuntimeError
            When it fails.
        """
        running = self.start(words)
        printed, _ = running.communicate()
        if running.returncode:
            raise RuntimeError(f"kedro {words} ended with {running.returncode}:\n{printed[-4000:]}")
        return printed

    def events(self) -> list[Any]:
        """Return the events of the ledger, whose chain is hashed once more."""
        ledger = Ledger.open(self.ledger, self.anchors)
        ledger.verify()
        return list(ledger.events())

    def orders(self, session: str) -> bytes:
        """Return the orders of a session as they were written for users; none when there are none."""
        file = self.folder / f"data/accounts/sim/orders/{session}.csv"
        return file.read_bytes() if file.exists() else b""


class TrackingServer:
    """MLflow's server over PostgreSQL and a bucket."""

    def __init__(self, store: str, s3: S3Server, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._store, self._environment, self._folder = store, {**os.environ, **s3.environment}, folder
        # Its six consumers of jobs would be processes of 250 MB each.
        self._environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        port = self.url.rpartition(":")[2]
        command = [str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", port]
        command += ["--backend-store-uri", self._store, "--artifacts-destination", ARTIFACTS, "--workers", "1"]
        with (self._folder / "tracking.log").open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - the words are ours
                command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE
        while not _answers(f"{self.url}/health"):
            if self._running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "tracking.log").read_text()[-4000:])
            time.sleep(0.5)

    def kill(self) -> None:
        """Kill it with all its processes."""
        if self._running is not None:
            os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()
            self._running = None


def main() -> int:
    """Prove it, print the table and one JSON object, and return 1 when something does not hold."""
    if programs_of_postgres() is None:
        raise ConfigurationError("no PostgreSQL server is installed; run: apt-get install postgresql")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    began = time.monotonic()
    with PostgresServer() as postgres, S3Server() as s3, _tracking(postgres, s3) as tracking:
        _make_buckets(s3)
        ledger, studies = (_database(postgres.url, name) for name in ("ledger", "studies"))
        project = Project(FOLDER / "project", s3, ledger, studies, tracking.url)
        facts = [*_whole_path(project, tracking, s3), *_tuning(project, studies)]
        facts += _day_of_the_kill(project, tracking)
        tracking.start()
        facts += [*_day_after(project, tracking), *_another_machine(project)]
    width = max(len(fact.what) for fact in facts)
    for fact in facts:
        sys.stdout.write(f"{'ok  ' if fact.holds else 'FAIL'} {fact.what:<{width}}  {fact.found}\n")
    failed = [fact.what for fact in facts if not fact.holds]
    result = {"facts": len(facts), "failed": failed, "seconds": round(time.monotonic() - began, 1)}
    sys.stdout.write(f"{json.dumps(result)}\n")
    return 1 if failed else 0


def _whole_path(project: Project, tracking: TrackingServer, s3: S3Server) -> Iterator[Fact]:
    _say("The whole path on the servers")
    project.run("run")
    runs = _runs(tracking)
    yield Fact("runs that PostgreSQL holds", ", ".join(sorted(runs)), {"ridge_alpha158", "__default__"} <= runs.keys())
    artifacts = _names(s3, ARTIFACTS)
    yield Fact("artifacts in the bucket of the server", f"{len(artifacts)} files", len(artifacts) > 0)
    market = _names(s3, MARKET)
    kept = ("02_intermediate/bars.parquet", "04_feature/alpha158/_manifest.json", "06_models/ridge_alpha158/bundle")
    yield Fact(
        "market, features and models in their bucket",
        f"{len(market)} files",
        all(any(each in name for name in market) for each in kept),
    )
    here = [path for path in (project.folder / "data").glob("markets/**/*") if path.is_file()]
    yield Fact("files of the market in the project's folder", str(len(here)), not here)
    events = project.events()
    yield Fact("events of the ledger in PostgreSQL", f"{len(events)}, chain verified", len(events) > 0)
    yield Fact(f"orders of {FIRST}", f"{len(project.orders(FIRST))} bytes", bool(project.orders(FIRST)))


def _tuning(project: Project, studies: str) -> Iterator[Fact]:
    _say("Tuning of a model whose market lies in a bucket and whose study in PostgreSQL")
    project.run(f"run --pipelines tuning --namespaces {TUNED} --params {TUNING}")
    with sa.create_engine(studies).connect() as connection:
        trials = {str(name): int(count) for name, count in connection.exec_driver_sql(TRIALS)}
    yield Fact("trials by study in PostgreSQL", str(trials), trials == {f"simulated/{TUNED}": 2})


def _day_of_the_kill(project: Project, tracking: TrackingServer) -> Iterator[Fact]:
    _say("A day during which the tracking server is killed")
    before, known = len(project.events()), len(_runs(tracking))
    running = project.start(f"run --pipelines daily --params as_of={KILLED}")
    printed, killed_after = [], None
    for line in running.stdout or ():
        printed.append(line)
        if killed_after is None and THIRD in line:
            tracking.kill()
            killed_after = line[line.index(THIRD) :].strip()
    status = running.wait()
    text = "".join(printed)
    yield Fact("runs before the kill, and where it came", f"{known}; after {killed_after}", killed_after is not None)
    yield Fact("exit status of the run", str(status), status == 0)
    yield Fact("lines about the store that has gone", str(text.count(SILENT)), text.count(SILENT) == 1)
    yield Fact(f"orders of {KILLED}", f"{len(project.orders(KILLED))} bytes", bool(project.orders(KILLED)))
    grown = len(project.events()) - before
    yield Fact("new events of the ledger", str(grown), grown > 0)


def _day_after(project: Project, tracking: TrackingServer) -> Iterator[Fact]:
    _say("A day after the tracking server was started again")
    project.run(f"run --pipelines daily --params as_of={AFTER}")
    states = _runs(tracking)
    finished = [name for name, found in states.items() if "FINISHED" in found]
    yield Fact("runs that ended", ", ".join(sorted(finished)), "daily" in finished)
    left = [name for name, found in states.items() if "RUNNING" in found]
    yield Fact("runs that count as running", ", ".join(left) or "none", not left)
    yield Fact(f"orders of {AFTER}", f"{len(project.orders(AFTER))} bytes", bool(project.orders(AFTER)))


def _another_machine(project: Project) -> Iterator[Fact]:
    _say("Another machine, which has no copy of the bucket")
    orders, events = project.orders(AFTER), len(project.events())
    project.on_machine("second")
    project.run(f"run --pipelines prediction,post_trade,order_generation --params as_of={AFTER}")
    same = project.orders(AFTER) == orders
    yield Fact("orders that it writes", "the same bytes" if same else "other ones", same)
    more = len(project.events()) - events
    yield Fact("events that it adds", str(more), more == 0)


@contextmanager
def _tracking(postgres: PostgresServer, s3: S3Server) -> Iterator[TrackingServer]:
    server = TrackingServer(_database(postgres.url, "tracking"), s3, FOLDER)
    _say("MLflow's server")
    server.start()
    try:
        yield server
    finally:
        server.kill()


def _runs(tracking: TrackingServer) -> dict[str, set[str]]:
    """Return the states of the runs of the account by their names."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking.url)
    experiments = [found.experiment_id for found in client.search_experiments() if found.name == "sim"]
    found: dict[str, set[str]] = {}
    for run in client.search_runs(experiments, max_results=1000) if experiments else []:
        found.setdefault(str(run.info.run_name), set()).add(str(run.info.status))
    return found


def _database(url: str, name: str) -> str:
    """Make a database and return its URL."""
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"create database {name}")
    return sa.make_url(url).set(database=name).render_as_string(hide_password=False)


def _files_of(s3: S3Server) -> Any:
    import s3fs

    given = s3.environment
    keys = {"key": given["AWS_ACCESS_KEY_ID"], "secret": given["AWS_SECRET_ACCESS_KEY"]}
    return s3fs.S3FileSystem(**keys, endpoint_url=s3.url, use_listings_cache=False)


def _make_buckets(s3: S3Server) -> None:
    files = _files_of(s3)
    for address in (MARKET, ARTIFACTS):
        files.mkdir(address.split("/")[2])


def _names(s3: S3Server, address: str) -> list[str]:
    return list(_files_of(s3).find(address))


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    if text.count(before) != 1:
        raise RuntimeError(f"{file} has no place for {after}")
    file.write_text(text.replace(before, after))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310 - the address is ours
            return bool(page.status == 200)
    except OSError:
        return False


def _say(what: str) -> None:
    sys.stderr.write(f"{what} …\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
