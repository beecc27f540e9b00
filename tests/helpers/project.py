"""A copy of the project in which commands run as a user would run them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from quant_pipeline.testing.small_project import copy_files, make_small

PROJECT = Path(__file__).resolve().parents[2]
# Seconds; far more than any command takes on a loaded machine.
PATIENCE = 1800


class Project:
    """Runs commands in a copy of the project, as a user would."""

    def __init__(self, path: Path, commands: CommandServer | None = None):
        self.path = path
        self.commands = commands

    def run(self, command: str, *, ok: bool = True) -> subprocess.CompletedProcess:
        """Run one command line: `kedro` in a fork of the warm server if there is one, else in a process of its own."""
        if self.commands is None or not command.startswith("kedro "):
            return self.run_process(command, ok=ok)
        return self._checked(self.commands.run(self._arguments(command), **self.place), command, ok)

    def run_process(self, command: str, *, ok: bool = True) -> subprocess.CompletedProcess:
        """Run one command line in a new process; `kedro` and `python` are those of this interpreter."""
        streams = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        done = subprocess.run(self._arguments(command), **self.place, **streams, timeout=PATIENCE, check=False)
        return self._checked(done, command, ok)

    def start(self, command: str) -> Started:
        """Start a `kedro` command in a fork of the warm server, as the leader of a group of processes; do not wait."""
        return self.commands.start(self._arguments(command), **self.place)

    def called_kernels(self, command: str) -> set[str]:
        """Run a `kedro` command in a fork of the warm server; return the kernels, with their types, that it called."""
        file = self.path / "called.json"
        self._checked(self.commands.run(self._arguments(command), **self.place, kernels=str(file)), command, True)
        return set(json.loads(file.read_text()))

    def start_process(self, command: str) -> subprocess.Popen:
        """Start one command line in a new process, as the leader of a group of processes; do not wait."""
        silent = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        return subprocess.Popen(self._arguments(command), **self.place, **silent, start_new_session=True)

    def copy(self, path: Path) -> Project:
        """Copy everything, data and tracking store too; the sources stay the same ones."""
        shutil.copytree(self.path, path, symlinks=True)
        return Project(path, self.commands)

    @staticmethod
    def _checked(done: subprocess.CompletedProcess, command: str, ok: bool) -> subprocess.CompletedProcess:
        if ok and done.returncode != 0:
            pytest.fail(f"`{command}` ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    @staticmethod
    def _arguments(command: str) -> list[str]:
        program, *rest = shlex.split(command)
        return [str(Path(sys.executable).parent / program), *rest]

    @property
    def place(self) -> dict:
        return {"cwd": self.path, "env": environment(self.path / "src")}


class Started:
    """A command that runs in a fork of the server, as far as tests look at it."""

    def __init__(self, pid: int, status: Path):
        self.pid, self._status = pid, status

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while the command runs."""
        return int(self._status.read_text()) if self._status.exists() else None

    def wait(self) -> int:
        """Return the exit status as soon as there is one."""
        end = time.monotonic() + PATIENCE
        while (status := self.poll()) is None:
            assert time.monotonic() < end, "the command does not end"
            time.sleep(0.02)
        return status


class CommandServer:
    """The client of `command_server`: starts it with the first command, ends it at last."""

    def __init__(self, sources: Path, folder: Path):
        self._sources, self._folder = sources, folder
        self._running: subprocess.Popen | None = None
        self._started = 0

    def run(self, arguments: list[str], cwd: Path, env: dict[str, str], **more: str) -> subprocess.CompletedProcess:
        """Run one command line and return its exit status and what it printed."""
        printed = [self._folder / name for name in ("stdout", "stderr")]
        order = {"arguments": arguments, "folder": str(cwd), "environment": env, **more}
        status = self._ask(order | {file.name: str(file) for file in printed})
        return subprocess.CompletedProcess(arguments, status, *(file.read_text() for file in printed))

    def start(self, arguments: list[str], cwd: Path, env: dict[str, str]) -> Started:
        """Start one command line and do not wait."""
        self._started += 1
        status = self._folder / f"{self._started}.status"
        order = {"arguments": arguments, "folder": str(cwd), "environment": env, "status": str(status)}
        return Started(self._ask(order | {"stdout": os.devnull, "stderr": os.devnull}), status)

    def _ask(self, order: dict) -> int:
        server = self._running = self._running or self._start()
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        assert answer, f"the server of commands ended: {(self._folder / 'server.log').read_text()[-4000:]}"
        return int(answer)

    def stop(self) -> None:
        """End the server; it has no command left to run."""
        if self._running is not None:
            self._running.stdin.close()
            self._running.wait(timeout=PATIENCE)
            self._running.stdout.close()

    def _start(self) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        command = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
        with (self._folder / "server.log").open("w") as log:
            return subprocess.Popen(command, **pipes, stderr=log, env=environment(self._sources), cwd=self._folder)


def environment(sources: Path) -> dict[str, str]:
    """Return the shell's environment with the sources of one project, and without what tests left in it."""
    changed = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(sources)}
    # Five consumers of jobs, of which there are none, would start beside MLflow's pages, and outlive them.
    changed["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    # A session in this process leaves its tracking store in the environment.
    for name in ("KEDRO_ENV", "COVERAGE_PROCESS_CONFIG", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        changed.pop(name, None)
    return changed


def copy_project(source: Path, target: Path, commands: CommandServer | None = None) -> Project:
    """Copy what belongs to the project and nothing that runs have written."""
    copy_files(source, target)
    return Project(target, commands)


def bare_project(source: Path, target: Path) -> Path:
    """Copy the configuration without keys and personal overrides: a folder for commands that run in this process."""
    ignored = shutil.ignore_patterns("credentials.yml", "local")
    shutil.copytree(source / "conf", target / "conf", ignore=ignored)
    (target / "conf" / "local").mkdir()
    # The package is the one that is installed; the folder only has to be there.
    (target / "src").mkdir()
    shutil.copy(source / "pyproject.toml", target)
    return target


def small_project(source: Path, target: Path, commands: CommandServer) -> Project:
    """Copy the project; give it a market of fourteen instruments and parameters that suit it."""
    copy_files(source, target)
    make_small(target)
    return Project(target, commands)
