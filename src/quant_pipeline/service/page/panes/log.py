"""Log: the journal of the live process, what was asked over HTTP, and the alerts of the ledger, newest first."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

import pandas as pd

from quant_pipeline.common.processes import last_lines
from quant_pipeline.live.account import FOLDER
from quant_pipeline.live.journal import read_journal
from quant_pipeline.live.opening import JOURNAL
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.audit_file import AUDIT
from quant_pipeline.service.page.drawing import draw, instant, pane
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.trading.ledger.events import EventKind

SOURCES: Final = ("live process", "over HTTP", "ledger")
LEDGER_KINDS: Final = (EventKind.ALERT_RAISED, EventKind.BREAK_FOUND, EventKind.TRADING_STATE_CHANGED)
SHOWN = 200
READ = 5_000
"""Lines of each source that are looked at."""


class Entry(NamedTuple):
    """One line: when, from where, what."""

    at: str
    source: str
    what: str


class Wanted(NamedTuple):
    """What of the log is asked for."""

    source: str = ""
    text: str = ""


EVERYTHING: Final = Wanted()


def log(look: Look, wanted: Wanted = EVERYTHING) -> Html:
    """Draw the lines that are asked for, the newest first."""
    needle = wanted.text.casefold()
    found = [
        entry
        for entry in _entries(look)
        if (not wanted.source or entry.source == wanted.source) and needle in entry.what.casefold()
    ]
    found.sort(key=lambda entry: entry.at, reverse=True)
    form = draw("filters.html", sources=SOURCES, wanted=wanted)
    if not found:
        return pane("log", "Log", look.newest_event, form, paragraph("No line says that.", style="empty"))
    columns = [
        Column("at", "when", wording.text, "text"),
        Column("source", "source", kind="text"),
        Column("what", "what", wording.text, "long"),
    ]
    shown = pd.DataFrame(found[:SHOWN], columns=list(Entry._fields))
    caption = f"{len(found):,} lines, the newest {len(shown):,} of them"
    return pane("log", "Log", look.newest_event, form, table(shown, columns, caption))


def _entries(look: Look) -> Iterator[Entry]:
    place = look.served.project.place.project_path
    home = look.account.stop_file.parent
    _, lines = read_journal(home / FOLDER / JOURNAL, READ)
    for line in lines:
        words = " ".join(str(line[key]) for key in ("event", "task", "state", "result", "why", "what") if key in line)
        yield Entry(instant(line["at"]), SOURCES[0], without_paths(words, place))
    for written in _newest_lines(look):
        yield Entry(instant(written["asctime"]), SOURCES[1], written["message"])
    for event in [event for event in look.account.events if event.kind in LEDGER_KINDS][-READ:]:
        facts = event.payload
        said = facts.get("message") or f"{facts['what']}: {facts['ledger']} here, {facts['broker']} at the broker"
        state = f"{facts['state']}: " if "state" in facts else ""
        yield Entry(f"{event.session:%Y-%m-%d}, session", SOURCES[2], f"{state}{without_paths(str(said), place)}")


def _newest_lines(look: Look) -> Iterator[dict[str, str]]:
    """Return the lines of the audit file; one that a kill has torn is left out."""
    for line in last_lines(look.served.project.folder / AUDIT, READ).splitlines():
        try:
            found: dict[str, str] = json.loads(line)
        except ValueError:
            continue
        yield found
