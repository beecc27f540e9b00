"""A session at the exchange for tables: what the simulated broker, the daily loop and notebooks call.

The order of a session is: corporate actions, then the orders decided at the previous close, then the close.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError, StrategyError
from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.account_arrays import CASH, CLOSES, HELD, ORDERS, AccountArrays, new_accounts, open_slot
from quant_pipeline.exchange.costs import cost_terms, payment_after_tax, value_in_ticks
from quant_pipeline.exchange.lots import lots_of
from quant_pipeline.exchange.money import cash_to_ticks, ticks_to_decimal, ticks_to_float, to_ticks
from quant_pipeline.exchange.quotes import (
    ACTION_KINDS,
    action_terms,
    deal_prices,
    limit_prices,
    price_limits_of,
    reference_price,
)
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.tables import events_table, fills_table, positions_table

_ANY_SESSION = pd.DatetimeIndex([pd.Timestamp(0)])
"""Stands for the session of rules without dates, which hold on every day."""


class CorporateActionOutcome(NamedTuple):
    """What corporate actions leave: positions, cash, what happened, the pending orders, and the interest on cash."""

    positions: pd.DataFrame
    cash: Decimal
    events: pd.DataFrame
    pending_orders: pd.DataFrame | None
    interest: Decimal


class Carry(NamedTuple):
    """What holding earns in a session: the part of the cash that is its interest, and what dividends lose to tax.

    Both are those of the market, see ``MarketArrays.interest`` and ``MarketRules.dividend_tax_rate``.
    """

    interest: float = 0.0
    dividend_tax_rate: float = 0.0


def apply_corporate_actions(
    positions: pd.DataFrame,
    cash: Decimal | float | int,
    actions: pd.DataFrame,
    previous_closes: pd.Series,
    pending_orders: pd.DataFrame | None = None,
    rules: MarketRules = MarketRules(),  # noqa: B008 - immutable
    carry: Carry = Carry(),  # noqa: B008 - immutable
) -> CorporateActionOutcome:
    """Apply the corporate actions of one session to the holdings, before any order executes.

    Interest on the cash is credited, then come splits (whole shares rounded down, the fraction paid at the previous
    close in cents, half up), then cash dividends on the new number of shares, less the tax withheld, then delistings,
    which turn shares into cash.

    Parameters
    ----------
    positions
        Holdings at the previous close, by instrument: ``quantity``, ``sessions_held``.
    cash
        Cash at the previous close.
    actions
        The session's rows of the table of corporate actions: ``instrument``, ``kind``, ``value``.
    previous_closes
        Last known closes before the session, as traded, by instrument; needed for held instruments that split.
    pending_orders
        Orders decided at the previous close (``instrument``, ``side``, ``quantity``); a split scales their quantities.
    rules
        Sizes that orders may have, to which scaled ones are rounded down.
    carry
        Interest and tax of the session.

    Returns
    -------
    CorporateActionOutcome
        ``events`` has one row per action that touched a holding: ``instrument``, ``kind``, ``quantity_before``,
        ``quantity_after``, ``amount`` (cash received), ``tax`` (withheld from it before).

    Raises
    ------
    MarketDataError
        If an action's kind is unknown or its value malformed, or a split holding has no previous close.
    """
    ordered = _in_order(actions)
    orders = None if pending_orders is None else pending_orders.reset_index(drop=True).copy()
    named = positions.index if orders is None else positions.index.union(pd.Index(orders["instrument"]))
    instruments = pd.Index(sorted({*named, *ordered["instrument"]}), dtype="str")
    accounts = _account_of(positions, cash, instruments, 0 if orders is None else len(orders))
    if orders is not None:
        _place_orders(accounts, orders, instruments)

    lots = lots_of(rules, instruments)
    interest = kernels.interest_in_ticks(int(accounts.totals[0, CASH]), carry.interest)
    accounts.totals[0, CASH] += interest
    rows, taxes = [], []
    for instrument, kind, value in zip(ordered["instrument"], ordered["kind"], ordered["value"], strict=True):
        index = int(instruments.get_indexer([instrument])[0])
        slot = int(accounts.slot_of[0, index])
        before = int(accounts.slot_shares[0, slot]) if slot >= 0 else 0
        numerator, denominator = action_terms(instrument, kind, value)
        previous_close = _previous_close(instrument, kind, previous_closes) if before else 0
        code = ACTION_KINDS[kind]
        is_dividend = code == kernels.CASH_DIVIDEND
        paid = payment_after_tax(numerator, carry.dividend_tax_rate) if is_dividend else numerator
        received = kernels.apply_action(accounts, 0, index, code, paid, denominator, previous_close, lots)
        if before:
            taxes.append(int(kernels.payment_in_ticks(before, numerator)) - int(received) if is_dividend else 0)
            slot = int(accounts.slot_of[0, index])
            after = int(accounts.slot_shares[0, slot]) if slot >= 0 else 0
            rows.append((instrument, kind, before, after, int(received)))
    if orders is not None:
        orders["quantity"] = np.abs(accounts.order_shares[0, : len(orders)])
    return CorporateActionOutcome(
        positions=_positions_of(accounts, instruments),
        cash=ticks_to_decimal(accounts.totals[0, CASH]),
        events=events_table(rows).assign(tax=ticks_to_float(taxes)),
        pending_orders=orders,
        interest=ticks_to_decimal(int(interest)),
    )


def execute_orders(
    orders: pd.DataFrame,
    positions: pd.DataFrame,
    cash: Decimal | float | int,
    session_bars: pd.DataFrame,
    market_rules: MarketRules,
    cost_rules: CostRules,
) -> pd.DataFrame:
    """Execute the orders of the previous decision in one session: sales first, then buys, each in the order given.

    Parameters
    ----------
    orders
        ``instrument``, ``side``, ``quantity`` (rows that are neither ``buy`` nor ``sell`` are ignored), after
        :func:`apply_corporate_actions`.
    positions, cash
        Holdings and cash after the session's corporate actions.
    session_bars
        The session's bars as traded, by instrument (as index or column); an instrument without row does not trade.
        With price limits it needs the column ``previous_close``, see :func:`reference_closes`; missing, it has none.
    market_rules, cost_rules
        Rules of the session, without dates.

    Returns
    -------
    pandas.DataFrame
        One row per order in the sequence of execution: ``instrument``, ``side``, ``quantity`` (executed),
        ``requested``, ``price`` (NaN when nothing executed), ``market_price`` (before slippage), ``fee``,
        ``status`` (``filled``, ``partially_filled``, ``expired``, ``rejected``) and ``message``.

    Raises
    ------
    MarketDataError
        If the bars lack a column the rules need, or an instrument has no price limit where there are some.
    StrategyError
        If the rules change by date, so that it is unknown which are meant.
    """
    bars = session_bars.set_index("instrument") if "instrument" in session_bars.columns else session_bars
    traded = orders[orders["side"].isin(["sell", "buy"])]
    traded = traded.sort_values("side", ascending=False, kind="stable")
    instruments = pd.Index(sorted({*positions.index, *traded["instrument"]}), dtype="str")
    accounts = _account_of(positions, cash, instruments, len(traded))
    _place_orders(accounts, traded, instruments)
    if any(limit.is_dated for limit in market_rules.price_limits + market_rules.special_limits):
        raise StrategyError(
            "These `market_rules` change by date. Take those of one session, `market_rules.at(session)`."
        )
    quotes = _session_quotes(bars.reindex(instruments), instruments, market_rules, cost_rules)
    fills = np.zeros((len(traded), kernels.N_FILL_COLUMNS), dtype=np.int64)
    n_fills = kernels.execute_pending_orders(
        accounts, 0, 0, quotes, kernels.exchange_terms(market_rules, instruments), cost_terms(cost_rules), fills, 0
    )
    return fills_table(fills[:n_fills], instruments)


def apply_fills(
    positions: pd.DataFrame, cash: Decimal | float | int, fills: pd.DataFrame
) -> tuple[pd.DataFrame, Decimal]:
    """Return the positions and the cash after the fills of one session.

    Parameters
    ----------
    positions, cash
        Holdings and cash before the fills.
    fills
        As returned by :func:`execute_orders`.
    """
    shares = {str(name): int(quantity) for name, quantity in positions["quantity"].items()}
    sessions = {str(name): int(count) for name, count in positions["sessions_held"].items()}
    ticks = cash_to_ticks(cash)
    columns = fills.loc[fills["quantity"] > 0, ["instrument", "side", "quantity", "price", "fee"]]
    for instrument, side, quantity, price, fee in columns.itertuples(index=False, name=None):
        signed = quantity if side == "buy" else -quantity
        value = int(value_in_ticks(quantity, cash_to_ticks(price)))
        ticks -= (value if side == "buy" else -value) + cash_to_ticks(fee)
        shares[instrument] = shares.get(instrument, 0) + signed
        sessions.setdefault(instrument, 0)
    held = sorted(name for name, quantity in shares.items() if quantity > 0)
    table = positions_table(held, [shares[name] for name in held], [sessions[name] for name in held])
    return table, ticks_to_decimal(ticks)


def reference_closes(previous_closes: pd.Series, actions: pd.DataFrame) -> pd.Series:
    """Previous closes after the corporate actions of the session: what its price limits refer to.

    Parameters
    ----------
    previous_closes
        Last known closes before the session, by instrument.
    actions
        The session's corporate actions.
    """
    ticks = dict(zip(previous_closes.index, to_ticks(previous_closes).tolist(), strict=True))
    ordered = _in_order(actions)
    for instrument, kind, value in zip(ordered["instrument"], ordered["kind"], ordered["value"], strict=True):
        if ticks.get(instrument, 0) > 0:
            ticks[instrument] = reference_price(ticks[instrument], kind, *action_terms(instrument, kind, value))
    return pd.Series(ticks_to_float(list(ticks.values())), index=previous_closes.index).where(previous_closes.notna())


def _in_order(actions: pd.DataFrame) -> pd.DataFrame:
    rank = actions["kind"].map(ACTION_KINDS)
    if rank.isna().any():
        row = actions[rank.isna()].iloc[0]
        action_terms(row["instrument"], row["kind"], row["value"])
    return actions.assign(_rank=rank).sort_values(["_rank", "instrument"], kind="stable").drop(columns="_rank")


def _previous_close(instrument: str, kind: str, previous_closes: pd.Series) -> int:
    if kind != "split":
        return 0
    close = previous_closes.get(instrument, np.nan)
    if not close > 0:
        raise MarketDataError(f"{instrument} splits but has no previous close. Give its last known close.")
    return int(to_ticks([close])[0])


def _account_of(
    positions: pd.DataFrame, cash: Decimal | float | int, instruments: pd.Index, n_orders: int
) -> AccountArrays:
    accounts = new_accounts(1, max(len(instruments), 1), cash_to_ticks(cash), max(n_orders, 1))
    indices = instruments.get_indexer(positions.index)
    for index, quantity, sessions in zip(
        indices.tolist(), positions["quantity"], positions["sessions_held"], strict=True
    ):
        open_slot(accounts, 0, index, int(quantity), int(sessions))
    return accounts


def _place_orders(accounts: AccountArrays, orders: pd.DataFrame, instruments: pd.Index) -> None:
    quantity = orders["quantity"].to_numpy(dtype=np.int64)
    if (quantity < 0).any():
        raise StrategyError("An order has a negative quantity. Give side `buy` or `sell` and a positive quantity.")
    indices = instruments.get_indexer(pd.Index(orders["instrument"]))
    n_orders = len(orders)
    accounts.order_instrument[0, :n_orders] = indices
    accounts.order_shares[0, :n_orders] = np.where(orders["side"] == "sell", -quantity, quantity)
    accounts.totals[0, ORDERS] = n_orders


def _session_quotes(
    bars: pd.DataFrame, instruments: pd.Index, market_rules: MarketRules, cost_rules: CostRules
) -> kernels.SessionQuotes:
    needed: set[str] = {"close"} if market_rules.deal_price == "vwap" else {"close", market_rules.deal_price}
    if market_rules.price_limits:
        needed.add("previous_close")
    if market_rules.max_participation is not None or cost_rules.needs_volume:
        needed.add("volume")
    if not needed <= set(bars.columns):
        raise MarketDataError(f"The session's bars lack the column {min(needed - set(bars.columns))!r}. Add it.")
    price = deal_prices(bars, market_rules.deal_price)
    volume = bars["volume"].fillna(0).to_numpy() if "volume" in bars.columns else np.zeros(len(bars))
    previous = to_ticks(bars["previous_close"]) if market_rules.price_limits else np.zeros(len(bars), dtype=np.int64)
    limits = price_limits_of(instruments, _ANY_SESSION, (price > 0)[np.newaxis], market_rules)[0]
    lowest, highest = limit_prices(previous, limits, market_rules)
    return kernels.SessionQuotes(
        deal_price=price,
        volume=volume.astype(np.int64),
        buy_blocked=price >= highest,
        sell_blocked=price <= lowest,
        lowest=lowest,
        highest=highest,
    )


def _positions_of(accounts: AccountArrays, instruments: pd.Index) -> pd.DataFrame:
    n_held = int(accounts.totals[0, HELD])
    order = np.argsort(accounts.slot_instrument[0, :n_held], kind="stable")
    return positions_table(
        [str(name) for name in instruments.to_numpy()[accounts.slot_instrument[0, order]]],
        accounts.slot_shares[0, order].tolist(),
        (accounts.totals[0, CLOSES] - accounts.slot_since[0, order]).tolist(),
    )
