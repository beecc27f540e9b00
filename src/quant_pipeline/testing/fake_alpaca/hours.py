"""Clock and calendar of the fake exchange; its time can stand still, run, or be set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar

NEW_YORK = "America/New_York"
AUCTIONS = ("opg", "cls")
CLOSING_CUTOFF = pd.Timedelta(minutes=10)
FIRST_YEAR, YEARS_AHEAD = "2015-01-02", pd.DateOffset(years=1)


class ExchangeHours:
    """Hours of the New York exchange.

    Parameters
    ----------
    now
        The instant at which time stands still; None lets real time run.
    """

    def __init__(self, now: pd.Timestamp | str | None = None) -> None:
        self._fixed: pd.Timestamp | None = None
        self.set(now)
        last = (pd.Timestamp.now() + YEARS_AHEAD).normalize()
        self._calendar = TradingCalendar.of("XNYS", FIRST_YEAR, last)
        self._closings: dict[pd.Timestamp, pd.Timestamp | None] = {}

    def set(self, now: pd.Timestamp | str | None) -> None:
        """Stop the clock at an instant (UTC unless it carries a zone), or run when it is None."""
        if now is None:
            self._fixed = None
            return
        at = pd.Timestamp(now)
        self._fixed = at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")

    def close(self, session: pd.Timestamp, at: pd.Timestamp | None = None) -> None:
        """Close a session earlier than every calendar says, or let it not take place at all."""
        self._closings[session] = at

    def opens_at(self, session: pd.Timestamp) -> pd.Timestamp:
        """Return when a session opens."""
        return self._hours_of(session)[0]

    def _hours_of(self, session: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        opens, closes = self._calendar.hours(session)
        return opens, self._closings.get(session) or closes

    def _takes_place(self, session: pd.Timestamp) -> bool:
        return self._calendar.is_session(session) and self._closings.get(session, session) is not None

    def _sessions_between(self, first: pd.Timestamp, last: pd.Timestamp) -> list[pd.Timestamp]:
        return [session for session in self._calendar.between(first, last) if self._takes_place(session)]

    def now(self) -> pd.Timestamp:
        """Return the instant, in UTC."""
        return pd.Timestamp.now("UTC") if self._fixed is None else self._fixed

    def date(self) -> pd.Timestamp:
        """Return the date in New York, as a midnight without zone."""
        return self.now().tz_convert(NEW_YORK).tz_localize(None).normalize()

    def is_open(self) -> bool:
        """Whether the exchange trades now."""
        if not self._takes_place(self.date()):
            return False
        opens, closes = self._hours_of(self.date())
        return bool(opens <= self.now() < closes)

    def latest_closed(self) -> pd.Timestamp:
        """Return the last session that has closed."""
        today = self.date()
        if self._takes_place(today) and self._hours_of(today)[1] <= self.now():
            return today
        return self.latest_before(today)

    def latest_before(self, date: pd.Timestamp) -> pd.Timestamp:
        """Return the last session before a date."""
        session = self._calendar.latest_on_or_before(date - pd.Timedelta(days=1))
        return session if self._takes_place(session) else self.latest_before(session)

    def turns_until(self, instant: pd.Timestamp) -> list[tuple[pd.Timestamp, pd.Timestamp, bool]]:
        """List the opens and closes after now and up to an instant: when, of which session, whether it is the open."""
        now = self.now()
        first, last = (at.tz_convert(NEW_YORK).tz_localize(None).normalize() for at in (now, instant))
        sessions = self._sessions_between(first, last) if last >= first else []
        turns = [
            (at, session, is_open)
            for session in sessions
            for at, is_open in zip(self._hours_of(session), (True, False), strict=True)
        ]
        return [turn for turn in turns if now < turn[0] <= instant]

    def last_trading(self) -> pd.Timestamp:
        """Return the present while the exchange trades, else its last close."""
        return self.now() if self.is_open() else self._hours_of(self.latest_closed())[1]

    def takes_auction_orders(self, time_in_force: str) -> bool:
        """Whether orders of an auction are taken now: from 19:00 in New York until the cut-off of the auction.

        "OPG orders submitted after 9:28am but before 7:00pm ET will be rejected"; "CLS orders submitted after 3:50pm
        but before 7:00pm ET will be rejected" (https://docs.alpaca.markets/docs/orders-at-alpaca). On a half day the
        closing auction is held, and its book closed, three hours earlier.
        """
        local = self.now().tz_convert(NEW_YORK)
        closes_at = local.normalize() + pd.Timedelta(hours=16)
        if self._takes_place(self.date()):
            closes_at = self._hours_of(self.date())[1].tz_convert(NEW_YORK)
        cutoffs = {"opg": local.replace(hour=9, minute=28, second=0, microsecond=0), "cls": closes_at - CLOSING_CUTOFF}
        evening = local.replace(hour=19, minute=0, second=0, microsecond=0)
        return not (cutoffs[time_in_force] <= local < evening)

    def auction_after(self, time_in_force: str, instant: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return session and instant of the first auction after an instant."""
        first = instant.tz_convert(NEW_YORK).tz_localize(None).normalize()
        for session in self._sessions_between(first, first + pd.Timedelta(days=14)):
            at = self._hours_of(session)[AUCTIONS.index(time_in_force)]
            if at > instant:
                return session, at
        raise AssertionError("unreachable: the exchange opens every fortnight")

    @contextmanager
    def standing_at(self, instant: pd.Timestamp) -> Iterator[None]:
        """Stop the clock at an instant of the past for a moment."""
        fixed, self._fixed = self._fixed, instant
        try:
            yield
        finally:
            self._fixed = fixed

    def clock_json(self) -> dict[str, Any]:
        """Write the clock as the API does."""
        now, today = self.now(), self.date()
        hours = [self._hours_of(session) for session in self._sessions_between(today, today + pd.Timedelta(days=14))]
        return {
            "timestamp": now.isoformat(),
            "is_open": self.is_open(),
            "next_open": next(opens for opens, _ in hours if opens > now).isoformat(),
            "next_close": next(closes for _, closes in hours if closes > now).isoformat(),
        }

    def calendar_json(self, start: str, end: str) -> list[dict[str, str]]:
        """Write the sessions between two dates as the API does: hours in New York."""
        rows = []
        for session in self._sessions_between(pd.Timestamp(start), pd.Timestamp(end)):
            opens, closes = (at.tz_convert(NEW_YORK) for at in self._hours_of(session))
            rows.append({"date": f"{session:%Y-%m-%d}", "open": f"{opens:%H:%M}", "close": f"{closes:%H:%M}"})
        return rows
