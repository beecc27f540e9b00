"""Nodes of post-trade: settle with the broker or book fills, then state the account and write its tables."""

import logging
from collections.abc import Sequence
from typing import assert_never

import pandas as pd

from quant_pipeline.common.exceptions import AccountError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import book_days, last_prices
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.history import account_history
from quant_pipeline.trading.ledger.lot_tables import closed_lots_table, open_lots_table
from quant_pipeline.trading.ledger.missed import missed_sessions
from quant_pipeline.trading.ledger.tables import holdings_table, net_asset_value_table, trades_table
from quant_pipeline.trading.ledger.trade_costs import trade_costs_table
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import reducing_event
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.statements import (
    StatementFile,
    StatementImportParameters,
    import_statements,
    raise_problems,
)
from quant_pipeline.trading.statements.market_check import compare_what_is_new, refuse_other_currency
from quant_pipeline.trading.statements.unknown_rows import heed_answers

logger = logging.getLogger(__name__)


@takes_records(exchange=Exchange.at_close, rules=DeskRules.of)
def settle_with_broker(
    trading_desk: Gateway,
    events: Sequence[Event],
    exchange: Exchange,
    account: AccountParameters,
    rules: DeskRules,
) -> tuple[Event, ...]:
    """Book what the broker reports up to the newest close, and close the session when the books equal it.

    Parameters
    ----------
    trading_desk
        The way to the broker; it appends to the ledger itself, so that fills and cursor are one transaction.
    events
        The ledger as found.
    exchange
        The market and its rules, up to the session to close.
    account, rules
        The account; nothing is done unless it is filled by its broker.

    Returns
    -------
    tuple of Event
        Always none: what there was to append has been appended.

    Raises
    ------
    AccountError
        When books and broker differ.
    """
    session = exchange.sessions[-1]
    if account.filled_by != "broker" or any(
        event.kind is EventKind.SESSION_CLOSED and event.session >= session for event in events
    ):
        return ()
    with trading_desk.open(session, rules, exchange) as desk:
        breaks = close_books(desk)
    if breaks:
        differences = first_of((f"{found.what} {found.ledger} here, {found.broker} there" for found in breaks), "; ")
        raise AccountError(
            f"{session:%Y-%m-%d} stays open, because the books of '{account.name}' differ from the broker: "
            f"{differences}. "
            "Compare the broker's activities with the trade log; run post_trade again when they have come in."
        )
    return ()


@takes_records(exchange=Exchange.at_close)
def book_fills(
    trading_desk: Gateway,
    events: Sequence[Event],
    statement_files: Sequence[StatementFile],
    exchange: Exchange,
    account: AccountParameters,
    statement_import: StatementImportParameters,
) -> tuple[Event, ...]:
    """Book what happened to the account since the last booked session, up to the newest close.

    Parameters
    ----------
    trading_desk
        The way to the broker; a kill switch of it stops the simulated exchange, too.
    events
        The ledger as found.
    statement_files
        Statements, also those that were booked before.
    exchange
        The market and the rules it executes by, up to the as-of session.
    account, statement_import
        The account, and how its statements are read.

    Returns
    -------
    tuple of Event
        Events to append; none when everything is booked.

    Raises
    ------
    AccountError
        When a row of a statement is not understood, or the books differ from what the statement or the market says;
        the message lists all problems with file, row and column.
    """
    imported = import_statements(statement_files, statement_import, exchange.market_rules.calendar)
    entries = heed_answers(imported.entries, events)
    known = tuple(event.payload["file"] for event in events if event.kind is EventKind.STATEMENT_IMPORTED)
    for warning in imported.warnings:
        # What was left out of a file is reported when it is booked, not every day.
        if not warning.startswith(known):
            logger.warning("%s", warning)
    match account.filled_by:
        case "simulation":
            stop = trading_desk.kill_switch.reason(TradingState.ACTIVE)
            new = book_sessions(events, account.name, account.initial_cash, exchange, entries, account.lot_method, stop)
            return (*new, *reducing_event(events, new))
        case "broker":
            if entries:
                raise AccountError(
                    f"{entries[0].place}: '{account.name}' is kept by its broker's activities; a statement would "
                    "book everything twice. Remove the statements, or set account.filled_by to statements."
                )
            return ()
        case "statements":
            raise_problems(refuse_other_currency(statement_import.currency, exchange.market_rules.calendar))
            market = market_of(*exchange.parts[:-1])
            new = book_days(events, account.name, 0, market, entries, lot_method=account.lot_method)
            raise_problems(compare_what_is_new(events, new, imported.stated, exchange.corporate_actions))
            return (*new, *reducing_event(events, new))
        case unknown:
            assert_never(unknown)


def state_account(
    events: Sequence[Event],
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    market_rules: MarketRules,
    as_of: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """State holdings and net asset value at the close of ``as_of``, whatever has been booked since.

    Returns
    -------
    tuple of pandas.DataFrame
        ``holdings`` and ``account_nav``.

    Raises
    ------
    StaleDataError
        When the ledger does not reach ``as_of``.
    """
    session = pd.Timestamp(as_of)
    state = fold(events, up_to=session)
    if state.last_session != session:
        booked = "nothing" if state.last_session is None else f"up to {state.last_session:%Y-%m-%d}"
        raise StaleDataError(
            f"the ledger has booked {booked}, not {as_of}. Run "
            f"`kedro run --pipelines post_trade --params as_of={as_of}` without --only-missing-outputs."
        )
    days, bars, corporate_actions = known_at(as_of, sessions, bars, corporate_actions)
    market = market_of(bars, corporate_actions, days, market_rules)
    closes = pd.Series(last_prices(state, market, session), dtype=object)
    return holdings_table(state, closes), net_asset_value_table(state)


def list_missed_sessions(events: Sequence[Event], market_rules: MarketRules, as_of: str) -> pd.DataFrame:
    """List the sessions before ``as_of`` at whose close nothing was decided, or that were never closed.

    Returns
    -------
    pandas.DataFrame
        ``session``, ``missed``, ``is_new``, see `missed_sessions`.
    """
    return missed_sessions(events, market_rules.calendar, pd.Timestamp(as_of))


def tabulate_account(
    events: Sequence[Event],
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    market_rules: MarketRules,
    as_of: str,
) -> dict[str, pd.DataFrame]:
    """Return the whole history of the account up to the close of ``as_of``.

    Returns
    -------
    dict of pandas.DataFrame
        ``trade_log``, ``holding_log`` and ``daily_amounts`` (cumulative), ``open_lots`` and ``closed_lots`` (profit lot
        by lot), ``trade_costs`` (delay and slippage of every fill).
    """
    session = pd.Timestamp(as_of)
    days, bars, corporate_actions = known_at(as_of, sessions, bars, corporate_actions)
    market = market_of(bars, corporate_actions, days, market_rules)
    seen = [event for event in events if event.session <= session]
    state, history = fold(seen), account_history(seen, market, session)
    return {
        "trade_log": trades_table(seen),
        "holding_log": history.holdings,
        "daily_amounts": history.amounts,
        "open_lots": open_lots_table(state, last_prices(state, market, session)),
        "closed_lots": closed_lots_table(state),
        "trade_costs": trade_costs_table(seen, bars, corporate_actions, session, market_rules.deal_price),
    }
