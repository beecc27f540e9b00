"""Delay and slippage: what trading cost beyond fees, from the price of the decision to the price of the fill.

The shortfall of a fill against its decision (Perold, "The Implementation Shortfall: Paper versus Reality", Journal of
Portfolio Management 14(3), 1988) is cut in two: *delay* from the decision to the session's price at which the account
is configured to execute (``market_rules.deal_price``), and *slippage* from that price to the one that was got. Costs
are positive, gains negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from quant_pipeline.exchange.money import ticks_to_float
from quant_pipeline.exchange.quotes import deal_prices
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.market.price_adjustment import actions_per_bar
from quant_pipeline.trading.ledger.amendments import effective_fills
from quant_pipeline.trading.ledger.events import Event, EventKind

TRADE_COST_COLUMNS = {
    "date": "datetime64[ns]",
    "instrument": "str",
    "side": "str",
    "quantity": "float64",
    "price": "float64",
    "decision_price": "float64",
    "open": "float64",
    "close": "float64",
    "deal_price": "float64",
    "delay_cost": "float64",
    "slippage_cost": "float64",
    "shortfall": "float64",
    "shortfall_bps": "float64",
    "cost_against_close": "float64",
    "fee": "float64",
    "planned": "bool",
}


def trade_costs_table(
    events: Sequence[Event],
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    up_to: pd.Timestamp,
    deal_price: DealPrice,
) -> pd.DataFrame:
    """Measure every fill against the price of its decision, the configured price of its session, and its close.

    Parameters
    ----------
    events
        The ledger; busted fills are left out, corrected ones count as they really were.
    bars, corporate_actions
        The market as traded. The price of the decision goes ex with the session's splits and dividends: what an owner
        receives besides is no cost of trading.
    up_to
        Last session to look at.
    deal_price
        Price of the session at which the account is configured to execute; a plan that states its own goes by that.

    Returns
    -------
    pandas.DataFrame
        One row per fill: ``date``, ``instrument``, ``side``, ``quantity``, ``price``, ``decision_price`` (reference
        price of the order; the close before, where it was not planned here; both ex), ``open``, ``close``,
        ``deal_price`` (the configured price of the session), ``delay_cost``, ``slippage_cost``, their sum ``shortfall``
        (USD) and in basis points of the value at the decision, ``cost_against_close``, ``fee``, ``planned``. Prices
        that the market does not have are NaN, and so are the costs.
    """
    seen = _fills([event for event in events if event.session <= up_to], deal_price)
    fills = pd.DataFrame(seen, columns=list(_FILL_COLUMNS)).astype(_FILL_COLUMNS)
    quotes = _quotes(bars, corporate_actions, fills)
    table = fills.merge(quotes, on=["date", "instrument", "executes_at"], how="left")
    planned = table["reference_price"].notna()
    decided = (table["reference_price"] / table["split"] - table["dividend"]).fillna(table["previous_close"])
    signed = table["quantity"].where(table["side"] == "buy", -table["quantity"])
    table = table.assign(
        decision_price=decided,
        delay_cost=signed * (table["deal_price"] - decided),
        slippage_cost=signed * (table["price"] - table["deal_price"]),
        shortfall=signed * (table["price"] - decided),
        shortfall_bps=signed.abs() / signed * (table["price"] / decided - 1) * 1e4,
        cost_against_close=signed * (table["price"] - table["close"]),
        planned=planned,
    )
    return table[list(TRADE_COST_COLUMNS)].astype(TRADE_COST_COLUMNS)


_FILL_COLUMNS = {name: TRADE_COST_COLUMNS[name] for name in ("date", "instrument", "side", "quantity", "price", "fee")}
_FILL_COLUMNS |= {"reference_price": "float64", "executes_at": "str"}


def _fills(events: Sequence[Event], deal_price: DealPrice) -> list[dict[str, object]]:
    references: dict[str, float] = {}
    prices: dict[str, str] = {}
    effective, fills = effective_fills(events), []
    for event in events:
        payload = event.payload
        if event.kind == EventKind.PLAN_RECORDED:
            orders = payload["orders"]
            references |= {order["client_order_id"]: float(order["reference_price"]) for order in orders}
            price = payload.get("deal_price") or deal_price
            prices |= {order["client_order_id"]: price for order in orders}
        elif event.kind == EventKind.FILL and effective[event.key].counts:
            name = payload.get("client_order_id", "")
            planned = {"reference_price": references.get(name), "executes_at": prices.get(name, deal_price)}
            facts = {"date": event.session, "instrument": payload["instrument"], "side": payload["side"]}
            fills.append({**facts, **_numbers(effective[event.key].facts), **planned})
    return fills


def _numbers(facts: Mapping[str, str]) -> dict[str, float]:
    return {name: float(facts[name]) for name in ("quantity", "price", "fee")}


def _quotes(bars: pd.DataFrame, corporate_actions: pd.DataFrame, fills: pd.DataFrame) -> pd.DataFrame:
    """Return open, close, the price to execute at, the close before gone ex, and the session's split and dividend."""
    traded = bars[bars["instrument"].isin(fills["instrument"])]
    traded = traded.sort_values(["instrument", "date"], ignore_index=True)
    before = traded.groupby("instrument", sort=False)["close"].shift(1)
    split_since, dividend_since = actions_per_bar(traded, corporate_actions)
    # A plan knows what happened before its own session, also while the instrument was halted.
    of_sessions = corporate_actions.merge(traded[["date", "instrument"]], on=["date", "instrument"])
    split, dividend = actions_per_bar(traded, of_sessions)
    known = traded[["date", "instrument", "open", "close"]].assign(
        previous_close=before / split_since - dividend_since, split=split, dividend=dividend
    )
    kinds: list[DealPrice] = sorted(fills["executes_at"].unique())
    each = [known.assign(executes_at=kind, deal_price=_price_of(traded, kind)) for kind in kinds]
    return pd.concat(each) if each else known.assign(executes_at="", deal_price=np.nan)


def _price_of(bars: pd.DataFrame, kind: DealPrice) -> pd.Series:
    """Return a price of the bars; without a column of its own, a vwap is the stand-in that the exchange rules take."""
    if kind in bars.columns:
        return bars[kind]
    return pd.Series(ticks_to_float(deal_prices(bars, kind)), bars.index).replace(0.0, np.nan)
