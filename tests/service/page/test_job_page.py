"""The page of one job: its newest lines and those before, and rows of its tables, however long they are."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.service.jobs.table import Job, JobState
from quant_pipeline.service.page import routes
from quant_pipeline.service.page.panes.jobs import READABLE, Printed, Rows, job
from quant_pipeline.service.page.routes import printed_before
from quant_pipeline.service.results import ResultStore

ENDED = "2025-01-03T17:00:00.000+00:00"


def test_pages_of_what_a_job_has_printed_meet_without_a_gap(tmp_path, monkeypatch):
    monkeypatch.setattr(routes, "WINDOW", 100)
    output = tmp_path / "output.log"
    output.write_text("".join(f"line {number}\n" for number in range(200)) + "last words")
    pages, before = [], None
    while before != 0:
        found = printed_before(output, before, True, tmp_path)
        pages.insert(0, found)
        before = found.begins
    assert "".join(page.text for page in pages) == output.read_text() + "\n"
    assert [page.is_newest for page in pages] == [False] * (len(pages) - 1) + [True]
    assert pages[-1].ends == output.stat().st_size
    assert len(pages) > 10


def test_a_job_that_has_printed_nothing_has_nothing_before(tmp_path):
    assert printed_before(tmp_path / "output.log", None, False, tmp_path) == Printed("", 0, 0, True)
    assert printed_before(tmp_path / "output.log", 5_000, False, tmp_path) == Printed("", 0, 0, False)


@pytest.fixture
def drawn(tmp_path):
    """Returns the page of a job with a table of 100 rows, and one that has made room."""
    store = ResultStore(tmp_path / "results", 10.0)
    kept = store.put(pd.DataFrame({"instrument": [f"N{number:03d}" for number in range(100)], "weight": 0.5}))
    project = SimpleNamespace(place=SimpleNamespace(project_path=tmp_path))
    served = SimpleNamespace(results=store, project=project)
    result = {"tables": {"positions": kept, "trades": "0" * 32}, "lines": []}
    facts = {"question": "", "asked": None, "asked_by": "desk", "host": None, "pid": None, "born": None}
    at = {"created": ENDED, "started": ENDED, "ended": ENDED}
    found = Job(
        "a" * 32, 1, "backtest", {}, state=JobState.DONE, status=0, message="done", result=result, **facts, **at
    )
    return lambda **rows: job(served, found, Printed("text\n", 7, 12, True), Rows(**rows))


def test_a_long_table_is_shown_in_parts_that_say_of_when_they_are(drawn):
    first = str(drawn())
    assert re.findall(r"N\d\d\d", first) == [f"N{number:03d}" for number in range(READABLE)]
    assert "positions: rows 1 to 40 of 100, computed 2025-01-03 17:00:00 UTC" in first
    assert "?table=positions&amp;row=40" in first
    last = str(drawn(table="positions", first=80))
    assert re.findall(r"N\d\d\d", last) == [f"N{number:03d}" for number in range(80, 100)]
    assert "row=40" in last
    assert "row=120" not in last
    assert "trades: not kept any more" in first


def test_the_page_goes_on_behind_what_it_shows_and_leads_to_what_was_before(drawn):
    page = str(drawn())
    assert 'data-events="/page/jobs/%s/events?behind=12"' % ("a" * 32) in page
    assert "?before=7" in page
    assert ">text\n</pre>" in page


def test_a_row_behind_the_end_is_no_fault(drawn):
    assert "positions: rows" not in str(drawn(table="positions", first=10**12))
