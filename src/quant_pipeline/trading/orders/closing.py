"""Post-trade at a broker: everything of a session is booked, the books equal the broker, the session is closed."""

from __future__ import annotations

from typing import Any

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.ledger.events import Event, EventKind, money
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution import cancel_what_is_left
from quant_pipeline.trading.orders.reconciliation import Break, open_books, reconcile


def close_books(desk: TradingDesk) -> tuple[Break, ...]:
    """Collect what a session brought and close it with the equity that the broker states.

    Parameters
    ----------
    desk
        A desk of the session to close, after its last trade and before the next session ends: a broker states the
        equity of now and of the close before, and no older one.

    Returns
    -------
    tuple of Break
        Empty when the session was closed, now or before; otherwise it stays open because of these breaks.

    Raises
    ------
    AccountError
        When the session is not over, or is past; or when the broker still works on orders.
    """
    open_books(desk)
    last = desk.journal.account.last_session
    if last is not None and last >= desk.session:
        return ()
    closes_at = desk.calendar.hours(desk.session)[1]
    if desk.now() < closes_at:
        raise AccountError(f"{desk.session:%Y-%m-%d} ends at {closes_at:%Y-%m-%d %H:%M} UTC; run post_trade after that")
    next_opens, next_closes = desk.calendar.hours(desk.calendar.next(desk.session))
    if desk.now() >= next_closes:
        raise _is_past(desk)
    breaks = reconcile(desk)
    if breaks:
        return breaks
    cancel_what_is_left(desk)
    if any(event.session > desk.session for event in desk.journal.account.history):
        raise _is_past(desk)
    working = [o.order.client_order_id for o in desk.journal.book.unfinished if o.session <= desk.session]
    if working:
        raise AccountError(
            f"the broker still works on {first_of(working)} ({len(working)} orders); run post_trade again later"
        )
    account = desk.check_account()
    equity = account.last_equity if desk.now() >= next_opens else account.equity
    facts: dict[str, Any] = {"net_asset_value": money(equity), "cash": str(desk.journal.account.cash)}
    facts |= {"foreign": _values_of_foreign(desk)} if desk.journal.account.foreign else {}
    desk.journal.append([Event(desk.session, EventKind.SESSION_CLOSED, f"close:{desk.session:%Y-%m-%d}", facts)])
    return ()


def _values_of_foreign(desk: TradingDesk) -> dict[str, dict[str, str | None]]:
    """Return quantity, and value where the broker has one, of positions that these books keep no lots of."""
    return {
        position.instrument: {
            "quantity": str(position.quantity),
            "value": None if position.market_value is None else str(position.market_value),
        }
        for position in desk.ask(desk.broker.positions)
        if position.instrument in desk.journal.account.foreign
    }


def _is_past(desk: TradingDesk) -> AccountError:
    return AccountError(
        f"{desk.session:%Y-%m-%d} is past: what came after it has moved cash, shares or prices of '{desk.account}', "
        "and its broker states no equity of that close any more. Close the newest session instead, when it is over: "
        "run post_trade with its date as as_of."
    )
