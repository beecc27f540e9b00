"""The end of a listing: what its holder receives, and which bars that stop count as an end."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import NonNegativeFloat, PositiveInt

from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.instrument_rows import last_dates
from quant_pipeline.market.price_adjustment import CASH_DIVIDEND, DELISTING, SPLIT, PlacedBars, dated_like
from quant_pipeline.market.volume import has_traded

_ORDER = {SPLIT: 0, CASH_DIVIDEND: 1, DELISTING: 2}
"""Order in which the actions of one session apply, as in every engine and account."""


class EndedBars(Parameters):
    """The ``ended_bars`` block of the parameters: when bars that stop without a corporate action are a delisting.

    Attributes
    ----------
    after_sessions
        Sessions without a bar after which the listing counts as ended; None never ends one: it stays suspended, and a
        position is held at its last close.
    recovery
        Part of the last close that a share then brings.
    """

    after_sessions: PositiveInt | None = None
    recovery: NonNegativeFloat = 1.0


def last_trades(bars: pd.DataFrame) -> pd.Series:
    """Return the last bar of every instrument: ``instrument`` to date.

    Bars without volume, with which a vendor fills on what has ended, do not count; unless there are no others.
    """
    last = last_dates(bars)
    traded = has_traded(bars)
    return last if traded.all() else last_dates(bars, traded).fillna(last)


def silent_since(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.Series:
    """Return the last trade of every instrument that no delisting after it explains: ``instrument`` to date."""
    last = last_trades(bars)
    ends = corporate_actions[corporate_actions["kind"] == DELISTING]
    ended = ends.groupby("instrument")["date"].max().reindex(last.index)
    return last[~(ended >= last)]


def delist_ended(
    bars: pd.DataFrame, corporate_actions: pd.DataFrame, sessions: pd.DatetimeIndex, rule: EndedBars
) -> pd.DataFrame:
    """Note a delisting for every instrument whose bars have stopped for as long as the rule says.

    It is dated on the session that completes the silence, because it cannot be known earlier: a run as of that session
    or later knows the delisting, a run before it does not.

    Parameters
    ----------
    bars
        As traded, sorted by instrument and date.
    corporate_actions
        ``date``, ``instrument``, ``kind``, ``value``.
    sessions
        Sessions up to the one at whose close the market is known.
    rule
        After how many sessions, and what a share brings.

    Returns
    -------
    pandas.DataFrame
        The delistings, columns of `corporate_actions`: the value is the recovered part of the last close, which splits
        and dividends after it, up to the date of the delisting, have taken ex.
    """
    silent = silent_since(bars, corporate_actions)
    after = len(sessions) if rule.after_sessions is None else rule.after_sessions
    ends = sessions.searchsorted(silent) + after
    silent, ends = silent[ends < len(sessions)], ends[ends < len(sessions)]
    closes = _closes_at(bars, silent)
    acted = dated_like(bars, corporate_actions)
    later = acted["date"].to_numpy() > silent.reindex(acted["instrument"]).to_numpy()
    of_name = dict(list(acted[later].groupby("instrument", sort=False)))
    carried = [
        close_taken_ex(close, of_name[name], last, end) if name in of_name else close
        for close, (name, last), end in zip(closes, silent.items(), sessions[ends], strict=True)
    ]
    return pd.DataFrame(
        {
            "date": sessions[ends].as_unit("ns"),
            "instrument": pd.array(silent.index, dtype="str"),
            "kind": pd.array([DELISTING] * len(silent), dtype="str"),
            "value": (np.array(carried, dtype="float64") * rule.recovery).round(8),
        }
    )


def _closes_at(bars: pd.DataFrame, last: pd.Series) -> list[float]:
    """Return the last known close of some instruments up to their last trades, NaN where there is none.

    What fills on the bars after the last trade knows no actions that came after it.
    """
    closed = bars["close"].notna()
    known = bars if closed.all() else bars.loc[closed, ["date", "instrument", "close"]]
    rows, is_there = PlacedBars(known).last_bars(last.rename("date").reset_index(), at_date=True)
    closes = np.full(len(last), np.nan)
    closes[is_there] = known["close"].to_numpy(dtype=np.float64)[rows[is_there]]
    return closes.tolist()


def close_taken_ex(close: float, actions: pd.DataFrame, last_bar: pd.Timestamp, end: pd.Timestamp) -> float:
    """Take the close of a last bar ex, as the accounts do, by what its holder gets besides up to the end.

    Parameters
    ----------
    close
        Close of the last bar.
    actions
        Corporate actions of the instrument: a split divides the close, a dividend is taken off, down to nothing.
    last_bar, end
        Actions after the one, up to the other, count.
    """
    between = _in_order(_between(actions, last_bar, end))
    for kind, value in zip(between["kind"], between["value"], strict=True):
        if kind == SPLIT:
            close /= value
        elif kind == CASH_DIVIDEND:
            close = max(close - value, 0.0)
    return float(close)


def received_values(adjusted_bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.DataFrame:
    """Compute what a share that is held to the end of its listing brings.

    A delisting pays its value (the cash of a takeover, what a bankruptcy leaves, zero) for every share; splits and
    dividends since the last bar, which no bar shows any more, count too: first the splits of a session, then its
    dividends, then the delisting.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument`` and ``factor``, sorted by instrument and date.
    corporate_actions
        ``date``, ``instrument``, ``kind``, ``value``; a delisting is dated on the session in which it pays.

    Returns
    -------
    pandas.DataFrame
        ``date`` and ``instrument`` of each delisting, sorted by date, and ``received``: the payments for one share of
        the last bar before it, multiplied by the factor of that bar, so that it compares with adjusted prices. A
        delisting before the first bar is not in it, nor a second one without a bar since the first, because the shares
        are gone.
    """
    factor = adjusted_bars["factor"].to_numpy(dtype=np.float64)
    ends = ends_of_listings(PlacedBars(adjusted_bars), factor, dated_like(adjusted_bars, corporate_actions))
    return ends[["date", "instrument", "received"]]


def ends_of_listings(
    placed: PlacedBars, factor: npt.NDArray[np.float64], corporate_actions: pd.DataFrame
) -> pd.DataFrame:
    """Compute what the ends of listings bring, with and without dividends; see `received_values`.

    Parameters
    ----------
    placed, factor
        The bars, and their adjustment factors.
    corporate_actions
        ``date`` in the unit of the bars, ``instrument``, ``kind``, ``value``.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument`` and ``received`` of `received_values`, ``without_dividends``: the same without the
        dividends, and ``last``: the row of the last bar.
    """
    delistings = corporate_actions.loc[corporate_actions["kind"] == DELISTING, ["date", "instrument"]]
    delistings = delistings.sort_values("date", kind="stable", ignore_index=True)
    last, is_there = placed.last_bars(delistings, at_date=False)
    ends = delistings.assign(last=last)[is_there].drop_duplicates("last")
    spans = ends.assign(since=placed.dates[ends["last"].to_numpy()], ending=ends.index).rename(columns={"date": "end"})
    acted = corporate_actions.merge(spans, on="instrument")
    acted = _in_order(acted[(acted["date"] > acted["since"]) & (acted["date"] <= acted["end"])])
    received, without = _payments(acted.sort_values("ending", kind="stable"))
    of_last = factor[ends["last"].to_numpy()]
    return ends.assign(
        received=of_last * ends.index.map(received).to_numpy(dtype=np.float64),
        without_dividends=of_last * ends.index.map(without).to_numpy(dtype=np.float64),
    )


def _in_order(actions: pd.DataFrame) -> pd.DataFrame:
    return actions.assign(order=actions["kind"].map(_ORDER)).sort_values(["date", "order"], kind="stable")


def _between(actions: pd.DataFrame, last_bar: pd.Timestamp, delisted: pd.Timestamp) -> pd.DataFrame:
    return actions[actions["date"].between(last_bar, delisted, inclusive="right")]


def _payments(actions: pd.DataFrame) -> tuple[dict[int, float], dict[int, float]]:
    """Return what a share receives by ``ending``, in whose order the actions stand, and that without dividends."""
    received: dict[int, float] = {}
    without: dict[int, float] = {}
    shares, ended = 1.0, False
    for ending, kind, value in zip(*(actions[name].tolist() for name in ("ending", "kind", "value")), strict=True):
        if ending not in received:
            shares, ended, received[ending], without[ending] = 1.0, False, 0.0, 0.0
        if ended:
            continue
        if kind == SPLIT:
            shares *= value
            continue
        received[ending] += shares * value
        if kind != CASH_DIVIDEND:
            without[ending] += shares * value
        ended = kind == DELISTING
    return received, without
