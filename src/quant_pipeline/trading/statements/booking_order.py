"""When statements are booked: the session of every fact, and the order of the facts of one session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, time, timedelta

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.ledger.bookkeeping import StatementEntry
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.drafts import Draft

CALENDAR_MARGIN = pd.Timedelta(days=14)

_BEFORE_THE_OPEN = (
    EventKind.SPLIT, EventKind.SPIN_OFF, EventKind.MERGER, EventKind.SYMBOL_CHANGE, EventKind.DELISTING,
)  # fmt: skip
_BROUGHT_IN = (EventKind.TRANSFER, EventKind.DEPOSIT)
_AFTERWARDS = (EventKind.TRADE_BUST, EventKind.TRADE_CORRECTION, EventKind.EVENT_CANCELLED)


def place_drafts(drafts: Sequence[Draft], calendar: str) -> tuple[list[StatementEntry], list[str]]:
    """Give every fact its session and its place in it.

    Parameters
    ----------
    drafts
        In the order of their files and rows.
    calendar
        Name of the exchange calendar.

    Returns
    -------
    tuple
        Entries in the order in which they are booked, and trades that are dated outside of all sessions.
    """
    if not drafts:
        return [], []
    days = [draft.day for draft in drafts]
    sessions = TradingCalendar.of(calendar, min(days), max(days) + CALENDAR_MARGIN).sessions
    problems, placed = [], []
    for number, draft in enumerate(drafts):
        evening = _is_evening(draft)
        day = draft.day + timedelta(days=1) if evening else draft.day
        session = sessions[sessions.searchsorted(day)]
        is_refused = draft.cells.form.outside_sessions == "refuse" and draft.kind is EventKind.FILL
        if session != day and is_refused and not evening:
            problems.append(
                f"{draft.place}: {calendar} did not trade on {day:%Y-%m-%d}; if trades of such days belong to the "
                "next session, set `outside_sessions: next` in the format"
            )
            continue
        placed.append((session, number, draft))
    several = _traded_in_several_files(placed)
    placed.sort(key=lambda item: (item[0], *_turn(item[2], (item[0], item[2].instrument) in several), item[1]))
    return [_entry(draft, session) for session, _, draft in placed], problems


def _is_evening(draft: Draft) -> bool:
    """Whether a trade was made after the day of its exchange had ended, in the trading of the night."""
    ends = draft.cells.form.day_ends
    if ends is None or not draft.moment.has_time or draft.kind is not EventKind.FILL:
        return False
    return draft.moment.at.time() >= time.fromisoformat(ends)


def _turn(draft: Draft, in_several_files: bool) -> tuple[int, datetime, int]:
    """Return what decides when within its session a fact is booked."""
    start = datetime.combine(draft.moment.at.date(), time.min)
    if draft.kind in _BEFORE_THE_OPEN:
        return 0, start, 0
    if draft.kind in _BROUGHT_IN:
        return 1, start, 0
    if draft.kind in _AFTERWARDS:
        return 4, start, 0
    if draft.kind is not EventKind.FILL:
        return 3, start, 0
    is_sale = draft.facts.get("side") == "sell"
    if draft.moment.has_time:
        return 2, draft.moment.at, int(is_sale)
    # Rows without a time keep the order of their file; where that is not known, what is sold was bought before.
    comes_last = is_sale and (in_several_files or not draft.is_ordered)
    return 2, datetime.combine(start, time.max) if comes_last else start, 0


def _traded_in_several_files(placed: Sequence[tuple[pd.Timestamp, int, Draft]]) -> set[tuple[pd.Timestamp, str]]:
    files: dict[tuple[pd.Timestamp, str], set[str]] = defaultdict(set)
    for session, _, draft in placed:
        if draft.kind is EventKind.FILL:
            files[session, draft.instrument].add(draft.file)
    return {place for place, names in files.items() if len(names) > 1}


def _entry(draft: Draft, session: pd.Timestamp) -> StatementEntry:
    facts = draft.facts
    if session != draft.day:
        facts = {**facts, "date": f"{draft.day:%Y-%m-%d}"}
    # What waits in quarantine moves nothing yet.
    cash = None if draft.kind is EventKind.ACTIVITY_QUARANTINED else draft.cash
    return StatementEntry(Event(session, draft.kind, draft.key, facts), draft.place, cash, draft.replaces, draft.rows)
