"""Jobs of several machines in one table, of restored tables and of former ones; keys of their holders."""

import subprocess
import sys

import psutil
import pytest
import sqlalchemy as sa

from quant_pipeline.common.processes import birth_of
from quant_pipeline.service.jobs.table import ENDED, JobKey, JobState, JobTable
from quant_pipeline.service.problems import Refused
from quant_pipeline.testing.job_kills import NAME
from tests.helpers.job_desk import KNOWN, ask, children_of, desk, desk_of, starts, until

__all__ = ["desk"]


def test_a_process_of_another_machine_is_never_judged_nor_ended(desk):
    """Its number may be that of a process here, or of none: neither says anything of it."""
    here = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        jobs = [ask(desk, number)[0] for number in range(3)]
        claims = ((here.pid, birth_of(here.pid)), (2**22 + 1, "1.00"))
        for job, claim in zip(jobs, claims, strict=False):
            assert desk.table.claim(job.id, "another machine", *claim)
        desk.runner.step()
        assert [desk.table.find(job.id).state for job in jobs[:2]] == [JobState.RUNNING] * 2
        # They take no place of this machine.
        assert until(desk, jobs[2], *ENDED).state is JobState.DONE
        assert desk.runner.cancel(jobs[0]).state is JobState.CANCELLED
        later = desk_of(desk.folder)
        later.runner.start()
        later.runner.stop()
        assert here.poll() is None
        assert desk.table.find(jobs[1].id).state is JobState.RUNNING
    finally:
        here.kill()
        here.wait()


def test_a_job_that_was_cancelled_on_another_machine_ends_itself(desk):
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    family = [psutil.Process(running.pid), *children_of(desk, running.pid)]
    # As the service of another machine does it: it knows no process of it.
    desk.table.end(running, JobState.CANCELLED, None, "cancelled")
    _, alive = psutil.wait_procs(family, timeout=60)
    desk.runner.step()
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert desk.table.find(job.id).state is JobState.CANCELLED


def test_a_machine_that_changes_its_name_keeps_its_jobs(desk):
    """As when a network gives it one: what runs is counted and looked after by the service that has started it."""
    desk.runner._here = "the name at the start"
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    assert running.host == "the name at the start"
    waiting, _ = ask(desk, 1)
    desk.runner.step()
    assert desk.table.find(waiting.id).state is JobState.WAITING
    desk.runner.cancel(running)
    desk.runner.cancel(waiting)


def test_a_worker_that_came_too_late_fails_no_job_that_another_one_does(desk):
    """As on two machines: both start a worker, one claims the job, the other's ends."""
    job, _ = ask(desk)
    desk.runner._spawned[job.id] = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    desk.runner._spawned[job.id].wait()
    assert desk.table.claim(job.id, "another machine", 1, "1.00")
    assert not desk.table.end_unclaimed(job, "its process ended")
    desk.runner.step()
    assert desk.table.find(job.id).state is JobState.RUNNING


def test_a_job_that_a_restored_table_calls_waiting_is_not_begun_again(desk):
    job, _ = ask(desk)
    until(desk, job, JobState.DONE)
    engine = sa.create_engine(f"sqlite:///{desk.folder / 'jobs.sqlite'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'waiting', pid = NULL, host = NULL, ended = NULL")
    engine.dispose()
    lost = until(desk_of(desk.folder), job, *ENDED)
    assert (lost.state, starts(desk)) == (JobState.LOST, 1)
    assert "put back" in lost.message


def test_a_table_of_a_former_version_gets_its_columns(tmp_path):
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    first = JobTable(url).add("a" * 32, NAME, {"number": 1}, "question", "test")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for column in ("host", "asked"):
            connection.exec_driver_sql(f"ALTER TABLE jobs DROP COLUMN {column}")
    engine.dispose()
    table = JobTable(url)
    assert table.find(first.id) == first
    assert table.claim(first.id, "here", 1, "1.00")


def test_a_key_belongs_to_its_holder_and_to_what_was_sent(desk):
    """Not to what that meant then: `all models` are others when one was added."""
    key = JobKey.of("desk", "monday", "training", {"models": []})
    first, _ = desk.runner.ask(NAME, {"file": str(desk.started), "models": ["a"]}, KNOWN, "desk", key)
    again, was_there = desk.runner.ask(NAME, {"file": str(desk.started), "models": ["a", "b"]}, KNOWN, "desk", key)
    assert (again.id, was_there) == (first.id, True)
    other = JobKey.of("research", "monday", "training", {"models": ["b"]})
    assert desk.runner.ask(NAME, {"file": str(desk.started), "models": ["b"]}, KNOWN, "research", other)[1] is False
    with pytest.raises(Refused, match="another request"):
        desk.runner.of_key(JobKey.of("desk", "monday", "training", {"models": ["b"]}))
