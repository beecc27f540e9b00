"""Processes are known by their birth, which no clock moves, and by the mark that they inherit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from quant_pipeline.common import processes
from quant_pipeline.common.processes import birth_of, end_processes, last_lines, lives, marked_processes

MARK = "QUANT_PIPELINE_TEST_MARK"


@pytest.fixture
def family(tmp_path):
    """A parent that was killed, and its child in a session of its own, which goes on."""
    script = (
        "import subprocess, sys, time\n"
        "words = [sys.executable, '-S', '-c', 'import time; time.sleep(600)']\n"
        "child = subprocess.Popen(words, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    value = f"{os.getpid()}-{tmp_path.name}"
    parent = subprocess.Popen(
        [sys.executable, "-S", "-c", script], env={**os.environ, MARK: value}, stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    yield value, parent, child
    for process in (parent, child):
        try:
            process.kill()
        except (psutil.Error, OSError):
            continue
    parent.communicate()


def test_the_birth_is_the_start_in_ticks_of_the_kernel_and_no_instant():
    fields = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
    assert birth_of(os.getpid()) == f"{boot}-{fields[19]}"
    assert birth_of(2**22 + 1) == ""


def test_a_clock_that_is_set_makes_no_other_process(monkeypatch):
    born = birth_of(os.getpid())
    # psutil adds the ticks to the time of the last start of the machine, which follows the clock of the system.
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: time.time() - 86_400)
    assert birth_of(os.getpid()) == born
    assert lives(os.getpid(), born)


def test_without_proc_the_birth_is_an_instant(monkeypatch, tmp_path):
    monkeypatch.setattr(processes, "BOOT", tmp_path / "nothing")
    assert birth_of(os.getpid()) == f"{psutil.Process().create_time():.2f}"
    assert lives(os.getpid(), birth_of(os.getpid()))
    assert not lives(os.getpid(), "1.00")


def test_a_process_that_waits_for_its_parent_does_not_live():
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    born = birth_of(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(process.pid, born)
    process.wait()
    assert not lives(process.pid, born)
    assert not lives(process.pid, "")


def test_a_name_with_brackets_and_blanks_hides_no_birth(tmp_path):
    program = tmp_path / "a) S 1 (b"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(program), "60"])
    try:
        assert birth_of(process.pid).partition("-")[2].isdigit()
        assert lives(process.pid, birth_of(process.pid))
    finally:
        process.kill()
        process.wait()


def test_children_of_a_killed_process_are_found_and_ended_in_whatever_session(family):
    value, parent, child = family
    assert {process.pid for process in marked_processes(MARK)[value]} == {parent.pid, child.pid}
    parent.kill()
    parent.wait()
    assert [process.pid for process in marked_processes(MARK)[value]] == [child.pid]
    end_processes(MARK, "another", 5.0)
    assert child.is_running()
    end_processes(MARK, value, 5.0)
    assert value not in marked_processes(MARK)


def test_one_that_is_left_alone_goes_on(family):
    value, parent, _ = family
    end_processes(MARK, value, 5.0, but=parent.pid)
    assert [process.pid for process in marked_processes(MARK)[value]] == [parent.pid]


def test_last_lines_are_whole_ones(tmp_path, monkeypatch):
    log = tmp_path / "output.log"
    log.write_text("in /home/trader/secret/folder it began\nsecond\nthird\n")
    assert last_lines(log, 2) == "second\nthird"
    monkeypatch.setattr(processes, "READ", 30)
    assert last_lines(log, 9) == "second\nthird"
    assert last_lines(tmp_path / "nothing", 3) == ""
