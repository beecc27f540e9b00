"""The orders as an operator places them by hand: all that the form of a broker asks for, in one row."""

import pandas as pd

from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

SENT = ("sell", "buy")
"""Sides of orders; what is held needs none."""


def list_orders(
    orders_with_alternates: pd.DataFrame,
    instruments: pd.DataFrame,
    market_rules: MarketRules,
    execution: ExecutionRules,
    as_of: str,
) -> pd.DataFrame:
    """List the orders of a session with what the form of a broker asks for.

    Parameters
    ----------
    orders_with_alternates
        ``orders_csv``: the orders, with alternates and remarks.
    instruments
        ``instrument``, ``name``, ``sector``.
    market_rules, execution
        Exchange and price of the execution, and the type of orders.
    as_of
        Session of the decision.

    Returns
    -------
    pandas.DataFrame
        ``decided_on``, ``executes_on``, ``executes_at``, ``side``, ``instrument``, ``name``, ``sector``, ``quantity``,
        ``order_type``, ``reference_price``, ``estimated_value``, ``currency``, ``alternate``, ``remark``, ``reason``;
        sales first. Both sessions are in ``attrs`` too.
    """
    session = pd.Timestamp(as_of)
    executes = execution_session(TradingCalendar.of(market_rules.calendar, session, session), session)
    sessions = {"decided_on": f"{session:%Y-%m-%d}", "executes_on": f"{executes:%Y-%m-%d}"}
    rows = orders_with_alternates[orders_with_alternates["side"].isin(SENT)]
    known = instruments.drop_duplicates("instrument", keep="last").set_index("instrument")
    listed = rows.assign(
        **sessions,
        executes_at=market_rules.deal_price,
        order_type=execution.order_type,
        currency=unit_of_amounts(market_rules.calendar),
        **{
            column: rows["instrument"].map(known[column]) if column in known.columns else ""
            for column in ("name", "sector")
        },
    )
    columns = [
        *("decided_on", "executes_on", "executes_at", "side", "instrument", "name", "sector", "quantity", "order_type"),
        *("reference_price", "estimated_value", "currency", "alternate", "remark", "reason"),
    ]
    found = listed[columns].sort_values("side", ascending=False, kind="stable", ignore_index=True)
    found.attrs = sessions
    return found
