"""Bars and corporate actions from Alpaca, through the unmodified alpaca-py client."""

from __future__ import annotations

from typing import Any

import pandas as pd
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from pydantic import Field

from quant_pipeline.exceptions import ConfigurationError, MarketDataError
from quant_pipeline.market.corporate_actions import CASH_DIVIDEND, SPLIT, adjust_bars
from quant_pipeline.market.data import MarketData
from quant_pipeline.parameters import Parameters

FIELDS = ["open", "high", "low", "close", "volume"]


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
        ``iex`` is free, ``sip`` is the consolidated tape.
    """

    symbols: list[str] = Field(min_length=1)
    sectors: dict[str, str] = Field(default_factory=dict)
    benchmark: str = "SPY"
    start: str = "2016-01-04"
    feed: DataFeed = DataFeed.IEX


def read_alpaca_market(
    parameters: AlpacaMarketParameters, as_of: str, api_key: str, secret_key: str, url: str | None = None
) -> MarketData:
    """Ask Alpaca for as-traded daily bars and corporate actions up to a session.

    Parameters
    ----------
    parameters
        What to ask for.
    as_of
        Session at whose close to stand; nothing later is asked for.
    api_key, secret_key
        Keys of an Alpaca account.
    url
        Another host, for rehearsals.

    Returns
    -------
    MarketData
        As known at the close of ``as_of``.

    Raises
    ------
    ConfigurationError
        When a key is missing.
    MarketDataError
        When Alpaca has no bar for a symbol.
    """
    if not api_key or not secret_key:
        raise ConfigurationError("the Alpaca market source needs api_key and secret_key; set them as credentials")
    everything = [*parameters.symbols, parameters.benchmark]
    bars = _bars(everything, parameters, as_of, StockHistoricalDataClient(api_key, secret_key, url_override=url))
    missing = sorted(set(everything) - set(bars["instrument"]))
    if missing:
        raise MarketDataError(f"Alpaca has no bars for {', '.join(missing[:10])}; correct the list of symbols")
    actions = _actions(
        everything, parameters.start, as_of, CorporateActionsClient(api_key, secret_key, url_override=url)
    )
    traded = bars["instrument"] != parameters.benchmark
    own = bars[traded].reset_index(drop=True)
    return MarketData(
        bars=own,
        corporate_actions=actions[actions["instrument"] != parameters.benchmark].reset_index(drop=True),
        instruments=_instruments(own, parameters.sectors),
        benchmark=_benchmark(bars[~traded].reset_index(drop=True), actions),
        as_of=pd.Timestamp(as_of),
    )


def _bars(
    symbols: list[str], parameters: AlpacaMarketParameters, as_of: str, client: StockHistoricalDataClient
) -> pd.DataFrame:
    request = StockBarsRequest(
        symbol_or_symbols=symbols,
        timeframe=TimeFrame.Day,
        start=pd.Timestamp(parameters.start).to_pydatetime(),
        end=(pd.Timestamp(as_of) + pd.Timedelta(hours=23)).to_pydatetime(),
        adjustment=Adjustment.RAW,
        feed=parameters.feed,
    )
    answer: Any = client.get_stock_bars(request)
    raw = answer.df.reset_index()
    sessions = raw["timestamp"].dt.tz_convert("America/New_York").dt.tz_localize(None).dt.normalize()
    table = pd.DataFrame(
        {
            "date": sessions.astype("datetime64[ns]"),
            "instrument": raw["symbol"].astype("str"),
            **{name: raw[name].astype("float64") for name in FIELDS},
        }
    )
    return table.sort_values(["instrument", "date"], kind="stable", ignore_index=True)


def _actions(symbols: list[str], start: str, as_of: str, client: CorporateActionsClient) -> pd.DataFrame:
    request = CorporateActionsRequest(symbols=symbols, start=pd.Timestamp(start).date(), end=pd.Timestamp(as_of).date())
    actions: Any = client.get_corporate_actions(request)
    answer = actions.data
    rows = [
        (action.ex_date, action.symbol, SPLIT, float(action.new_rate) / float(action.old_rate))
        for kind in ("forward_splits", "reverse_splits")
        for action in answer.get(kind, [])
    ]
    rows += [
        (action.ex_date, action.symbol, CASH_DIVIDEND, float(action.rate))
        for action in answer.get("cash_dividends", [])
    ]
    table = pd.DataFrame(rows, columns=["date", "instrument", "kind", "value"]).astype(
        {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
    )
    # Two dividends of one day (regular and special) are one payment.
    whole = table.groupby(["date", "instrument", "kind"], as_index=False)["value"].sum()
    return whole.sort_values(["date", "instrument", "kind"], kind="stable", ignore_index=True)


def _instruments(bars: pd.DataFrame, sectors: dict[str, str]) -> pd.DataFrame:
    listed = bars.groupby("instrument", sort=True)["date"].min().rename("listed").reset_index()
    sector = [sectors.get(name, "Unknown") for name in listed["instrument"]]
    return listed.assign(
        name=listed["instrument"],
        sector=pd.array(sector, dtype="str"),
        delisted=pd.Series(pd.NaT, index=listed.index, dtype="datetime64[ns]"),
    )[["instrument", "name", "sector", "listed", "delisted"]]


def _benchmark(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    adjusted = adjust_bars(bars, actions)
    return bars[["date", *FIELDS]].assign(total_return_close=adjusted["close"].to_numpy())
