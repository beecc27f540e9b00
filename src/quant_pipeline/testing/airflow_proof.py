"""``make proof-airflow``: the DAGs of ``deploy/airflow`` run once, task by task, by an Airflow of its own.

A small project is trained by `kedro run`. Its copy and itself go on for a day: one by Airflow, one by `kedro run
--pipelines daily` and `--pipelines execution`. Every task has to end as the plain command does, the execution too, and
orders and ledgers of both have to be the same. Airflow lies in an environment below ``build/`` and keeps its books in a
SQLite file there; it imports nothing of the project.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.testing.small_project import copy_files, make_small, plain_shell, run_kedro
from quant_pipeline.trading.ledger.store import Ledger

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "build" / "airflow"
DAGS = ROOT / "deploy" / "airflow"
SESSION = "2025-01-02"
TASKS: Final = 7
"""Namespaces of the daily run."""
ACCEPTED: Final = {"daily": (ExitStatus.DONE,), "execution": (ExitStatus.DONE, ExitStatus.INCOMPLETE)}
"""How a plain command of the day may end: there is a plan, and orders are sent."""
STATES = """
import json, sqlite3, sys
with sqlite3.connect(sys.argv[1]) as books:
    print(json.dumps(books.execute("select dag_id, task_id, state, try_number from task_instance").fetchall()))
"""


class Airflow:
    """Airflow's commands in a home of their own, on DAGs of a project."""

    def __init__(self, environment: Path, home: Path, project: Path) -> None:
        self._program, self._books = environment / "bin" / "airflow", home / "airflow.db"
        self._environment = {
            **plain_shell(),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._books}",
            "QUANT_PIPELINE_PROJECT": str(project),
            "QUANT_PIPELINE_KEDRO": str(Path(sys.executable).parent / "kedro"),
        }
        # Tasks run in the project with its sources; Airflow itself must not find them.
        self._environment.pop("PYTHONPATH", None)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Airflow."""
        return subprocess.run(  # noqa: S603 - the words are ours
            [self._program, *words], env=self._environment, capture_output=True, text=True, check=False
        )

    def states(self) -> list[list[Any]]:
        """Return DAG, task, state and number of tries of every task that has run."""
        asked = [sys.executable, "-c", STATES, str(self._books)]
        found: list[list[Any]] = json.loads(subprocess.check_output(asked, text=True))  # noqa: S603 - the words are ours
        return found


def main(arguments: list[str]) -> int:
    """Prove it with the Airflow of an environment, print the table and one JSON object."""
    environment = Path(arguments[0]) if arguments else FOLDER / "environment"
    for name in ("home", "by_airflow", "by_kedro"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    (FOLDER / "home").mkdir(parents=True)
    began = time.monotonic()
    trained = FOLDER / "by_kedro"
    copy_files(ROOT, trained)
    make_small(trained)
    run_kedro(trained, "run")
    copied = FOLDER / "by_airflow"
    shutil.copytree(trained, copied, symlinks=True)
    airflow = Airflow(environment, FOLDER / "home", copied)
    ended = _by_airflow(airflow)
    plain = {words: run_kedro(trained, _words_of(words), accepted) for words, accepted in ACCEPTED.items()}
    facts = [*facts_of_tasks(airflow.states(), ended, plain), *facts_of_books(trained, copied)]
    width = max(len(what) for what, _, _ in facts)
    for what, found, holds in facts:
        sys.stdout.write(f"{'ok  ' if holds else 'FAIL'} {what:<{width}}  {found}\n")
    failed = [what for what, _, holds in facts if not holds]
    result = {
        "tasks": len(airflow.states()),
        "failed": failed,
        "airflow": airflow.run("version").stdout.strip(),
        "seconds": round(time.monotonic() - began, 1),
    }
    sys.stdout.write(f"{json.dumps(result)}\n")
    return 1 if failed else 0


def _words_of(pipeline: str) -> str:
    return f"run --pipelines {pipeline} --params as_of={SESSION}"


def _by_airflow(airflow: Airflow) -> dict[str, int]:
    """Run both DAGs for the session, and return how each command ended."""
    given = json.dumps({"as_of": SESSION})
    commands: dict[str, tuple[str, ...]] = {"migrate": ("db", "migrate")}
    for dag in ("daily", "execution"):
        commands[dag] = ("dags", "test", f"quant_pipeline_{dag}_sim", "--conf", given)
    ended = {}
    for name, words in commands.items():
        sys.stderr.write(f"airflow {' '.join(words)} …\n")
        done = airflow.run(*words)
        (FOLDER / "home" / f"{name}.log").write_text(done.stdout + done.stderr)
        ended[name] = done.returncode
    return ended


def facts_of_tasks(
    states: list[list[Any]], ended: dict[str, int], plain: dict[str, int]
) -> list[tuple[str, str, bool]]:
    """Judge how tasks and commands of Airflow ended by the exit statuses of the plain commands.

    Parameters
    ----------
    states
        DAG, task, state and number of tries of each task.
    ended
        Exit statuses of Airflow's commands: ``migrate``, ``daily``, ``execution``.
    plain
        Exit statuses of the plain commands ``daily`` and ``execution``.

    Returns
    -------
    list of tuple
        What has to hold, what was found, and whether it does.
    """
    of_day = {task: state for dag, task, state, _ in states if dag.startswith("quant_pipeline_daily")}
    of_execution = [(state, tries) for dag, _, state, tries in states if dag.startswith("quant_pipeline_execution")]
    wanted = _state_after(plain["execution"])
    expected = {"migrate": 0, "daily": 0, "execution": int(wanted == "failed")}
    return [
        ("exit statuses of Airflow", str(ended), ended == expected),
        ("tasks of the daily run", ", ".join(of_day), {*of_day.values()} == {"success"} and len(of_day) == TASKS),
        (
            f"state of execution, whose plain run ended with {plain['execution']}",
            str(of_execution),
            [state for state, _ in of_execution] == [wanted],
        ),
        ("tries of execution", str(of_execution), all(tries <= 1 for _, tries in of_execution)),
    ]


def _state_after(status: int) -> str:
    """Return the state of a task whose command ends with an exit status."""
    return {int(ExitStatus.DONE): "success", int(ExitStatus.NO_PLAN): "skipped"}.get(status, "failed")


def facts_of_books(one: Path, other: Path) -> list[tuple[str, str, bool]]:
    """Compare what both projects have made of the day: the orders, and every event with its payload."""
    orders = [(folder / f"data/accounts/sim/orders/{SESSION}.csv").read_bytes() for folder in (one, other)]
    events = [_booked(folder) for folder in (one, other)]
    same = events[0] == events[1]
    return [
        ("orders by Airflow and by kedro", f"{len(orders[1])} bytes", orders[0] == orders[1] != b""),
        ("events of the ledgers by Airflow and by kedro", f"{len(events[1])} and {len(events[0])}", same),
    ]


def _booked(project: Path) -> list[tuple[str, str, str, str]]:
    """Return the events of a ledger with their payloads, which hold no time but those of the account's own clock."""
    events = Ledger.read(project / "data/accounts/sim/ledger.sqlite").events()
    return sorted((str(event.kind), f"{event.session:%Y-%m-%d}", event.key, event.content) for event in events)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
