"""Bars and corporate actions from Alpaca, through the unmodified alpaca-py client."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pandas as pd
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from pydantic import Field

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError, StaleDataError
from quant_pipeline.common.listing import first_of, say_first
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.common.progress import track
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import MarketData, SourceProblem
from quant_pipeline.market.price_adjustment import DELISTING, adjust_bars, dividend_returns
from quant_pipeline.market.sources.alpaca_actions import translate_actions
from quant_pipeline.market.sources.alpaca_addresses import DATA_HOST, checked_address
from quant_pipeline.market.sources.alpaca_connection import (
    BoundedAdapter,
    RateBudget,
    RequestBudgetError,
    describe_failure,
    restrain,
)
from quant_pipeline.market.sources.source import MarketRequest, MarketSource

logger = logging.getLogger(__name__)

NEW_YORK = "America/New_York"
FIELDS = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


class AlpacaMarketParameters(Parameters):
    """What is asked of Alpaca.

    Attributes
    ----------
    symbols
        Instruments; their sectors by symbol in ``sectors``.
    sectors
        Sector of each symbol; ``Unknown`` where it is not given.
    benchmark
        Symbol of the benchmark.
    start
        First date of the history.
    feed
        ``iex`` is free and has the volume of one exchange only, ``sip`` is the consolidated tape.
    calendar
        Exchange whose sessions the bars belong to.
    symbols_a_request
        How many symbols one request names.
    stale_after
        A symbol whose bars end this many sessions early, with nothing that ends its listing, is reported as a problem.
    read_seconds, max_attempts, pause_seconds
        How long to wait for an answer, how often to ask, and the first pause between attempts; it doubles.
    requests_a_minute
        Budget; Alpaca allows 200 without a subscription.
    """

    renamed: ClassVar[Mapping[str, str]] = {"attempts": "max_attempts"}

    symbols: list[str] = Field(min_length=1)
    sectors: dict[str, str] = Field(default_factory=dict)
    benchmark: str = "SPY"
    start: str = "2016-01-04"
    feed: DataFeed = DataFeed.IEX
    calendar: str = "XNYS"
    symbols_a_request: int = Field(default=100, ge=1)
    stale_after: int = Field(default=5, ge=0)
    read_seconds: float = Field(default=60.0, gt=0)
    max_attempts: int = Field(default=4, ge=1)
    pause_seconds: float = Field(default=1.0, ge=0)
    requests_a_minute: int = Field(default=180, ge=1)


class AlpacaSourceParameters(AlpacaMarketParameters):
    """The block of the source ``alpaca``: what is asked, and a loopback address for rehearsals."""

    url: str | None = None


class AlpacaAccess(NamedTuple):
    """How to get in: keys, the name of their credentials entry, and another address for rehearsals."""

    api_key: str
    secret_key: str
    entry: str = "alpaca_paper"
    url: str | None = None


def read_alpaca_market(
    parameters: AlpacaMarketParameters, as_of: str, access: AlpacaAccess, now: pd.Timestamp | None = None
) -> MarketData:
    """Ask Alpaca for as-traded daily bars and corporate actions up to a session.

    Parameters
    ----------
    parameters
        What to ask for.
    as_of
        Session at whose close to stand; nothing later is asked for, and symbols are meant as they were named then.
    access
        Keys and address.
    now
        The present (time-zone-aware); the bars of a session are whole only after its close.

    Returns
    -------
    MarketData
        As known at the close of ``as_of``.

    Raises
    ------
    ConfigurationError
        When a key is missing or refused.
    StaleDataError
        When the session has not closed yet.
    MarketDataError
        When Alpaca does not answer, or has no bar for a symbol.
    """
    if not access.api_key or not access.secret_key:
        raise ConfigurationError(
            f"the Alpaca market source needs api_key and secret_key; set them in credentials entry '{access.entry}'"
        )
    calendar = TradingCalendar.of(parameters.calendar, parameters.start, as_of)
    _refuse_unfinished(calendar, pd.Timestamp(as_of), now or pd.Timestamp.now("UTC"))
    everything = list(dict.fromkeys([*parameters.symbols, parameters.benchmark]))
    source = _Source(parameters, as_of, access)
    bars = source.bars(everything)
    missing = sorted(set(everything) - set(bars["instrument"]))
    if missing:
        raise MarketDataError(
            f"Alpaca has no bars for {first_of(missing)} from {parameters.start} to {as_of}; "
            "correct `symbols` or `benchmark` of the market source"
        )
    sessions = calendar.between(bars["date"].min(), pd.Timestamp(as_of))
    actions, problems = translate_actions(source.actions(everything), bars, sessions)
    own = bars[bars["instrument"].isin(parameters.symbols)].reset_index(drop=True)
    problems += _stale(own, actions, sessions, parameters.stale_after)
    listed = (f"{problem.file}, {problem.instrument}: {problem.message}" for problem in problems)
    say_first(partial(logger.warning, "%s"), listed)
    reference = bars[bars["instrument"] == parameters.benchmark].reset_index(drop=True)
    return MarketData(
        bars=own,
        corporate_actions=actions[actions["instrument"].isin(parameters.symbols)].reset_index(drop=True),
        instruments=_instruments(own, actions, parameters.sectors),
        benchmark=_benchmark(reference, actions),
        as_of=pd.Timestamp(as_of),
        problems=problems,
    )


class _Source:
    """Two clients with the same limits."""

    def __init__(self, parameters: AlpacaMarketParameters, as_of: str, access: AlpacaAccess) -> None:
        self._parameters = parameters
        self._as_of = as_of
        self._access = access
        address = checked_address(access.url, DATA_HOST, "market data of Alpaca")
        keys = (access.api_key, access.secret_key)
        self._history = StockHistoricalDataClient(*keys, raw_data=True, url_override=address)
        self._announcements = CorporateActionsClient(*keys, raw_data=True, url_override=address)
        budget = RateBudget(parameters.requests_a_minute, longest_wait=120.0)
        limits = (5.0, parameters.read_seconds)
        adapter = BoundedAdapter(limits, budget, parameters.max_attempts - 1, parameters.pause_seconds)
        for client in (self._history, self._announcements):
            restrain(client, adapter, address)

    def bars(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Ask for the bars; the client follows the pages."""
        tables = []
        size = self._parameters.symbols_a_request
        groups = [list(symbols[index : index + size]) for index in range(0, len(symbols), size)]
        for group in track(groups, "asking Alpaca for bars"):
            request = StockBarsRequest(
                symbol_or_symbols=group,
                timeframe=TimeFrame.Day,
                start=pd.Timestamp(self._parameters.start).to_pydatetime(),
                end=(pd.Timestamp(self._as_of) + pd.Timedelta(hours=23)).to_pydatetime(),
                adjustment=Adjustment.RAW,
                feed=self._parameters.feed,
                asof=self._as_of,
            )
            answer = self._ask(self._history.get_stock_bars, request)
            tables += [pd.DataFrame(rows).assign(instrument=name) for name, rows in answer.items() if rows]
        if not tables:
            return _bars_table(pd.DataFrame(columns=["t", "instrument", *FIELDS]))
        return _bars_table(pd.concat(tables, ignore_index=True))

    def actions(self, symbols: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Ask for the corporate actions; the client follows the pages.

        A record of two symbols answers the questions for both, and is one record.
        """
        found: dict[str, dict[str, dict[str, Any]]] = {}
        size = self._parameters.symbols_a_request
        for index in range(0, len(symbols), size):
            request = CorporateActionsRequest(
                symbols=list(symbols[index : index + size]),
                start=pd.Timestamp(self._parameters.start).date(),
                end=pd.Timestamp(self._as_of).date(),
            )
            for sort, rows in self._ask(self._announcements.get_corporate_actions, request).items():
                known = found.setdefault(sort, {})
                known |= {json.dumps(row, sort_keys=True, default=str): row for row in rows}
        return {sort: list(rows.values()) for sort, rows in found.items()}

    def _ask(self, question: Callable[[Any], Any], request: Any) -> dict[str, list[dict[str, Any]]]:
        try:
            return question(request)
        except APIError as error:
            if error.status_code in (401, 403):
                raise ConfigurationError(
                    f"Alpaca refuses the keys of credentials entry '{self._access.entry}', or they do not include the "
                    f"feed '{self._parameters.feed.value}': {str(error)[:200]}"
                ) from error
            raise MarketDataError(f"Alpaca refuses the question for market data: {str(error)[:300]}") from error
        except RequestBudgetError:
            raise
        except (requests.exceptions.RequestException, ValueError) as error:
            raise MarketDataError(
                f"Alpaca did not answer for market data: {describe_failure(error)}; run it again later"
            ) from error


def _refuse_unfinished(calendar: TradingCalendar, session: pd.Timestamp, now: pd.Timestamp) -> None:
    if calendar.is_session(session) and now < calendar.hours(session)[1]:
        raise StaleDataError(
            f"session {session:%Y-%m-%d} closes at {calendar.hours(session)[1]:%Y-%m-%d %H:%M} UTC; its bars are not "
            "whole before that. Run it again after the close, or pass an earlier --params as_of=…"
        )


def _bars_table(raw: pd.DataFrame) -> pd.DataFrame:
    sessions = pd.to_datetime(raw["t"], utc=True).dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize()
    table = pd.DataFrame(
        {
            "date": sessions.astype("datetime64[ns]"),
            "instrument": raw["instrument"].astype("str"),
            **{name: raw[letter].astype("float64") for letter, name in FIELDS.items()},
        }
    )
    return table.sort_values(["instrument", "date"], kind="stable", ignore_index=True)


def _stale(
    bars: pd.DataFrame, actions: pd.DataFrame, sessions: pd.DatetimeIndex, allowed: int
) -> tuple[SourceProblem, ...]:
    ended = set(actions.loc[actions["kind"] == DELISTING, "instrument"])
    last = bars.groupby("instrument")["date"].max()
    late = last[(len(sessions) - 1 - sessions.searchsorted(last)) > allowed]
    message = "its bars end on {:%Y-%m-%d} and no corporate action says why; look whether it was renamed or delisted"
    return tuple(
        SourceProblem("Alpaca bars", None, str(name), message.format(date))
        for name, date in late.items()
        if name not in ended
    )


def _instruments(bars: pd.DataFrame, actions: pd.DataFrame, sectors: dict[str, str]) -> pd.DataFrame:
    table = bars.groupby("instrument", sort=True)["date"].agg(listed="min", last="max").reset_index()
    ended = table["instrument"].isin(actions.loc[actions["kind"] == DELISTING, "instrument"])
    sector = [sectors.get(name, "Unknown") for name in table["instrument"]]
    return table.assign(
        name=table["instrument"],
        sector=pd.array(sector, dtype="str"),
        delisted=table["last"].where(ended).astype("datetime64[ns]"),
    )[["instrument", "name", "sector", "listed", "delisted"]]


def _benchmark(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    adjusted = adjust_bars(bars, actions)
    return bars[["date", *FIELDS.values()]].assign(
        total_return_close=adjusted["close"].to_numpy(), dividend_return=dividend_returns(bars, actions).to_numpy()
    )


def _read(parameters: AlpacaSourceParameters, request: MarketRequest) -> MarketData:
    keys = request.credentials
    access = AlpacaAccess(
        keys.get("api_key") or "", keys.get("secret_key") or "", request.credentials_name, parameters.url
    )
    return read_alpaca_market(parameters, request.as_of, access)


def _address(parameters: AlpacaSourceParameters) -> str:
    return checked_address(parameters.url, DATA_HOST, "market data of Alpaca")


ALPACA = MarketSource(AlpacaSourceParameters, _read, address=_address)
