"""A day that is killed, or runs where everything is odd, ends as an undisturbed one; two first runs make one market."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.helpers.killed_runs import contents, leftovers
from tests.helpers.project import PATIENCE, small_project

DAILY = "kedro run --pipelines daily --params as_of=2025-01-02"
ODD_PLACE = "mein Ördner 市場 %41"


@pytest.fixture(scope="module")
def undisturbed(next_day):
    """Digest of every file after the day."""
    return contents(next_day.path)


@pytest.mark.parametrize(
    ("node", "seconds"),
    [
        pytest.param("score_latest", 0.1, marks=pytest.mark.slow),
        ("book_fills", 0.02),
        pytest.param("generate_orders", 0.3, marks=pytest.mark.slow),
    ],
)
def test_a_day_that_is_killed_is_completed_by_the_next_run(project, undisturbed, node, seconds):
    log = project.path / "logs" / "sim.jsonl"
    log.unlink()
    running = project.start(DAILY)
    _await(lambda: node in _nodes_begun(log) or running.poll() is not None)
    time.sleep(seconds)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    project.run(DAILY)
    assert contents(project.path) == undisturbed
    assert leftovers(project.path) == []


def test_no_home_another_language_another_time_zone_and_a_strange_folder_change_no_byte(
    finished, undisturbed, tmp_path
):
    project = finished.copy(tmp_path / ODD_PLACE)
    environment = {
        name: value for name, value in project.place["env"].items() if name not in ("HOME", "USER", "LOGNAME")
    }
    environment |= {"LANG": "C", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONPATH": str(project.path / "src")}
    done = subprocess.run(
        project._arguments(DAILY), cwd=project.path, env=environment, umask=0o077, capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert contents(project.path) == undisturbed


def test_two_first_runs_at_once_make_one_market(project_path, commands, tmp_path):
    project = small_project(project_path, tmp_path / "project", commands)
    both = [project.start("kedro run --pipelines ingestion") for _ in range(2)]
    assert [running.wait() for running in both] == [0, 0]
    assert leftovers(project.path) == []
    assert "adjusted_bars.parquet" in " ".join(contents(project.path))


def _nodes_begun(log):
    if not log.exists():
        return ""
    records = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return " ".join(record["message"] for record in records if record["message"].startswith("["))


def _await(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the run did not come so far"
        time.sleep(0.02)
