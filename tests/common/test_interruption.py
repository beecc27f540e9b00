"""Ctrl-C while a command imports, and while it works: one line, status 130."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quant_pipeline.common.interruption import is_command
from tests.helpers.project import copy_project

INTERRUPT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = {words!r}.split()
from {main} import main
main()
raise SystemExit("was not interrupted")
"""
KEDRO, SCRIPT = "kedro.framework.cli", "quant_pipeline.__main__"
MOMENTS = {
    "console script, first import": (SCRIPT, "quant-pipeline account show", "quant_pipeline.cli.account"),
    "console script, last import": (SCRIPT, "quant-pipeline account show", "quant_pipeline.cli.account_picture"),
    "kedro, settings": (KEDRO, "kedro account show", "quant_pipeline.project.configuration"),
    "kedro, the command": (KEDRO, "kedro account show", "quant_pipeline.cli.account_picture"),
    "kedro run, pipelines": (KEDRO, "kedro run", "quant_pipeline.pipelines.ingestion"),
}


@pytest.mark.parametrize(("main", "words", "module"), MOMENTS.values(), ids=MOMENTS)
def test_a_command_that_is_interrupted_ends_in_one_line(project_path, tmp_path, main, words, module):
    copy_project(project_path, tmp_path)
    script = INTERRUPT.format(main=main, words=words, module=module)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.splitlines() == ["", "Interrupted. What was finished is kept; nothing is half written."]


IN_A_FINALISER = """
import os, signal, time
from quant_pipeline.common.interruption import end_on_interrupt

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)

class Wrong:
    def __del__(self):
        raise ValueError("this one is not ours")

end_on_interrupt()
Wrong()
try:
    Interrupted()
    for _ in range(200):
        time.sleep(0.05)
    print("went on")
finally:
    print("cleaned up")
"""


def test_an_interruption_in_a_finaliser_whose_exceptions_python_ignores_ends_the_command_all_the_same():
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FINALISER], capture_output=True, text=True, preexec_fn=listen_to_interrupts
    )
    assert done.returncode == 130
    assert done.stdout == "cleaned up\n"
    # What Python says of other exceptions there is said still.
    assert "ValueError: this one is not ours" in done.stderr
    assert done.stderr.splitlines()[-1] == "Interrupted. What was finished is kept; nothing is half written."
    assert "SystemExit" not in done.stderr


AT_START = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
exec(HOOK_LINE)
"""


def listen_to_interrupts():
    """Undo what a shell does to commands in its background: they ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("program", ["kedro", "python"])
def test_the_hook_of_an_installation_ends_kedro_in_one_line_while_kedro_itself_is_imported(
    project_path, tmp_path, program
):
    hook = runpy.run_path(str(project_path / "tools" / "install.py"))["HOOK_LINE"]
    # As Python does with the file that an installation leaves: before the program.
    (tmp_path / "sitecustomize.py").write_text(AT_START.replace("HOOK_LINE", repr(hook)))
    words = {"kedro": ["--version"], "python": ["-c", "import click"]}[program]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{project_path / 'src'}"}
    started = [str(Path(sys.executable).parent / program), *words]
    done = subprocess.run(
        started, cwd=tmp_path, env=environment, capture_output=True, text=True, preexec_fn=listen_to_interrupts
    )
    if program == "kedro":
        assert done.returncode == 130
        assert done.stderr.splitlines() == ["", "Interrupted. What was finished is kept; nothing is half written."]
    else:
        assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.parametrize(
    ("program", "expected"),
    [("/usr/bin/kedro", True), ("/x/bin/quant-pipeline", True), ("/x/ipykernel_launcher.py", False), ("-c", False)],
)
def test_only_commands_end_so(monkeypatch, program, expected):
    monkeypatch.setattr(sys, "argv", [program])
    assert is_command() is expected


def test_tests_and_notebooks_keep_the_handler_of_python():
    # A suite that was started in the background of a shell has it ignored.
    assert signal.getsignal(signal.SIGINT) in (signal.default_int_handler, signal.SIG_IGN)
