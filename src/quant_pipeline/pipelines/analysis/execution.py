"""What executing has cost: shortfall and surroundings of orders by group, excursions of round trips, slippage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.analysis.bands import Banded, ratio_with_band
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.trading.ledger.lot_tables import round_trips_table
from quant_pipeline.trading.shadow.shortfall import PARTS

GROUP_COLUMNS = {
    "group": "str",
    "of": "str",
    "orders": "int64",
    "executed": "int64",
    "decided_value": "float64",
    **dict.fromkeys(PARTS, "float64"),
    "shortfall": "float64",
    "shortfall_bps": "float64",
    "lower": "float64",
    "upper": "float64",
    "sessions": "int64",
    "share_of_volume": "float64",
}
AROUND = ("share_of_volume", "adverse", "favourable")
"""What the market did around an executed order."""
AROUND_COLUMNS = [
    "group", "of", "orders", "sessions", *(f"{name}{end}" for name in AROUND for end in ("", "_lower", "_upper")),
]  # fmt: skip
EXCURSION_COLUMNS = ["instrument", "opened", "closed", "sessions", "return", "worst", "best", "realised_profit"]
SLIPPAGE_COLUMNS = ["parameter", "present", "proposed", "lower", "upper", "orders", "sessions"]
Floats = npt.NDArray[Any]
SIZES = ("small", "middle", "large")


def group_shortfall(order_shortfall: pd.DataFrame, calendar: str, parameters: AnalysisParameters) -> pd.DataFrame:
    """Sum the implementation shortfall of orders up: all, by side, by size, by hour of the session.

    Parameters
    ----------
    order_shortfall
        See `quant_pipeline.trading.shadow.shortfall.shortfall_table`.
    calendar
        Exchange, for the local hour of fills.
    parameters
        Minimum of orders and sessions, and confidence of the bands.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``of``, ``orders`` and how many of them ``executed``, ``decided_value``, the four parts and their sum
        ``shortfall`` in the currency, ``shortfall_bps`` of the decided value with its band over sessions, ``sessions``,
        and the mean ``share_of_volume``, by value.
    """
    rows = []
    for kind, name, orders in _groups(order_shortfall, calendar):
        by_session = orders.groupby("date")[["shortfall", "decided_value"]].sum()
        least = parameters.min_sessions if len(orders) >= parameters.min_orders else len(by_session) + 1
        band = ratio_with_band(by_session["shortfall"], by_session["decided_value"], least, parameters.confidence)
        rows.append(_row(kind, name, orders, band))
    return pd.DataFrame(rows, columns=list(GROUP_COLUMNS)).astype(GROUP_COLUMNS)


def group_surroundings(
    order_shortfall: pd.DataFrame, adjusted_bars: pd.DataFrame, calendar: str, parameters: AnalysisParameters
) -> pd.DataFrame:
    """Measure the market around executed orders: their part of its volume, how far it went against and with them.

    Parameters
    ----------
    order_shortfall, calendar, parameters
        See `group_shortfall`.
    adjusted_bars
        Bars of the sessions of the orders.

    Returns
    -------
    pandas.DataFrame
        ``group``, ``of``, ``orders``, ``sessions``, and three means by value, each with its band over sessions:
        ``share_of_volume``; ``adverse`` and ``favourable``, from the price of the fills to the extreme of the session
        that was worst and best for the side (maximum adverse and favourable excursion). An extreme before the fill
        counts too: bars do not say when it was.
    """
    done = order_shortfall[order_shortfall["executed"] > 0]
    keys = ["date", "instrument"]
    bars = adjusted_bars[[*keys, "high", "low", "close"]].rename(columns={"close": "adjusted_close"})
    known = done.merge(bars, on=keys, how="left").set_axis(done.index)
    # Within a session adjusted prices are those traded, times one factor.
    factor = known["close"] / known["adjusted_close"] / known["price"]
    up, down = known["high"] * factor - 1, known["low"] * factor - 1
    is_buy = known["side"] == "buy"
    known = known.assign(
        adverse=down.where(is_buy, -up), favourable=up.where(is_buy, -down), value=known["executed"] * known["price"]
    )
    rows = []
    for kind, name, orders in _groups(known, calendar):
        bands = [_mean_by_value(orders, column, parameters) for column in AROUND]
        ends = (end for band in bands for end in (band.value, band.lower, band.upper))
        rows.append((kind, name, len(orders), orders["date"].nunique(), *ends))
    return pd.DataFrame(rows, columns=AROUND_COLUMNS)


def _mean_by_value(orders: pd.DataFrame, column: str, parameters: AnalysisParameters) -> Banded:
    known = orders.dropna(subset=[column, "value"])
    by_session = known.assign(part=known[column] * known["value"]).groupby("date")[["part", "value"]].sum()
    least = parameters.min_sessions if len(known) >= parameters.min_orders else len(by_session) + 1
    return ratio_with_band(by_session["part"], by_session["value"], least, parameters.confidence)


def _row(kind: str, name: str, orders: pd.DataFrame, band: Banded) -> dict[str, object]:
    traded = orders.dropna(subset="share_of_volume")
    weights = traded["decided_value"]
    return {
        "group": kind,
        "of": name,
        "orders": len(orders),
        "executed": int((orders["executed"] > 0).sum()),
        "decided_value": orders["decided_value"].sum(),
        **{part: orders[part].sum() for part in (*PARTS, "shortfall")},
        "shortfall_bps": band.value * 1e4,
        "lower": band.lower * 1e4,
        "upper": band.upper * 1e4,
        "sessions": orders["date"].nunique(),
        "share_of_volume": np.average(traded["share_of_volume"], weights=weights) if weights.sum() > 0 else np.nan,
    }


def _groups(orders: pd.DataFrame, calendar: str) -> Iterator[tuple[str, str, pd.DataFrame]]:
    if orders.empty:
        return
    yield "all", "all orders", orders
    for side, rows in orders.groupby("side"):
        yield "side", {"buy": "buys", "sell": "sales"}[str(side)], rows
    if len(orders) >= len(SIZES):
        ranks = orders["decided_value"].rank(method="first")
        thirds = np.minimum((ranks - 1) * len(SIZES) // len(orders), len(SIZES) - 1).astype(int)
        for place, size in enumerate(SIZES):
            yield "size", size, orders[thirds == place]
    at = orders["at"].replace("", None).dropna()
    if len(at):
        zone = TradingCalendar.of(calendar, orders["date"].min(), orders["date"].max()).time_zone
        hours = pd.to_datetime(at, format="ISO8601", utc=True).dt.tz_convert(zone).dt.hour
        for hour, places in hours.groupby(hours).groups.items():
            yield "hour", f"{hour:02d}:00", orders.loc[places]


def measure_excursions(closed_lots: pd.DataFrame, adjusted_bars: pd.DataFrame) -> pd.DataFrame:
    """Measure how far each round trip was under and above water, see `round_trips_table`.

    Parameters
    ----------
    closed_lots
        ``instrument``, ``opened``, ``closed``, ``realised_profit``, ``cost``.
    adjusted_bars
        Bars of the sessions in which lots were held.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``opened``, ``closed``, ``sessions``, ``return`` (realised, of the cost), ``worst`` and
        ``best``: lowest low and highest high between purchase and sale against the open of the first session, splits
        and dividends included (maximum adverse and favourable excursion). Trips without bars are left out.
    """
    bars = {name: rows.set_index("date") for name, rows in adjusted_bars.groupby("instrument", sort=False)}
    rows = []
    for trip in round_trips_table(closed_lots).itertuples(index=False):
        held = bars.get(trip.instrument, pd.DataFrame()).loc[trip.opened : trip.closed]
        start = held["open"].iloc[0] if len(held) else np.nan
        if not start > 0:
            continue
        worst, best = held["low"].min() / start - 1, held["high"].max() / start - 1
        earned = trip.realised_profit / trip.cost
        rows.append((trip.instrument, trip.opened, trip.closed, len(held), earned, worst, best, trip.realised_profit))
    return pd.DataFrame(rows, columns=EXCURSION_COLUMNS)


def propose_slippage(order_shortfall: pd.DataFrame, present: CostRules, parameters: AnalysisParameters) -> pd.DataFrame:
    """Estimate the slippage of the backtest from what fills really cost against the price of the market.

    ``signed (fill - market) / market = half_spread + root_impact × √(share of volume)``, weighted by the value of the
    orders; the errors allow for orders of one session being alike. An estimate below zero is proposed as zero, and the
    other one is estimated again without it, because a spread that is not paid changes what the impact has to explain.

    Returns
    -------
    pandas.DataFrame
        ``parameter`` (``half_spread``, ``root_impact``), the ``present`` value, the ``proposed`` one with its band,
        ``orders``, ``sessions``. Empty with too few executed orders or sessions. Where the shares of volume hardly
        differ, only the half spread is estimated, and the present impact stays.
    """
    done = order_shortfall[(order_shortfall["executed"] > 0) & (order_shortfall["market_price"] > 0)]
    done = done.dropna(subset=["price", "share_of_volume"])
    sessions = done["date"].nunique()
    if len(done) < parameters.min_orders or sessions < parameters.min_sessions:
        return pd.DataFrame(columns=SLIPPAGE_COLUMNS)
    sign = np.where(done["side"] == "buy", 1.0, -1.0)
    cost = sign * (done["price"] / done["market_price"] - 1).to_numpy()
    root = np.sqrt(done["share_of_volume"].to_numpy())
    names: list[Literal["half_spread", "root_impact"]] = ["half_spread"]
    design = np.ones((len(done), 1))
    if root.std() > 0.01 * max(root.mean(), 1e-12):
        names, design = ["half_spread", "root_impact"], np.column_stack([np.ones(len(done)), root])
    else:
        cost = cost - present.root_impact * root
    value = (done["executed"] * done["market_price"]).to_numpy()
    found = _estimate(cost, design, value / value.mean(), pd.factorize(done["date"])[0], parameters.confidence)
    return pd.DataFrame(
        {
            "parameter": names,
            "present": [getattr(present, name) for name in names],
            "proposed": found[:, 0],
            "lower": found[:, 1],
            "upper": found[:, 2],
            "orders": len(done),
            "sessions": sessions,
        }
    )[SLIPPAGE_COLUMNS]


def _estimate(cost: Floats, design: Floats, weights: Floats, clusters: Floats, confidence: float) -> Floats:
    """Estimate parameters that are not negative, with the ends of their bands: one row per column of the design.

    One that comes out below zero is zero, with the band of the estimate that said so, and the rest is estimated again.
    """
    from statsmodels.regression.linear_model import WLS

    fitted = WLS(cost, design, weights=weights).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    found = np.column_stack([fitted.params, fitted.conf_int(alpha=1 - confidence)])
    lowest = int(np.argmin(found[:, 0]))
    if found[lowest, 0] >= 0:
        return found
    found[lowest, 0] = 0.0
    others = np.arange(design.shape[1]) != lowest
    if others.any():
        found[others] = _estimate(cost, design[:, others], weights, clusters, confidence)
    return found
