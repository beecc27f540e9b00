"""Jobs: real processes that are started once, followed, cancelled with their group, and lost with a message."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import sqlalchemy as sa

from quant_pipeline.common.exceptions import StorageError
from quant_pipeline.common.openmp import LOOKS, WAIT_POLICY, let_waiting_threads_sleep
from quant_pipeline.common.processes import birth_of, this_machine
from quant_pipeline.service.jobs.table import ENDED, JOBS, JobKey, JobState, JobTable
from quant_pipeline.service.jobs.worker import JobSetting, outcome_of, patiently
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.results import ResultStore
from quant_pipeline.testing.job_kills import NAME, open_runner, rehearse
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.job_desk import KNOWN, ask, children_of, desk, desk_of, starts, until
from tests.helpers.project import PROJECT
from tests.helpers.servers import running_postgres

__all__ = ["desk"]


def test_a_job_runs_once_and_keeps_what_it_printed(desk):
    job, was_there = ask(desk)
    assert (was_there, job.state) == (False, JobState.WAITING)
    done = until(desk, job, *ENDED)
    assert (done.state, done.status, starts(desk)) == (JobState.DONE, 0, 1)
    assert done.result["lines"] == ["first line", "last line"]
    assert desk.runner.output_of(done).read_text() == "first line\nlast line\n"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="of Linux")
def test_a_job_gives_way_to_answers_and_leaves_them_a_core(desk):
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    (command,) = children_of(desk, running.pid)
    here = sorted(os.sched_getaffinity(0))
    assert sorted(command.cpu_affinity()) == (here[1:] or here)
    assert command.nice() == min(os.nice(0) + 10, 19)
    expected = dict(os.environ)
    let_waiting_threads_sleep(expected)
    assert {name: command.environ().get(name) for name in (WAIT_POLICY, LOOKS)} == {
        name: expected.get(name) for name in (WAIT_POLICY, LOOKS)
    }
    session = Path(f"/proc/{command.pid}/autogroup")
    if session.is_file():
        assert session.read_text().split()[-1] == "10"
    assert os.sched_getscheduler(command.pid) == os.SCHED_BATCH
    desk.runner.cancel(running)


def test_a_failed_job_says_why_in_its_last_line(desk):
    job, _ = ask(desk, status=3)
    failed = until(desk, job, *ENDED)
    assert (failed.state, failed.status, failed.message) == (JobState.FAILED, 3, "last line")


def test_the_same_question_is_one_job_and_a_failed_one_is_asked_again(desk):
    job, _ = ask(desk)
    again, was_there = ask(desk)
    assert (again.id, was_there) == (job.id, True)
    until(desk, job, JobState.DONE)
    assert ask(desk)[0].id == job.id
    failed, _ = ask(desk, status=1)
    until(desk, failed, JobState.FAILED)
    assert ask(desk, status=1)[0].id != failed.id
    other_market, was_there = desk.runner.ask(
        NAME, {"file": str(desk.started), "number": 0}, {**KNOWN, "market": "9"}, "test", None
    )
    assert (other_market.id != job.id, was_there) == (True, False)


def test_an_idempotency_key_is_one_job_and_belongs_to_one_request(desk):
    job, _ = ask(desk, key="monday")
    until(desk, job, JobState.DONE)
    assert ask(desk, key="monday")[0].id == job.id
    with pytest.raises(Refused, match="another request"):
        ask(desk, number=1, key="monday")


def test_no_more_jobs_run_than_may_and_no_more_wait(desk):
    jobs = [ask(desk, number, seconds=60)[0] for number in range(3)]
    with pytest.raises(Refused, match="wait already"):
        ask(desk, 3)
    until(desk, jobs[0], JobState.RUNNING)
    desk.runner.step()
    assert [job.state for job in desk.table.newest(3)] == [JobState.WAITING, JobState.WAITING, JobState.RUNNING]
    for job in jobs:
        desk.runner.cancel(desk.table.find(job.id))


def test_a_cancelled_job_ends_with_all_its_processes(desk):
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    family = [psutil.Process(running.pid), *children_of(desk, running.pid)]
    assert desk.runner.cancel(running).state is JobState.CANCELLED
    _, alive = psutil.wait_procs(family, timeout=30)
    desk.runner.step()
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert desk.runner.cancel(desk.table.find(job.id)).state is JobState.CANCELLED
    assert starts(desk) == 1


def test_a_waiting_job_that_is_cancelled_never_starts(desk):
    job, _ = ask(desk)
    desk.runner.cancel(job)
    desk.runner.step()
    assert desk.table.find(job.id).state is JobState.CANCELLED
    assert starts(desk) == 0


def test_a_job_whose_processes_are_killed_is_lost_and_not_started_again(desk):
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    children_of(desk, running.pid)
    os.killpg(running.pid, signal.SIGKILL)
    lost = until(desk, job, *ENDED)
    assert (lost.state, starts(desk)) == (JobState.LOST, 1)
    assert "ask for it again" in lost.message


def test_a_process_with_the_number_of_a_dead_one_is_another_process(desk):
    job, _ = ask(desk)
    assert desk.table.claim(job.id, this_machine(), os.getpid(), "1.00")
    desk.runner.step()
    assert desk.table.find(job.id).state is JobState.LOST
    assert birth_of(os.getpid()) != ""


def test_two_processes_that_claim_one_job_start_it_once(desk):
    job, _ = ask(desk)
    folder = desk.folder / "jobs" / job.id
    url = f"sqlite:///{desk.folder / 'jobs.sqlite'}"
    JobSetting(job.id, url, str(desk.folder), "sim", {}, "", 1, None, None, 1).write(folder)
    command = [sys.executable, "-m", "quant_pipeline.service.jobs.worker", str(folder)]
    both = [subprocess.Popen(command, start_new_session=True) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert starts(desk) == 1
    assert desk.table.find(job.id).state is JobState.DONE


def killed_worker(desk, number=0):
    """Run a job until its command has begun, and kill the process that waits for it; return the command."""
    job, _ = ask(desk, number, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    (command,) = children_of(desk, running.pid)
    os.kill(running.pid, signal.SIGKILL)
    return running, command


def is_gone(process):
    """Return whether a process has ended; this test is not its parent."""
    psutil.wait_procs([process], timeout=30)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_command_ends_before_its_job_is_called_lost(desk):
    job, command = killed_worker(desk)
    assert until(desk, job, *ENDED).state is JobState.LOST
    assert is_gone(command)


def test_cancelling_a_job_whose_worker_was_killed_ends_its_command(desk):
    job, command = killed_worker(desk)
    assert desk.runner.cancel(job).state is JobState.CANCELLED
    assert is_gone(command)


def test_the_next_service_ends_what_a_lost_job_has_left_and_nothing_of_another_table(desk):
    job, command = killed_worker(desk)
    desk.table.end(job, JobState.LOST, None, "its process was killed")
    (desk.folder / "other").mkdir()
    other = desk_of(desk.folder / "other")
    other.runner.start()
    other.runner.stop()
    assert command.is_running()
    later = desk_of(desk.folder)
    later.runner.start()
    later.runner.stop()
    assert is_gone(command)


def test_a_question_whose_tables_were_removed_is_asked_again(desk):
    job, _ = ask(desk)
    store = ResultStore(desk.folder / "results", 10.0)
    kept = store.put(pd.DataFrame({"a": [1.0]}))
    desk.table.end(job, JobState.DONE, 0, "done", {"tables": {"a": kept}, "lines": []})
    assert ask(desk)[0].id == job.id
    (desk.folder / "results" / f"{kept}.arrow").unlink()
    again, was_there = ask(desk)
    assert (again.id != job.id, was_there, again.state) == (True, False, JobState.WAITING)


def test_jobs_that_ended_long_ago_are_forgotten_with_what_they_printed(tmp_path):
    runner = open_runner(tmp_path, max_ended=2)
    desk = SimpleNamespace(table=runner.table, runner=runner, folder=tmp_path, started=tmp_path / "started")
    jobs = [ask(desk, number)[0] for number in range(5)]
    for job in jobs[:4]:
        desk.table.end(job, JobState.FAILED, 1, "failed")
        runner.output_of(job).parent.mkdir(parents=True)
        runner.output_of(job).write_text("printed")
    runner.tidy()
    assert [job.id for job in desk.table.newest(9)] == [job.id for job in jobs[4:1:-1]]
    assert [runner.output_of(job).exists() for job in jobs] == [False, False, True, True, False]
    assert ask(desk, 9)[0].number == jobs[4].number + 1


def test_a_job_goes_on_without_the_service_and_the_next_one_finds_its_end(desk):
    job, _ = ask(desk, seconds=1)
    until(desk, job, JobState.RUNNING)
    later = desk_of(desk.folder)
    assert until(later, job, *ENDED).state is JobState.DONE
    assert starts(desk) == 1


def test_what_a_killed_service_has_cancelled_is_ended_by_the_next_one(desk):
    job, _ = ask(desk, seconds=600)
    running = until(desk, job, JobState.RUNNING)
    family = [psutil.Process(running.pid), *children_of(desk, running.pid)]
    desk.table.end(running, JobState.CANCELLED, None, "cancelled")
    later = desk_of(desk.folder)
    later.runner.start()
    psutil.wait_procs(family, timeout=30)
    later.runner.stop()
    desk.runner.step()
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_job_that_takes_too_long_is_ended(desk):
    job, _ = ask(desk, seconds=600)
    folder = desk.folder / "jobs" / job.id
    url = f"sqlite:///{desk.folder / 'jobs.sqlite'}"
    JobSetting(job.id, url, str(desk.folder), "sim", {}, "", 1, None, None, 0.5 / 3600).write(folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "quant_pipeline.service.jobs.worker", str(folder)], start_new_session=True
    )
    assert process.wait(120) == -signal.SIGKILL
    assert "longer than" in desk.table.find(job.id).message


def test_the_setting_of_a_job_is_readable_by_its_user_alone(tmp_path):
    JobSetting("a", "postgresql://user:secret@host/db", "", "sim", {}, "", 1, None, None, 1).write(tmp_path / "a")
    file = tmp_path / "a" / "job.json"
    assert file.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["id"] == "a"


@pytest.mark.slow
def test_jobs_in_a_database_that_a_server_keeps(tmp_path):
    with running_postgres() as url:
        table = JobTable(url)
        first = table.add("a" * 32, NAME, {"number": 1}, "question", "test", JobKey("key", "asked"))
        with pytest.raises(sa.exc.IntegrityError):
            table.add("b" * 32, NAME, {"number": 2}, "question", "test", JobKey("key", "asked"))
        found = table.find(first.id), table.of_key("key"), table.of_question("question", JobState.WAITING)
        assert found == (first, first, first)
        assert [table.claim(first.id, host, 1, "1.00") for host in ("here", "there")] == [True, False]
        running = table.find(first.id)
        assert table.end(running, JobState.DONE, 0, "done", {"tables": {}, "lines": []})
        assert not table.end(running, JobState.LOST, None, "too late")
        assert table.newest(5)[0].state is JobState.DONE


def test_no_kill_of_the_process_that_runs_jobs_loses_one_or_starts_one_twice(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "src"))
    counted = rehearse(kills=6, seed=1)
    assert (counted.kills, counted.jobs_lost, counted.jobs_twice) == (6, 0, 0)
    assert counted.jobs >= 3


def setting_of(folder, url="sqlite://"):
    return JobSetting("1", url, str(folder), "sim", {}, str(folder / "results"), 1, None, None, 1)


def job_of(desk, **request):
    job, _ = ask(desk, **request)
    return job


@pytest.mark.parametrize("fault", [ValueError("no table"), KeyError("column"), TypeError("object"), OSError("full")])
def test_tables_that_cannot_be_kept_for_whatever_reason_fail_the_job_with_it(desk, tmp_path, monkeypatch, fault):
    def refuse(*_):
        raise fault

    monkeypatch.setattr("quant_pipeline.service.jobs.worker._keep_tables", refuse)
    ended = outcome_of(job_of(desk), setting_of(tmp_path), tmp_path / "output.log")
    assert (ended.state, ended.status) == (JobState.FAILED, 0)
    assert str(fault) in ended.message


def test_a_command_that_cannot_be_run_fails_the_job(desk, tmp_path):
    ended = outcome_of(job_of(desk), setting_of(tmp_path / "no folder"), tmp_path / "output.log")
    assert (ended.state, ended.status) == (JobState.FAILED, None)
    assert "could not be run" in ended.message


def test_a_database_that_is_away_for_minutes_loses_no_job(monkeypatch):
    now, answers = [0.0], iter([None] * 20)
    monkeypatch.setattr("quant_pipeline.service.jobs.worker.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "quant_pipeline.service.jobs.worker.time.sleep", lambda pause: now.__setitem__(0, now[0] + pause)
    )

    def change():
        if next(answers, "over") is None:
            raise sa.exc.OperationalError("UPDATE", {}, Exception("the database is restarting"))
        return "recorded"

    assert patiently(change) == "recorded"
    assert 120 < now[0] < 600
    answers = iter([None] * 1000)
    with pytest.raises(sa.exc.OperationalError):
        patiently(change)
    assert now[0] < 1200


@pytest.mark.parametrize("text", [DAMAGED_JSON["torn"], DAMAGED_JSON["deep list"]], ids=["torn", "deep list"])
def test_a_damaged_row_of_a_job_hides_no_other_and_is_not_started(desk, text):
    table = desk.runner.table
    sound = until(desk, ask(desk, seconds=0)[0], *ENDED)
    with table._engine.begin() as connection:
        row = connection.execute(sa.select(JOBS).where(JOBS.c.id == sound.id)).one()._asdict()
        of_now = {"id": "damaged", "number": row["number"] + 1, "state": "waiting", "request": text.decode()}
        nothing = dict.fromkeys(("started", "ended", "pid", "born", "host", "result", "status", "idempotency_key"))
        connection.execute(JOBS.insert().values(**row | nothing | of_now))
        connection.execute(JOBS.update().where(JOBS.c.id == sound.id).values(result=text.decode()))
    failed = until(desk, table.find("damaged"), *ENDED)
    assert (failed.state, failed.started, failed.pid) == (JobState.FAILED, None, None)
    assert failed.message.startswith("its request in the table of jobs is damaged: ")
    by_id = {job.id: job for job in table.newest(10)}
    assert by_id[sound.id].message.startswith("its result in the table of jobs is damaged: ")
    assert by_id[sound.id].state is JobState.DONE
    desk.runner.step()
    assert [job.id for job in table.in_states(JobState.FAILED)] == ["damaged"]


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_damaged_setting_of_a_job_is_named(tmp_path, text):
    JobSetting("a", "", "", "sim", {}, "", 1, None, None, 1).write(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(text)
    with pytest.raises(StorageError, match=r" cannot be read: .*\. Ask for the job again\.$"):
        JobSetting.read(tmp_path)
