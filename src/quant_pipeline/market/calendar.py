"""The sessions of an exchange, within explicit bounds."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    import exchange_calendars

# Steps reach beyond the bounds that were asked for by up to half a year of sessions.
_MARGIN = pd.Timedelta(days=200)


@dataclass(frozen=True)
class TradingCalendar:
    """Sessions of an exchange; a session is a time-zone-naive midnight.

    Attributes
    ----------
    name
        Name of the exchange calendar, for instance ``XNYS``.
    start, end
        Bounds of `sessions`.
    """

    name: str
    start: pd.Timestamp
    end: pd.Timestamp

    @classmethod
    def of(cls, name: str, start: pd.Timestamp | str, end: pd.Timestamp | str) -> TradingCalendar:
        """Return the calendar of an exchange between two dates, both included.

        Raises
        ------
        MarketDataError
            When the exchange is unknown, the bounds are reversed, or the calendar does not know them.
        """
        first, last = (pd.Timestamp(date).tz_localize(None).normalize() for date in (start, end))
        if first > last:
            raise MarketDataError(f"calendar {name}: start {first.date()} lies after end {last.date()}; swap them")
        least, most = _kind(name).bound_min(), _kind(name).bound_max()
        if (least is not None and first < least) or (most is not None and last > most):
            raise MarketDataError(
                f"the calendar {name} {_span(least, most)}, and sessions from {first.date()} to {last.date()} are "
                "needed; leave out what lies beyond, or update exchange_calendars"
            )
        _all_sessions(name, first.year, last.year)
        return cls(name, first, last)

    @classmethod
    def within_bounds(cls, name: str, start: pd.Timestamp, end: pd.Timestamp) -> TradingCalendar:
        """Return the calendar between two dates as far as it knows them."""
        least, most = _kind(name).bound_min(), _kind(name).bound_max()
        first = start if least is None else max(start, least)
        last = end if most is None else min(end, most)
        return cls.of(name, first, max(first, last))

    @property
    def time_zone(self) -> str:
        """Name of the exchange's time zone."""
        return str(self._exchange.tz)

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """All sessions within the bounds."""
        return self.between(self.start, self.end)

    def between(self, start: pd.Timestamp, end: pd.Timestamp) -> pd.DatetimeIndex:
        """Sessions from ``start`` to ``end``, both included."""
        known = self._known
        return known[known.searchsorted(start) : known.searchsorted(end, side="right")]

    def is_session(self, date: pd.Timestamp) -> bool:
        """Whether the exchange trades on a date."""
        return date in self._known

    def offset(self, session: pd.Timestamp, n: int) -> pd.Timestamp:
        """Return the session ``n`` sessions after (before, when negative) a session.

        Raises
        ------
        MarketDataError
            When ``session`` is not one, or the step leaves the bounds by more than half a year.
        """
        if not self.is_session(session):
            raise MarketDataError(f"{session.date()} is not a session of {self.name}")
        index = self._known.get_loc(session) + n
        if not 0 <= index < len(self._known):
            raise MarketDataError(
                f"{n} sessions from {session.date()} lie outside the calendar {self.name} made for {self.start.date()} "
                f"to {self.end.date()}; make it with wider bounds"
            )
        return self._known[index]

    def next(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session after a session."""
        return self.offset(session, n)

    def previous(self, session: pd.Timestamp, n: int = 1) -> pd.Timestamp:
        """Return the n-th session before a session."""
        return self.offset(session, -n)

    def latest_on_or_before(self, date: pd.Timestamp) -> pd.Timestamp:
        """Return the last session that is not after a date."""
        index = self._known.searchsorted(date, side="right") - 1
        if index < 0:
            raise MarketDataError(f"{self.name} has no session on or before {date.date()} within its bounds")
        return self._known[index]

    def latest_closed(self, instant: pd.Timestamp) -> pd.Timestamp:
        """Return the last session whose close is not after an instant.

        Parameters
        ----------
        instant
            A time-zone-aware time.
        """
        closes = self._exchange.closes
        return closes.index[closes.searchsorted(instant, side="right") - 1]

    def hours(self, session: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return when a session opens and closes, in UTC; half days close early.

        Raises
        ------
        MarketDataError
            When ``session`` is not one.
        """
        if not self.is_session(session):
            raise MarketDataError(f"{session.date()} is not a session of {self.name}")
        return self._exchange.session_open(session), self._exchange.session_close(session)

    def all_hours(self) -> pd.DataFrame:
        """Return when each session within the bounds opens and closes: ``open``, ``close``, in UTC without zone."""
        table = pd.DataFrame({"open": self._exchange.opens, "close": self._exchange.closes})
        naive = table.apply(lambda times: times.dt.tz_localize(None).astype("datetime64[ns]"))
        return naive.loc[self.start : self.end]

    @property
    def _exchange(self) -> exchange_calendars.ExchangeCalendar:
        return _exchange(self.name, self.start.year, self.end.year)

    @property
    def _known(self) -> pd.DatetimeIndex:
        return _all_sessions(self.name, self.start.year, self.end.year)


def as_sessions(sessions: pd.DataFrame | pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Return sessions as an index; the catalog's table has them in its column ``date``."""
    return pd.DatetimeIndex(sessions["date"] if isinstance(sessions, pd.DataFrame) else sessions)


def require_session(calendar: TradingCalendar, date: pd.Timestamp) -> None:
    """Refuse a date on which the exchange does not trade.

    Raises
    ------
    MarketDataError
        When it is no session; the last one before it is named.
    """
    if not calendar.is_session(date):
        raise MarketDataError(
            f"as_of={date:%Y-%m-%d} is not a session of {calendar.name}; the last one before it is "
            f"{calendar.latest_on_or_before(date):%Y-%m-%d}. Pass that with --params as_of=…"
        )


def _bounds(first_year: int, last_year: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    return pd.Timestamp(first_year, 1, 1) - _MARGIN, pd.Timestamp(last_year, 12, 31) + _MARGIN


@lru_cache(maxsize=64)
def _all_sessions(name: str, first_year: int, last_year: int) -> pd.DatetimeIndex:
    sessions = _exchange(name, first_year, last_year).sessions
    first, last = _bounds(first_year, last_year)
    return sessions[sessions.searchsorted(first) : sessions.searchsorted(last, side="right")]


def _exchange(name: str, first_year: int, last_year: int) -> exchange_calendars.ExchangeCalendar:
    """Return the calendar of whole decades: it takes as long to make as that of a year, and serves all who ask."""
    return _of_decades(name, first_year // 10 * 10, last_year // 10 * 10 + 9)


@lru_cache(maxsize=16)
def _of_decades(name: str, first_year: int, last_year: int) -> exchange_calendars.ExchangeCalendar:
    # Takes longer to import than many commands take that never ask for a session.
    import exchange_calendars

    kind = _kind(name)
    try:
        first, last = _bounds(first_year, last_year)
    except ValueError:
        raise MarketDataError(
            f"the calendar {name} knows nothing of the years {first_year} to {last_year}; take later bars and as_of"
        ) from None
    # A calendar that knows fewer years is made for those; `TradingCalendar.of` refuses sessions beyond them.
    least, most = kind.bound_min(), kind.bound_max()
    first = first if least is None else max(first, least)
    last = last if most is None else min(last, most)
    if first >= last:
        raise MarketDataError(f"the calendar {name} {_span(least, most)}; bars and as_of have to lie within")
    try:
        return exchange_calendars.get_calendar(name, start=first, end=last)
    except (ValueError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise MarketDataError(f"exchange_calendars cannot make the calendar {name}: {reason}") from error


def _span(least: pd.Timestamp | None, most: pd.Timestamp | None) -> str:
    begins = None if least is None else f"begins on {least:%Y-%m-%d}"
    ends = None if most is None else f"ends on {most:%Y-%m-%d}"
    return " and ".join(filter(None, (begins, ends)))


@lru_cache(maxsize=64)
def _kind(name: str) -> type[exchange_calendars.ExchangeCalendar]:
    """Return the class of a calendar.

    Raises
    ------
    MarketDataError
        When there is none of this name; the nearest names are listed.
    """
    from exchange_calendars import calendar_utils
    from exchange_calendars.pandas_extensions.offsets import OrthodoxEaster

    # pandas 3.1 calls the rule of an offset by another name than this package writes it under.
    if "_add_datetime" not in vars(OrthodoxEaster):
        OrthodoxEaster._add_datetime = OrthodoxEaster._apply
    known = calendar_utils._default_calendar_factories
    aliases = calendar_utils._default_calendar_aliases
    canonical = str(name)
    while canonical in aliases:
        canonical = aliases[canonical]
    if canonical in known:
        return known[canonical]
    folded: dict[str, str] = {}
    for each in (*known, *aliases):
        folded.setdefault(each.casefold(), each)
    near = [folded[each] for each in get_close_matches(str(name).casefold(), folded, n=3, cutoff=0.5)]
    usual = ("XNYS", "XLON", "XSHG", "XHKG", "XTKS", "24/7")
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are for instance {first_of(usual)}"
    raise MarketDataError(f"unknown exchange calendar '{name}'; {hint}")
