"""Jobs: what was asked for, by whom, and how it ended; one job alone, as it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.common.processes import this_machine
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.jobs.table import OPEN, Job
from quant_pipeline.service.page.drawing import Fact, draw, facts, instant, link, pane, span, state
from quant_pipeline.service.page.forms import FORM_TOKEN
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.served import Served

SHOWN = 50
READABLE = 40
"""Rows of a table of a result that are drawn at once."""


class Printed(NamedTuple):
    """A part of what a job has printed.

    Attributes
    ----------
    text
        Its lines.
    begins, ends
        Where it begins and ends in what was printed.
    is_newest
        Whether it goes on to the end.
    """

    text: str
    begins: int
    ends: int
    is_newest: bool


class Rows(NamedTuple):
    """From which row on a table of the result is shown."""

    table: str = ""
    first: int = 0


def jobs(look: Look) -> Html:
    """Draw the newest jobs."""
    newest = look.served.jobs.table.newest(SHOWN)
    as_of = instant(pd.Timestamp.now("UTC").floor("min"))
    if not newest:
        return pane("jobs", "Jobs", as_of, paragraph("No job was asked for yet.", style="empty"))
    rows = [_row(look.served, job) for job in newest]
    shown = pd.DataFrame(rows, columns=["job", "kind", "request", "state", "asked_by", "created", "lasted", "message"])
    columns = [
        Column("job", "job", lambda found: link(f"/page/jobs/{found[0]}", f"{found[1]}"), "text"),
        Column("kind", "kind", _words, "text"),
        Column("state", "state", state, "text"),
        Column("lasted", "lasted", wording.text, "text"),
        Column("created", "asked", instant, "text"),
        Column("asked_by", "by", kind="text"),
        Column("request", "request", wording.text, "long"),
        Column("message", "how it ended", wording.text, "long"),
    ]
    return pane("jobs", "Jobs", as_of, table(shown, columns, f"Newest {len(shown)} jobs"))


def job(served: Served, found: Job, printed: Printed, rows: Rows) -> Html:
    """Draw one job; the script of the page appends what it prints."""
    at = instant(found.ended or pd.Timestamp.now("UTC").floor("s"))
    items = [
        Fact("State", str(found.state), at),
        Fact("Asked", instant(found.created), f"by {found.asked_by}"),
        Fact("Lasted", _lasted(found) or wording.MISSING, at),
    ]
    if found.host not in (None, this_machine()):
        items.append(Fact("Done on", str(found.host), "another machine: what it prints, and its tables, lie there"))
    tables = sorted((found.result or {}).get("tables", {}))
    if tables:
        items.append(Fact("Tables", first_of(tables, whole="the answer"), f"GET /v1/jobs/{found.id}/result"))
    parts = draw(
        "job.html",
        job=found,
        request=_request(found),
        is_open=found.state in OPEN,
        form_token=FORM_TOKEN,
        printed=printed,
        message=_end(served, found),
    )
    heading = f"Job {found.number}: {_words(found.kind)}"
    return pane("job", heading, at, facts(items), *_results(served, found, rows), parts)


def _results(served: Served, found: Job, rows: Rows) -> Iterator[Html]:
    """Draw some rows of each table of a result, with links to the rows before and behind."""
    for name, hash in sorted((found.result or {}).get("tables", {}).items()):
        first = rows.first if rows.table == name else 0
        part = served.results.part(hash, first, READABLE)
        if part is None:
            yield paragraph(f"{_words(name)}: not kept any more, it has made room for others.", style="empty")
            continue
        result = part.rows
        if result.empty:
            continue
        columns = [
            Column(
                column,
                _words(column),
                _number if kind.kind == "f" else wording.text,
                "number" if kind.kind in "fiu" else "text",
            )
            for column, kind in result.dtypes.items()
        ]
        shown = f"rows {first + 1:,} to {first + len(result):,} of {part.height:,}, computed {instant(found.ended)}"
        yield table(result, columns, f"{_words(name)}: {shown}")
        places = (("Rows before", first - READABLE, first > 0), ("Rows behind", first + READABLE, True))
        links = [
            link(f"/page/jobs/{found.id}?table={name}&row={max(place, 0)}", f"{label}, {_words(name)}")
            for label, place, is_there in places
            if is_there and place < part.height
        ]
        if links:
            yield paragraph(Html(" \N{MIDDLE DOT} ").join(links))


def _number(value: Any) -> str:
    return wording.MISSING if pd.isna(value) else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def _row(served: Served, job: Job) -> tuple[Any, ...]:
    state_of, end = str(job.state), _end(served, job)
    return (job.id, job.number), job.kind, _request(job), state_of, job.asked_by, job.created, _lasted(job), end


def _request(job: Job) -> str:
    return ", ".join(f"{key} {json.dumps(value)}" for key, value in job.request.items())


def _end(served: Served, job: Job) -> str:
    return without_paths(job.message or "", served.project.place.project_path)


def _lasted(job: Job) -> str:
    if job.started is None:
        return ""
    ended = pd.Timestamp(job.ended) if job.ended else pd.Timestamp.now("UTC")
    seconds = (ended - pd.Timestamp(job.started)).total_seconds()
    return f"{seconds:.0f} s" if seconds < 60 else span(seconds)


def _words(value: Any) -> str:
    return str(value).replace("_", " ")
