"""Weeks in which the process dies at lines of its journal and the clock is set: nothing twice, nothing lost."""

from collections import Counter
from random import Random

import pandas as pd

from quant_pipeline.live.journal import Journal
from quant_pipeline.live.parameters import Topic
from quant_pipeline.live.process import LiveProcess


class Killed(BaseException):
    """As by SIGKILL: nothing of the process runs any more."""


class Deadly(Journal):
    """A journal at whose lines the process dies, before or after they are on the disk."""

    def __init__(self, file, chance, often):
        super().__init__(file)
        self._chance, self._often = chance, often

    def append(self, at, event, **facts):
        if event != "begun" and self._chance.random() < self._often:
            if self._chance.random() < 0.5:
                super().append(at, event, **facts)
            raise Killed
        return super().append(at, event, **facts)


def was_set_back_after_it_was_missed(task, lines):
    (first, *_) = (place for place, line in enumerate(lines) if (line["event"], line.get("task")) == ("missed", task))
    return any(line["at"] < lines[first]["at"] for line in lines[first:])


def test_each_task_of_some_weeks_is_settled_once_whatever_kills_the_process(scripted, monkeypatch):
    monkeypatch.setattr(LiveProcess, "_end", lambda process: None)
    sessions, least_kills = 20, 10
    chance, instant, kills, titles = Random(20), pd.Timestamp("2025-01-02 21:00"), 0, Counter()
    while True:
        live = scripted("paper", f"{instant}", plan={"execution": [0, 0, 3, 0, 4]}, drain_seconds=0.0)
        live.reach.journal = Deadly(live.account.folder / "journal.jsonl", chance, 0.04)
        daily = sum(line["event"] == "ended" and line["task"].startswith("daily") for line in live.journal)
        live.process._left = sessions - daily
        try:
            live.run()
        except Killed:
            kills += 1
            for post in live.reach.messages._posts:
                post._waiting.clear()  # What no service has taken yet dies too.
        live.reach.messages.flush(60)
        titles.update(live.titles(Topic.MISSED))
        instant = live.reach.clock.now().tz_localize(None)
        if live.process.is_stopping:
            break
        # The computer sleeps, or its clock is set back.
        instant += pd.Timedelta(minutes=chance.choice([0, 0, 1, 20, 90, 600, 3000, -120]))
    lines = live.journal
    ended = [line for line in lines if line["event"] == "ended"]
    done = Counter(line["task"] for line in ended if line["result"] in ("done", "attention"))
    missed = Counter(line["task"] for line in lines if line["event"] == "missed")
    assert kills > least_kills
    assert set(done.values()) == {1}
    # A clock that is set back by two hours may give a task its time again, and nothing else does.
    again = {task for task in missed if missed[task] > 1 or task in done}
    assert all(was_set_back_after_it_was_missed(task, lines) for task in again)
    days = {task.split()[1] for task in (*done, *missed) if task.startswith("daily")}
    assert len(days) >= sessions
    inner = days - {min(days), max(days)}
    for kind in ("daily", "execution", "dry_run", "reconciliation"):
        assert {task.split()[1] for task in (*done, *missed) if task.startswith(kind)} >= inner
    assert {f"paper: {task} is missed" for task in missed} == set(titles)
