"""Sessions that went by without a daily run: no orders were decided at their close, or the books were never closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.ledger.events import Event, EventKind

NO_ORDERS: Final = "no orders were decided"
NEVER_CLOSED: Final = "never closed"
COLUMNS: Final = ["session", "missed", "is_new"]


def missed_sessions(events: Sequence[Event], calendar: str, before: pd.Timestamp) -> pd.DataFrame:
    """Find the sessions without a decision, and those without a close.

    Parameters
    ----------
    events
        The ledger.
    calendar
        Name of the exchange calendar.
    before
        The session of the run; it and what follows is not looked at.

    Returns
    -------
    pandas.DataFrame
        ``session``; ``missed``: what did not happen; ``is_new``: whether it followed the last decision before this run,
        so that no earlier run has reported it.
    """
    decided = _sessions(events, EventKind.PLAN_RECORDED, before)
    closed = _sessions(events, EventKind.SESSION_CLOSED, before)
    rows: dict[pd.Timestamp, list[str]] = {}
    for seen, missed in ((closed, NEVER_CLOSED), (decided, NO_ORDERS)):
        if seen.empty:
            continue
        sessions = TradingCalendar.of(calendar, seen[0], before).between(seen[0], before)
        for session in sessions[sessions < before].difference(seen):
            rows.setdefault(session, []).append(missed)
    last = decided[-1] if len(decided) else before
    table = pd.DataFrame(
        [(session, ", ".join(missed), session > last) for session, missed in sorted(rows.items())], columns=COLUMNS
    )
    return table.astype({"session": "datetime64[ns]", "missed": "str", "is_new": "bool"})


def _sessions(events: Sequence[Event], kind: EventKind, before: pd.Timestamp) -> pd.DatetimeIndex:
    found = {event.session for event in events if event.kind is kind and event.session < before}
    return pd.DatetimeIndex(sorted(found))
