"""Tables that a source can derive from its bars where it has none of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.dates import places_in
from quant_pipeline.market.delistings import ends_of_listings
from quant_pipeline.market.instrument_rows import different_dates, first_dates, last_dates, sorted_by_instrument
from quant_pipeline.market.price_adjustment import (
    CASH_DIVIDEND,
    SPLIT,
    PlacedBars,
    adjust_bars,
    dated_like,
    dividend_returns,
    returns_of,
)

PRICES = ("open", "high", "low", "close")


def no_corporate_actions() -> pd.DataFrame:
    """Return a table of corporate actions without rows, for a market that has none."""
    columns = {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
    return pd.DataFrame(columns=list(columns)).astype(columns)


def list_instruments(
    bars: pd.DataFrame, securities: pd.DataFrame | None = None, delistings: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the instruments that have bars.

    Parameters
    ----------
    bars
        As-traded bars.
    securities
        ``instrument``, ``name``, ``sector`` and, if wanted, ``company``; without it instruments are called by their
        symbols, in sector ``Unknown``.
    delistings
        ``instrument`` and ``date``: those that are known to have ended; their last bar is the end of the listing.
    """
    listed = first_dates(bars).rename("listed").reset_index()
    if securities is None:
        table = listed.assign(name=listed["instrument"], sector=pd.array(["Unknown"] * len(listed), dtype="str"))
    else:
        stated = [name for name in ("instrument", "name", "sector", "company") if name in securities]
        table = listed.merge(securities[stated], on="instrument", how="left")
        table = table.fillna({"name": table["instrument"], "sector": "Unknown", "company": ""})
    delisted = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns]")
    if delistings is not None and len(delistings):
        last = last_dates(bars)
        delisted = table["instrument"].where(table["instrument"].isin(delistings["instrument"])).map(last)
        delisted = delisted.astype("datetime64[ns]")
    columns = ["instrument", "name", "sector", "listed", "delisted", *(["company"] if "company" in table else [])]
    return table.assign(delisted=delisted)[columns]


def mean_benchmark(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Return the equally weighted mean of all instruments as a benchmark, 100 before the first return.

    A name whose listing ends counts in the session of its delisting with what a share then receives
    (`received_values`), as in an account; listed again, it starts over.

    Parameters
    ----------
    bars
        As traded.
    actions
        ``date``, ``instrument``, ``kind``, ``value``.

    Returns
    -------
    pandas.DataFrame
        As `MarketData` has it.
    """
    bars = sorted_by_instrument(bars)
    placed = PlacedBars(bars)
    found = returns_of(bars, actions, placed)
    sessions = pd.DatetimeIndex(different_dates(bars), name="date")
    ends, begun_again = _endings(bars, found.factor, actions, placed, sessions)
    # What is missing does not count.
    found.total[begun_again] = np.nan
    found.dividend[np.isnan(found.total)] = np.nan
    place = places_in(sessions, np.append(bars["date"].to_numpy(), ends["date"].to_numpy()))
    earned = {name: np.append(getattr(found, name), ends[name].to_numpy()) for name in ("total", "dividend")}
    mean = pd.DataFrame(earned, copy=False).groupby(place).mean().fillna(0.0)
    level = 100.0 * (1.0 + mean["total"]).cumprod()
    prices = dict.fromkeys((*PRICES, "total_return_close"), level.to_numpy())
    table = pd.DataFrame({"date": sessions, **prices, "volume": 0.0, "dividend_return": mean["dividend"].to_numpy()})
    return table[["date", *PRICES, "volume", "total_return_close", "dividend_return"]]


def _endings(
    bars: pd.DataFrame,
    factor: npt.NDArray[np.float64],
    actions: pd.DataFrame,
    placed: PlacedBars,
    sessions: pd.DatetimeIndex,
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the last return of every listing that ends, and the rows of first bars after it, which begin a new one.

    The bars are sorted by instrument and date.
    """
    received = ends_of_listings(placed, factor, dated_like(bars, actions))
    after, is_again = placed.next_bars(received)
    last = received["last"].to_numpy()
    last_close = bars["close"].to_numpy(dtype=np.float64)[last] * factor[last]
    places = sessions.searchsorted(received["date"])
    seen = places < len(sessions)
    value, gross = received["received"].to_numpy(), received["without_dividends"].to_numpy()
    ends = pd.DataFrame(
        {
            "date": sessions[places[seen]],
            "total": (value / last_close - 1.0)[seen],
            "dividend": ((value - gross) / last_close)[seen],
        }
    )
    return ends.dropna(subset="total"), after[is_again]


def actions_beside(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the splits and dividends that stand beside the bars of their ex-dates."""
    tables = []
    for kind, column, acts in (
        (SPLIT, "split", bars["split"] != 1.0),
        (CASH_DIVIDEND, "dividend", bars["dividend"] > 0),
    ):
        rows = bars.loc[acts, ["date", "instrument", column]].rename(columns={column: "value"})
        tables.append(
            rows.assign(kind=pd.array([kind] * len(rows), dtype="str"))[["date", "instrument", "kind", "value"]]
        )
    return pd.concat(tables).sort_values(["date", "instrument", "kind"], kind="stable", ignore_index=True)


def total_return_of(benchmark: pd.DataFrame) -> pd.DataFrame:
    """Return bars of one instrument, with ``split`` and ``dividend`` beside them, as a benchmark of `MarketData`."""
    table = benchmark.reset_index(drop=True)
    actions = actions_beside(table)
    return table[["date", *PRICES, "volume"]].assign(
        total_return_close=adjust_bars(table, actions)["close"].to_numpy(),
        dividend_return=dividend_returns(table, actions).to_numpy(),
    )
