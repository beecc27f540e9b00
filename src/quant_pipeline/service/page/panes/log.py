"""Log: the journal of the live process, what was asked over HTTP, and the alerts of the ledger, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import pandas as pd

from quant_pipeline.common.json_files import parse_json
from quant_pipeline.common.processes import last_lines
from quant_pipeline.live.account import FOLDER
from quant_pipeline.live.journal import read_journal
from quant_pipeline.live.opening import JOURNAL
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.audit_file import AUDIT, REFUSALS
from quant_pipeline.service.faults import FAULTS, in_short
from quant_pipeline.service.page.drawing import draw, instant, pane
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.trading.ledger.events import EventKind

DONE: Final = "over HTTP"
REFUSED: Final = "refused over HTTP"
OF_SERVICE: Final = (DONE, REFUSED)
LEDGER_KINDS: Final = (EventKind.ALERT_RAISED, EventKind.BREAK_FOUND, EventKind.TRADING_STATE_CHANGED)
SHOWN = 200
REFUSED_SHOWN = 20
"""Refusals among the lines of all sources: strangers can make any number of them."""
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
    found, faults = _entries(look, wanted)
    found.sort(key=lambda entry: entry.at, reverse=True)
    form = draw("filters.html", sources=tuple(SOURCES), wanted=wanted)
    said = [draw("fault.html", since="", why=fault, before=Html("")) for fault in faults]
    # What is filtered is not drawn again, and says when it was.
    clock = pd.Timestamp.now("UTC").floor("min" if wanted == EVERYTHING else "s")
    as_of = f"{instant(clock)}; {look.newest_event}"
    if not found:
        why = "Nothing was logged yet." if wanted == EVERYTHING else "No line has these words and this source."
        return pane("log", "Log", as_of, form, *said, paragraph(why, style="empty"))
    columns = [
        Column("at", "when", wording.text, "text"),
        Column("source", "source", kind="text"),
        Column("what", "what", wording.text, "long"),
    ]
    shown = pd.DataFrame(found[:SHOWN], columns=list(Entry._fields))
    caption = f"{len(found):,} lines, the newest {len(shown):,} of them"
    return pane("log", "Log", as_of, form, *said, table(shown, columns, caption))


def _entries(look: Look, wanted: Wanted) -> tuple[list[Entry], list[str]]:
    """Return the lines that are asked for, and which sources cannot be read, and why; the others are."""
    found: list[Entry] = []
    faults: list[str] = []
    place, needle = look.served.project.place.project_path, wanted.text.casefold()
    for source, read in SOURCES.items():
        if wanted.source not in ("", source):
            continue
        try:
            # Paths of routes stay: the service has written its lines itself.
            hide = source not in OF_SERVICE
            lines = [Entry(at, source, without_paths(what, place) if hide else what) for at, what in read(look)]
        except FAULTS as error:
            faults.append(f"{source}: {in_short(error, place)}")
            continue
        lines = [entry for entry in lines if needle in entry.what.casefold()]
        is_apart = source == REFUSED and not wanted.source
        found += lines[-REFUSED_SHOWN:] if is_apart else lines
    return found, faults


def _of_process(look: Look) -> Iterator[tuple[str, str]]:
    _, lines = read_journal(look.account.stop_file.parent / FOLDER / JOURNAL, READ)
    for line in lines:
        words = (str(line[key]) for key in ("event", "task", "state", "result", "why", "what") if key in line)
        yield instant(line["at"]), " ".join(words)


def _of_ledger(look: Look) -> Iterator[tuple[str, str]]:
    for event in [event for event in look.account.events if event.kind in LEDGER_KINDS][-READ:]:
        facts = event.payload
        said = facts.get("message") or f"{facts['what']}: {facts['ledger']} here, {facts['broker']} at the broker"
        state = f"{facts['state']}: " if "state" in facts else ""
        yield f"{event.session:%Y-%m-%d}, session", f"{state}{said}"


def _of_service(name: str) -> Callable[[Look], Iterator[tuple[str, str]]]:
    """Return what reads a file of the audit log; a line that a kill has torn is left out."""

    def read(look: Look) -> Iterator[tuple[str, str]]:
        for line in last_lines(look.served.project.folder / name, READ).splitlines():
            try:
                found = parse_json(line)
                entry = instant(found["asctime"]), str(found["message"])
            except (ValueError, TypeError, KeyError):
                continue
            yield entry

    return read


SOURCES: Final[Mapping[str, Callable[[Look], Iterator[tuple[str, str]]]]] = {
    "live process": _of_process,
    DONE: _of_service(AUDIT),
    REFUSED: _of_service(REFUSALS),
    "ledger": _of_ledger,
}
"""What reads each source: instants, as text, and lines."""
