"""Post-trade at a broker: everything of a session is booked, the books equal the broker, the session is closed."""

from __future__ import annotations

from quant_pipeline.exceptions import AccountError
from quant_pipeline.trading.domain import Event, EventKind, money
from quant_pipeline.trading.order_management.desk import TradingDesk
from quant_pipeline.trading.order_management.reconciliation import Break, open_books, reconcile


def close_session(desk: TradingDesk) -> tuple[Break, ...]:
    """Collect what a session brought and close it with the equity that the broker states.

    Parameters
    ----------
    desk
        A desk of the session to close, after its last trade.

    Returns
    -------
    tuple of Break
        Empty when the session was closed, now or before; otherwise it stays open and the breaks tell why.

    Raises
    ------
    AccountError
        When the session is not over or the broker still works on orders.
    """
    open_books(desk)
    last = desk.journal.account.last_session
    if last is not None and last >= desk.session:
        return ()
    closes_at = desk.calendar.hours(desk.session)[1]
    if desk.now() < closes_at:
        raise AccountError(f"{desk.session:%Y-%m-%d} ends at {closes_at:%Y-%m-%d %H:%M} UTC; run post_trade after that")
    breaks = reconcile(desk)
    if breaks:
        return breaks
    working = [o.order.client_order_id for o in desk.journal.book.unfinished if o.session <= desk.session]
    if working:
        raise AccountError(
            f"the broker still works on {', '.join(working[:3])} ({len(working)} orders); run post_trade again later"
        )
    equity = desk.check_account().equity
    facts = {"net_asset_value": money(equity), "cash": str(desk.journal.account.cash)}
    desk.journal.append([Event(desk.session, EventKind.SESSION_CLOSED, f"close:{desk.session:%Y-%m-%d}", facts)])
    return ()
