"""What the market knows and statements should: splits of what is held, the currency of the prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pandas as pd

from quant_pipeline.market.currencies import currency_of
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.stated import StatedHolding, compare_with_books

BROKERS_DELAY = pd.Timedelta(days=5)
"""Around the session of the market in which a broker may book a split."""

PAYMENT_DELAY = pd.Timedelta(days=60)
"""After the date of a dividend within which it is paid."""


def refuse_other_currency(currency: str, calendar: str) -> list[str]:
    """Return the problem that an account is kept in another currency than the market's prices, if it is."""
    traded = currency_of(calendar)
    if traded is None or traded == currency:
        return []
    return [
        f"the account is kept in {currency} (statement_import.currency), the prices of {calendar} are in {traded}; an "
        "account in another currency than its market cannot be valued. Set the currency, or market_rules.calendar, to "
        "that of the account"
    ]


def compare_what_is_new(
    events: Sequence[Event],
    new: Sequence[Event],
    stated: Sequence[StatedHolding],
    corporate_actions: pd.DataFrame,
) -> list[str]:
    """Compare what is booked now with what new statements and the market say.

    Parameters
    ----------
    events, new
        The ledger as found, and what is to be appended.
    stated
        What statements say is held at the end of their periods; those count that end in a session that is booked now.
        The books of an older day do not have the rows of that day that came late.
    corporate_actions
        Those of the market; only splits of the sessions that are booked now count.

    Returns
    -------
    list of str
        What differs.
    """
    before = max(
        (event.session for event in events if event.kind is EventKind.SESSION_CLOSED), default=pd.Timestamp.min
    )
    sessions = pd.DatetimeIndex([event.session for event in new if event.kind is EventKind.SESSION_CLOSED])
    if sessions.empty:
        return []
    booked = [*events, *new]
    due = [holding for holding in stated if before < holding.day <= sessions[-1]]
    return compare_with_books(booked, due) + unbooked_splits(booked, corporate_actions, sessions)


def unbooked_splits(
    events: Sequence[Event], corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex | None = None
) -> list[str]:
    """Find splits of held instruments that the market knows and no statement books.

    Parameters
    ----------
    events
        The ledger with what the statements book.
    corporate_actions
        ``date``, ``instrument``, ``kind``, ``value`` of the market; the value of a split is new shares per old one.
    sessions
        Sessions to look at; all by default.

    Returns
    -------
    list of str
        The missing rows, as they are to be written into a file by hand.
    """
    splits = corporate_actions[corporate_actions["kind"] == "split"]
    if sessions is not None:
        splits = splits[splits["date"].isin(sessions)]
    traded = {str(event.payload.get(name)) for event in events for name in ("instrument", "new_instrument")}
    missing = []
    for split in splits[splits["instrument"].isin(traded)].itertuples(index=False):
        before = fold([event for event in events if event.session < split.date])
        held = before.positions.get(split.instrument)
        if held is None or _is_booked(events, split.instrument, split.date):
            continue
        change = held.quantity * (Decimal(str(split.value)) - 1)
        missing.append(
            f"the market knows that {split.instrument} split {split.value:g} for 1 on {split.date:%Y-%m-%d}, when "
            f"{plain(held.quantity)} were held; no statement books it. If the broker's export does not contain splits, "
            "write the row into a file such as plain_1.csv, with the columns date,kind,instrument,quantity: "
            f"{split.date:%Y-%m-%d},split,{split.instrument},{plain(change)}"
        )
    return missing


def _is_booked(events: Sequence[Event], instrument: str, session: pd.Timestamp) -> bool:
    kinds = (EventKind.SPLIT, EventKind.MERGER, EventKind.SYMBOL_CHANGE)
    return any(
        event.kind in kinds
        and instrument in (event.payload.get("instrument"), event.payload.get("new_instrument"))
        and abs(event.session - session) <= BROKERS_DELAY
        for event in events
    )


def unbooked_dividends(events: Sequence[Event], corporate_actions: pd.DataFrame) -> list[str]:
    """Find cash dividends of held instruments that the market knows and no statement books.

    Parameters
    ----------
    events
        What the statements book.
    corporate_actions
        ``date``, ``instrument``, ``kind``, ``value`` of the market; dates are the first sessions without the dividend.

    Returns
    -------
    list of str
        One line per dividend; the broker may pay some weeks after the date, so it is a warning.
    """
    paid = [event for event in events if event.kind is EventKind.CASH_DIVIDEND]
    last = max((event.session for event in events), default=pd.Timestamp.min)
    dividends = corporate_actions[(corporate_actions["kind"] == "cash_dividend") & (corporate_actions["date"] <= last)]
    names = {str(event.payload.get("instrument")) for event in events}
    missing = []
    for dividend in dividends[dividends["instrument"].isin(names)].itertuples(index=False):
        before = fold([event for event in events if event.session < dividend.date])
        held = before.positions.get(dividend.instrument)
        is_paid = any(
            event.payload.get("instrument") == dividend.instrument
            and -BROKERS_DELAY <= event.session - dividend.date <= PAYMENT_DELAY
            for event in paid
        )
        if held is not None and not is_paid:
            missing.append(
                f"the market knows a dividend of {dividend.value:g} per share of {dividend.instrument} on "
                f"{dividend.date:%Y-%m-%d}, when {plain(held.quantity)} were held; no statement books it yet"
            )
    return missing
