"""A halt: it stops before it writes anything down, is refused for no body, and outlives the service."""

import logging
import sys
from types import SimpleNamespace

import anyio
import pytest

from quant_pipeline.service.access import Asker
from quant_pipeline.service.audit_file import audit, audit_to, refusals
from quant_pipeline.service.halting import DEFAULT, halt_account, reason_of
from quant_pipeline.service.page.drawing import draw

PYTHON = sys.executable


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", DEFAULT),
        (b"{", DEFAULT),
        (b"[[", DEFAULT),
        (b"[" * 60_000, DEFAULT),
        (b"null", DEFAULT),
        (b'"text"', DEFAULT),
        (b"\xff\xfe\x00", DEFAULT),
        (b'{"reason": ""}', DEFAULT),
        (b'{"reason": "  \\n"}', DEFAULT),
        (b'{"reason": 7}', DEFAULT),
        (b'{"reason": "strange prices", "more": 1}', "strange prices"),
        (b'{"reason": "in a\\u0000 hurry"}', "in a  hurry"),
        (b'{"reason": "lone \\ud800 surrogate"}', "lone   surrogate"),
        (b'{"reason": "' + b"x" * 700 + b'"}', "x" * 500),
        (b"reason=strange+prices&form=1", "strange prices"),
        (b"a=1&" * 100, DEFAULT),
    ],
)
def test_whatever_the_body_there_is_a_reason_of_one_line(body, reason):
    assert reason_of(body) == reason


@pytest.fixture
def halted(tmp_path, monkeypatch):
    """Returns the outcome of a halt whose command is a script."""

    def halt(script, stop_file=tmp_path / "account" / "STOP"):
        command = tmp_path / "command"
        (tmp_path / "command.py").write_text(f"import os, sys\n{script}\n", encoding="utf-8")
        # The first line of a script takes no blank in the path of an interpreter.
        command.write_text(f'#!/bin/sh\nexec "{PYTHON}" "{tmp_path}/command.py" "$@"\n')
        command.chmod(0o755)
        monkeypatch.setattr("quant_pipeline.service.halting.sys.executable", str(command))
        project = SimpleNamespace(
            stop_file=stop_file, params={}, environment="sim", place=SimpleNamespace(project_path=tmp_path)
        )

        async def in_thread(question):
            return await anyio.to_thread.run_sync(question)

        served = SimpleNamespace(project=project, compute_without_limit=in_thread)
        return anyio.run(halt_account, served, Asker("desk", frozenset()), "naïve \u2603")

    return halt


def test_the_command_has_a_session_of_its_own_and_is_given_the_reason(halted, tmp_path):
    done = halted("print(os.getsid(0) == os.getpid(), sys.argv[-1] == 'naïve \u2603 (desk)')")
    assert (done["everything_stopped"], done["halted"], done["lines"]) == (True, True, ["True True"])
    assert (tmp_path / "account" / "STOP").exists()


def test_the_file_is_there_before_the_audit_log_is_written_and_a_log_that_fails_stops_nothing(halted, tmp_path):
    seen = []

    class Watching(logging.Handler):
        def emit(self, record):
            seen.append((record.getMessage(), (tmp_path / "account" / "STOP").exists()))

    handler = Watching()
    audit.addHandler(handler)
    try:
        halted("")
    finally:
        audit.removeHandler(handler)
    assert seen == [("halt by desk: 'naïve \u2603'", True)]


def test_the_audit_log_goes_to_its_file_alone(tmp_path, caplog):
    with audit_to(tmp_path):
        audit.warning("a line")
    assert "a line" in (tmp_path / "audit.jsonl").read_text()
    assert caplog.messages == []


def test_no_number_of_refusals_pushes_out_what_was_done(tmp_path, monkeypatch):
    monkeypatch.setattr("quant_pipeline.service.audit_file.MOST", 1_000)
    with audit_to(tmp_path):
        audit.warning("halt by desk: 'strange prices'")
        for number in range(500):
            refusals.info("401 POST /v1/account/halt by ? from 10.0.0.%d", number)
    assert "strange prices" in (tmp_path / "audit.jsonl").read_text()
    kept = sorted(file.name for file in tmp_path.glob("refusals*"))
    assert kept == ["refusals.jsonl", "refusals.jsonl.1", "refusals.jsonl.2"]


def test_a_halt_that_has_stopped_nothing_says_so_first(halted, tmp_path):
    (tmp_path / "file").touch()
    done = halted("print('not stopped'); sys.exit(1)", tmp_path / "file" / "STOP")
    assert (done["halted"], done["everything_stopped"]) == (False, False)
    shown = draw("halted.html", done=done)
    assert "NOT halted: run <code>kedro account halt</code> at the terminal now" in shown
    assert "in part" not in shown
    assert "Halted in part" in draw("halted.html", done=halted("sys.exit(1)"))
    assert "■ Halted</h2>" in draw("halted.html", done=halted(""))
