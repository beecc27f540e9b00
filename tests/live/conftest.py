"""A live process of a real account whose commands are a script, so that a test says how each of them ends."""

import json
import shutil
import signal
import sys
from collections import deque
from contextlib import ExitStack
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.cli.opened_account import open_account
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.board import Board
from quant_pipeline.live.clocks import FastClock
from quant_pipeline.live.commands import Commands
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.ways import Way
from quant_pipeline.live.parameters import Channel
from quant_pipeline.live.process import LiveProcess, Reach
from tests.helpers.project import PROJECT, copy_project

SCRIPT = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(__file__).parent
with (folder / "called").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
plan = json.loads((folder / "plan.json").read_text())
words = " ".join(sys.argv[1:])
key = next((key for key in plan if key in words), None)
ends = plan.get(key) or [0]
count = sum(key in " ".join(json.loads(line)) for line in (folder / "called").open()) - 1 if key else 0
end = ends[min(count, len(ends) - 1)]
print("a line of", words)
if end == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if end == "hangs":
    time.sleep(600)
sys.exit(end)
"""


class Scripted:
    """The process with everything that a test looks at."""

    def __init__(self, opened, place, start, plan, sessions=None, params=None, say=None, **times):
        self.folder = place.project_path
        (self.folder / "script.py").write_text(SCRIPT)
        (self.folder / "plan.json").write_text(json.dumps(plan))
        found = LiveAccount.of(place, opened, params or {})
        changed = found.times.model_copy(update=times)
        self.account = LiveAccount(place, opened, params or {}, changed, found.notifications)
        self.messages = deque()
        way = Way("test", Channel(), lambda message: self.messages.append(message) or True)
        program = (sys.executable, "-S", "-E", str(self.folder / "script.py"))
        self.said = []
        self.reach = Reach(
            journal=Journal(self.account.folder / "journal.jsonl"),
            commands=Commands(self.folder, opened.environment, params or {}, self.account.folder / "tasks", program),
            clock=FastClock(pd.Timestamp(start, tz="UTC"), 1e9),
            messages=Dispatcher([way], self.account.notifications),
            board=Board(self.account.folder, self.account.name, opened.environment),
        )
        self.process = LiveProcess(self.account, self.reach, sessions, say or self.said.append)

    def run(self):
        self.process.run()
        return self

    def train(self, model, identity):
        """Name a champion in the store of a model, as training and `kedro models promote` do."""
        store = self.account.models / model / "bundle"
        (store / "versions" / identity).mkdir(parents=True, exist_ok=True)
        (store / "versions" / identity / "manifest.json").write_text(identity)
        (store / "aliases.json").write_text(json.dumps({"champion": identity}))

    @property
    def journal(self):
        return [json.loads(line) for line in (self.account.folder / "journal.jsonl").read_text().splitlines()]

    @property
    def called(self):
        file = self.folder / "called"
        return [" ".join(json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def of(self, event):
        return [line for line in self.journal if line["event"] == event]

    def titles(self, topic=None):
        return [message.title for message in self.messages if topic in (None, message.topic)]


@pytest.fixture(autouse=True)
def interruptible():
    """Take SIGINT as a terminal gives it: `nohup` lets commands inherit that it is ignored, `kedro live` does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def opened_once(tmp_path_factory):
    """Accounts of a copy of the project by environment: to read the configuration takes longer than most tests."""
    place = SimpleNamespace(project_path=copy_project(PROJECT, tmp_path_factory.mktemp("live") / "project").path)
    with ExitStack() as entered:
        known = {
            env: entered.enter_context(open_account(place, env, {"as_of": "2025-01-02"})) for env in ("paper", "sim")
        }
        yield place, known


@pytest.fixture
def scripted(opened_once):
    """Return what makes a process: environment, first instant, and how commands end by words in them."""
    place, known = opened_once
    for left in (place.project_path / "data", place.project_path / "called"):
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)

    def make(env, start, plan=None, **more):
        return Scripted(known[env], place, start, plan or {}, **more)

    return make
