"""What is checked before every order and while orders are open: the kill switches, and what the day has lost."""

from __future__ import annotations

from quant_pipeline.trading.broker_records import BrokerAccount
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.risk import state_after_losses
from quant_pipeline.trading.orders.risk_view import Standing, TradingState
from quant_pipeline.trading.ports import BrokerUnavailableError


def watch(desk: TradingDesk) -> TradingState:
    """Look at every layer of the kill switch and at the losses of the moment, and do what they demand.

    A pulled switch halts the account and cancels what is open; so does a loss at the hard limit. At the soft one open
    buys are cancelled and only exits pass.

    Returns
    -------
    TradingState
        What may be sent now.
    """
    desk.journal.catch_up()
    state, account = desk.journal.book.trading_state, None
    reason = desk.kill_switch.reason(state)
    if reason is None:
        account = desk.check_account()
        reason = desk.kill_switch.reason(state, account)
    if reason is None and account is not None:
        heed_losses(desk, standing_of(desk, account))
    else:
        desk.tighten(TradingState.HALTED, "KILL_SWITCH", str(reason))
    if desk.journal.book.trading_state is state:
        # A cancellation may have been lost, or the order was not known when the account became so strict.
        desk.cancel_closed_sides()
    return desk.journal.book.trading_state


def standing_of(desk: TradingDesk, account: BrokerAccount) -> Standing:
    """Put the equity that the broker states beside what it was before."""
    book = desk.journal.book
    # What the owner moved since the close was neither lost nor won.
    previous = account.last_equity + desk.journal.account.paid_in(desk.session)
    if previous <= 0 and not book.is_flattening:
        raise BrokerUnavailableError(
            f"the broker states an equity of {account.last_equity} at the previous close; what the day has lost cannot "
            "be known, so nothing is sent"
        )
    return Standing(
        state=book.trading_state,
        equity=account.equity,
        previous_equity=previous,
        highest_equity=max(book.highest_equity, previous),
        is_flattening=book.is_flattening,
    )


def heed_losses(desk: TradingDesk, standing: Standing) -> None:
    """Let only exits pass, or nothing, when the losses demand it."""
    stricter = state_after_losses(standing, desk.limits)
    if stricter is None:
        return
    state, code = stricter
    values = (standing.equity, standing.previous_equity, standing.highest_equity)
    desk.tighten(state, str(code), "equity {:.2f}, previous close {:.2f}, highest {:.2f}".format(*values))
