"""Minute bars, checked and arranged by session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.backtest.event_engine.events import EventParameters
from quant_pipeline.backtest.event_engine.exchange import Bars
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import to_ticks
from quant_pipeline.market.volume import has_traded

COLUMNS = ["time", "instrument", *Bars._fields]


class Minute(NamedTuple):
    """Bars of one minute: when it ended, the bars, and how many rows of the table they are."""

    ended: pd.Timestamp
    bars: Bars
    n_rows: int


def order_minutes(
    minutes: pd.DataFrame, market: TradingMarket, parameters: EventParameters
) -> dict[pd.Timestamp, pd.DataFrame]:
    """Check minute bars and arrange them by session, each in the order of time and instrument.

    Raises
    ------
    StrategyError
        If a column is missing, a row falls on no session or lies outside of its hours, names an unknown instrument, is
        doubled, or lacks a price or a volume.
    """
    missing = [column for column in COLUMNS if column not in minutes.columns]
    if missing:
        raise StrategyError(f"Minute bars lack the column {missing[0]!r}. Add it.")
    days = minutes["time"].dt.normalize()
    if not days.isin(market.sessions).all():
        stray = days[~days.isin(market.sessions)].iloc[0]
        raise StrategyError(f"Minute bars are dated {stray.date()}, which is no session. Remove them.")
    _check_hours(minutes["time"], days, parameters)
    unknown = ~minutes["instrument"].isin(market.instruments)
    if unknown.any():
        name = minutes.loc[unknown, "instrument"].iloc[0]
        raise StrategyError(f"Minute bars name {name}, which has no daily bars. Add its daily bars.")
    twice = minutes.duplicated(["time", "instrument"])
    if twice.any():
        row = minutes[twice].iloc[0]
        raise StrategyError(f"{row['instrument']} has two minute bars at {row['time']}. Keep one.")
    # A missing low would read as a price of 0, which every stop and every limit reaches.
    broken = ~((minutes[["open", "high", "low", "close"]] > 0).all(axis=1) & (minutes["volume"] >= 0))
    if broken.any():
        row = minutes[broken].iloc[0]
        raise StrategyError(
            f"The minute bar of {row['instrument']} at {row['time']} lacks a price or a volume. Correct or remove it."
        )
    ordered = minutes.assign(_session=days).sort_values(["time", "instrument"], kind="stable", ignore_index=True)
    return {pd.Timestamp(day): rows.drop(columns="_session") for day, rows in ordered.groupby("_session")}


def _check_hours(times: pd.Series, days: pd.Series, parameters: EventParameters) -> None:
    # A minute before the open would be shown after the opening price, and its orders would know that.
    outside = (times <= days.map(parameters.opening)) | (times > days.map(parameters.closing))
    if outside.any():
        raise StrategyError(
            f"A minute bar ends at {times[outside].iloc[0]}, outside of the session ({parameters.open_time} to "
            f"{parameters.close_time}). `time` is the end of a minute: correct it, remove the row, or set `open_time` "
            "and `close_time` of the event engine."
        )


def minutes_of(rows: pd.DataFrame, instruments: pd.Index) -> Iterator[Minute]:
    """Yield the minutes of one session; in one without volume nothing trades."""
    for time, bars in rows.groupby("time", sort=True):
        traded = bars[has_traded(bars)]
        indices = instruments.get_indexer(pd.Index(traded["instrument"]))
        matrix = np.zeros((len(Bars._fields), len(instruments)), dtype=np.int64)
        for row, name in zip(matrix, Bars._fields, strict=True):
            row[indices] = traded[name].to_numpy().astype(np.int64) if name == "volume" else to_ticks(traded[name])
        yield Minute(pd.Timestamp(time), Bars(*matrix), len(bars))
