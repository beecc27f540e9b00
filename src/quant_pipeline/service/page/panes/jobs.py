"""Jobs: what was asked for, by whom, and how it ended; one job alone, as it prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

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
"""Most rows of a table of a result that is drawn."""


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


def job(served: Served, found: Job, printed: str) -> Html:
    """Draw one job; the script of the page appends what it prints."""
    items = [
        Fact("State", str(found.state), instant(found.ended or found.started or found.created)),
        Fact("Asked", instant(found.created), f"by {found.asked_by}"),
        Fact("Lasted", _lasted(found) or wording.MISSING, ""),
    ]
    tables = sorted((found.result or {}).get("tables", {}))
    if tables:
        items.append(Fact("Tables", ", ".join(tables), f"GET /v1/jobs/{found.id}/result"))
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
    return pane("job", heading, instant(found.created), facts(items), *_results(served, found), parts)


def _results(served: Served, found: Job) -> Iterator[Html]:
    """Draw the tables of a result that are small enough to read."""
    for name, hash in sorted((found.result or {}).get("tables", {}).items()):
        result = served.results.table(hash)
        if result is None or result.empty or len(result) > READABLE:
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
        yield table(result, columns, _words(name))


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
